// SPDX-License-Identifier: BSD-3-Clause
// runtime/sched through its public interface.
#include "on_gort.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

#include <gort/chan.h>
#include <gort/mem.h>
#include <gort/sched.h>
#include <gort/time.h>

#include "base/base.h"
#include "debug/env.h"
#include "os/os.h"
#include "sched/sched.h"
#include "sched/stack.h"

static atomic_long n;

static void
wait_for(long want)
{
	while (atomic_load(&n) != want)
		gort_sleep(50 * GORT_MICROSECOND);
}

// The last of them may have counted itself and not be gone yet.
static void
wait_until_alone(void)
{
	while (gort_num_goroutine() != 1)
		gort_sleep(50 * GORT_MICROSECOND);
}

static void
one(void)
{
	atomic_fetch_add(&n, 1);
}

// ---- gort_go ----

static void
kinds(char c, bool b, short s, long l, const char *p, unsigned u)
{
	CHECK(c == 'x' && b && s == -7 && l == INT64_MIN && strcmp(p, "text") == 0 && u == 4000000000u);
	one();
}

static void
floats(float f, double d, float g, double e, int i)
{
	CHECK(f == 1.5f && d == 2.5 && g == 3.5f && e == 4.5 && i == 9);
	one();
}

static int
variadic(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	CHECK(va_arg(ap, int) == 3 && va_arg(ap, double) == 0.25 && va_arg(ap, long) == 12);
	va_end(ap);
	one();
	return 1;
}

GORT_TEST(go, arguments_of_every_kind_arrive)
{
	gort_go(kinds, 'x', 2 > 1, -7, INT64_MIN, "text", 4000000000u);
	gort_go(floats, 1.5, 2.5f, 3.5, 4.5f, 9L); // converted as by a call
	gort_go(variadic, "fmt", 3, 0.25, 12l);
	void (*pointer)(void) = one;
	gort_go(pointer);
	gort_go(*pointer);
	wait_for(5);
}

static int evaluations;

static int
evaluate(int v)
{
	evaluations++;
	gort_go(one); // an argument may itself start one
	return v;
}

static void
pair(int a, int b)
{
	CHECK(a == 1 && b == 2);
	one();
}

GORT_TEST(go, arguments_are_evaluated_once)
{
	gort_go(pair, evaluate(1), evaluate(2));
	wait_for(3);
	CHECK_EQ(evaluations, 2);
}

static void
deep(int levels)
{
	volatile char pad[1024];
	pad[0] = 1;
	if (levels > 0)
		deep(levels - 1);
	else
		one();
	pad[1023] = pad[0];
}

GORT_TEST(go, a_stack_of_any_size_can_be_asked_for)
{
	gort_go(deep, 150);
	gort_go_stack((size_t)8 << 20, deep, 7000);
	wait_for(2);
}

GORT_TEST(go, ended_goroutines_are_reused)
{
	for (int i = 0; i < 100000; i++) {
		gort_go(one);
		if (i % 10 == 9)
			wait_for(i + 1);
	}
	wait_until_alone();
}

// ---- ends ----

static char order[8];
static int at;

static void
note_exit(void *arg)
{
	order[at++] = *(const char *)arg;
	one();
}

static void
with_exits(int use_goexit)
{
	gort_on_exit(note_exit, "a");
	gort_on_exit(note_exit, "b");
	if (use_goexit)
		gort_goexit();
}

GORT_TEST(go, exit_functions_run_last_first_after_return_and_goexit)
{
	gort_go(with_exits, 0);
	wait_for(2);
	gort_go(with_exits, 1);
	wait_for(4);
	CHECK(strcmp(order, "baba") == 0);
}

GORT_DEATH_TEST(deadlock, a_main_that_waits_for_ever_is_one,
		"fatal error: no goroutines (main called runtime.Goexit) - deadlock!")
{
	gort_go(one);
	gort_goexit();
}

GORT_DEATH_TEST(go, nil_function_is_fatal, "fatal error: go of nil func value")
{
	void (*volatile none)(void) = NULL;
	gort_go(none);
}

