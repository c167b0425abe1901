// SPDX-License-Identifier: BSD-3-Clause
// What the stress programs share. Each is a plain program that prints its seed first, works for about
// GORT_STRESS_MS milliseconds (1000), checks its sums, and exits with 1 after "FAILED: ..." if they are
// wrong. `program SEED` repeats a run's random choices (not its schedule).
#pragma once

#include <gort/chan.h>
#include <gort/sched.h>
#include <gort/sync.h>
#include <gort/time.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t stress_seed;
static int64_t stress_end;

static inline void
stress_begin(int argc, char **argv)
{
	const char *ms = getenv("GORT_STRESS_MS");
	stress_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
	printf("seed %llu, %d processors\n", (unsigned long long)stress_seed, gort_maxprocs(0));
	fflush(stdout);
	int64_t lasts = (ms ? atoll(ms) : 1000) * GORT_MILLISECOND;
	alarm(100 + (unsigned)(lasts / GORT_SECOND)); // a hang is a failure
	stress_end = gort_nanotime() + lasts;
}

static inline bool
stress_time_left(void)
{
	return gort_nanotime() < stress_end;
}

// A generator for each goroutine: xorshift64*, from the seed and the goroutine's own number.
struct rng {
	uint64_t s;
};

static inline struct rng
rng_for(uint64_t id)
{
	return (struct rng){(stress_seed ^ (id + 1) * 0x9e3779b97f4a7c15u) | 1};
}

static inline uint32_t
rng_below(struct rng *r, uint32_t n)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return (uint32_t)(((r->s * 0x2545f4914f6cdd1du >> 32) * n) >> 32);
}

#define STRESS_CHECK(cond, ...)                                                                    \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			printf("FAILED: %s:%d: %s: ", __FILE__, __LINE__, #cond);                  \
			printf(__VA_ARGS__);                                                       \
			printf("\n");                                                              \
			fflush(stdout);                                                            \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)
