// SPDX-License-Identifier: BSD-3-Clause
// Timers under load: a hundred thousand sleepers; function and channel timers that goroutines on every
// P reset and stop while they fire; a number of Ps that changes. What is counted: every time a timer
// was set ends in exactly one of a run (a value received), or a stop or reset that returned true.
#include <stdatomic.h>

#include "base/base.h"
#include "stress.h"

#define MS GORT_MILLISECOND
#define US GORT_MICROSECOND

// ---- sleepers ----

enum { SLEEPERS = 100000 };
static int64_t late[SLEEPERS];

static void
sleeper(int i, int64_t due, gort_waitgroup *wg)
{
	gort_sleep(due - gort_nanotime());
	late[i] = gort_nanotime() - due;
	gort_waitgroup_done(wg);
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void
many_sleepers(void)
{
	gort_waitgroup wg = {0};
	int64_t start = gort_nanotime();
	int n = SLEEPERS / (getenv("GORT_STRESS_SMALL") || RT_TSAN ? 20 : 1);
	gort_waitgroup_add(&wg, n);
	for (int i = 0; i < n; i++)
		gort_go(sleeper, i, start + 300 * MS + i * 7919L % n * 2 * US, &wg);
	gort_waitgroup_wait(&wg);
	qsort(late, (size_t)n, sizeof *late, by_value);
	STRESS_CHECK(late[0] >= 0, "a sleeper woke %lld ns early", (long long)-late[0]);
	STRESS_CHECK(late[n - 1] < 20 * GORT_SECOND, "%lld ns late", (long long)late[n - 1]);
	printf("%d sleepers: late by %lld us (median), %lld (99%%), %lld (worst)\n", n,
	       (long long)late[n / 2] / 1000, (long long)late[n * 99L / 100] / 1000,
	       (long long)late[n - 1] / 1000);
}

// ---- set, stop, reset ----

enum { TIMERS = 64, WORKERS = 8 };

struct account {
	gort_timer *t;
	atomic_long sets, ends; // ends: runs, values, stops and resets that were in time
};
static struct account funcs[TIMERS], chans[TIMERS];

static void
ran(void *arg)
{
	struct account *a = arg;
	atomic_fetch_add(&a->ends, 1);
}

static int64_t
some_time(struct rng *r)
{
	switch (rng_below(r, 4)) {
	case 0:
		return 0;
	case 1:
		return 3600 * GORT_SECOND;
	default:
		return rng_below(r, 300) * US;
	}
}

static void
shake(struct account *a, struct rng *r)
{
	if (rng_below(r, 3) == 0) {
		atomic_fetch_add(&a->ends, gort_timer_stop(a->t));
	} else {
		atomic_fetch_add(&a->sets, 1);
		atomic_fetch_add(&a->ends, gort_timer_reset(a->t, some_time(r)));
	}
}

// Receives in every way there is.
static void
receive(struct account *a, struct rng *r)
{
	int64_t v = 0, now;
	gort_chan *c = gort_timer_chan(a->t);
	gort_select_case with_default[] = {GORT_RECV(c, &v), GORT_DEFAULT};
	gort_select_case with_timeout[] = {GORT_RECV(c, &v), GORT_RECV(gort_after(50 * US), NULL)};
	bool got = false;
	switch (rng_below(r, 3)) {
	case 0:
		got = gort_chan_try_recv(c, &v) == 1;
		break;
	case 1:
		got = gort_select(with_default, 2) == 0;
		break;
	case 2:
		got = gort_select(with_timeout, 2) == 0;
		break;
	}
	now = gort_nanotime();
	STRESS_CHECK(!got || (v > 0 && v <= now), "due %lld, now %lld", (long long)v,
		     (long long)now);
	atomic_fetch_add(&a->ends, got);
}

static void
worker(int id, gort_waitgroup *wg)
{
	struct rng r = rng_for((uint64_t)id);
	while (stress_time_left()) {
		shake(&funcs[rng_below(&r, TIMERS)], &r);
		struct account *a = &chans[rng_below(&r, TIMERS)];
		if (rng_below(&r, 2))
			shake(a, &r);
		else
			receive(a, &r);
		if (rng_below(&r, 20) == 0)
			gort_sleep(rng_below(&r, 100) * US);
		if (id == 0 && rng_below(&r, 50) == 0)
			gort_maxprocs(1 + (int)rng_below(&r, 4));
	}
	gort_waitgroup_done(wg);
}

static void
settle(struct account *a)
{
	atomic_fetch_add(&a->ends, gort_timer_stop(a->t));
}

static void
set_stop_reset(void)
{
	gort_waitgroup wg = {0};
	for (int i = 0; i < TIMERS; i++) {
		funcs[i].t = gort_after_func(MS, ran, &funcs[i]);
		chans[i].t = gort_new_timer(MS);
		funcs[i].sets = chans[i].sets = 1;
	}
	gort_waitgroup_add(&wg, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		gort_go(worker, i, &wg);
	gort_waitgroup_wait(&wg);
	for (int i = 0; i < TIMERS; i++) {
		settle(&funcs[i]);
		settle(&chans[i]);
	}
	gort_sleep(50 * MS); // goroutines that had been started
	long sets = 0;
	for (int i = 0; i < TIMERS; i++) {
		STRESS_CHECK(funcs[i].sets == funcs[i].ends,
			     "function timer %d: %ld sets, %ld ends", i, (long)funcs[i].sets,
			     (long)funcs[i].ends);
		STRESS_CHECK(chans[i].sets == chans[i].ends, "channel timer %d: %ld sets, %ld ends",
			     i, (long)chans[i].sets, (long)chans[i].ends);
		sets += funcs[i].sets + chans[i].sets;
	}
	printf("%ld timers set\n", sets);
}

// ---- no value from before a reset ----

static void
reset_and_receive(int id, gort_waitgroup *wg)
{
	struct rng r = rng_for((uint64_t)id + 1000);
	gort_timer *t = gort_new_timer(0);
	for (int i = 0; i < 300; i++) {
		if (rng_below(&r, 2))
			gort_sleep(rng_below(&r, 50) * US);
		int64_t d = rng_below(&r, 100) * US, start = gort_nanotime(), v;
		gort_timer_reset(t, d);
		gort_chan_recv(gort_timer_chan(t), &v);
		STRESS_CHECK(v >= start + d, "a value from %lld ns too early",
			     (long long)(start + d - v));
	}
	gort_waitgroup_done(wg);
}

static void
no_stale_values(void)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, 100);
	for (int i = 0; i < 100; i++)
		gort_go(reset_and_receive, i, &wg);
	gort_waitgroup_wait(&wg);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	many_sleepers();
	no_stale_values();
	stress_end =
		gort_nanotime() +
		(stress_end - gort_nanotime() > 500 * MS ? stress_end - gort_nanotime() : 500 * MS);
	set_stop_reset();
	printf("ok\n");
	return 0;
}
GORT_MAIN(app)