static uint64_t tops; // bit i: some top page's number is i modulo 64

static void
inspect_stack(gort_chan *gate)
{
	const struct g *gp = rt_getg();
	uintptr_t lo, hi, lo2, hi2;
	CHECK(rt_stack_bounds(rt_getsp(), &lo, &hi));
	CHECK(lo == gp->stack.lo && hi > (uintptr_t)gp && gp->stack.hi - lo >= rt_stack_bytes);
	CHECK(rt_stack_bounds(lo, &lo2, &hi2) && lo2 == lo && hi2 == hi);
	CHECK(rt_stack_bounds(hi - 1, &lo2, &hi2) && lo2 == lo && hi2 == hi);
	CHECK(!rt_stack_bounds(lo - 1, &lo2, &hi2) && !rt_stack_bounds(hi, &lo2, &hi2));
	CHECK(rt_stack_guard_hit(lo - 1) == rt_stack_bytes && rt_stack_guard_hit(lo) == 0);
	CHECK(rt_stack_guard_hit(hi) == rt_stack_bytes && rt_stack_guard_hit(hi - 1) == 0);
	tops |= UINT64_C(1) << (uintptr_t)gp / 4096 % 64;
	one();
	gort_chan_recv(gate, NULL); // so that all exist at the same time
}

GORT_TEST(stack, bounds_and_top_pages_of_many)
{
	gort_maxprocs(1);
	gort_chan *gate = gort_make_chan(int, 0);
	for (int i = 0; i < 64; i++)
		gort_go(inspect_stack, gate);
	wait_for(64);
	gort_chan_close(gate);
	CHECK(__builtin_popcountll(tops) > 32);
}

enum { DEEP_STACKS = 200 };
static uintptr_t deep_lo[DEEP_STACKS], deep_hi[DEEP_STACKS];

static void
touch_stack(int i, gort_chan *gate)
{
	char page[100 << 10];
	memset(page, 1, sizeof page);
	__asm__ volatile("" : : "r"(page) : "memory");
	CHECK(rt_stack_bounds(rt_getsp(), &deep_lo[i], &deep_hi[i]));
	one();
	gort_chan_recv(gate, NULL);
}

static int
count_deep_stacks(void)
{
	int deep = 0;
	for (int i = 0; i < DEEP_STACKS; i++)
		deep += rt_os_resident(deep_lo[i], deep_hi[i]) > 32 << 10;
	return deep;
}

static void
make_deep_stacks(void)
{
	gort_maxprocs(1);
	gort_chan *gate = gort_make_chan(int, 0);
	for (int i = 0; i < DEEP_STACKS; i++)
		gort_go(touch_stack, i, gate);
	wait_for(DEEP_STACKS);
	gort_chan_close(gate);
	wait_until_alone();
	CHECK(count_deep_stacks() == DEEP_STACKS);
}

GORT_TEST(stack, memory_of_dead_ones_is_returned_on_demand)
{
	make_deep_stacks();
	gort_free_os_memory();
	CHECK(count_deep_stacks() <= (int)GFREE_MAX); // what the P keeps
}

GORT_TEST(stack, memory_of_dead_ones_is_returned_after_cycles_without_use)
{
	make_deep_stacks();
	gort_gc();
	gort_sleep(50 * GORT_MILLISECOND); // the scavenger has had time for all
	CHECK(count_deep_stacks() == DEEP_STACKS);
	for (int i = 0; i < 1000 && count_deep_stacks() > (int)GFREE_MAX; i++) {
		if (i < 2)
			gort_gc();
		gort_sleep(10 * GORT_MILLISECOND);
	}
	CHECK(count_deep_stacks() <= (int)GFREE_MAX);
	// They serve again.
	atomic_store(&n, 0);
	make_deep_stacks();
}

#if !RT_ASAN // which reports faults itself
static void
overflow(void)
{
	deep(1 << 20);
}

GORT_DEATH_TEST(stack, overflow_is_reported, "runtime: goroutine stack exceeds 196608-byte limit")
{
	unsetenv("GORT_STACK");
	gort_go(overflow);
	gort_sleep(3600 * GORT_SECOND); // until it ends the program
}

