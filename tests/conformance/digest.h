// SPDX-License-Identifier: BSD-3-Clause
// What both ops.c share with their Go sides: one sequence of random numbers for a seed, and one number that
// stands for all that has been noted.
#pragma once

#include <stdint.h>

static uint64_t state, digest;

static inline uint64_t
rnd(uint64_t n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1d >> 33) % n;
}

static inline void
note(uint64_t x)
{
	digest = (digest ^ x) * 0x100000001b3;
	digest ^= digest >> 29;
}
