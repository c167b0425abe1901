// SPDX-License-Identifier: BSD-3-Clause
// arch/<cpu>: rt_copy_away copies what it should and writes nothing beside it.
#include <criterion/criterion.h>

#include <string.h>

#include "arch/arch.h"
#include "base/rand.h"

enum { MOST = 2 << 20, BESIDE = 256 };

static unsigned char got[MOST + 2 * BESIDE], want[MOST + 2 * BESIDE], source[MOST + BESIDE];
static uint64_t seed = 1;

static size_t
below(size_t n)
{
	return rt_rand_next(&seed) % n;
}

// Sizes of all magnitudes, small ones more often.
static size_t
any_size(void)
{
	return below((size_t)1 << (1 + below(21)));
}

Test(copy, copies_that_much)
{
	for (size_t i = 0; i < sizeof source; i++)
		source[i] = (unsigned char)rt_rand_next(&seed);
	for (int i = 0; i < 600; i++) {
		size_t at = below(BESIDE), from = below(BESIDE), n = i % 6 ? any_size() : MOST - below(MOST / 2);
		memset(got, 0, at + n + BESIDE);
		memset(want, 0, at + n + BESIDE);
		rt_copy_away(got + at, source + from, n);
		memcpy(want + at, source + from, n);
		cr_assert_arr_eq(got, want, at + n + BESIDE, "%zu bytes at %zu", n, at);
	}
}
