// SPDX-License-Identifier: BSD-3-Clause
// Wait groups under many goroutines: waits never end early and always end. Trees of goroutines that add
// before they start others, several waiters on one group, groups on stacks that go away at once after
// the wait, reuse, and groups whose goroutines start while the collector does.
#include "stress.h"

static int64_t leaves;

static void
tree(gort_waitgroup *wg, int depth)
{
	if (depth == 0) {
		__atomic_fetch_add(&leaves, 1, __ATOMIC_RELAXED);
	} else {
		gort_waitgroup_add(wg, 2);
		gort_go(tree, wg, depth - 1);
		gort_go(tree, wg, depth - 1);
	}
	gort_waitgroup_done(wg);
}

static void
grow_tree(int depth)
{
	gort_waitgroup wg = {0};
	leaves = 0;
	gort_waitgroup_add(&wg, 1);
	gort_go(tree, &wg, depth);
	gort_waitgroup_wait(&wg);
	STRESS_CHECK(__atomic_load_n(&leaves, __ATOMIC_RELAXED) == 1 << depth, "%lld leaves of %d",
		     (long long)leaves, 1 << depth);
}

struct gate {
	gort_waitgroup start, passed;
	int64_t flag; // written before start is done
};

static void
pass(struct gate *g)
{
	gort_waitgroup_wait(&g->start);
	STRESS_CHECK(g->flag == 42, "the wait ended before the done");
	gort_waitgroup_done(&g->passed);
}

static void
open_gate(int n)
{
	struct gate g = {0};
	gort_waitgroup_add(&g.start, 1);
	gort_waitgroup_add(&g.passed, n);
	for (int i = 0; i < n; i++)
		gort_go(pass, &g);
	gort_gosched();
	g.flag = 42;
	gort_waitgroup_done(&g.start);
	gort_waitgroup_wait(&g.passed);
}

static void
bump(int64_t *x, int64_t by)
{
	*x += by;
}

// A frame whose group and results die with it; the next call reuses the memory.
static int64_t __attribute__((noinline)) sum_of_eight(int64_t from)
{
	gort_waitgroup wg = {0};
	int64_t x[8] = {0};
	for (int i = 0; i < 8; i++)
		gort_waitgroup_go(&wg, bump, &x[i], from + i);
	gort_waitgroup_wait(&wg);
	return x[0] + x[1] + x[2] + x[3] + x[4] + x[5] + x[6] + x[7];
}

static void
many_sums(gort_waitgroup *wg, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t sum = sum_of_eight(i);
		STRESS_CHECK(sum == 8 * i + 28, "%lld", (long long)sum);
	}
	gort_waitgroup_done(wg);
}

static int64_t ended;

static void
hold(gort_waitgroup *gate)
{
	gort_waitgroup_wait(gate);
	__atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
}

static void
collect(int n)
{
	while (n-- > 0)
		gort_gc();
}

// Goroutines are started while collections begin, and end only when those are over: what a goroutine that
// is being started has to do at its end is kept too. Lost, it would be done for the second group.
static void
start_while_collecting(int n)
{
	gort_waitgroup gate = {0}, first = {0}, second = {0}, collector = {0};
	ended = 0;
	gort_waitgroup_add(&gate, 1);
	gort_waitgroup_go(&collector, collect, 3);
	for (int i = 0; i < n; i++)
		gort_waitgroup_go(&first, hold, &gate);
	gort_waitgroup_wait(&collector);
	for (int i = 0; i < n; i++)
		gort_waitgroup_go(&second, hold, &gate);
	gort_waitgroup_done(&gate);
	gort_waitgroup_wait(&first);
	gort_waitgroup_wait(&second);
	STRESS_CHECK(__atomic_load_n(&ended, __ATOMIC_RELAXED) == 2 * n, "%lld ended of %d", (long long)ended, 2 * n);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	struct rng rng = rng_for(0);
	int64_t rounds = 0;
	gort_waitgroup wg = {0};
	do {
		gort_maxprocs(1 + (int)rng_below(&rng, 4));
		grow_tree((int)rng_below(&rng, 10));
		open_gate(1 + (int)rng_below(&rng, 100));
		gort_waitgroup_add(&wg, 3);
		for (int i = 0; i < 3; i++)
			gort_go(many_sums, &wg, 1 + rng_below(&rng, 100));
		gort_waitgroup_wait(&wg);
		start_while_collecting((int)rng_below(&rng, 2000));
	} while (++rounds, stress_time_left());
	printf("%lld rounds\n", (long long)rounds);
	return 0;
}
GORT_MAIN(app)