GORT_DEATH_TEST(fault, nil_dereference_is_gos_panic,
		"panic: runtime error: invalid memory address or nil pointer dereference")
{
	*(volatile int *volatile)NULL = 1;
}
#endif

// ---- time ----

GORT_TEST(sleep, lasts_at_least_as_long_as_asked)
{
	for (int64_t ns = 1; ns < 20 * GORT_MILLISECOND; ns = ns * 3 + 1) {
		int64_t t = gort_nanotime();
		gort_sleep(ns);
		CHECK(gort_nanotime() - t >= ns);
	}
	gort_sleep(0);
	gort_sleep(-5);
}

// ---- preemption and system calls ----

static atomic_bool stop;

static void
loop(void)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		;
	one();
}

TestSuite(sysmon, .timeout = 20);

GORT_TEST(sysmon, collects_when_nobody_has_for_two_minutes)
{
	gort_mem_stats before, after;
	gort_set_gc_percent(1000000);
	CHECK_EQ(rt_load(&rt_gc_period), 120 * GORT_SECOND);
	gort_read_mem_stats(&before);
	rt_store(&rt_gc_period, 20 * GORT_MILLISECOND);
	do {
		gort_sleep(GORT_MILLISECOND);
		gort_read_mem_stats(&after);
	} while (after.num_gc < before.num_gc + 3); // or the test's time is over
	CHECK_EQ(after.num_forced_gc, before.num_forced_gc);
}

GORT_TEST(preempt, a_loop_without_calls_does_not_starve_others)
{
	gort_maxprocs(1);
	gort_go(loop);
	gort_go(loop);
	for (int i = 0; i < 5; i++)
		gort_sleep(GORT_MILLISECOND);
	atomic_store(&stop, true);
	wait_for(2);
}

static void
ready_pair(void)
{
	while (!atomic_load(&stop))
		gort_gosched();
	one();
}

GORT_TEST(preempt, yielding_goroutines_let_sleepers_wake)
{
	gort_maxprocs(1);
	gort_go(ready_pair);
	gort_go(ready_pair);
	gort_sleep(GORT_MILLISECOND); // for ever, otherwise
	atomic_store(&stop, true);
	wait_for(2);
}

static atomic_int visits;

// Always in the global queue, as who was preempted is.
static void
visitor(void)
{
	while (!atomic_load(&stop)) {
		rt_enter();
		rt_yield_to_new();
		rt_leave();
		atomic_fetch_add(&visits, 1);
	}
	one();
}

GORT_TEST(preempt, a_yield_lets_those_run_that_were_preempted)
{
	gort_maxprocs(1);
	gort_go(visitor);
	yield_to_others();
	for (int i = 0; i < 200; i++) {
		int before = atomic_load(&visits);
		yield_to_others();
		CHECK(atomic_load(&visits) > before);
	}
	atomic_store(&stop, true);
	wait_for(1);
}

static atomic_int inside;

// Ends when all four are in their calls at once.
static void
blocked_in_a_call(void)
{
	gort_entersyscall();
	atomic_fetch_add(&inside, 1);
	while (atomic_load(&inside) < 4)
		usleep(1000);
	gort_exitsyscall();
	one();
}

GORT_TEST(syscall, others_run_meanwhile)
{
	gort_maxprocs(1);
	for (int i = 0; i < 4; i++)
		gort_go(blocked_in_a_call);
	wait_for(4);
}

// Ends when another has run.
static void
raw_sleep(void)
{
	int64_t t = gort_nanotime();
	usleep(60000);
	if (!RT_ASAN) // whose own usleep is in front of ours
		CHECK(gort_nanotime() - t >= 60 * GORT_MILLISECOND); // our signals do not cut it short
	while (atomic_load(&n) == 0)
		usleep(1000);
	one();
}

GORT_TEST(syscall, an_undeclared_one_does_not_starve_others)
{
	gort_maxprocs(1);
	gort_go(raw_sleep);
	yield_to_others();
	gort_go(one);
	wait_for(2);
}

