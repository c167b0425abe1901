// SPDX-License-Identifier: BSD-3-Clause
// The plain-store unlock against the first one to arrive beside it: many short lives of mutexes and RWMutexes, in
// each of which four goroutines meet just when the lock is let go. A registration that an unlock overwrites leaves
// its goroutine asleep for ever: the program ends in a deadlock report. (With rt_os_rseq_fence made a no-op, runs
// of three seconds do.) The memory of a lock is overwritten as soon as the last one has unlocked it: an unlock
// that writes to it later is seen.
#include "stress.h"

#include <string.h>

#include "sync/watch.h"

enum { PLAYERS = 4, TURNS = 8, LIVES = 20, MEETINGS = 20, SHORT = 10000, LONG = 200000, WRITE_EVERY = 1500 };

struct life {
	union {
		gort_mutex mu;
		gort_rwmutex rw;
	};
	int32_t value; // plain
	int32_t left;  // players that still use the memory
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

// Every other turn writes, the rest read. The last turn is a read: several may end at once.
static void
play_rw(struct life *l, int64_t id, uint32_t hold, gort_waitgroup *wg)
{
	struct rng rng = rng_for((uint64_t)id);
	bool last = false;
	for (int i = 0; i < TURNS; i++) {
		if (i % 2 == 0) {
			gort_rwmutex_lock(&l->rw);
			l->value++;
			busy(rng_below(&rng, hold));
			gort_rwmutex_unlock(&l->rw);
			continue;
		}
		gort_rwmutex_rlock(&l->rw);
		int32_t before = l->value;
		busy(rng_below(&rng, hold));
		STRESS_CHECK(l->value == before, "a writer beside a reader");
		gort_rwmutex_runlock(&l->rw);
		busy(rng_below(&rng, 50));
	}
	last = __atomic_sub_fetch(&l->left, 1, __ATOMIC_ACQ_REL) == 0;
	STRESS_CHECK(!last || l->value == PLAYERS * TURNS / 2, "%d", l->value);
	if (last)
		memset(l, 0x11, sizeof(*l));
	gort_waitgroup_done(wg);
}

// Readers that meet on one lock for long: it becomes plain now and then, just when others come. (With an
// addition in gort_rwmutex_rlock where it finds the lock contended, four of six runs of three seconds fail.)
//
// It is also biased towards them now and then, and a writer comes before long. (Without the fence in
// sync/bias.c six of six runs of three seconds fail.)
static int32_t twice; // plain; even while nobody writes

static void
read_on(gort_rwmutex *rw, int n, gort_waitgroup *wg)
{
	for (int i = 0; i < n; i++) {
		if (i % WRITE_EVERY == WRITE_EVERY - 1) {
			gort_rwmutex_lock(rw);
			twice++;
			busy(100);
			twice++;
			gort_rwmutex_unlock(rw);
		}
		gort_rwmutex_rlock(rw);
		STRESS_CHECK(*(volatile int32_t *)&twice % 2 == 0, "a reader beside a writer");
		gort_rwmutex_runlock(rw);
	}
	gort_waitgroup_done(wg);
}

static void
meet_readers(int reads)
{
	static gort_rwmutex rws[64];
	static unsigned turn;
	gort_rwmutex *rw = &rws[turn++ % 64]; // not all in one set of cells
	*rw = (gort_rwmutex){0};	      // plain, and has not had its fence yet
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, 2);
	for (int k = 0; k < 2; k++)
		gort_go(read_on, rw, reads, &wg);
	gort_waitgroup_wait(&wg);
	gort_rwmutex_lock(rw); // or a deadlock
	gort_rwmutex_unlock(rw);
	STRESS_CHECK((rw->reader_count & ~(3 << 28)) == 0, "%#x readers are left", rw->reader_count);
}

static int
app(int argc, char **argv)
{
	static struct life life[LIVES];
	struct life gone;
	memset(&gone, 0x11, sizeof(gone));
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
				gort_go(i % 2 ? play : play_rw, &life[i], rounds * PLAYERS + k,
					hold, &wg);
			gort_waitgroup_wait(&wg);
		}
		for (int i = 0; i < LIVES; i++)
			STRESS_CHECK(memcmp(&life[i], &gone, sizeof(gone)) == 0,
				     "memory of a lock written after its end");
		for (int i = 0; i < MEETINGS; i++)
			meet_readers(i == 0 ? LONG : SHORT);
		rt_rest = rounds % 2 ? 100 : 0;
	} while (++rounds, stress_time_left());
	printf("%lld lives\n", (long long)rounds * LIVES);
	return 0;
}
GORT_MAIN(app)
