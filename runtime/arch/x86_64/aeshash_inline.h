// SPDX-License-Identifier: BSD-3-Clause
// The AES hash of up to 16 bytes, to be inlined into lookups. The instruction is written out, as the
// library is compiled for CPUs that lack it: call only where rt_arch_has_aeshash said yes.
#pragma once

#include <emmintrin.h>
#include <string.h>

#include "base/base.h"

RT_INLINE __m128i
rt_aesenc(__m128i x, __m128i k)
{
	__asm__("aesenc %1, %0" : "+x"(x) : "x"(k));
	return x;
}

// Three rounds: every bit of x and k has met every bit of the result.
RT_INLINE __m128i
rt_aes_rounds(__m128i x, __m128i k)
{
	return rt_aesenc(rt_aesenc(rt_aesenc(x, k), k), k);
}

RT_INLINE __m128i
rt_aes_load(const void *p)
{
	return _mm_loadu_si128(p);
}

RT_INLINE uint64_t
rt_aes_load8(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

RT_INLINE uint64_t
rt_aes_load4(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

// Two loads that overlap instead of padding: nothing outside [p, p + n) is read.
RT_INLINE __m128i
rt_aes_load_short(const unsigned char *p, size_t n)
{
	if (n >= 8)
		return _mm_set_epi64x((long long)rt_aes_load8(p + n - 8),
				      (long long)rt_aes_load8(p));
	if (n >= 4)
		return _mm_set_epi64x((long long)rt_aes_load4(p + n - 4),
				      (long long)rt_aes_load4(p));
	if (n == 0)
		return _mm_setzero_si128();
	return _mm_cvtsi32_si128(p[0] | p[n / 2] << 8 | p[n - 1] << 16);
}

// The lane's start: seed, length and secret.
RT_INLINE __m128i
rt_aes_start(size_t n, uint64_t seed, const uint64_t key[8])
{
	return _mm_xor_si128(_mm_set_epi64x((long long)n, (long long)seed), rt_aes_load(key));
}

// Up to 16 bytes in a register: to hash them, and to compare them with others of the same length.
typedef __m128i rt_arch_short;

RT_INLINE rt_arch_short
rt_arch_load_short(const void *p, size_t n)
{
	return rt_aes_load_short(p, n);
}

RT_INLINE bool
rt_arch_short_equal(rt_arch_short a, rt_arch_short b)
{
	return _mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) == 0xffff;
}

RT_INLINE uint64_t
rt_arch_aeshash_short(rt_arch_short v, size_t n, uint64_t seed, const uint64_t key[8])
{
	__m128i x = _mm_xor_si128(v, rt_aes_start(n, seed, key));
	return (uint64_t)_mm_cvtsi128_si64(rt_aes_rounds(x, rt_aes_load(key + 2)));
}

RT_INLINE uint64_t
rt_arch_aeshash16(const void *p, size_t n, uint64_t seed, const uint64_t key[8])
{
	return rt_arch_aeshash_short(rt_arch_load_short(p, n), n, seed, key);
}
