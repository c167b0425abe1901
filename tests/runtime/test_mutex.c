// SPDX-License-Identifier: BSD-3-Clause
#include <gort/sync.h>
#include <gort/time.h>

#include <stdint.h>

#include "debug/hooks.h"
#include "on_gort.h"
#include "sched/proc.h"

TestSuite(mutex, .timeout = 30);

static gort_mutex mu;
static int counter;

static int
waiters(void)
{
	return __atomic_load_n(&mu.state, __ATOMIC_RELAXED) >> 5;
}

// What was counted under the lock is seen before the unlock is through.
static void
wait_until_free(void)
{
	while (__atomic_load_n(&mu.state, __ATOMIC_RELAXED) & ~24) // it may have been contended
		gort_gosched();
}

static void
add(int n, gort_waitgroup *wg)
{
	for (int i = 0; i < n; i++) {
		gort_mutex_lock(&mu);
		counter++;
		gort_mutex_unlock(&mu);
	}
	gort_waitgroup_done(wg);
}

GORT_TEST(mutex, excludes)
{
	gort_waitgroup wg = {0};
	gort_maxprocs(4);
	gort_waitgroup_add(&wg, 10);
	for (int i = 0; i < 10; i++)
		gort_go(add, 20000, &wg);
	gort_waitgroup_wait(&wg);
	CHECK_EQ(counter, 200000);
	CHECK_EQ(mu.state & ~24, 0); // it may have been contended
	CHECK_EQ(mu.sema, 0);
}

GORT_TEST(mutex, is_eight_bytes)
{
	CHECK_EQ(sizeof(gort_mutex), 8);
}

GORT_TEST(mutex, try_lock)
{
	CHECK(gort_mutex_try_lock(&mu));
	CHECK(!gort_mutex_try_lock(&mu));
	gort_mutex_unlock(&mu);
	CHECK(gort_mutex_try_lock(&mu));
	gort_mutex_unlock(&mu);
}

static void
lock_and_count(void)
{
	gort_mutex_lock(&mu);
	counter++;
	gort_mutex_unlock(&mu);
}

GORT_TEST(mutex, blocks_while_held_and_may_be_unlocked_by_another)
{
	gort_maxprocs(1);
	gort_mutex_lock(&mu);
	for (int i = 0; i < 5; i++)
		gort_go(lock_and_count);
	while (waiters() < 5 && counter == 0)
		gort_gosched();
	CHECK_EQ(counter, 0);
	CHECK_EQ(mu.state & 7, 1); // locked
	CHECK_EQ(waiters(), 5);
	gort_waitgroup wg = {0};
	gort_waitgroup_go(&wg, gort_mutex_unlock, &mu);
	gort_waitgroup_wait(&wg);
	while (counter < 5)
		gort_gosched();
	wait_until_free();
}

static int stop, turns;

// Holds the lock nearly always, 200 us or more at a time, and lets others run only meanwhile.
static void
hog(gort_waitgroup *wg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		gort_mutex_lock(&mu);
		__atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED);
		int64_t until = gort_nanotime() + 200 * GORT_MICROSECOND;
		while (gort_nanotime() < until)
			;
		gort_gosched();
		gort_mutex_unlock(&mu);
	}
	gort_waitgroup_done(wg);
}

