// SPDX-License-Identifier: BSD-3-Clause
// The plain-store unlock against the first waiter's arrival: many short lives of mutexes, in each of which
// four goroutines meet just when the lock is let go. A registration that an unlock overwrites leaves its
// goroutine asleep for ever: the program ends in a deadlock report. (With rt_os_rseq_fence made a no-op,
// runs of three seconds do.) The memory of a mutex is overwritten as soon as the last one
// has unlocked it: an unlock that writes to it later is seen.
#include "stress.h"

#include <string.h>

enum { PLAYERS = 4, TURNS = 8, LIVES = 20 };

struct life {
	gort_mutex mu;
	int32_t value; // plain
	int32_t left;  // players that still use the memory; under mu
};

static void
busy(uint32_t n)
{
	for (volatile uint32_t i = 0; i < n; i++)
		;
}

static void
play(struct life *l, int64_t id, uint32_t hold, gort_waitgroup *wg)
{
	struct rng rng = rng_for((uint64_t)id);
	bool last = false;
	for (int i = 0; i < TURNS; i++) {
		gort_mutex_lock(&l->mu);
		l->value++;
		busy(rng_below(&rng, hold));
		if (i == TURNS - 1) {
			last = --l->left == 0;
			STRESS_CHECK(!last || l->value == PLAYERS * TURNS, "%d", l->value);
		}
		gort_mutex_unlock(&l->mu);
		busy(rng_below(&rng, 50));
	}
	if (last)
		memset(l, 0x11, sizeof(*l));
	gort_waitgroup_done(wg);
}

static int
app(int argc, char **argv)
{
	static struct life life[LIVES];
	static const struct life gone = {{0x11111111, 0x11111111}, 0x11111111, 0x11111111};
	stress_begin(argc, argv);
	struct rng rng = rng_for(0);
	gort_waitgroup wg = {0};
	int64_t rounds = 0;
	gort_maxprocs(2);
	do {
		// From nothing to some microseconds, longer than a goroutine spins.
		uint32_t hold = 1u << rng_below(&rng, 15);
		for (int i = 0; i < LIVES; i++) {
			life[i] = (struct life){.left = PLAYERS};
			gort_waitgroup_add(&wg, PLAYERS);
			for (int k = 0; k < PLAYERS; k++)
				gort_go(play, &life[i], rounds * PLAYERS + k, hold, &wg);
			gort_waitgroup_wait(&wg);
		}
		for (int i = 0; i < LIVES; i++)
			STRESS_CHECK(memcmp(&life[i], &gone, sizeof(gone)) == 0,
				     "memory of a mutex written after its end");
	} while (++rounds, stress_time_left());
	printf("%lld lives\n", (long long)rounds * LIVES);
	return 0;
}
GORT_MAIN(app)
