// SPDX-License-Identifier: BSD-3-Clause
// runtime/sched/timer.c against a model, and timers through their public interface.
#include "on_gort.h"

#include <stdatomic.h>
#include <stdint.h>

#include <gort/chan.h>
#include <gort/mem.h>
#include <gort/sched.h>
#include <gort/sync.h>
#include <gort/time.h>

#include "os/os.h"
#include "sched/sched.h"

#define HOUR (3600 * GORT_SECOND)
#define MS GORT_MILLISECOND

// ---- the heap against a model ----
// The timers lie hours ahead, so the scheduler never runs them; rt_timers_run is told a later time.

enum { MODEL = 700 };

static struct {
	struct rt_timer t;
	int64_t when; // what the model says; 0: not set
} model[MODEL];
static int64_t model_now, last_fired;
static int fired;
static uint64_t rng = 88172645463325252;

static uint32_t
below(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 32) * n >> 32);
}

static void
model_fires(struct rt_timer *t, int64_t now)
{
	size_t i = (size_t)((char *)t - (char *)model) / sizeof model[0];
	CHECK(now == model_now);
	CHECK(model[i].when != 0 && model[i].when <= now);
	CHECK(model[i].when >= last_fired); // in order of time
	last_fired = model[i].when;
	model[i].when = 0;
	fired++;
}

static void
check_heap(const struct p *pp)
{
	uint32_t live = 0, want = 0;
	for (uint32_t i = 0; i < pp->ntimers; i++) {
		struct timer_when e = pp->timers[i];
		CHECK(i == 0 || pp->timers[(i - 1) / 4].when <= e.when);
		if (rt_load(&e.t->pp) == pp && e.t->hwhen == e.when) {
			CHECK(e.t->when == 0 || e.t->when >= e.when);
			live += e.t->when != 0;
		}
	}
	for (int i = 0; i < MODEL; i++) {
		CHECK_EQ(model[i].t.when, model[i].when);
		want += model[i].when != 0;
	}
	CHECK(live >= want); // two valid entries may stand for one timer
	CHECK(pp->ntimers <= want + want / 2 + 40);
	CHECK_EQ(rt_load(&pp->timer0when), pp->ntimers ? pp->timers[0].when : 0);
	CHECK(pp->ntimers == 0 || pp->timers[0].t->when != 0);
}

static void
model_step(struct p *pp, int64_t base)
{
	uint32_t i = below(MODEL), op = below(100);
	if (op < 60) {
		// A coarse clock, so that equal times happen.
		int64_t when = model_now + 1 + below(50) * GORT_SECOND;
		CHECK_EQ(rt_timer_set(&model[i].t, when), model[i].when != 0);
		model[i].when = when;
	} else if (op < 95) {
		CHECK_EQ(rt_timer_set(&model[i].t, 0), model[i].when != 0);
		model[i].when = 0;
	} else {
		model_now += below(3) * GORT_SECOND;
		last_fired = base;
		int64_t now = model_now;
		rt_timers_run(pp, &now);
		for (int k = 0; k < MODEL; k++)
			CHECK(model[k].when == 0 || model[k].when > model_now);
	}
}

GORT_TEST(timer_heap, fires_what_a_model_fires)
{
	for (int i = 0; i < MODEL; i++)
		model[i].t.fn = model_fires;
	rt_enter(); // no switch from here on
	struct p *pp = rt_getp();
	int64_t base = model_now = rt_nanotime() + 1000 * HOUR;
	for (int i = 0; i < 200000; i++) {
		model_step(pp, base);
		if (i % 500 == 0)
			check_heap(pp);
	}
	for (int i = 0; i < MODEL; i++)
		rt_timer_set(&model[i].t, 0);
	CHECK_EQ(pp->ntimers, 0);
	rt_leave();
	CHECK(fired > 1000);
}