// The longest of 40 waits, in turns of the hog.
static int
longest_wait(int procs)
{
	int longest = 0;
	gort_waitgroup wg = {0};
	gort_maxprocs(procs);
	gort_waitgroup_add(&wg, 1);
	gort_go(hog, &wg);
	while (__atomic_load_n(&turns, __ATOMIC_RELAXED) == 0)
		gort_gosched();
	for (int i = 0; i < 40; i++) {
		gort_gosched();
		int before = __atomic_load_n(&turns, __ATOMIC_RELAXED);
		gort_mutex_lock(&mu);
		int waited = __atomic_load_n(&turns, __ATOMIC_RELAXED) - before;
		gort_mutex_unlock(&mu);
		if (waited > longest)
			longest = waited;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gort_waitgroup_wait(&wg);
	return longest;
}

// It starves after a millisecond, which is five turns of the hog; two more are under way when it begins and
// when it notices. Counted in turns, since a thread may be kept off its CPU for any time, and on one P, where
// a waiter that was woken runs in the next turn. Without starvation mode this takes for ever.
GORT_TEST(mutex, a_waiter_waits_a_few_milliseconds_under_a_hog)
{
	int longest = longest_wait(1);
	fprintf(stderr, "waited %d turns\n", longest);
	CHECK(longest <= 8);
}

GORT_TEST(mutex, a_waiter_gets_in_beside_a_hog_on_another_cpu)
{
	fprintf(stderr, "waited %d turns\n", longest_wait(2));
	wait_until_free();
}

static int next_turn;

static void
take_turn(int turn)
{
	gort_mutex_lock(&mu);
	CHECK_EQ(next_turn, turn);
	next_turn++;
	gort_mutex_unlock(&mu);
}

GORT_TEST(mutex, starving_waiters_go_in_order_of_arrival)
{
	gort_maxprocs(1);
	do {
		wait_until_free();
		next_turn = 0;
		gort_mutex_lock(&mu);
		for (int i = 0; i < 10; i++) {
			gort_go(take_turn, i);
			while (waiters() <= i)
				gort_gosched();
		}
		gort_sleep(2 * GORT_MILLISECOND); // all have waited over a millisecond
		// The first waiter is woken, but the lock is taken again before it runs: it starts
		// starving. Unless we are preempted just then: once more.
		gort_mutex_unlock(&mu);
		gort_mutex_lock(&mu);
		if (next_turn != 0)
			gort_mutex_unlock(&mu);
	} while (next_turn != 0);
	while (!(__atomic_load_n(&mu.state, __ATOMIC_RELAXED) & 4))
		gort_gosched();
	gort_mutex_unlock(&mu); // hands it over
	if (gort_mutex_try_lock(&mu)) {
		CHECK_EQ(next_turn, 10);
		gort_mutex_unlock(&mu);
	}
	while (next_turn < 10)
		gort_gosched();
	wait_until_free();
}

// ---- profiles ----

static int64_t block_ticks, mutex_ticks;
static int block_events, mutex_events;

static void
on_block(int64_t ticks, int64_t rate, int skip, uintptr_t stack_hi, const void *labels)
{
	(void)rate, (void)stack_hi, (void)labels;
	(void)skip;
	block_ticks += ticks;
	block_events++;
}

static void
on_mutex(int64_t ticks, int64_t fraction, int skip, uintptr_t stack_hi)
{
	(void)fraction, (void)stack_hi;
	(void)skip;
	mutex_ticks += ticks;
	mutex_events++;
}

static const struct rt_hooks hooks = {.block_event = on_block, .mutex_event = on_mutex};

GORT_TEST(mutex, contention_is_reported_with_the_time_waited)
{
	gort_maxprocs(1);
	rt_set_hooks(&hooks);
	rt_store(&rt_hook_flags, RT_HOOK_BLOCK | RT_HOOK_MUTEX);
	gort_mutex_lock(&mu);
	for (int i = 0; i < 3; i++)
		gort_go(lock_and_count);
	while (waiters() < 3)
		gort_gosched();
	yield_to_others();
	int64_t start = (int64_t)rt_cputicks();
	gort_sleep(5 * GORT_MILLISECOND);
	int64_t slept = (int64_t)rt_cputicks() - start;
	gort_mutex_unlock(&mu);
	while (counter < 3)
		gort_gosched();
	rt_store(&rt_hook_flags, 0);
	// The sleep is no block event; each of three waits is. The first unlock is charged with the waits
	// of all three, the later ones with those that were still left.
	CHECK_EQ(block_events, 3);
	CHECK(block_ticks >= 3 * slept);
	CHECK_EQ(mutex_events, 3);
	CHECK(mutex_ticks >= 6 * slept);
}

// ---- failure ----

GORT_DEATH_TEST(mutex, unlock_of_unlocked_is_fatal, "fatal error: sync: unlock of unlocked mutex")
{
	gort_mutex_unlock(&mu);
}

GORT_DEATH_TEST(mutex, second_unlock_is_fatal, "fatal error: sync: unlock of unlocked mutex")
{
	gort_mutex_lock(&mu);
	gort_mutex_unlock(&mu);
	gort_mutex_unlock(&mu);
}

GORT_DEATH_TEST(mutex, locking_twice_is_a_deadlock,
		"fatal error: all goroutines are asleep - deadlock!")
{
	gort_mutex_lock(&mu);
	gort_mutex_lock(&mu);
}
