// SPDX-License-Identifier: BSD-3-Clause
// The keyed hash of data/alg.h with the CPU's AES rounds. Three rounds spread every input bit over
// the whole lane; longer inputs run in two or four lanes, and their ends overlap instead of being
// padded, so nothing outside [p, p + n) is read.
#include <immintrin.h>
#include <string.h>

#include "data/alg.h"

#define AES __attribute__((target("aes,sse4.1")))
#define AES_INLINE AES static inline __attribute__((always_inline))

bool
rt_arch_has_aeshash(void)
{
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
}

AES_INLINE __m128i
load16(const void *p)
{
	return _mm_loadu_si128(p);
}

static inline uint64_t
load8(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

static inline uint64_t
load4(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

// At most 16 bytes; their number is in the state already.
AES_INLINE __m128i
load_short(const unsigned char *p, size_t n)
{
	if (n == 16)
		return load16(p);
	if (n >= 8)
		return _mm_set_epi64x((long long)load8(p + n - 8), (long long)load8(p));
	if (n >= 4)
		return _mm_set_epi64x((long long)load4(p + n - 4), (long long)load4(p));
	if (n == 0)
		return _mm_setzero_si128();
	return _mm_cvtsi32_si128(p[0] | p[n / 2] << 8 | p[n - 1] << 16);
}

AES_INLINE __m128i
rounds(__m128i x, __m128i k)
{
	x = _mm_aesenc_si128(x, k);
	x = _mm_aesenc_si128(x, k);
	return _mm_aesenc_si128(x, k);
}

// More than 64 bytes: four lanes, the last 64 bytes once more at the end.
AES static __m128i
hash_long(const unsigned char *p, size_t n, __m128i s, const uint64_t key[8])
{
	__m128i a = s, b = _mm_xor_si128(s, load16(key + 2)), c = _mm_xor_si128(s, load16(key + 4)),
		d = _mm_xor_si128(s, load16(key + 6));
	const unsigned char *end = p + n - 64;
	for (; p < end; p += 64) {
		a = _mm_aesenc_si128(_mm_aesenc_si128(a, load16(p)), a);
		b = _mm_aesenc_si128(_mm_aesenc_si128(b, load16(p + 16)), b);
		c = _mm_aesenc_si128(_mm_aesenc_si128(c, load16(p + 32)), c);
		d = _mm_aesenc_si128(_mm_aesenc_si128(d, load16(p + 48)), d);
	}
	a = rounds(_mm_xor_si128(a, load16(end)), s);
	b = rounds(_mm_xor_si128(b, load16(end + 16)), s);
	c = rounds(_mm_xor_si128(c, load16(end + 32)), s);
	d = rounds(_mm_xor_si128(d, load16(end + 48)), s);
	return _mm_xor_si128(_mm_xor_si128(a, b), _mm_xor_si128(c, d));
}

AES static __m128i
hash_medium(const unsigned char *p, size_t n, __m128i s, const uint64_t key[8])
{
	__m128i k = load16(key + 2), t = _mm_xor_si128(s, load16(key + 4));
	__m128i a = rounds(_mm_xor_si128(load16(p), s), k);
	__m128i b = rounds(_mm_xor_si128(load16(p + n - 16), t), k);
	if (n <= 32)
		return _mm_xor_si128(a, b);
	__m128i u = _mm_xor_si128(s, load16(key + 6)), v = _mm_xor_si128(t, load16(key + 6));
	__m128i c = rounds(_mm_xor_si128(load16(p + 16), u), k);
	__m128i d = rounds(_mm_xor_si128(load16(p + n - 32), v), k);
	return _mm_xor_si128(_mm_xor_si128(a, b), _mm_xor_si128(c, d));
}

AES uint64_t
rt_arch_aeshash(const void *p, size_t n, uint64_t seed, const uint64_t key[8])
{
	__m128i s = _mm_set_epi64x((long long)n, (long long)seed);
	s = _mm_aesenc_si128(_mm_xor_si128(s, load16(key)), load16(key + 4));
	__m128i h;
	if (rt_likely(n <= 16))
		h = rounds(_mm_xor_si128(load_short(p, n), s), load16(key + 2));
	else if (n <= 64)
		h = hash_medium(p, n, s, key);
	else
		h = hash_long(p, n, s, key);
	return (uint64_t)_mm_cvtsi128_si64(h);
}
