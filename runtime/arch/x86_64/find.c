// SPDX-License-Identifier: BSD-3-Clause
// The collector's search for what may be pointers in stacks and globals: most words are none. With AVX2 eight
// are compared at once.
#include "arch/arch.h"

#define NO_SANITIZE __attribute__((no_sanitize("address", "thread")))

typedef uint64_t words __attribute__((vector_size(32), aligned(8), may_alias));
typedef int64_t numbers __attribute__((vector_size(32)));
typedef double lanes __attribute__((vector_size(32)));
enum { LANES = sizeof(words) / sizeof(uint64_t) };

NO_SANITIZE static size_t
find_plain(uintptr_t *lo, uintptr_t hi, uintptr_t base, uintptr_t n, uintptr_t found[RT_FOUND])
{
	uintptr_t at = *lo;
	size_t k = 0;
	for (; at < hi && k < RT_FOUND; at += sizeof(uintptr_t)) {
		uintptr_t p = *(const volatile uintptr_t *)at;
		found[k] = p;
		k += p - base <= n;
	}
	*lo = at;
	return k;
}

// Signed comparison of numbers shifted by 2^63 is unsigned comparison.
__attribute__((target("avx2"))) NO_SANITIZE static size_t
find_avx2(uintptr_t *lo, uintptr_t hi, uintptr_t base, uintptr_t n, uintptr_t found[RT_FOUND])
{
	const uintptr_t top = (uintptr_t)1 << 63;
	const words zero = {0}, shift = zero + (base + top);
	const numbers most = (numbers)(zero + (n + top));
	uintptr_t at = *lo;
	size_t k = 0;
	for (; hi - at >= 2 * sizeof(words) && k <= RT_FOUND - 2 * LANES; at += 2 * sizeof(words)) {
		const words *v = (const words *)at;
		numbers a = (numbers)(v[0] - shift) <= most, b = (numbers)(v[1] - shift) <= most;
		unsigned hits = (unsigned)__builtin_ia32_movmskpd256((lanes)a) |
				(unsigned)__builtin_ia32_movmskpd256((lanes)b) << LANES;
		for (; hits; hits &= hits - 1)
			found[k++] = ((const volatile uintptr_t *)at)[__builtin_ctz(hits)];
	}
	*lo = at;
	return hi - at < 2 * sizeof(words) && k == 0 ? find_plain(lo, hi, base, n, found) : k;
}

size_t
rt_find_words(uintptr_t *lo, uintptr_t hi, uintptr_t base, uintptr_t n, uintptr_t found[RT_FOUND])
{
	return (__builtin_cpu_supports("avx2") ? find_avx2 : find_plain)(lo, hi, base, n, found);
}