static void
where(void *arg)
{
	*(uintptr_t *)arg = (uintptr_t)__builtin_frame_address(0);
}

GORT_TEST(blocking, runs_on_the_system_stack)
{
	uintptr_t sp = 0;
	gort_blocking(where, &sp);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	CHECK(sp != 0);
	CHECK(sp > here + ((size_t)64 << 20) || sp < here - ((size_t)64 << 20));
}

static pthread_t locked_to;

static void
locked(void)
{
	gort_lock_os_thread();
	pthread_t me = pthread_self();
	for (int i = 0; i < 50; i++) {
		gort_sleep(1000);
		gort_gosched();
		CHECK(pthread_equal(me, pthread_self()));
	}
	locked_to = me;
	gort_unlock_os_thread();
	one();
}

GORT_TEST(lock_os_thread, keeps_a_goroutine_on_its_thread)
{
	for (int i = 0; i < 4; i++)
		gort_go(locked);
	wait_for(4);
}

static void *
foreign_thread(void *arg)
{
	(void)arg;
	CHECK(gort_goid() == 0 || gort_goid() > 0);
	gort_go(one);
	gort_sleep(GORT_MILLISECOND);
	CHECK(gort_goid() > 1);
	gort_attach_thread();
	gort_gosched();
	gort_detach_thread();
	one();
	return NULL;
}

GORT_TEST(foreign, any_thread_may_call)
{
	pthread_t t[4];
	for (int round = 1; round <= 5; round++) {
		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, foreign_thread, NULL);
		wait_for(round * 8);
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
	}
}

// ---- the number of Ps ----

GORT_TEST(maxprocs, returns_the_previous_value)
{
	int procs = gort_maxprocs(3);
	CHECK(procs >= 1);
	CHECK_EQ(gort_maxprocs(0), 3);
	CHECK_EQ(gort_maxprocs(-1), 3);
	CHECK_EQ(gort_maxprocs(1), 3);
}

static void
sleeper(void)
{
	gort_sleep(30 * GORT_MILLISECOND);
	one();
}

GORT_TEST(maxprocs, shrinking_keeps_goroutines_and_timers)
{
	gort_maxprocs(8);
	for (int i = 0; i < 1000; i++)
		gort_go(sleeper);
	for (int p = 8; p >= 1; p--) {
		gort_maxprocs(p);
		gort_sleep(GORT_MILLISECOND);
	}
	wait_for(1000);
}

// ---- what a stop does not wait for ----

// ---- work whose wakeup is put off ----

// sysmon offers it: preemption is off, and the pause outlasts the test.
GORT_TEST(putoff, who_waits_behind_one_that_computes_is_taken_in_a_pause, .timeout = 30)
{
	gort_maxprocs(2);
	rt_debug.asyncpreemptoff = 1;
	for (int k = 0; k < 20; k++) {
		while (rt_load(&sched.npidle) != 1 || rt_load(&sched.nmspinning) != 0)
			gort_gosched();
		rt_store(&sched.ringpause.until, UINT64_MAX);
		atomic_store(&n, 0);
		for (int i = 0; i < 3; i++)
			gort_go(one);
		int64_t late = gort_nanotime() + 5 * GORT_SECOND;
		while (atomic_load(&n) != 3 && gort_nanotime() < late) {
		}
		CHECK(atomic_load(&n) == 3);
	}
}

static void
sleep_often(bool locked)
{
	if (locked)
		gort_lock_os_thread();
	for (int i = 0; i < 3000; i++) {
		rt_store(&sched.ringpause.until, UINT64_MAX);
		gort_sleep((1 + i % 7) * 10 * GORT_MICROSECOND);
	}
	one();
}

// A locked thread goes idle without a look at others' timers: somebody else must have it in view.
GORT_TEST(putoff, timers_are_watched_when_locked_threads_are_the_last_to_go_idle, .timeout = 60)
{
	gort_maxprocs(4);
	for (int i = 0; i < 8; i++)
		gort_go(sleep_often, i % 2 == 0);
	wait_for(8);
}

