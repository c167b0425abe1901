// SPDX-License-Identifier: BSD-3-Clause
// Slices: growth by append, and copy. Beside: peers/go/slices.
#include "bench.h"

enum { MILLION = 1000000 };

static gort_slice sink;

// One op appends 1e6 ints to a nil slice.
static void
append_1m(struct bench *b)
{
	bench_report_allocs(b);
	for (int64_t i = 0; i < b->n; i++) {
		gort_slice s = {0};
		for (int64_t j = 0; j < MILLION; j++)
			gort_append(int64_t, &s, j);
		sink = s;
	}
}

// Appends into spare capacity only.
static void
append_in_place_1m(struct bench *b)
{
	gort_slice s = gort_make_slice(int64_t, 0, MILLION);
	for (int64_t i = 0; i < b->n; i++) {
		s = gort_subslice(int64_t, s, 0, 0);
		for (int64_t j = 0; j < MILLION; j++)
			gort_append(int64_t, &s, j);
	}
	sink = s;
}

// The floor of AppendInPlace1M: the same stores by a plain loop, without a length, a capacity or a macro.
static void
store_1m(struct bench *b)
{
	int64_t *a = gort_make_slice(int64_t, MILLION, MILLION).array;
	for (int64_t i = 0; i < b->n; i++) {
		for (int64_t j = 0; j < MILLION; j++) {
			a[j] = j;
			__asm__ volatile(""); // one at a time, as appends are
		}
	}
	BENCH_USE(a);
}

static void
copy_64k(struct bench *b)
{
	gort_slice x = gort_make_slice(uint8_t, 65536, 65536),
		   y = gort_make_slice(uint8_t, 65536, 65536);
	bench_set_bytes(b, 65536);
	for (int64_t i = 0; i < b->n; i++)
		gort_copy(uint8_t, x, y);
}

static void
copy_8m(struct bench *b)
{
	gort_slice x = gort_make_slice(int64_t, MILLION, MILLION),
		   y = gort_make_slice(int64_t, MILLION, MILLION);
	bench_set_bytes(b, 8 * MILLION);
	for (int64_t i = 0; i < b->n; i++)
		gort_copy(int64_t, x, y);
}

static const bench_case cases[] = {
	{"Append1M", append_1m},
	{"AppendInPlace1M", append_in_place_1m},
	{"Store1M", store_1m},
	{"Copy64K", copy_64k},
	{"Copy8M", copy_8m},
};
BENCH_MAIN("slices", cases, NULL)
