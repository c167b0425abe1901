// SPDX-License-Identifier: BSD-3-Clause
#include <gort/sync.h>
#include <gort/time.h>

#include <stdint.h>

#include "on_gort.h"

TestSuite(once, .timeout = 30);

static gort_once once;
static int runs, finished;

static void
slowly(void *arg)
{
	runs += (int)(intptr_t)arg;
	gort_sleep(5 * GORT_MILLISECOND);
	finished = 1;
}

static void
do_it(void)
{
	gort_once_do(&once, slowly, (void *)1);
	CHECK_EQ(finished, 1); // also those that found it running
}

GORT_TEST(once, runs_once_and_others_wait_for_its_end)
{
	gort_waitgroup wg = {0};
	gort_maxprocs(4);
	for (int i = 0; i < 10; i++)
		gort_waitgroup_go(&wg, do_it);
	gort_waitgroup_wait(&wg);
	CHECK_EQ(runs, 1);
	gort_once_do(&once, slowly, (void *)1);
	CHECK_EQ(runs, 1);
}

static int exits;

static void
on_exit_of_fn(void *arg)
{
	(void)arg;
	CHECK_EQ(once.done, 0); // ours comes first: it was registered last
	exits++;
}

static void
leave(void *arg)
{
	(void)arg;
	runs++;
	gort_on_exit(on_exit_of_fn, NULL);
	gort_goexit();
}

static void
do_and_leave(void)
{
	gort_once_do(&once, leave, NULL);
	CHECK(!"returns");
}

// Go: sync/once_test.go TestOncePanic, with the one way out that C has.
GORT_TEST(once, counts_as_done_when_its_goroutine_ends)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_go(&wg, do_and_leave);
	gort_waitgroup_wait(&wg);
	CHECK_EQ(exits, 1);
	gort_once_do(&once, leave, NULL);
	CHECK_EQ(runs, 1);
	CHECK_EQ(once.done, 1);
}

static void
on_exit_late(void *arg)
{
	(void)arg;
	exits++;
}

static void
register_exit(void *arg)
{
	gort_on_exit(on_exit_late, arg);
}

static void
do_register(void)
{
	gort_once_do(&once, register_exit, NULL);
	CHECK_EQ(exits, 0);
}

GORT_TEST(once, exit_functions_of_fn_stay_registered)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_go(&wg, do_register);
	gort_waitgroup_wait(&wg);
	CHECK_EQ(exits, 1);
}

static void *
make(void *arg)
{
	runs++;
	return arg;
}

static void
make_two(void *arg, void **v1, void **v2)
{
	runs++;
	*v1 = arg;
	*v2 = &runs;
}

GORT_TEST(once, value_is_made_once)
{
	static gort_once_value v;
	static gort_once_values vs;
	void *a, *b;
	CHECK(gort_once_value_get(&v, make, &runs) == &runs);
	CHECK(gort_once_value_get(&v, make, NULL) == &runs);
	CHECK_EQ(runs, 1);
	for (int i = 0; i < 2; i++) {
		gort_once_values_get(&vs, make_two, i ? NULL : &once, &a, &b);
		CHECK(a == &once && b == &runs);
	}
	CHECK_EQ(runs, 2);
}

static void
again(void *arg)
{
	gort_once_do(&once, again, arg);
}

GORT_DEATH_TEST(once, within_itself_is_a_deadlock,
		"fatal error: all goroutines are asleep - deadlock!")
{
	gort_once_do(&once, again, NULL);
}
