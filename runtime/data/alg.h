// SPDX-License-Identifier: BSD-3-Clause
// Hash and equality of keys by type. Hashes are keyed: by 256 random bits of the process and by the
// seed that each map draws, so nobody outside can choose keys that collide.
//
// The bytes of a key go through AES rounds where the CPU has them (rt_arch_aeshash), else through
// folded 128-bit multiplications; which one is decided once, when the library is loaded. Keys of 4
// and 8 bytes take two folded multiplications everywhere (rt_hash64), which headers can inline.
#pragma once

#include <gort/map.h>
#include <gort/string.h>
#include <gort/type.h>

#include "aeshash_inline.h" // of the CPU: rt_arch_aeshash16
#include "base/base.h"

// Random, written once before main. Used by both functions.
extern uint64_t rt_hashkey[8];
extern bool rt_use_aeshash;

// runtime/arch/<cpu>/: whether this CPU can, and the function (called only if it can).
bool rt_arch_has_aeshash(void);
uint64_t rt_arch_aeshash(const void *p, size_t n, uint64_t seed, const uint64_t key[8]);

uint64_t rt_mumhash(const void *p, size_t n, uint64_t seed);

RT_INLINE uint64_t
rt_memhash(const void *p, size_t n, uint64_t seed)
{
	if (rt_likely(rt_use_aeshash))
		return n <= 16 ? rt_arch_aeshash16(p, n, seed, rt_hashkey)
			       : rt_arch_aeshash(p, n, seed, rt_hashkey);
	return rt_mumhash(p, n, seed);
}

// gort_string_equal without a call for the short ones.
RT_INLINE bool
rt_string_equal(gort_string a, gort_string b)
{
	uint64_t x, y, v, w;
	if (a.len != b.len)
		return false;
	if (a.len < 8 || a.len > 16)
		return gort_string_equal(a, b);
	memcpy(&x, a.str, 8);
	memcpy(&y, b.str, 8);
	memcpy(&v, a.str + a.len - 8, 8);
	memcpy(&w, b.str + a.len - 8, 8);
	return ((x ^ y) | (v ^ w)) == 0;
}

RT_INLINE uint64_t
rt_fold(uint64_t a, uint64_t b)
{
	return gort_map_fold_(a, b);
}

// The first multiplication, by a secret, is what nobody can aim at; the second spreads arithmetic
// progressions, which one leaves in clusters for some secrets (chi square of eight bits of 20000 keys
// over 400 in 44 of 2940 cases, in none with two).
RT_INLINE uint64_t
rt_hash64(uint64_t k, uint64_t seed)
{
	return gort_map_hash64_(k, seed, rt_hashkey[0]);
}

// May keys of this type be hashed at all? False for slices and what contains one by declaration.
bool rt_type_hashable(const gort_type *t);
// Is x == x for every x? Not for floats (NaN) and what contains one by declaration.
bool rt_type_reflexive(const gort_type *t);
// Can equal values differ in their bytes (+-0, strings at different addresses)?
bool rt_type_needkeyupdate(const gort_type *t);

// Can a value of the type hold something unhashable (any)?
bool rt_type_hashmightpanic(const gort_type *t);

// Neither parks; both panic as Go on an any that holds something unhashable.
uint64_t rt_type_hash(const gort_type *t, const void *p, uint64_t seed);
bool rt_type_equal(const gort_type *t, const void *a, const void *b);
