// SPDX-License-Identifier: BSD-3-Clause
// Mutexes under many goroutines: exclusion, no lost wakeup (the program would end in a deadlock report),
// try-locks, unlocks by others.
#include "stress.h"

#include <string.h>

enum { MAX_LOCKS = 4, MAX_WORKERS = 32 };

struct cell {
	gort_mutex mu;
	int64_t value; // plain: the lock is all that guards it
	int inside;
};

struct round {
	struct cell cell[MAX_LOCKS];
	int nlocks, nworkers, ops;
	gort_waitgroup wg;
};

static void
work_inside(struct cell *cell, struct rng *rng)
{
	STRESS_CHECK(cell->inside++ == 0, "two goroutines hold one lock");
	cell->value++;
	uint32_t kind = rng_below(rng, 64);
	if (kind == 0)
		gort_gosched(); // hold it while others run
	else if (kind == 1)
		for (volatile int i = 0; i < 2000; i++)
			;
	STRESS_CHECK(--cell->inside == 0, "two goroutines hold one lock");
}

static void
unlock_for_me(struct cell *cell)
{
	gort_mutex_unlock(&cell->mu);
}

static void
lock(struct cell *cell, struct rng *rng)
{
	if (rng_below(rng, 8) == 0)
		while (!gort_mutex_try_lock(&cell->mu))
			gort_gosched();
	else
		gort_mutex_lock(&cell->mu);
}

static void
worker(struct round *r, int id)
{
	struct rng rng = rng_for((uint64_t)id * 77 + (uint64_t)r->ops);
	for (int i = 0; i < r->ops; i++) {
		struct cell *cell = &r->cell[rng_below(&rng, (uint32_t)r->nlocks)];
		lock(cell, &rng);
		work_inside(cell, &rng);
		if (rng_below(&rng, 256) == 0)
			gort_go(unlock_for_me, cell);
		else
			gort_mutex_unlock(&cell->mu);
	}
	gort_waitgroup_done(&r->wg);
}

static void
one_round(struct rng *rng)
{
	struct round r = {
		.nlocks = 1 + (int)rng_below(rng, MAX_LOCKS),
		.nworkers = 2 + (int)rng_below(rng, MAX_WORKERS - 1),
		.ops = 100 + (int)rng_below(rng, 4000),
	};
	gort_maxprocs(1 + (int)rng_below(rng, 4));
	gort_waitgroup_add(&r.wg, r.nworkers);
	for (int i = 0; i < r.nworkers; i++)
		gort_go(worker, &r, i);
	gort_waitgroup_wait(&r.wg);

	int64_t sum = 0;
	for (int i = 0; i < r.nlocks; i++) {
		gort_mutex_lock(
			&r.cell[i].mu); // the last unlock may be another goroutine's, under way
		sum += r.cell[i].value;
		gort_mutex_unlock(&r.cell[i].mu);
	}
	STRESS_CHECK(sum == (int64_t)r.nworkers * r.ops, "%lld of %lld", (long long)sum,
		     (long long)r.nworkers * r.ops);
	for (int i = 0; i < r.nlocks; i++)
		STRESS_CHECK((r.cell[i].mu.state & ~24) == 0 && r.cell[i].mu.sema == 0, "state %#x sema %u",
			     r.cell[i].mu.state, r.cell[i].mu.sema);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	struct rng rng = rng_for(0);
	int64_t rounds = 0;
	do
		one_round(&rng);
	while (++rounds, stress_time_left());
	printf("%lld rounds\n", (long long)rounds);
	return 0;
}
GORT_MAIN(app)