static void
start_and_leave(void)
{
	for (int i = 0; i < 20000; i++) {
		rt_store(&sched.ringpause.until, UINT64_MAX);
		gort_go(one);
		gort_go(one);
		gort_go(one);
		gort_entersyscall();
		for (int k = 0; k < 200; k++)
			rt_cpu_relax();
		gort_exitsyscall();
		gort_gosched();
	}
	one();
}

// A stop may take a P from a system call, with goroutines in its ring that were offered to nobody.
GORT_TEST(putoff, idle_ps_have_no_work_after_a_stop, .timeout = 60)
{
	gort_maxprocs(4);
	gort_go(start_and_leave);
	gort_go(start_and_leave);
	long want = 2 * (20000 * 3 + 1);
	while (atomic_load(&n) != want) {
		rt_enter();
		rt_stop_world("test");
		rt_start_world();
		rt_lock(&sched.lock);
		for (struct p *pp = sched.pidle; pp; pp = pp->link)
			CHECK(rt_runqempty(pp));
		rt_unlock(&sched.lock);
		rt_leave();
		gort_gosched();
	}
}

static void
wait_for_three(void *arg)
{
	(void)arg;
	int64_t late = gort_nanotime() + 5 * GORT_SECOND;
	while (atomic_load(&n) != 3 && gort_nanotime() < late) {
	}
}

// A long call inside the runtime, for which the world does not wait: its P is neither running nor retaken.
GORT_TEST(putoff, who_waits_behind_rt_safely_is_taken_in_a_pause, .timeout = 60)
{
	gort_maxprocs(2);
	for (int k = 0; k < 20; k++) {
		while (rt_load(&sched.npidle) != 1 || rt_load(&sched.nmspinning) != 0)
			gort_gosched();
		rt_store(&sched.ringpause.until, UINT64_MAX);
		atomic_store(&n, 0);
		for (int i = 0; i < 3; i++)
			gort_go(one);
		rt_enter();
		rt_safely(wait_for_three, NULL);
		rt_leave();
		CHECK(atomic_load(&n) == 3);
	}
}

enum { CALLS = 31 };

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

// ns until another P runs what this thread started, by the median. The thread calls often, so that sysmon, which
// sees another call each time, leaves the P to it.
static int64_t
taken_after(uint64_t pause)
{
	int64_t took[CALLS];
	for (int k = 0; k < CALLS; k++) {
		usleep(2000); // all is idle
		long want = atomic_load(&n) + 1;
		rt_store(&sched.nextpause.until, pause);
		int64_t start = gort_nanotime();
		gort_go(one);
		while (atomic_load(&n) != want) {
			for (int i = 0; i < 1000; i++)
				rt_cpu_relax();
			gort_detach_thread(); // in and out
		}
		took[k] = gort_nanotime() - start;
	}
	qsort(took, CALLS, sizeof *took, by_value);
	return took[CALLS / 2];
}

static void *
start_and_call_often(void *arg)
{
	(void)arg;
	int64_t with = taken_after(UINT64_MAX), without = taken_after(0);
	printf("%lld ns in a pause, %lld without\n", (long long)with, (long long)without);
	CHECK(with < 3 * without + 200 * GORT_MICROSECOND);
	return NULL;
}

GORT_TEST(putoff, a_foreign_thread_that_leaves_offers_what_waits, .timeout = 60)
{
	gort_maxprocs(2);
	pthread_t t;
	pthread_create(&t, NULL, start_and_call_often, NULL);
	gort_entersyscall();
	pthread_join(t, NULL);
	gort_exitsyscall();
}

static _Atomic int retaken; // 1: the P is in our hands, 2: and handed over

// As sysmon does, but slowly.
static void *
retake_slowly(void *arg)
{
	struct p *pp = arg;
	for (;;) {
		uint32_t st = Psyscall;
		if (atomic_compare_exchange_strong(&pp->status, &st, Pidle))
			break;
	}
	atomic_store(&retaken, 1);
	usleep(20000);
	atomic_store(&retaken, 2);
	rt_handoffp(pp);
	return NULL;
}

