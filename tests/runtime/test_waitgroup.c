// SPDX-License-Identifier: BSD-3-Clause
#include <gort/sync.h>
#include <gort/time.h>

#include <stdint.h>

#include "on_gort.h"

TestSuite(waitgroup, .timeout = 30);

static int ran;

static void
run_and_done(gort_waitgroup *wg)
{
	gort_gosched();
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
	gort_waitgroup_done(wg);
}

GORT_TEST(waitgroup, waits_for_all)
{
	gort_waitgroup wg = {0};
	for (int round = 1; round <= 20; round++) { // reuse
		gort_waitgroup_add(&wg, 50);
		for (int i = 0; i < 50; i++)
			gort_go(run_and_done, &wg);
		gort_waitgroup_wait(&wg);
		CHECK_EQ(ran, 50 * round);
	}
}

GORT_TEST(waitgroup, wait_on_zero_returns)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_wait(&wg);
	gort_waitgroup_add(&wg, 2);
	gort_waitgroup_add(&wg, -2);
	gort_waitgroup_wait(&wg);
}

static void
wait_and_report(gort_waitgroup *gate, gort_waitgroup *all)
{
	gort_waitgroup_wait(gate);
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
	gort_waitgroup_done(all);
}

GORT_TEST(waitgroup, releases_every_waiter)
{
	gort_waitgroup gate = {0}, all = {0};
	gort_maxprocs(1);
	gort_waitgroup_add(&gate, 1);
	gort_waitgroup_add(&all, 40);
	for (int i = 0; i < 40; i++)
		gort_go(wait_and_report, &gate, &all);
	for (int i = 0; i < 100000 && (uint32_t)gate.state < 40; i++)
		gort_gosched();
	CHECK_EQ(ran, 0);
	CHECK_EQ((uint32_t)gate.state, 40);
	gort_waitgroup_done(&gate);
	gort_waitgroup_wait(&all);
	CHECK_EQ(ran, 40);
}

static double got;

static void
six(int a, double b, const char *c, char d, float e, long f)
{
	got = a + b + (double)strlen(c) + d + (double)e + (double)f;
}

static void
nothing(void)
{
	ran++;
}

static void
last_words(void *arg)
{
	CHECK(((gort_waitgroup *)arg)->state >> 32 == 1); // not done yet
	ran++;
}

static void
exits(gort_waitgroup *wg)
{
	gort_on_exit(last_words, wg);
	gort_goexit();
}

GORT_TEST(waitgroup, go_passes_arguments_and_is_done_at_the_end)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_go(&wg, six, 1, 2, "three", 'a', 0.5, 1000);
	gort_waitgroup_wait(&wg);
	CHECK(got == 1 + 2 + 5 + 97 + 0.5 + 1000);
	gort_waitgroup_go(&wg, nothing);
	gort_waitgroup_wait(&wg);
	CHECK_EQ(ran, 1);
	for (int i = 0; i < 20; i++) {
		gort_waitgroup_go(&wg, exits, &wg);
		gort_waitgroup_wait(&wg);
	}
	CHECK_EQ(ran, 21);
}

// ---- misuse ----

GORT_DEATH_TEST(waitgroup, below_zero_panics, "panic: sync: negative WaitGroup counter")
{
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, 1);
	gort_waitgroup_done(&wg);
	gort_waitgroup_done(&wg);
}

GORT_DEATH_TEST(waitgroup, add_under_a_wait_panics,
		"panic: sync: WaitGroup misuse: Add called concurrently with Wait")
{
	gort_waitgroup wg = {.state = 3}; // as if three had seen a counter that is zero now
	gort_waitgroup_add(&wg, 1);
}

static void
reuse(gort_waitgroup *wg)
{
	gort_waitgroup_done(wg);
	gort_waitgroup_add(wg, 1); // before the waiter has run
}

GORT_DEATH_TEST(waitgroup, early_reuse_panics,
		"panic: sync: WaitGroup is reused before previous Wait has returned")
{
	gort_waitgroup wg = {0};
	gort_maxprocs(1);
	gort_waitgroup_add(&wg, 1);
	gort_go(reuse, &wg);
	gort_waitgroup_wait(&wg);
}

GORT_DEATH_TEST(waitgroup, nobody_left_to_be_done_is_a_deadlock,
		"fatal error: all goroutines are asleep - deadlock!")
{
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, 1);
	gort_waitgroup_wait(&wg);
}
