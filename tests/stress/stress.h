// SPDX-License-Identifier: BSD-3-Clause
// What every stress program does first: seconds and seed from the command line, the seed printed, a
// limit on the whole run. check() is never compiled out.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <gort/time.h>

#define check(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #cond);   \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static int64_t stress_deadline __attribute__((unused));
static uint64_t stress_seed __attribute__((unused));

static inline void
stress_begin(int argc, char **argv, double default_seconds)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : default_seconds;
	stress_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
	printf("seconds %g seed %llu\n", seconds, (unsigned long long)stress_seed);
	fflush(stdout);
	stress_deadline = gort_nanotime() + (int64_t)(seconds * 1e9);
	alarm((unsigned)seconds + 100); // a hang is a failure
}

static inline int
stress_over(void)
{
	return gort_nanotime() >= stress_deadline;
}

// xorshift64*, a state a user.
static inline uint64_t
stress_rand(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545f4914f6cdd1dull;
}
