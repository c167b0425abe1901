// SPDX-License-Identifier: BSD-3-Clause
// CPU profiles started and stopped again and again at 10 kHz while threads come and go.
//   toggle [TIMES]    so often for each second of GORT_STRESS_MS milliseconds (1000)
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <gort/pprof.h>

static _Atomic int done;
static _Atomic uint64_t threads, sink;

static void *
short_lived(void *arg)
{
	uint64_t x = (uintptr_t)arg;
	for (int i = 0; i < 100000; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	atomic_fetch_add(&sink, x);
	atomic_fetch_add(&threads, 1);
	return NULL;
}

static void *
breeder(void *arg)
{
	while (!atomic_load(&done)) {
		pthread_t th[4];
		int n = 0;
		while (n < 4 && pthread_create(&th[n], NULL, short_lived, arg) == 0)
			n++;
		while (n > 0)
			pthread_join(th[--n], NULL);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	const char *ms = getenv("GORT_STRESS_MS");
	int times = (argc > 1 ? atoi(argv[1]) : 300) * (ms ? atoi(ms) : 1000) / 1000;
	int fd = open("/dev/null", O_WRONLY);
	pthread_t b[2];
	for (int i = 0; i < 2; i++)
		pthread_create(&b[i], NULL, breeder, NULL);
	for (int i = 0; i < times; i++) {
		int rc = gort_pprof_start_cpu(fd, 10000);
		if (rc == 0 && i % 3 == 0)
			usleep(1000);
		if (rc == 0)
			rc = gort_pprof_stop_cpu();
		if (rc < 0) {
			fprintf(stderr, "toggle: round %d: %d\n", i, rc);
			return 1;
		}
	}
	atomic_store(&done, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(b[i], NULL);
	printf("%d profiles, %s\n", times, atomic_load(&threads) > 10 ? "threads came and went" : "too few threads");
	return atomic_load(&threads) <= 10;
}
