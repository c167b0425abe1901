// SPDX-License-Identifier: BSD-3-Clause
// The profiler's one background thread. It blocks all signals, samples nobody and is sampled by
// nobody; ten times a second it folds rings into buckets, answers handlers' questions about stacks,
// and follows libraries and threads that come and go.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/rtlink.h"
#include "sources/cpu.h"

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static bool running;
void (*rtp_on_tick)(void);
static _Atomic int tid;

int
rtp_reader_tid(void)
{
	return rt_load(&tid);
}

static void *
reader(void *arg)
{
	(void)arg;
	rtp_busy = 1;
	prctl(PR_SET_NAME, "gort-profiler");
	const struct rt_introspect *rt = rtp_runtime();
	if (rt)
		atomic_fetch_add(rt->own_threads, 1); // it never sends: a deadlock is still seen
	rt_store(&tid, (int)syscall(SYS_gettid));
	for (;;) {
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
		rtp_cpu_tick();
		if (rtp_on_tick)
			rtp_on_tick();
	}
	return NULL;
}

bool
rtp_reader_start(void)
{
	pthread_mutex_lock(&starting);
	if (!running) {
		sigset_t all, old;
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		pthread_attr_t a;
		pthread_t th;
		pthread_attr_init(&a);
		pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&a, 256 << 10);
		// Not through our own pthread_create: this thread samples nobody and is nobody's sample.
		running = rtp_real_pthread_create(&th, &a, reader, NULL) == 0;
		while (running && rtp_reader_tid() == 0)
			sched_yield(); // so that nobody takes it for one of the program's threads
		pthread_attr_destroy(&a);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	bool ok = running;
	pthread_mutex_unlock(&starting);
	return ok;
}

void
rtp_reader_forked(void)
{
	pthread_mutex_init(&starting, NULL);
	running = false;
	rt_store(&tid, 0);
}
