// SPDX-License-Identifier: BSD-3-Clause
// fatal NAME: programs that end badly, one a name. test_fatal.py knows what each must print.
#include <gort.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

NOINLINE static void
send_on_closed(void)
{
	gort_chan *c = gort_make_chan(int, 1);
	gort_chan_close(c);
	gort_send(int, c, 1);
}

NOINLINE static void
close_closed(void)
{
	gort_chan *c = gort_make_chan(int, 1);
	gort_chan_close(c);
	gort_chan_close(c);
}

NOINLINE static void
close_nil(void)
{
	gort_chan_close(NULL);
}

NOINLINE static void
unlock_unlocked(void)
{
	gort_mutex m = {0};
	gort_mutex_unlock(&m);
}

NOINLINE static void
negative_waitgroup(void)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_done(&wg);
}

NOINLINE static void
deadlock(void)
{
	gort_chan *c = gort_make_chan(int, 0);
	gort_recv(int, c);
}

static void
wait_too(gort_mutex *m)
{
	gort_mutex_lock(m);
}

// The others are asleep as well: in a mutex, in a select without cases.
NOINLINE static void
deadlock_of_three(void)
{
	gort_mutex *m = gort_new(gort_mutex);
	gort_mutex_lock(m);
	gort_go(wait_too, m);
	gort_select_case none[1];
	gort_go(gort_select, none, 0);
	gort_mutex_lock(m);
}

static volatile int bottom = -1;

NOINLINE static int
recurse(int n)
{
	volatile char frame[256];
	frame[n & 255] = (char)n;
	return n == bottom ? 0 : recurse(n + 1) + frame[n & 255];
}

static void
overflow_here(void)
{
	recurse(0);
}

NOINLINE static void
overflow(void)
{
	gort_chan *c = gort_make_chan(int, 0);
	gort_go(overflow_here);
	gort_recv(int, c);
}

NOINLINE static void
nil_dereference(void)
{
	volatile int *volatile p = NULL;
	*p = 1;
}

NOINLINE static void
wild_pointer(void)
{
	*(volatile int *volatile)0x123456789000 = 1;
}

// No address at all for the CPU: the kernel does not say which.
NOINLINE static void
non_canonical(void)
{
	*(volatile int *volatile)0xdead000000000000 = 1;
}

NOINLINE static void
divide_by_zero(void)
{
	volatile int zero = 0, one = 100;
	one = one / zero;
}

NOINLINE static void
killed(void)
{
	raise(SIGSEGV);
}

NOINLINE static void
index_out_of_range(void)
{
	gort_slice s = gort_make_slice(int, 3, 3);
	volatile ptrdiff_t i = 5;
	*gort_at(int, s, i) = 1;
}

NOINLINE static void
slice_bounds(void)
{
	gort_slice s = gort_make_slice(int, 3, 3);
	volatile ptrdiff_t hi = 5;
	gort_subslice(int, s, 0, hi);
}

NOINLINE static void
nil_map_write(void)
{
	gort_map *m = NULL;
	*gort_map_put(int, int, m, 1) = 2;
}

NOINLINE static void
negative_chan(void)
{
	volatile ptrdiff_t n = -1;
	gort_make_chan(int, n);
}

NOINLINE static void
own_panic(void)
{
	gort_panic("boom %d", 42);
}

NOINLINE static void
own_fatal(void)
{
	gort_fatal("out of %s", "luck");
}

static void
panic_elsewhere(void)
{
	printf("buffered before the panic\n");
	gort_panic("on another goroutine");
}

NOINLINE static void
panic_in_goroutine(void)
{
	gort_go(panic_elsewhere);
	gort_sleep(10 * GORT_SECOND);
}

static void
end_the_thread(void)
{
	pthread_exit(NULL);
}

NOINLINE static void
thread_ended(void)
{
	gort_go(end_the_thread);
	gort_sleep(10 * GORT_SECOND);
}

static void
cancel_the_thread(void)
{
	pthread_cancel(pthread_self());
	pthread_testcancel();
}

NOINLINE static void
thread_cancelled(void)
{
	gort_go(cancel_the_thread);
	gort_sleep(10 * GORT_SECOND);
}

static jmp_buf app_frame;

static void
jump_to_app(void)
{
	longjmp(app_frame, 1);
}

NOINLINE static void
jumped(void)
{
	if (setjmp(app_frame) == 0)
		gort_go(jump_to_app);
	gort_sleep(10 * GORT_SECOND); // goroutine 1, then as the other one
}

static int
app(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} all[] = {
		{"send_on_closed", send_on_closed},
		{"close_closed", close_closed},
		{"close_nil", close_nil},
		{"unlock_unlocked", unlock_unlocked},
		{"negative_waitgroup", negative_waitgroup},
		{"deadlock", deadlock},
		{"deadlock_of_three", deadlock_of_three},
		{"overflow", overflow},
		{"nil_dereference", nil_dereference},
		{"wild_pointer", wild_pointer},
		{"non_canonical", non_canonical},
		{"divide_by_zero", divide_by_zero},
		{"killed", killed},
		{"index_out_of_range", index_out_of_range},
		{"slice_bounds", slice_bounds},
		{"nil_map_write", nil_map_write},
		{"negative_chan", negative_chan},
		{"own_panic", own_panic},
		{"own_fatal", own_fatal},
		{"panic_in_goroutine", panic_in_goroutine},
		{"thread_ended", thread_ended},
		{"thread_cancelled", thread_cancelled},
		{"jumped", jumped},
	};
	for (size_t i = 0; argc > 1 && i < sizeof all / sizeof *all; i++)
		if (strcmp(argv[1], all[i].name) == 0)
			all[i].fn();
	return 3; // it came back, or there is no such name
}
GORT_MAIN(app)
