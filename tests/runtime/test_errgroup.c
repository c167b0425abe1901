// SPDX-License-Identifier: BSD-3-Clause
#include <gort/errgroup.h>
#include <gort/time.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>

#include "on_gort.h"

TestSuite(errgroup, .timeout = 30);

static gort_errgroup g;
static _Atomic int running, most, runs;

static int
result(void *arg)
{
	runs++;
	return (int)(intptr_t)arg;
}

GORT_TEST(errgroup, waits_for_all_and_returns_the_first_error)
{
	for (int i = 0; i < 10; i++)
		gort_errgroup_go(&g, result, NULL);
	CHECK_EQ(gort_errgroup_wait(&g), 0);
	CHECK_EQ(runs, 10);
	gort_maxprocs(1);
	gort_errgroup_go(&g, result, (void *)-EIO);
	yield_to_others();
	gort_errgroup_go(&g, result, (void *)-EPIPE);
	CHECK_EQ(gort_errgroup_wait(&g), -EIO);
}

static gort_context *ctx;

static int
until_cancelled(void *arg)
{
	gort_chan_recv(gort_context_done(ctx), NULL);
	runs++;
	return gort_context_err(ctx);
}

GORT_TEST(errgroup, an_error_cancels_the_context)
{
	ctx = gort_errgroup_with_context(&g, gort_context_background());
	for (int i = 0; i < 5; i++)
		gort_errgroup_go(&g, until_cancelled, NULL);
	gort_errgroup_go(&g, result, (void *)-ENOENT);
	CHECK_EQ(gort_errgroup_wait(&g), -ENOENT);
	CHECK_EQ(runs, 6);
	CHECK_EQ(gort_context_cause(ctx), -ENOENT);
	CHECK_EQ(gort_context_err(ctx), -ECANCELED);
}

GORT_TEST(errgroup, the_end_cancels_the_context)
{
	ctx = gort_errgroup_with_context(&g, gort_context_background());
	gort_errgroup_go(&g, result, NULL);
	CHECK_EQ(gort_context_err(ctx), 0);
	CHECK_EQ(gort_errgroup_wait(&g), 0);
	CHECK_EQ(gort_context_err(ctx), -ECANCELED);
}

static int
count(void *arg)
{
	int n = ++running, seen = most;
	while (seen < n && !atomic_compare_exchange_weak(&most, &seen, n))
		;
	gort_sleep(GORT_MILLISECOND);
	running--;
	return 0;
}

static gort_waitgroup gate;

static int
until_open(void *arg)
{
	gort_waitgroup_wait(&gate);
	return count(arg);
}

GORT_TEST(errgroup, limit_holds)
{
	gort_errgroup_set_limit(&g, 3);
	for (int i = 0; i < 30; i++)
		gort_errgroup_go(&g, count, NULL);
	CHECK_EQ(gort_errgroup_wait(&g), 0);
	CHECK(most <= 3);
	gort_waitgroup_add(&gate, 1);
	for (int i = 0; i < 3; i++)
		CHECK(gort_errgroup_try_go(&g, until_open, NULL));
	CHECK(!gort_errgroup_try_go(&g, count, NULL));
	gort_waitgroup_done(&gate);
	CHECK_EQ(gort_errgroup_wait(&g), 0);
	CHECK(gort_errgroup_try_go(&g, count, NULL));
	gort_errgroup_wait(&g);
	gort_errgroup_set_limit(&g, -1);
	CHECK(gort_errgroup_try_go(&g, count, NULL));
	gort_errgroup_wait(&g);
}

static int
leave(void *arg)
{
	gort_goexit();
}

GORT_TEST(errgroup, one_that_exits_has_ended)
{
	gort_errgroup_set_limit(&g, 1);
	gort_errgroup_go(&g, leave, NULL);
	gort_errgroup_go(&g, leave, NULL); // the token came back
	CHECK_EQ(gort_errgroup_wait(&g), 0);
}

GORT_DEATH_TEST(errgroup, limit_changed_while_some_run,
		"panic: errgroup: modify limit while 1 goroutines in the group are still active")
{
	gort_waitgroup_add(&gate, 1);
	gort_errgroup_set_limit(&g, 2);
	gort_errgroup_go(&g, until_open, NULL);
	gort_errgroup_set_limit(&g, 3);
}
