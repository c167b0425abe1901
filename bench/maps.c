// SPDX-License-Identifier: BSD-3-Clause
// Maps. Keys are well mixed; the lookups go through them in a shuffled order. One op is one key.
// Beside: peers/go/maps.
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>

enum { K1 = 1000, M1 = 1000000, M10 = 10000000 };

// n keys with indices from base on, in a shuffled order; collected.
static uint64_t *
shuffled(int64_t n, uint64_t base)
{
	uint64_t *k = gort_new_array(uint64_t, n), x = 88172645463325252ull;
	for (int64_t i = 0; i < n; i++)
		k[i] = bench_mix(base + (uint64_t)i);
	for (int64_t i = n - 1; i > 0; i--) {
		uint64_t j = bench_xorshift(&x) % (uint64_t)(i + 1), t = k[i];
		k[i] = k[j];
		k[j] = t;
	}
	return k;
}

static gort_map *last; // made by filled

// A map grown to n keys; the last one made is kept, because a benchmark is called several times.
static gort_map *
filled(int64_t n)
{
	if (last && gort_map_len(last) == n)
		return last;
	last = NULL;
	gort_map *m = gort_make_map(uint64_t, uint64_t, 0);
	for (int64_t i = 0; i < n; i++) {
		uint64_t k = bench_mix((uint64_t)i);
		*gort_map_put(uint64_t, uint64_t, m, k) = k;
	}
	last = m;
	return m;
}

static void
insert(struct bench *b, int64_t n, ptrdiff_t hint)
{
	gort_map *m = NULL;
	for (int64_t i = 0, j = n; i < b->n; i++, j++) {
		if (j == n) {
			m = gort_make_map(uint64_t, uint64_t, hint);
			j = 0;
		}
		uint64_t k = bench_mix((uint64_t)j);
		*gort_map_put(uint64_t, uint64_t, m, k) = k;
	}
}

static void
insert_1k(struct bench *b)
{
	insert(b, K1, 0);
}

static void
insert_1m(struct bench *b)
{
	insert(b, M1, 0);
}

static void
insert_sized_1m(struct bench *b)
{
	insert(b, M1, M1);
}

static void
lookup(struct bench *b, int64_t n, uint64_t base)
{
	gort_map *m = filled(n);
	uint64_t *ks = shuffled(n, base), s = 0;
	bench_reset_timer(b);
	for (int64_t i = 0, j = 0; i < b->n; i++) {
		uint64_t *v = gort_map_get(uint64_t, uint64_t, m, ks[j]);
		if (v)
			s += *v;
		if (++j == n)
			j = 0;
	}
	BENCH_USE(s);
}

#define LOOKUP(name, n, base)                                                                      \
	static void name(struct bench *b)                                                          \
	{                                                                                          \
		lookup(b, n, base);                                                                \
	}
LOOKUP(hit_1k, K1, 0)
LOOKUP(hit_1m, M1, 0)
LOOKUP(hit_10m, M10, 0)
LOOKUP(miss_1k, K1, 1ull << 40)
LOOKUP(miss_1m, M1, 1ull << 40)
LOOKUP(miss_10m, M10, 1ull << 40)

// Delete a present key, insert it again: one op is such a pair.
static void
delete_insert_1m(struct bench *b)
{
	gort_map *m = filled(M1);
	uint64_t *ks = shuffled(M1, 0);
	bench_reset_timer(b);
	for (int64_t i = 0, j = 0; i < b->n; i++) {
		uint64_t k = ks[j];
		gort_map_delete(uint64_t, m, k);
		*gort_map_put(uint64_t, uint64_t, m, k) = k;
		if (++j == M1)
			j = 0;
	}
}

// One op is one visited entry.
static void
iterate_1m(struct bench *b)
{
	gort_map *m = filled(M1);
	bench_reset_timer(b);
	uint64_t s = 0;
	for (int64_t i = 0; i < b->n;) {
		gort_map_iter it = gort_map_iterate(m);
		for (; i < b->n && gort_map_next(&it); i++)
			s += *(uint64_t *)it.key ^ *(uint64_t *)it.value;
	}
	BENCH_USE(s);
}

static gort_map *last_str;
static gort_slice last_keys;

static gort_string
hex_key(uint64_t k)
{
	char buf[24];
	snprintf(buf, sizeof buf, "%016" PRIx64, k);
	return gort_string_from(buf);
}

static void
fill_str(int64_t n)
{
	last = NULL;
	gort_map *m = gort_make_map(gort_string, uint64_t, 0);
	for (int64_t i = 0; i < n; i++)
		*gort_map_put(gort_string, uint64_t, m, hex_key(bench_mix((uint64_t)i))) =
			(uint64_t)i;
	gort_slice ks = gort_make_slice(gort_string, 0, n);
	uint64_t *order = shuffled(n, 0);
	for (int64_t i = 0; i < n; i++)
		gort_append(gort_string, &ks, hex_key(order[i]));
	last_str = m;
	last_keys = ks;
}

// 16-byte string keys; the probe strings are copies, not the stored ones.
static void
string_lookup(struct bench *b, int64_t n)
{
	if (!last_str || gort_map_len(last_str) != n)
		fill_str(n);
	gort_map *m = last_str;
	const gort_string *ks = last_keys.array;
	bench_reset_timer(b);
	uint64_t s = 0;
	for (int64_t i = 0, j = 0; i < b->n; i++) {
		s += *gort_map_get(gort_string, uint64_t, m, ks[j]);
		if (++j == n)
			j = 0;
	}
	BENCH_USE(s);
}

static void
string_hit_1k(struct bench *b)
{
	string_lookup(b, K1);
}

static void
string_hit_1m(struct bench *b)
{
	string_lookup(b, M1);
}

static const bench_case cases[] = {
	{"MapInsert1K", insert_1k},
	{"MapInsert1M", insert_1m},
	{"MapInsertSized1M", insert_sized_1m},
	{"MapHit1K", hit_1k},
	{"MapHit1M", hit_1m},
	{"MapHit10M", hit_10m},
	{"MapMiss1K", miss_1k},
	{"MapMiss1M", miss_1m},
	{"MapMiss10M", miss_10m},
	{"MapDeleteInsert1M", delete_insert_1m},
	{"MapIterate1M", iterate_1m},
	{"MapStringHit1K", string_hit_1k},
	{"MapStringHit1M", string_hit_1m},
};
BENCH_MAIN("maps", cases, NULL)
