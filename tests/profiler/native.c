// SPDX-License-Identifier: BSD-3-Clause
// A plain pthread program with known hot functions: two threads, 2:1, through an inlined function.
// Run by tests/profiler/test_native.py under GORT_CPUPROFILE, or with a file name by the functions.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <gort/pprof.h>

volatile uint64_t sink;

static inline __attribute__((always_inline)) uint64_t
inlined_step(uint64_t x)
{
	for (int i = 0; i < 100; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x;
}

static __attribute__((noinline)) void
hot_leaf(uint64_t n)
{
	uint64_t x = n;
	for (uint64_t i = 0; i < n; i++)
		x = inlined_step(x);
	sink = x;
}

static __attribute__((noinline)) void
recurse(int depth, uint64_t n)
{
	if (depth == 0)
		hot_leaf(n);
	else
		recurse(depth - 1, n);
	sink++;
}

static int64_t
cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void *
worker(void *arg)
{
	int64_t until = cpu_ns() + (intptr_t)arg * 1000000;
	while (cpu_ns() < until)
		recurse(10, 1000);
	return NULL;
}

// argv: milliseconds of CPU time of the second thread (the first takes twice as much), file, hz.
int
main(int argc, char **argv)
{
	intptr_t ms = argc > 1 ? atoi(argv[1]) : 300;
	int fd = -1;
	if (argc > 2) {
		fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
		int rc = gort_pprof_start_cpu(fd, argc > 3 ? atoi(argv[3]) : 0);
		if (rc < 0) {
			fprintf(stderr, "start: %d\n", rc);
			return 1;
		}
	}
	pthread_t a, b;
	pthread_create(&a, NULL, worker, (void *)(2 * ms));
	pthread_create(&b, NULL, worker, (void *)ms);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	if (argc > 2) {
		int rc = gort_pprof_stop_cpu();
		if (rc < 0) {
			fprintf(stderr, "stop: %d\n", rc);
			return 1;
		}
		close(fd);
	}
	puts("done");
	return 0;
}
