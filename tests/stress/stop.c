// SPDX-License-Identifier: BSD-3-Clause
// Stopping the world beside a loop that never calls the runtime, raw and declared blocking calls,
// attached foreign threads, and 100,000 parked goroutines: while it is stopped nothing moves. Prints how
// long a stop took, median and worst.
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "sched/proc.h"
#include "stress.h"

#define PARKED (RT_TSAN ? 1000 : 100000)
#define MAX_STOPS 100000

static volatile uint64_t loop_count; // plain: the loop makes no call and no atomic
static _Atomic uint64_t call_count, foreign_count;
static atomic_bool stop;
static gort_chan *gate;
static int64_t took[MAX_STOPS];
static int nstops;

static void
parked(void)
{
	gort_chan_recv(gate, NULL);
}

static void
loop(void)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		loop_count++;
		if (RT_TSAN)
			gort_gosched();
	}
}

static void
caller(void)
{
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&call_count, 1);
		gort_gosched();
		if (rt_load(&call_count) % 64 == 0)
			gort_sleep(10 * GORT_MICROSECOND);
	}
}

static void
raw_sleeper(void)
{
	while (!atomic_load(&stop)) {
		usleep(500);
		if (RT_TSAN)
			gort_gosched();
		atomic_fetch_add(&call_count, 1);
	}
}

static void *
attached(void *arg)
{
	(void)arg;
	gort_attach_thread();
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&foreign_count, 1);
		if (rt_load(&foreign_count) % 4096 == 0)
			gort_gosched();
	}
	gort_detach_thread();
	return NULL;
}

static void
stop_once(void *arg)
{
	(void)arg;
	int64_t t = gort_nanotime();
	rt_stop_world("test");
	took[nstops++] = gort_nanotime() - t;
	uint64_t l = loop_count, c = rt_load(&call_count), f = rt_load(&foreign_count);
	for (int64_t until = gort_nanotime() + 20000; gort_nanotime() < until;)
		;
	STRESS_CHECK(l == loop_count, "the loop ran");
	STRESS_CHECK(c == rt_load(&call_count), "a goroutine ran");
	STRESS_CHECK(RT_TSAN || f == rt_load(&foreign_count), "an attached thread ran");
	rt_start_world();
}

static int
by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	gate = gort_make_chan(int, 0);
	for (int i = 0; i < PARKED; i++)
		gort_go(parked);
	pthread_t thread;
	bool foreign = !RT_TSAN && stress_seed % 2 == 0; // a third busy thread would only measure the kernel
	if (foreign)
		STRESS_CHECK(pthread_create(&thread, NULL, attached, NULL) == 0, "no thread");
	gort_go(loop);
	gort_go(caller);
	gort_go(raw_sleeper);
	while ((stress_time_left() || nstops == 0) && nstops < MAX_STOPS) {
		gort_sleep(200 * GORT_MICROSECOND);
		rt_enter();
		rt_systemstack(stop_once, NULL);
		rt_leave();
	}
	atomic_store(&stop, true);
	if (foreign)
		pthread_join(thread, NULL);
	qsort(took, (size_t)nstops, sizeof took[0], by_time);
	printf("%d stops, median %.1f us, worst %.1f us%s\n", nstops, (double)took[nstops / 2] / 1e3,
	       (double)took[nstops - 1] / 1e3, foreign ? ", beside a foreign thread" : "");
	return 0;
}
GORT_MAIN(app)