GORT_TEST(timer_heap, stopped_timers_do_not_pile_up)
{
	static struct rt_timer t[10000];
	rt_enter();
	struct p *pp = rt_getp();
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 10000; i++)
			rt_timer_set(&t[i], rt_nanotime() + HOUR + below(1000000));
		CHECK(pp->ntimers <= 10000 + 10000 / 3);
		for (int i = 0; i < 10000; i++)
			CHECK(rt_timer_set(&t[i], 0));
		CHECK_EQ(pp->ntimers, 0);
	}
	// Ever earlier: each leaves garbage behind.
	for (int i = 0; i < 10000; i++)
		rt_timer_set(&t[0], rt_nanotime() + HOUR - i * MS);
	CHECK(pp->ntimers < 50);
	rt_timer_set(&t[0], 0);
	rt_leave();
}

// ---- channel timers ----

GORT_TEST(timer, sends_the_time_at_which_it_was_due)
{
	int64_t start = gort_nanotime();
	gort_timer *t = gort_new_timer(20 * MS);
	int64_t due = gort_recv(int64_t, gort_timer_chan(t)), now = gort_nanotime();
	CHECK(due >= start + 20 * MS && due <= now && now >= start + 20 * MS);
	CHECK(!gort_timer_stop(t));
}

GORT_TEST(timer, of_nothing_or_less_fires_at_once)
{
	int64_t start = gort_nanotime();
	CHECK(gort_recv(int64_t, gort_after(0)) >= start);
	CHECK(gort_recv(int64_t, gort_after(-HOUR)) >= start);
	CHECK(gort_recv(int64_t, gort_after(INT64_MIN)) >= start);
	CHECK(gort_nanotime() - start < HOUR);
}

GORT_TEST(timer, stopped_does_not_fire)
{
	int64_t v;
	gort_timer *t = gort_new_timer(10 * MS);
	CHECK(gort_timer_stop(t));
	CHECK(!gort_timer_stop(t));
	gort_sleep(20 * MS);
	CHECK_EQ(gort_chan_try_recv(gort_timer_chan(t), &v), 0);
}

GORT_TEST(timer, expired_but_not_received_counts_as_stopped)
{
	int64_t v;
	gort_timer *t = gort_new_timer(MS);
	gort_sleep(5 * MS);
	CHECK(gort_timer_stop(t));
	CHECK_EQ(gort_chan_try_recv(gort_timer_chan(t), &v), 0);
	// The value had entered the buffer: a receiver looked, and left by another case.
	gort_timer_reset(t, MS);
	gort_sleep(5 * MS);
	gort_chan *full = gort_make_chan(int, 1);
	int one = 1;
	gort_select_case cs[] = {GORT_RECV(gort_timer_chan(t), &v), GORT_SEND(full, &one)};
	gort_select(cs, 2);
	gort_timer_stop(t);
	CHECK_EQ(gort_chan_try_recv(gort_timer_chan(t), &v), 0);
}

GORT_TEST(timer, reset_leaves_no_old_value)
{
	gort_timer *t = gort_new_timer(MS);
	for (int i = 0; i < 20; i++) {
		gort_sleep(2 * MS); // it has expired
		int64_t start = gort_nanotime();
		CHECK(gort_timer_reset(t, 3 * MS));
		CHECK(gort_recv(int64_t, gort_timer_chan(t)) >= start + 3 * MS);
		CHECK(!gort_timer_reset(t, MS)); // it had been received
	}
}

GORT_TEST(timer, channel_looks_unbuffered)
{
	gort_timer *t = gort_new_timer(MS);
	gort_chan *c = gort_timer_chan(t);
	CHECK_EQ(gort_chan_cap(c), 0);
	gort_sleep(3 * MS);
	CHECK_EQ(gort_chan_len(c), 0);
	CHECK(gort_recv(int64_t, c) > 0);
}

static void
receive_into(gort_chan *c, _Atomic int64_t *due, gort_waitgroup *wg)
{
	atomic_store(due, gort_recv(int64_t, c));
	gort_waitgroup_done(wg);
}

GORT_TEST(timer, reset_moves_the_time_of_those_who_wait)
{
	gort_waitgroup wg = {0};
	_Atomic int64_t due = 0;
	int64_t start = gort_nanotime();
	gort_timer *t = gort_new_timer(HOUR);
	gort_waitgroup_add(&wg, 1);
	gort_go(receive_into, gort_timer_chan(t), &due, &wg);
	gort_sleep(2 * MS);
	CHECK(gort_timer_reset(t, 100 * MS)); // earlier
	CHECK(gort_timer_reset(t, 130 * MS)); // later
	gort_waitgroup_wait(&wg);
	CHECK(due >= start + 130 * MS && gort_nanotime() < start + HOUR);
}

