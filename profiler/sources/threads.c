// SPDX-License-Identifier: BSD-3-Clause
// Threads announce themselves: pthread_create is ours in a program that links or preloads the
// profiler, so a thread has its slot, stack bounds and timer before its function runs. Its end is seen
// by a key's destructor, which also runs for pthread_exit and cancellation.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <gort/base.h>

#include "core/thread.h"
#include "sources/cpu.h"
#include "sources/sources.h"

const struct rtp_native *rtp_native;

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;
static create_fn *real;

struct start {
	void *(*fn)(void *);
	void *arg;
};

static void
at_exit(void *arg)
{
	(void)arg;
	rtp_cpu_thread_exit();
}

static void
resolve(void)
{
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	have_key = pthread_key_create(&key, at_exit) == 0;
}

int
rtp_real_pthread_create(pthread_t *th, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	pthread_once(&once, resolve);
	return real ? real(th, attr, fn, arg) : EAGAIN;
}

// Ends in a jump where the compiler optimises, so that stacks do not show it.
static void *
thread_main(void *arg)
{
	rtp_busy++;
	struct start s = *(struct start *)arg;
	free(arg);
	if (have_key)
		pthread_setspecific(key, &key);
	rtp_cpu_thread_start();
	rtp_busy--;
	return s.fn(s.arg);
}

GORT_API int
pthread_create(pthread_t *restrict th, const pthread_attr_t *restrict attr, void *(*fn)(void *),
	       void *restrict arg)
{
	rtp_busy++;
	struct start *s = malloc(sizeof(*s));
	int rc = EAGAIN;
	if (s) {
		*s = (struct start){ fn, arg };
		rc = rtp_real_pthread_create(th, attr, thread_main, s);
		if (rc != 0)
			free(s);
	}
	if (rc == 0 && rtp_native && !rtp_remote)
		rtp_reader_start(); // frees the slots of threads that end
	rtp_busy--;
	if (rc == 0 && rtp_native && rtp_native->thread_created)
		rtp_native->thread_created();
	return rc;
}
