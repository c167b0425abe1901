// SPDX-License-Identifier: BSD-3-Clause
// The profiler's own threads, and the one that is always there while something is sampled: ten times a
// second it folds rings into buckets, answers handlers' questions about stacks,
// and follows libraries and threads that come and go. In between it looks where threads wait
// (sources/waits.c).
//
// It has a table of descriptors of its own, where the kernel lets it: what it opens for a moment never
// takes the number that the program is about to get.
#include <limits.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/rtlink.h"
#include "core/thread.h"
#include "sources/cpu.h"
#include "sources/emit.h"
#include "sources/sources.h"

#define TICK_NS 100000000
#define MAX_OWN 16
#define STACK_SIZE ((size_t)256 << 10)

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static bool running;
void (*rtp_on_tick)(void);
static pthread_t thread;
static _Atomic uint32_t stop; // a futex; 1 ends the reader
static _Atomic int own_tids[MAX_OWN]; // 0 free
static _Thread_local bool own __attribute__((tls_model("initial-exec")));

// ---- the profiler's own threads ----

bool
rtp_is_own_tid(int tid)
{
	for (size_t i = 0; i < MAX_OWN; i++)
		if (rt_load(&own_tids[i]) == tid)
			return true;
	return false;
}

bool
rtp_is_own_thread(void)
{
	return own;
}

struct own_start {
	void *(*fn)(void *arg);
	void *arg;
	const char *name;
	_Atomic uint32_t known;
};

static void
enlist(void)
{
	const struct rt_introspect *rt = rtp_runtime();
	if (rt)
		atomic_fetch_add(rt->own_threads, 1); // it never sends: a deadlock is still seen
	own = true;
	rtp_busy = 1; // what it allocates or locks is not the program's
	int tid = (int)syscall(SYS_gettid);
	for (size_t i = 0; i < MAX_OWN; i++) {
		int free_slot = 0;
		if (atomic_compare_exchange_strong(&own_tids[i], &free_slot, tid))
			return;
	}
}

static void
delist(void)
{
	const struct rt_introspect *rt = rtp_runtime();
	int tid = (int)syscall(SYS_gettid);
	if (rt)
		atomic_fetch_sub(rt->own_threads, 1);
	for (size_t i = 0; i < MAX_OWN; i++)
		if (rt_load(&own_tids[i]) == tid)
			rt_store(&own_tids[i], 0);
}

void
rtp_own_thread_exit(void)
{
	const struct rt_introspect *rt = rtp_runtime();
	int tid = (int)syscall(SYS_gettid);
	for (size_t i = 0; i < MAX_OWN; i++)
		if (rt_load(&own_tids[i]) == tid)
			rt_store(&own_tids[i], 0);
	if (rt)
		atomic_fetch_sub(rt->own_threads, 1);
}

static void *
own_main(void *arg)
{
	struct own_start *s = arg;
	void *(*fn)(void *) = s->fn;
	void *fn_arg = s->arg;
	prctl(PR_SET_NAME, s->name);
	enlist();
	rt_store_release(&s->known, 1); // s is gone from here on
	return fn(fn_arg);
}

// With all signals blocked, and not through our own pthread_create: it samples nobody and is nobody's
// sample. Comes back when everybody can tell it from the program's threads. th NULL: detached.
static bool
spawn(const char *name, void *(*fn)(void *arg), void *arg, pthread_t *th)
{
	struct own_start s = { fn, arg, name, 0 };
	sigset_t all, old;
	pthread_attr_t a;
	pthread_t detached;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&a);
	if (!th)
		pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&a, STACK_SIZE);
	bool ok = rtp_real_pthread_create(th ? th : &detached, &a, own_main, &s) == 0;
	while (ok && !rt_load_acquire(&s.known))
		sched_yield();
	pthread_attr_destroy(&a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ok;
}

bool
rtp_spawn(const char *name, void *(*fn)(void *arg), void *arg)
{
	return spawn(name, fn, arg, NULL);
}

// ---- the reader ----

static void
tick(void)
{
	rtp_cpu_tick();
	if (rtp_on_tick)
		rtp_on_tick();
}

static void *
reader(void *arg)
{
	(void)arg;
	// An empty one: copies of the program's descriptors would keep its files open. TSan knows one table only.
	if (!RT_TSAN)
		syscall(SYS_close_range, 0, UINT_MAX, CLOSE_RANGE_UNSHARE);
	int64_t tick_at = rtp_monotime() + TICK_NS, look_in = rtp_waits_look();
	while (!rt_load_acquire(&stop)) {
		int64_t ns = rt_max(rt_min(tick_at - rtp_monotime(), look_in), (int64_t)0);
		struct timespec left = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
		syscall(SYS_futex, &stop, FUTEX_WAIT_PRIVATE, 0, &left, NULL, 0);
		if (rtp_monotime() >= tick_at) {
			tick();
			tick_at = rtp_monotime() + TICK_NS;
		}
		look_in = rtp_waits_look();
	}
	delist();
	return NULL;
}

bool
rtp_reader_stop(void)
{
	pthread_mutex_lock(&starting);
	bool was = running;
	if (was) {
		rt_store_release(&stop, 1);
		syscall(SYS_futex, &stop, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		pthread_join(thread, NULL);
		rt_store(&stop, 0);
		running = false;
	}
	pthread_mutex_unlock(&starting);
	return was;
}

bool
rtp_reader_start(void)
{
	pthread_mutex_lock(&starting);
	if (!running)
		running = spawn("gort-profiler", reader, NULL, &thread);
	bool ok = running;
	pthread_mutex_unlock(&starting);
	return ok;
}

void
rtp_reader_forked(void)
{
	pthread_mutex_init(&starting, NULL);
	running = false;
	rt_store(&stop, 0);
	for (size_t i = 0; i < MAX_OWN; i++)
		rt_store(&own_tids[i], 0);
}
