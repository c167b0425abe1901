// SPDX-License-Identifier: BSD-3-Clause
// No more threads: the runtime goes on with those it has. pthread_create is ours in this program.
#include "on_gort.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <gort/sched.h>
#include <gort/time.h>

static atomic_int threads_left = 1 << 20;

int
pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	if (!real)
		real = (__typeof__(real))dlsym(RTLD_NEXT, "pthread_create");
	if (atomic_fetch_sub(&threads_left, 1) <= 0)
		return EAGAIN;
	return real(t, attr, fn, arg);
}

static atomic_long n;

static void
work(int k)
{
	for (int i = 0; i < 100; i++) {
		if (i % 10 == k % 10)
			gort_sleep(GORT_MICROSECOND);
		gort_gosched();
	}
	atomic_fetch_add(&n, 1);
}

static void
hundred(void)
{
	gort_maxprocs(8);
	for (int i = 0; i < 100; i++)
		gort_go(work, i);
	while (atomic_load(&n) < 100)
		gort_sleep(GORT_MILLISECOND);
}

// The monitor thread is made first, then one M.
static void
two_threads(void)
{
	atomic_store(&threads_left, 2);
}

static void
no_threads(void)
{
	atomic_store(&threads_left, 0);
}

GORT_TEST(threads, none_left_after_two, .init = two_threads)
{
	hundred();
}

GORT_TEST(threads, none_left_at_all, .init = no_threads)
{
	hundred();
}

static void
one_warning(void)
{
	hundred();
	_exit(2); // GORT_DEATH_TEST looks at the first line of stderr
}

Test(threads, one_line_tells)
{
	no_threads();
	on_gort_dies(one_warning,
		     "gort: cannot start the monitor thread (Resource temporarily unavailable); long-running goroutines will not be preempted");
}

// Eight Ps, a hundred goroutines, one M: it tries again and again, and says so once.
static void
many_tries(void)
{
	atomic_store(&threads_left, 1); // beside those that run already
	while (atomic_load(&threads_left) > -3) { // it has failed three times
		atomic_store(&n, 0);
		hundred();
	}
	_exit(0);
}

Test(threads, one_line_for_all_that_cannot_be_started)
{
	char out[8192];
	int status = on_gort_exits(many_tries, out, sizeof out);
	cr_assert(status == 0, "exit status %d, stderr: %s", status, out);
	cr_assert(strcmp(out, "gort: cannot start a thread (Resource temporarily unavailable); "
			      "going on with those there are\n") == 0,
		  "stderr: %s", out);
}

static void
blocked(void)
{
	gort_entersyscall();
	usleep(20000);
	gort_exitsyscall();
	atomic_fetch_add(&n, 1);
}

static void
one(void)
{
	atomic_fetch_add(&n, 1);
}

static void
the_monitor_alone(void)
{
	atomic_store(&threads_left, 1);
}

// Its turn comes when a thread can be had, although nobody does anything until then.
GORT_TEST(threads, a_goroutine_waits_for_one, .init = the_monitor_alone, .timeout = 30)
{
	gort_maxprocs(1);
	atomic_store(&threads_left, 0);
	gort_go(one);
	gort_entersyscall();
	while (atomic_load(&threads_left) >= 0) // sysmon has tried
		usleep(1000);
	atomic_store(&threads_left, 1 << 20);
	for (int i = 0; i < 100 && atomic_load(&n) == 0; i++)
		usleep(50000);
	long had = atomic_load(&n);
	gort_exitsyscall();
	CHECK(had == 1);
}

GORT_TEST(threads, system_calls_end_without_threads_to_hand_over_to, .init = two_threads)
{
	gort_maxprocs(2);
	for (int i = 0; i < 8; i++)
		gort_go(blocked);
	while (atomic_load(&n) < 8)
		gort_sleep(GORT_MILLISECOND);
}