static void
lose_the_only_p(void)
{
	gort_maxprocs(1);
	pthread_t t;
	atomic_fetch_add(&sched.own_threads, 1);
	pthread_create(&t, NULL, retake_slowly, rt_getp());
	while (atomic_load(&retaken) == 0) {
		gort_entersyscall();
		usleep(1);
		gort_exitsyscall();
	}
	CHECK(atomic_load(&retaken) == 2);
	pthread_join(t, NULL);
	atomic_fetch_sub(&sched.own_threads, 1);
}

// While sysmon has the only P in its hands, and the goroutine that is to have it waits, every M sleeps.
Test(deadlock, a_p_that_is_being_retaken_is_none, .timeout = 30)
{
	char out[8192];
	int status = on_gort_exits(lose_the_only_p, out, sizeof out);
	cr_assert(status == 0, "exit status %d, stderr: %s", status, out);
}

static _Atomic int retiring; // 1: the other goroutine computes on its P, 2: which is to go, 3: from a system call

static void
lose_a_p(void)
{
	if (rt_getp()->id != 1)
		exit(3);
	atomic_store(&retiring, 1);
	while (atomic_load(&retiring) == 1)
		;
	gort_entersyscall();
	atomic_store(&retiring, 3);
	usleep(100000);
	gort_exitsyscall();
}

static void
wait_for_nobody(void)
{
	gort_maxprocs(2);
	gort_go(lose_a_p);
	while (atomic_load(&retiring) == 0)
		; // so that it is P 1 that takes the other one
	gort_maxprocs(1);
	atomic_store(&retiring, 2);
	for (int64_t end = gort_nanotime() + 50 * GORT_MILLISECOND; gort_nanotime() < end;)
		; // sysmon takes the P from the system call
	gort_chan_recv(gort_make_chan(int, 0), NULL);
}

// A P that is to go does so also where its M is in a system call: as an idle one it would never be looked at.
Test(deadlock, is_found_after_a_p_was_retired, .timeout = 60)
{
	char out[8192];
	int status = 3;
	for (int i = 0; i < 50 && status == 3; i++) // where this thread lost its P to the other goroutine
		status = on_gort_exits(wait_for_nobody, out, sizeof out);
	cr_assert(status == 2 && strstr(out, "all goroutines are asleep"), "exit status %d, stderr: %s", status, out);
}

TestSuite(stop, .timeout = 60);

static _Atomic int safe_step; // 1: in fn, 2: fn may return, 3: back in the caller

static void
wait_in_fn(void *arg)
{
	(void)arg;
	atomic_store(&safe_step, 1);
	while (atomic_load(&safe_step) == 1)
		;
}

static void
call_safely(void)
{
	rt_enter();
	rt_safely(wait_in_fn, NULL);
	atomic_store(&safe_step, 3);
	rt_leave();
}

// The world stops beside one that is in rt_safely, which then does not come out before it goes on.
GORT_TEST(stop, does_not_wait_for_rt_safely)
{
	gort_maxprocs(2);
	gort_go(call_safely);
	while (atomic_load(&safe_step) != 1)
		gort_gosched();
	rt_enter();
	rt_stop_world("test");
	CHECK_EQ(atomic_load(&safe_step), 1);
	atomic_store(&safe_step, 2);
	nanosleep(&(struct timespec){.tv_nsec = 20 * GORT_MILLISECOND}, NULL);
	CHECK_EQ(atomic_load(&safe_step), 2);
	rt_start_world();
	rt_leave();
	while (atomic_load(&safe_step) != 3)
		gort_gosched();
}

// ---- errno ----

GORT_TEST(errno_, is_the_current_threads)
{
	*gort_errno_() = 42;
	CHECK_EQ(errno, 42);
}

GORT_TEST(num_goroutine, counts_live_ones)
{
	CHECK_EQ(gort_num_goroutine(), 1);
	for (int i = 0; i < 10; i++)
		gort_go(ready_pair);
	CHECK_EQ(gort_num_goroutine(), 11);
	atomic_store(&stop, true);
	wait_for(10);
	wait_until_alone();
}