GORT_TEST(timer, stopped_while_somebody_waits_and_reset)
{
	gort_waitgroup wg = {0};
	_Atomic int64_t due = 0;
	gort_timer *t;
	do { // again, if it was not stopped in time
		gort_waitgroup_wait(&wg);
		gort_waitgroup_add(&wg, 1);
		int64_t start = gort_nanotime();
		t = gort_new_timer(200 * MS);
		gort_go(receive_into, gort_timer_chan(t), &due, &wg);
		gort_sleep(2 * MS);
		if (gort_timer_stop(t))
			break;
		CHECK(gort_nanotime() - start >= 200 * MS);
	} while (true);
	due = 0;
	gort_sleep(220 * MS);
	CHECK_EQ(due, 0);
	CHECK(!gort_timer_reset(t, MS));
	gort_waitgroup_wait(&wg);
	CHECK(due > 0);
}

GORT_TEST(timer, one_value_for_one_of_many_receivers)
{
	enum { RECEIVERS = 10 };
	gort_waitgroup wg = {0};
	_Atomic int64_t due[RECEIVERS] = {0};
	gort_timer *t = gort_new_timer(5 * MS);
	gort_waitgroup_add(&wg, RECEIVERS);
	for (int i = 0; i < RECEIVERS; i++)
		gort_go(receive_into, gort_timer_chan(t), &due[i], &wg);
	for (int round = 1; round <= RECEIVERS; round++) {
		int got = 0;
		while (got < round) {
			gort_sleep(MS);
			got = 0;
			for (int i = 0; i < RECEIVERS; i++)
				got += due[i] != 0;
		}
		CHECK_EQ(got, round);
		CHECK(!gort_timer_reset(t, 5 * MS));
	}
	gort_waitgroup_wait(&wg);
}

GORT_TEST(timer, in_a_select)
{
	int64_t v;
	gort_chan *never = gort_make_chan(int64_t, 0);
	gort_timer *later = gort_new_timer(HOUR);
	gort_chan *a = gort_after(5 * MS), *b = gort_timer_chan(later);
	gort_select_case cs[] = {GORT_RECV(b, &v), GORT_RECV(never, &v), GORT_RECV(a, &v),
				 GORT_RECV(a, NULL)};
	int won = gort_select(cs, 4);
	CHECK(won == 2 || won == 3); // a, in either case
	gort_timer_reset(later, 5 * MS);
	CHECK_EQ(gort_select(cs, 4), 0);
	gort_select_case with_default[] = {GORT_RECV(gort_after(HOUR), &v), GORT_DEFAULT};
	CHECK_EQ(gort_select(with_default, 2), 1);
	gort_chan *c = gort_after(MS);
	gort_sleep(3 * MS);
	gort_select_case ready[] = {GORT_RECV(c, &v), GORT_DEFAULT};
	CHECK_EQ(gort_select(ready, 2), 0);
	CHECK_EQ(gort_select(ready, 2), 1);
}

GORT_TEST(timer, select_chooses_among_expired_ones_at_random)
{
	int won[2] = {0};
	int64_t v;
	for (int i = 0; i < 400; i++) {
		gort_select_case cs[] = {GORT_RECV(gort_after(0), &v),
					 GORT_RECV(gort_after(0), &v)};
		won[gort_select(cs, 2)]++;
	}
	CHECK(won[0] > 120 && won[1] > 120);
}

static int64_t
heap_after_gc(void)
{
	gort_mem_stats ms;
	gort_gc();
	gort_read_mem_stats(&ms);
	return (int64_t)ms.heap_alloc;
}

GORT_TEST(timer, running_but_unreachable_is_garbage)
{
	int64_t before = heap_after_gc(), v;
	for (int i = 0; i < 200000; i++) {
		gort_select_case cs[] = {GORT_RECV(gort_after(HOUR), &v), GORT_DEFAULT};
		gort_select(cs, 2);
		gort_new_ticker(HOUR);
	}
	CHECK(heap_after_gc() - before < 4 << 20);
}

