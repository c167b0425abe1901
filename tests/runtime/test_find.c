// SPDX-License-Identifier: BSD-3-Clause
// arch/<cpu>: rt_find_words, compared with a loop that looks at one word after the other.
#include <criterion/criterion.h>

#include <string.h>

#include "arch/arch.h"
#include "base/rand.h"

enum { WORDS = 300 };
#define BASE ((uintptr_t)0xc000000000)

static uintptr_t words[WORDS], got[WORDS], want[WORDS];
static uint64_t seed = 1;

static size_t
find_all(size_t from, size_t to, uintptr_t base, uintptr_t n)
{
	uintptr_t lo = (uintptr_t)(words + from), hi = (uintptr_t)(words + to), found[RT_FOUND];
	size_t sum = 0;
	while (lo < hi) {
		uintptr_t before = lo;
		size_t k = rt_find_words(&lo, hi, base, n, found);
		cr_assert(lo > before && lo <= hi && k <= RT_FOUND);
		memcpy(got + sum, found, k * sizeof *found);
		sum += k;
	}
	return sum;
}

static size_t
find_one_by_one(size_t from, size_t to, uintptr_t base, uintptr_t n)
{
	size_t sum = 0;
	for (size_t i = from; i < to; i++)
		if (words[i] >= base && words[i] - base <= n)
			want[sum++] = words[i];
	return sum;
}

static void
compare(uintptr_t base, uintptr_t n)
{
	size_t from = rt_rand_next(&seed) % 9, to = from + rt_rand_next(&seed) % (WORDS - from + 1);
	size_t sum = find_all(from, to, base, n);
	cr_assert_eq(sum, find_one_by_one(from, to, base, n));
	cr_assert_arr_eq(got, want, sum * sizeof *got);
}

// From none to all of the words lie in the range, some at its very ends and beside them.
Test(find, words_of_a_range)
{
	const uintptr_t n = 1 << 20, edges[] = {BASE, BASE + n, BASE - 1, BASE + n + 1, 0, UINTPTR_MAX,
						BASE ^ (uintptr_t)1 << 63};
	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < WORDS; i++) {
			uint64_t r = rt_rand_next(&seed);
			if (r % 20 < (uint64_t)(round % 21))
				words[i] = BASE + (r >> 8) % (n + 1);
			else
				words[i] = r >> 40 & 1 ? edges[(r >> 8) % rt_nelem(edges)] : rt_rand_next(&seed);
		}
		compare(BASE, n);
	}
}

Test(find, a_range_in_the_upper_half_and_one_of_everything)
{
	for (int round = 0; round < 1000; round++) {
		for (size_t i = 0; i < WORDS; i++)
			words[i] = rt_rand_next(&seed) << (round % 64);
		compare((uintptr_t)1 << 63, 1000);
		compare(0, INTPTR_MAX);
		compare((uintptr_t)1 << 62, INTPTR_MAX);
	}
}
