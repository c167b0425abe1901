// SPDX-License-Identifier: BSD-3-Clause
// The keyed hash of data/alg.h with the CPU's AES rounds, for any length: two or four lanes whose ends
// overlap instead of being padded, so nothing outside [p, p + n) is read.
#include "data/alg.h"

bool
rt_arch_has_aeshash(void)
{
	return __builtin_cpu_supports("aes");
}

// 17 to 64 bytes.
static __m128i
hash_medium(const unsigned char *p, size_t n, __m128i s, const uint64_t key[8])
{
	__m128i k = rt_aes_load(key + 2), t = _mm_xor_si128(s, rt_aes_load(key + 4));
	__m128i a = rt_aes_rounds(_mm_xor_si128(rt_aes_load(p), s), k);
	__m128i b = rt_aes_rounds(_mm_xor_si128(rt_aes_load(p + n - 16), t), k);
	if (n <= 32)
		return _mm_xor_si128(a, b);
	__m128i u = _mm_xor_si128(s, rt_aes_load(key + 6)),
		v = _mm_xor_si128(t, rt_aes_load(key + 6));
	__m128i c = rt_aes_rounds(_mm_xor_si128(rt_aes_load(p + 16), u), k);
	__m128i d = rt_aes_rounds(_mm_xor_si128(rt_aes_load(p + n - 32), v), k);
	return _mm_xor_si128(_mm_xor_si128(a, b), _mm_xor_si128(c, d));
}

// More than 64 bytes: the last 64 once more at the end.
static __m128i
hash_long(const unsigned char *p, size_t n, __m128i s, const uint64_t key[8])
{
	__m128i a = s, b = _mm_xor_si128(s, rt_aes_load(key + 2)),
		c = _mm_xor_si128(s, rt_aes_load(key + 4)),
		d = _mm_xor_si128(s, rt_aes_load(key + 6));
	const unsigned char *end = p + n - 64;
	for (; p < end; p += 64) {
		a = rt_aesenc(rt_aesenc(a, rt_aes_load(p)), s);
		b = rt_aesenc(rt_aesenc(b, rt_aes_load(p + 16)), s);
		c = rt_aesenc(rt_aesenc(c, rt_aes_load(p + 32)), s);
		d = rt_aesenc(rt_aesenc(d, rt_aes_load(p + 48)), s);
	}
	a = rt_aes_rounds(_mm_xor_si128(a, rt_aes_load(end)), s);
	b = rt_aes_rounds(_mm_xor_si128(b, rt_aes_load(end + 16)), s);
	c = rt_aes_rounds(_mm_xor_si128(c, rt_aes_load(end + 32)), s);
	d = rt_aes_rounds(_mm_xor_si128(d, rt_aes_load(end + 48)), s);
	return _mm_xor_si128(_mm_xor_si128(a, b), _mm_xor_si128(c, d));
}

uint64_t
rt_arch_aeshash(const void *p, size_t n, uint64_t seed, const uint64_t key[8])
{
	if (n <= 16)
		return rt_arch_aeshash16(p, n, seed, key);
	__m128i s = rt_aes_start(n, seed, key);
	__m128i h = n <= 64 ? hash_medium(p, n, s, key) : hash_long(p, n, s, key);
	return (uint64_t)_mm_cvtsi128_si64(h);
}
