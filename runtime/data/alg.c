// SPDX-License-Identifier: BSD-3-Clause
// Hash and equality by type; the hash of bytes for CPUs without AES. Go: runtime/alg.go.
#include "data/alg.h"

#include <gort/map.h>

#include <string.h>

#include "base/rand.h"
#include "data/iface.h"
#include "debug/throw.h"
#include "sched/tls.h"

uint64_t rt_hashkey[8];
bool rt_use_aeshash;

__attribute__((constructor)) static void
alginit(void)
{
	rt_random_bytes(rt_hashkey, sizeof(rt_hashkey));
	for (unsigned i = 0; i < rt_nelem(rt_hashkey); i++)
		rt_hashkey[i] |= 1; // odd: a multiplication loses nothing
	rt_use_aeshash = rt_arch_has_aeshash();
}

// ---- bytes ----

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

// Up to 16 bytes as two words; the ends overlap.
static inline void
load_short(const unsigned char *p, size_t n, uint64_t *a, uint64_t *b)
{
	*a = *b = 0;
	if (n >= 8) {
		*a = load8(p);
		*b = load8(p + n - 8);
	} else if (n >= 4) {
		*a = load4(p);
		*b = load4(p + n - 4);
	} else if (n > 0) {
		*a = (uint64_t)p[0] | (uint64_t)p[n / 2] << 8 | (uint64_t)p[n - 1] << 16;
	}
}

uint64_t
rt_mumhash(const void *bytes, size_t n, uint64_t seed)
{
	const unsigned char *p = bytes;
	const uint64_t *k = rt_hashkey;
	uint64_t a, b, h = rt_fold(seed ^ k[1], n ^ k[2]);
	for (size_t left = n; left > 16; left -= 16, p += 16)
		h = rt_fold(load8(p) ^ k[3] ^ h, load8(p + 8) ^ k[4]);
	if (n > 16) {
		p = (const unsigned char *)bytes + n - 16;
		n = 16;
	}
	load_short(p, n, &a, &b);
	h = rt_fold(a ^ k[5] ^ h, b ^ k[6]);
	return rt_fold(h, k[7]);
}

// ---- types ----

static uint64_t
random64(void)
{
	rt_enter();
	uint64_t r = rt_fastrand64();
	rt_leave();
	return r;
}

// A value of a floating type as a long double: exact, and one code for three sizes.
static long double
load_float(const void *p, size_t size)
{
	if (size == sizeof(float)) {
		float f;
		memcpy(&f, p, sizeof(f));
		return f;
	}
	if (size == sizeof(double)) {
		double d;
		memcpy(&d, p, sizeof(d));
		return d;
	}
	long double l;
	memcpy(&l, p, sizeof(l));
	return l;
}

// +0 and -0 are equal, so they hash alike; NaN is equal to nothing, so each one hashes at random and
// a thousand of them do not lie in one bucket.
static uint64_t
floathash(const void *p, size_t size, uint64_t seed)
{
	long double f = load_float(p, size);
	if (f != f)
		return rt_fold(random64() ^ seed, rt_hashkey[1]);
	if (f == 0)
		return rt_fold(seed, rt_hashkey[1]);
	return rt_memhash(p, size > 8 ? 10 : size, seed); // of an x87 number 10 bytes count
}

static bool
floatequal(const void *a, const void *b, size_t size)
{
	return load_float(a, size) == load_float(b, size);
}

static uint64_t
kindhash(int kind, const void *p, size_t size, uint64_t seed)
{
	switch (kind) {
	case GORT_KIND_FLOAT:
		return floathash(p, size, seed);
	case GORT_KIND_COMPLEX:
		seed = floathash(p, size / 2, seed);
		return floathash((const char *)p + size / 2, size / 2, seed);
	case GORT_KIND_STRING: {
		const gort_string *s = p;
		return rt_memhash(s->str, (size_t)s->len, seed);
	}
	case GORT_KIND_ANY:
		return rt_any_hash(*(const gort_any *)p, seed);
	default:
		return rt_memhash(p, size, seed);
	}
}

static bool
kindequal(int kind, const void *a, const void *b, size_t size)
{
	switch (kind) {
	case GORT_KIND_FLOAT:
		return floatequal(a, b, size);
	case GORT_KIND_COMPLEX:
		return floatequal(a, b, size / 2) &&
		       floatequal((const char *)a + size / 2, (const char *)b + size / 2, size / 2);
	case GORT_KIND_STRING:
		return gort_string_equal(*(const gort_string *)a, *(const gort_string *)b);
	case GORT_KIND_ANY:
		return rt_any_equal(*(const gort_any *)a, *(const gort_any *)b);
	default:
		return memcmp(a, b, size) == 0;
	}
}

// Kinds that bytes do not compare.
static bool
bykind(int kind)
{
	return kind == GORT_KIND_FLOAT || kind == GORT_KIND_COMPLEX || kind == GORT_KIND_STRING ||
	       kind == GORT_KIND_ANY;
}

// Bytes that are compared at a time: of a field that is an array its elements, where bytes would not do.
static size_t
stepof(const struct gort_key_field *f)
{
	return bykind(f->kind) ? f->elem : f->size;
}

static uint64_t
fieldhash(const struct gort_key_field *f, const char *p, uint64_t seed)
{
	for (size_t at = 0, step = stepof(f); at < f->size; at += step)
		seed = kindhash(f->kind, p + f->offset + at, step, seed);
	return seed;
}

static bool
fieldequal(const struct gort_key_field *f, const char *a, const char *b)
{
	for (size_t at = f->offset, step = stepof(f); at < f->offset + f->size; at += step)
		if (!kindequal(f->kind, a + at, b + at, step))
			return false;
	return true;
}

uint64_t
rt_type_hash(const gort_type *t, const void *p, uint64_t seed)
{
	if (!(t->flags & GORT_TYPE_KEY))
		return kindhash(t->kind, p, t->size, seed);
	for (uint32_t i = 0; i < t->nkeys; i++)
		seed = fieldhash(&t->keys[i], p, seed);
	return seed;
}

bool
rt_type_equal(const gort_type *t, const void *a, const void *b)
{
	if (!(t->flags & GORT_TYPE_KEY))
		return kindequal(t->kind, a, b, t->size);
	for (uint32_t i = 0; i < t->nkeys; i++)
		if (!fieldequal(&t->keys[i], a, b))
			return false;
	return true;
}

// Does the type, or one of its declared key fields, have one of these kinds?
static bool
haskind(const gort_type *t, uint32_t kinds)
{
	if (!(t->flags & GORT_TYPE_KEY))
		return kinds >> t->kind & 1;
	for (uint32_t i = 0; i < t->nkeys; i++)
		if (kinds >> t->keys[i].kind & 1)
			return true;
	return false;
}

#define BIT(kind) (1u << GORT_KIND_##kind)

bool
rt_type_hashable(const gort_type *t)
{
	return !haskind(t, BIT(SLICE));
}

bool
rt_type_reflexive(const gort_type *t)
{
	return !haskind(t, BIT(FLOAT) | BIT(COMPLEX) | BIT(ANY));
}

bool
rt_type_needkeyupdate(const gort_type *t)
{
	return haskind(t, BIT(FLOAT) | BIT(COMPLEX) | BIT(STRING) | BIT(ANY));
}

bool
rt_type_hashmightpanic(const gort_type *t)
{
	return haskind(t, BIT(ANY));
}