static void
check_seven(void *arg)
{
	CHECK_EQ(*(int64_t *)arg, 7);
}

static void
many_after_funcs(int64_t ns)
{
	for (int i = 0; i < 2000; i++) {
		int64_t *seven = gort_new(int64_t);
		*seven = 7;
		gort_after_func(ns + i * 10 * GORT_MICROSECOND, check_seven, seven);
	}
}

GORT_TEST(timer, set_and_waited_for_stays_alive)
{
	gort_waitgroup wg = {0};
	_Atomic int64_t due = 0;
	gort_waitgroup_add(&wg, 1);
	gort_go(receive_into, gort_after(60 * MS), &due, &wg);
	many_after_funcs(20 * MS);
	gort_gc();
	for (int i = 0; i < 20000; i++) // overwrites what was freed by mistake
		*gort_new(int64_t) = -1;
	gort_waitgroup_wait(&wg);
	CHECK(due > 0);
}

// ---- function timers ----

static atomic_int runs;

static void
wait_runs(int n)
{
	while (runs < n)
		gort_sleep(MS);
	gort_sleep(2 * MS);
	CHECK_EQ(runs, n);
}

static _Atomic uint64_t run_goid;

static void
count_run(void *arg)
{
	run_goid = gort_goid();
	atomic_fetch_add(&runs, 1);
	gort_sleep((int64_t)(intptr_t)arg); // it may block
}

GORT_TEST(after_func, runs_on_a_goroutine_of_its_own)
{
	gort_timer *t = gort_after_func(MS, count_run, NULL);
	CHECK(gort_timer_chan(t) == NULL);
	wait_runs(1);
	CHECK(run_goid != 0 && run_goid != gort_goid());
	CHECK(!gort_timer_stop(t));
	CHECK(!gort_timer_reset(t, MS)); // again
	wait_runs(2);
}

GORT_TEST(after_func, does_not_wait_for_one_that_blocks)
{
	gort_after_func(MS, count_run, (void *)(intptr_t)HOUR);
	gort_after_func(2 * MS, count_run, NULL);
	wait_runs(2);
}

GORT_TEST(after_func, stopped_does_not_run)
{
	gort_timer *t[1000];
	int stopped;
	do { // again, if some came before they were stopped
		runs = stopped = 0;
		int64_t start = gort_nanotime();
		for (int i = 0; i < 1000; i++)
			t[i] = gort_after_func(200 * MS + i * GORT_MICROSECOND, count_run, NULL);
		for (int i = 0; i < 1000; i += 2)
			stopped += gort_timer_stop(t[i]);
		CHECK(stopped == 500 || gort_nanotime() - start >= 200 * MS);
		wait_runs(1000 - stopped);
		for (int i = 0; i < 1000; i++)
			CHECK(!gort_timer_stop(t[i]));
	} while (stopped != 500);
}

// ---- tickers ----

GORT_TEST(ticker, ticks_at_multiples_of_its_interval)
{
	int64_t start = gort_nanotime();
	gort_timer *t = gort_new_ticker(2 * MS);
	int64_t first = gort_recv(int64_t, gort_timer_chan(t)), last = first;
	CHECK(first >= start + 2 * MS);
	for (int i = 0; i < 20; i++) {
		int64_t v = gort_recv(int64_t, gort_timer_chan(t));
		CHECK(v > last && (v - first) % (2 * MS) == 0);
		last = v;
	}
	CHECK(gort_timer_stop(t));
	gort_sleep(6 * MS);
	CHECK_EQ(gort_chan_try_recv(gort_timer_chan(t), NULL), 0);
	gort_timer_reset(t, MS);
	CHECK(gort_recv(int64_t, gort_timer_chan(t)) > last);
}

GORT_TEST(ticker, drops_ticks_that_nobody_takes)
{
	gort_timer *t = gort_new_ticker(MS);
	for (int i = 0; i < 5; i++) {
		gort_sleep(10 * MS);
		int64_t before = gort_nanotime(), v;
		CHECK_EQ(gort_chan_try_recv(gort_timer_chan(t), &v), 1);
		CHECK(v <= before);
		// The next one lies ahead of that; only a slow machine has reached it by now.
		if (gort_chan_try_recv(gort_timer_chan(t), &v) == 1)
			CHECK(v > before);
	}
}

