// SPDX-License-Identifier: BSD-3-Clause
#include <gort/sync.h>
#include <gort/time.h>

#include <stdint.h>

#include "debug/hooks.h"
#include "on_gort.h"
#include "sched/proc.h"

TestSuite(cond, .timeout = 30);

static gort_mutex mu;
static gort_cond c;
static int running, awake;
static int order[100];

static void
wait_once(int id)
{
	gort_mutex_lock(&mu);
	running++;
	gort_cond_wait(&c);
	order[awake++] = id;
	gort_mutex_unlock(&mu);
}

static void
start_waiters(int n)
{
	gort_cond_init(&c, &mu);
	for (int i = 0; i < n; i++) {
		gort_go(wait_once, i);
		for (int r = 0; r <= i;) {
			gort_gosched();
			gort_mutex_lock(&mu);
			r = running;
			gort_mutex_unlock(&mu);
		}
	}
}

static int
awake_now(void)
{
	for (int i = 0; i < 100; i++)
		gort_gosched();
	gort_mutex_lock(&mu);
	int n = awake;
	gort_mutex_unlock(&mu);
	return n;
}

// Go: sync/cond_test.go TestCondSignal.
GORT_TEST(cond, signal_wakes_one_at_a_time_in_order_of_arrival)
{
	gort_maxprocs(1);
	start_waiters(10);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(awake_now(), i);
		gort_cond_signal(&c);
	}
	CHECK_EQ(awake_now(), 10);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(order[i], i);
	gort_cond_signal(&c); // nobody: lost, as it should be
	start_waiters(1);
	CHECK_EQ(awake_now(), 10);
}

GORT_TEST(cond, broadcast_wakes_all_that_wait_and_no_later_ones)
{
	gort_maxprocs(1);
	start_waiters(10);
	gort_mutex_lock(&mu);
	gort_cond_broadcast(&c);
	gort_mutex_unlock(&mu);
	gort_go(wait_once, 10);
	CHECK_EQ(awake_now(), 10);
	gort_cond_broadcast(&c);
	CHECK_EQ(awake_now(), 11);
}

static int produced, consumed;
enum { ITEMS = 20000 };

static void
consume(gort_waitgroup *wg)
{
	for (;;) {
		gort_mutex_lock(&mu);
		while (produced == consumed && produced < ITEMS)
			gort_cond_wait(&c);
		if (produced == consumed)
			break;
		consumed++;
		gort_mutex_unlock(&mu);
	}
	gort_mutex_unlock(&mu);
	gort_waitgroup_done(wg);
}

GORT_TEST(cond, no_signal_gets_lost_between_unlock_and_sleep)
{
	gort_waitgroup wg = {0};
	gort_maxprocs(4);
	gort_cond_init(&c, &mu);
	gort_waitgroup_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		gort_go(consume, &wg);
	for (int i = 0; i < ITEMS; i++) {
		gort_mutex_lock(&mu);
		produced++;
		gort_mutex_unlock(&mu);
		gort_cond_signal(&c);
	}
	gort_cond_broadcast(&c);
	gort_waitgroup_wait(&wg);
	CHECK_EQ(consumed, ITEMS);
}

GORT_TEST(cond, tickets_may_wrap_around)
{
	gort_maxprocs(1);
	gort_cond_init(&c, &mu);
	c.wait = c.notify = UINT32_MAX - 2;
	for (int i = 0; i < 6; i++) {
		gort_go(wait_once, i);
		gort_gosched();
	}
	for (int i = 0; i < 6; i++) {
		gort_cond_signal(&c);
		CHECK_EQ(awake_now(), i + 1);
	}
}

static int64_t block_ticks;

static void
on_block(int64_t ticks, int64_t rate, int skip, uintptr_t stack_hi, const void *labels)
{
	(void)rate, (void)stack_hi, (void)labels;
	(void)skip;
	block_ticks += ticks;
}

static const struct rt_hooks hooks = {.block_event = on_block};

GORT_TEST(cond, waiting_is_reported)
{
	gort_maxprocs(1);
	rt_set_hooks(&hooks);
	rt_store(&rt_hook_flags, RT_HOOK_BLOCK);
	start_waiters(1);
	int64_t start = (int64_t)rt_cputicks();
	gort_sleep(2 * GORT_MILLISECOND);
	int64_t slept = (int64_t)rt_cputicks() - start;
	gort_cond_signal(&c);
	CHECK_EQ(awake_now(), 1);
	rt_store(&rt_hook_flags, 0);
	CHECK(block_ticks >= slept);
}

GORT_DEATH_TEST(cond, copy_is_noticed, "panic: sync.Cond is copied")
{
	gort_cond_init(&c, &mu);
	gort_cond_signal(&c);
	gort_cond copy = c;
	gort_cond_signal(&copy);
}

GORT_DEATH_TEST(cond, wait_without_the_lock_is_fatal, "fatal error: sync: unlock of unlocked mutex")
{
	gort_cond_init(&c, &mu);
	gort_cond_wait(&c);
}
