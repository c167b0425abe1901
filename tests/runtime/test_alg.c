// SPDX-License-Identifier: BSD-3-Clause
#include "data/alg.h"

#include <string.h>

#include "base/rand.h"
#include "on_gort.h"

TestSuite(alg, .timeout = 60);

typedef uint64_t hash_fn(const void *p, size_t n, uint64_t seed);

static uint64_t
aes(const void *p, size_t n, uint64_t seed)
{
	return rt_arch_aeshash(p, n, seed, rt_hashkey);
}

static int
functions(hash_fn **f)
{
	int n = 0;
	f[n++] = rt_mumhash;
	if (rt_arch_has_aeshash())
		f[n++] = aes;
	return n;
}

// The bytes before and after must not matter: at every alignment the same hash.
Test(alg, hash_depends_on_the_bytes_alone)
{
	hash_fn *f[2];
	unsigned char a[400], b[400];
	for (int k = functions(f); k-- > 0;) {
		for (size_t n = 0; n <= 300; n++) {
			memset(a, 0x11, sizeof(a));
			memset(b, 0xee, sizeof(b));
			for (size_t i = 0; i < n; i++)
				a[i] = b[n % 16 + i] = (unsigned char)(i * 7);
			cr_assert_eq(f[k](a, n, 5), f[k](b + n % 16, n, 5), "length %zu", n);
		}
	}
}

// Flipping any bit of the input or of the seed, or taking a byte less, changes about half the bits.
Test(alg, every_bit_counts)
{
	hash_fn *f[2];
	unsigned char a[200];
	for (int k = functions(f); k-- > 0;) {
		for (size_t n = 1; n <= 200; n++) {
			uint64_t state = n;
			for (size_t i = 0; i < n; i++)
				a[i] = (unsigned char)rt_rand_next(&state);
			uint64_t h = f[k](a, n, 1);
			long changed = 0;
			for (size_t bit = 0; bit < 8 * n; bit++) {
				a[bit / 8] ^= (unsigned char)(1 << bit % 8);
				uint64_t g = f[k](a, n, 1);
				a[bit / 8] ^= (unsigned char)(1 << bit % 8);
				cr_assert_neq(h, g, "length %zu bit %zu", n, bit);
				changed += __builtin_popcountl(h ^ g);
			}
			long share = changed * 100 / (long)(8 * n) / 64;
			cr_assert(share > 40 && share < 60, "length %zu: %ld %%", n, share);
			cr_assert_neq(h, f[k](a, n - 1, 1));
			cr_assert_neq(h, f[k](a, n, 2));
		}
	}
}

// Keys that differ little must fall evenly into 256 classes by any eight bits the tables use.
static void
check_even(const unsigned counts[256], unsigned keys, const char *what, int shift)
{
	double expect = keys / 256.0, chi = 0;
	for (int i = 0; i < 256; i++)
		chi += (counts[i] - expect) * (counts[i] - expect) / expect;
	// 255 degrees of freedom: above 400 once in 1e8.
	cr_assert(chi < 400, "%s, bits from %d: chi square %.0f", what, shift, chi);
}

Test(alg, similar_keys_spread_evenly)
{
	static const int shifts[] = {0, 7, 14, 24, 40, 56};
	uint64_t state = 3;
	for (unsigned s = 0; s < rt_nelem(shifts); s++) {
		for (int step = 0; step < 56; step++) {
			unsigned direct[256] = {0}, text[256] = {0};
			uint64_t seed = rt_rand_next(&state);
			for (uint64_t i = 0; i < 20000; i++) {
				char buf[32];
				int n = snprintf(buf, sizeof(buf), "key%lu", i << step % 40);
				uint64_t k = i << step; // wraps for the last ones: fewer keys
				direct[rt_hash64(k, seed) >> shifts[s] & 255] += k >> step == i;
				text[rt_memhash(buf, (size_t)n, seed) >> shifts[s] & 255]++;
			}
			if (step <= 48)
				check_even(direct, 20000, "integers", shifts[s]);
			check_even(text, 20000, "strings", shifts[s]);
		}
	}
}