GORT_DEATH_TEST(ticker, needs_a_positive_interval, "panic: non-positive interval for NewTicker")
{
	gort_new_ticker(0);
}

GORT_DEATH_TEST(ticker, cannot_be_reset_to_nothing, "panic: non-positive interval for Ticker.Reset")
{
	gort_timer_reset(gort_new_ticker(HOUR), 0);
}

// ---- the idle thread's sleep ----

Test(coalesce, delays_only_where_many_fire_and_never_by_more_than_200us)
{
	int64_t now = HOUR, soon = now + 2000;
	// Seldom, not at all, or nothing to wait for but the network: on time.
	cr_assert_eq(rt_poll_coalesce(soon, now, MS, 0), soon);
	cr_assert_eq(rt_poll_coalesce(soon, now, now, 1), soon);
	cr_assert_eq(rt_poll_coalesce(soon, now, MS, 16), soon);
	cr_assert_eq(rt_poll_coalesce(RT_NEVER, now, MS, 500), RT_NEVER);
	// One every 2 us: 64 of them are there in 128 us. What is due later than that anyway is not touched.
	cr_assert_eq(rt_poll_coalesce(soon, now, MS, 500), now + 128000);
	cr_assert_eq(rt_poll_coalesce(now + MS, now, MS, 500), now + MS);
	for (uint32_t fired = 0; fired < 100000; fired = fired * 3 / 2 + 1)
		for (int64_t took = 0; took < HOUR; took = took * 5 / 4 + 1) {
			int64_t until = rt_poll_coalesce(soon, now, took, fired);
			cr_assert(until >= soon && until <= now + 204000, "%u in %ld: %ld", fired,
				  (long)took, (long)(until - now));
		}
}

// ---- very many at once ----

static _Atomic int crowd;

static void
count_crowd(void *wg)
{
	int n = gort_num_goroutine(), most = atomic_load(&crowd);
	while (n > most && !atomic_compare_exchange_weak(&crowd, &most, n))
		;
	gort_waitgroup_done(wg);
}

// Their goroutines run while they fire, not all of them afterwards.
GORT_TEST(after_func, many_that_are_due_let_their_goroutines_run)
{
	enum { MANY = 20000 };
	gort_waitgroup wg = {0};
	gort_maxprocs(1);
	gort_waitgroup_add(&wg, MANY);
	int64_t start = gort_nanotime();
	for (int i = 0; i < MANY; i++)
		gort_after_func(MS + i % 1000, count_crowd, &wg);
	while (gort_nanotime() - start < 2 * MS)
		;
	gort_waitgroup_wait(&wg);
	CHECK(crowd < MANY / 10);
}

// ---- sleeping ----

static void
sleep_and_count(int64_t ns)
{
	int64_t start = gort_nanotime();
	gort_sleep(ns);
	CHECK(gort_nanotime() - start >= ns);
	atomic_fetch_add(&runs, 1);
}

GORT_TEST(sleep, survives_changes_of_the_number_of_processors)
{
	for (int i = 0; i < 3000; i++)
		gort_go(sleep_and_count, 5 * MS + i * 20 * GORT_MICROSECOND);
	for (int n = 1; atomic_load(&runs) < 3000; n = n % 4 + 1) {
		gort_maxprocs(n);
		gort_sleep(MS);
	}
}

GORT_TEST(sleep, of_one_does_not_need_a_processor_that_is_free)
{
	// The other goroutine uses the only one; the sleeper is late by a time slice at most.
	gort_maxprocs(1);
	gort_go(sleep_and_count, 5 * MS);
	int64_t start = gort_nanotime();
	while (atomic_load(&runs) == 0) {
		gort_nanotime();
		CHECK(gort_nanotime() - start < 5 * GORT_SECOND);
	}
}

GORT_DEATH_TEST(sleep, stopped_timers_do_not_hide_a_deadlock,
		"fatal error: all goroutines are asleep - deadlock!")
{
	gort_timer *t = gort_after_func(HOUR, count_run, NULL);
	gort_sleep(5 * MS); // an idle thread waits for the timer now
	gort_timer_stop(t);
	gort_chan_recv(gort_make_chan(int, 0), NULL);
}
