// SPDX-License-Identifier: BSD-3-Clause
// What being profiled costs: nanoseconds an operation, the least of several rounds.
//   speed pair|few|mixed|mutex|mutex1|work|work8
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile uint64_t sink;

static double
now(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void
malloc_pair(long n)
{
	for (long i = 0; i < n; i++) {
		void *volatile p = malloc(64);
		free(p);
	}
}

static void
mixed_sizes(long n)
{
	static void *live[10000];
	uint32_t x = 1;
	for (long i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		void **p = &live[(x >> 8) % 10000];
		free(*p);
		*p = malloc(16 + (x >> 20) % 500);
	}
}

static void
mutex_pair(long n)
{
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	for (long i = 0; i < n; i++) {
		pthread_mutex_lock(&m);
		sink++;
		pthread_mutex_unlock(&m);
	}
}

// Pure computing, ten frames deep.
static __attribute__((noinline)) uint64_t
work(int depth, long n)
{
	uint64_t x = (uint64_t)depth;
	if (depth > 0)
		return work(depth - 1, n) + sink;
	for (long i = 0; i < n; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x;
}

static void
work_rounds(long n)
{
	for (long i = 0; i < n; i++)
		sink += work(10, 1000);
}

static void *
worker(void *arg)
{
	double until = now(CLOCK_THREAD_CPUTIME_ID) + 1e6 * (double)(intptr_t)arg;
	while (now(CLOCK_THREAD_CPUTIME_ID) < until)
		work_rounds(100);
	return NULL;
}

// Eight threads of so many ms of CPU time each.
static void
eight(long ms)
{
	pthread_t th[8];
	for (int i = 0; i < 8; i++) {
		char name[16];
		snprintf(name, sizeof(name), "w%d", i);
		pthread_create(&th[i], NULL, worker, (void *)(intptr_t)ms);
		pthread_setname_np(th[i], name);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(th[i], NULL);
}

static void *
sleeper(void *arg)
{
	struct timespec hour = { 3600, 0 };
	nanosleep(&hour, NULL);
	return arg;
}

// libc's locks are cheaper while a process has one thread only; what uses locks has more.
static void
be_threaded(void)
{
	pthread_t th;
	pthread_create(&th, NULL, sleeper, NULL);
}

static double
least(void (*fn)(long), long n, int rounds)
{
	double best = 1e18;
	for (int i = 0; i < rounds; i++) {
		double t = now(CLOCK_THREAD_CPUTIME_ID);
		fn(n);
		t = now(CLOCK_THREAD_CPUTIME_ID) - t;
		if (t < best)
			best = t;
	}
	return best / (double)n;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	double ns = 0;
	if (strcmp(what, "pair") == 0)
		ns = least(malloc_pair, 1000000, 12);
	else if (strcmp(what, "few") == 0) // for profilers that take microseconds
		ns = least(malloc_pair, 20000, 5);
	else if (strcmp(what, "mixed") == 0)
		ns = least(mixed_sizes, 500000, 12);
	else if (strcmp(what, "mutex1") == 0)
		ns = least(mutex_pair, 1000000, 12);
	else if (strcmp(what, "mutex") == 0)
		be_threaded(), ns = least(mutex_pair, 1000000, 12);
	else if (strcmp(what, "work") == 0)
		ns = least(work_rounds, 1000000, 1);
	else if (strcmp(what, "work8") == 0)
		eight(500);
	else
		return 64;
	printf("%.3f\n", ns);
	return 0;
}
