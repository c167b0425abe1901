// SPDX-License-Identifier: BSD-3-Clause
#include <gort/slice.h>

#include <stdint.h>

#include "on_gort.h"

TestSuite(slice, .timeout = 60);

struct nothing {
};
struct bytes24 {
	unsigned char b[24];
};
struct pair {
	void *p;
	long n;
};

// The capacities that appending one at a time goes through.
#define CAPS(T, zero, ...)                                                                         \
	do {                                                                                       \
		static const ptrdiff_t want[] = {__VA_ARGS__};                                     \
		gort_slice s = {0};                                                                \
		ptrdiff_t seen = 0;                                                                \
		for (size_t i = 0; i < sizeof(want) / sizeof(*want);) {                            \
			gort_append(T, &s, zero);                                                  \
			if (s.cap == seen)                                                         \
				continue;                                                          \
			CHECK_EQ(s.cap, want[i]);                                                  \
			seen = s.cap;                                                              \
			i++;                                                                       \
		}                                                                                  \
	} while (0)

// Expected: measured with Go, formats of growslice.
GORT_TEST(slice, capacities_are_gos)
{
	CAPS(char, 'x', 8, 16, 32, 64, 128, 256, 512, 896, 1408, 2048, 3072, 4096, 5376, 6912, 9472,
	     12288, 16384, 21760, 28672, 40960);
	CAPS(int64_t, 1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 848, 1280, 1792, 2560, 3408, 5120,
	     7168, 9216, 12288, 16384, 21504);
	CAPS(struct bytes24, (struct bytes24){{0}}, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 853, 1365,
	     2048, 3072);
}

GORT_TEST(slice, append_many_rounds_up_to_a_size_class)
{
	gort_slice b = {0};
	gort_append(char, &b, 1, 2, 3, 4, 5);
	CHECK_EQ(b.cap, 8);
	gort_slice s = gort_make_slice(int64_t, 4, 4), more = gort_make_slice(int64_t, 7, 7);
	gort_append_slice(int64_t, &s, more);
	CHECK_EQ(s.cap, 12);
	s = gort_make_slice(int64_t, 256, 256);
	gort_append(int64_t, &s, 1);
	CHECK_EQ(s.cap, 512);
	s = gort_make_slice(int64_t, 300, 300);
	gort_append(int64_t, &s, 1);
	CHECK_EQ(s.cap, 608);
}

GORT_TEST(slice, append_keeps_elements_and_zeroes_the_rest)
{
	gort_slice s = {0};
	for (long i = 0; i < 100000; i++)
		gort_append(long, &s, i * 3);
	CHECK_EQ(s.len, 100000);
	for (long i = 0; i < s.len; i++)
		CHECK_EQ(*gort_at(long, s, i), i * 3);
	s = gort_subslice(long, s, 0, s.cap);
	for (long i = 100000; i < s.len; i++)
		CHECK_EQ(*gort_at(long, s, i), 0);
}

// Memory of the size classes that growing arrays get, full of what nobody should see again.
static void
leave_old_bytes(void)
{
	for (size_t n = 64; n < (size_t)16 << 20; n += n / 4)
		for (int i = 0; i < 3; i++)
			memset(gort_new_bytes(n), 0xff, n);
	gort_gc();
}

// Only what an append does not write of a new array is cleared.
GORT_TEST(slice, growth_on_used_memory_shows_no_old_bytes)
{
	leave_old_bytes();
	gort_slice s = {0};
	for (long i = 0; i < 1500000; i++) {
		ptrdiff_t had = s.cap;
		gort_append(uint64_t, &s, (uint64_t)i);
		if (s.cap == had)
			continue;
		const uint64_t *a = s.array;
		for (ptrdiff_t k = 0; k < s.cap; k++)
			CHECK_EQ(a[k], (uint64_t)(k <= i ? k : 0));
	}
}

GORT_TEST(slice, append_of_structs_and_pointers)
{
	gort_slice s = {0}, t = {0};
	static int x[1000];
	for (int i = 0; i < 1000; i++) {
		gort_append(struct pair, &s, (struct pair){&x[i], i});
		gort_append(int *, &t, &x[i], NULL);
	}
	for (int i = 0; i < 1000; i++) {
		CHECK(gort_at(struct pair, s, i)->p == &x[i] && gort_at(struct pair, s, i)->n == i);
		CHECK(*gort_at(int *, t, 2 * i) == &x[i] && *gort_at(int *, t, 2 * i + 1) == NULL);
	}
}

GORT_TEST(slice, append_in_place_is_seen_through_the_shared_array)
{
	gort_slice a = gort_make_slice(int, 2, 10), b = a;
	gort_append(int, &a, 7);
	gort_append(int, &b, 9);
	CHECK(a.array == b.array);
	CHECK_EQ(*gort_at(int, a, 2), 9);
}

GORT_TEST(slice, append_of_itself)
{
	gort_slice s = {0};
	for (int i = 0; i < 5; i++)
		gort_append(int, &s, i);
	gort_append_slice(int, &s, s);
	gort_append_slice(int, &s, gort_subslice(int, s, 2, 7));
	static const int want[] = {0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 2, 3, 4, 0, 1};
	CHECK_EQ(s.len, 15);
	for (int i = 0; i < 15; i++)
		CHECK_EQ(*gort_at(int, s, i), want[i]);
}

static int calls;

static int
count(int v)
{
	calls++;
	return v;
}

static gort_slice *
counted(gort_slice *s)
{
	calls += 100;
	return s;
}

GORT_TEST(slice, arguments_are_evaluated_once)
{
	gort_slice s = {0};
	gort_append(int, counted(&s), count(3), count(4));
	CHECK_EQ(calls, 102);
	CHECK_EQ(*gort_at(int, *counted(&s), count(1)), 4);
	CHECK_EQ(calls, 203);
	CHECK_EQ(gort_subslice(int, *counted(&s), count(1), count(2)).len, 1);
	CHECK_EQ(calls, 305);
	CHECK_EQ(gort_make_slice(int, count(2), count(5)).cap, 5);
	CHECK_EQ(calls, 307);
}

// The value is there before the place is looked at, as in Go.
static int
grow(gort_slice *s)
{
	gort_append(int, s, 1);
	return 2;
}

GORT_TEST(slice, values_come_before_places)
{
	gort_slice s = {0};
	gort_append(int, &s, grow(&s));
	CHECK_EQ(s.len, 2);
	CHECK_EQ(*gort_at(int, s, 0), 1);
	CHECK_EQ(*gort_at(int, s, 1), 2);
}

GORT_TEST(slice, subslices_share_and_limit)
{
	gort_slice s = gort_make_slice(int, 5, 10);
	gort_slice u = gort_subslice(int, s, 1, 3);
	CHECK_EQ(u.len, 2);
	CHECK_EQ(u.cap, 9);
	*gort_at(int, u, 0) = 42;
	CHECK_EQ(*gort_at(int, s, 1), 42);
	u = gort_subslice3(int, s, 1, 3, 4);
	CHECK_EQ(u.cap, 3);
	u = gort_subslice(int, s, 2, 10); // up to the capacity
	CHECK_EQ(u.len, 8);
	u = gort_subslice(int, s, 10, 10);
	CHECK_EQ(u.len, 0);
	CHECK_EQ(u.cap, 0);
	gort_slice nil = {0};
	CHECK(gort_subslice(int, nil, 0, 0).array == NULL);
}

GORT_TEST(slice, copy_takes_the_shorter_and_may_overlap)
{
	gort_slice s = gort_make_slice(int, 0, 8), d = gort_make_slice(int, 3, 3);
	gort_append(int, &s, 1, 2, 3, 4, 5);
	CHECK_EQ(gort_copy(int, d, s), 3);
	CHECK_EQ(*gort_at(int, d, 2), 3);
	CHECK_EQ(gort_copy(int, gort_subslice(int, s, 1, 5), s), 4);
	static const int want[] = {1, 1, 2, 3, 4};
	for (int i = 0; i < 5; i++)
		CHECK_EQ(*gort_at(int, s, i), want[i]);
	CHECK_EQ(gort_copy(int, d, (gort_slice){0}), 0);
}

GORT_TEST(slice, of_an_array)
{
	int a[4] = {1, 2, 3, 4};
	gort_slice s = gort_slice_of(int, a, 4);
	*gort_at(int, s, 3) = 9;
	CHECK_EQ(a[3], 9);
	CHECK_EQ(s.cap, 4);
}

static volatile ptrdiff_t five = 5, minus = -1, three = 3;

#define BOUNDS(name, text, expr)                                                                   \
	GORT_DEATH_TEST(slice, name, "panic: runtime error: " text)                                \
	{                                                                                          \
		gort_slice s = gort_make_slice(int, three, 4);                                     \
		(void)s;                                                                           \
		expr;                                                                              \
	}
BOUNDS(index, "index out of range [5] with length 3", *gort_at(int, s, five) = 1)
BOUNDS(index_negative, "index out of range [-1]", *gort_at(int, s, minus) = 1)
BOUNDS(hi, "slice bounds out of range [:5] with capacity 4", gort_subslice(int, s, 0, five))
BOUNDS(hi_negative, "slice bounds out of range [:-1]", gort_subslice(int, s, 0, minus))
BOUNDS(lo, "slice bounds out of range [3:2]", gort_subslice(int, s, three, 2))
BOUNDS(lo_negative, "slice bounds out of range [-1:]", gort_subslice(int, s, minus, 2))
BOUNDS(max3, "slice bounds out of range [::5] with capacity 4", gort_subslice3(int, s, 0, 1, five))
BOUNDS(max3_negative, "slice bounds out of range [::-1]", gort_subslice3(int, s, 0, 1, minus))
BOUNDS(hi3, "slice bounds out of range [:3:2]", gort_subslice3(int, s, 0, three, 2))
BOUNDS(hi3_negative, "slice bounds out of range [:-1:]", gort_subslice3(int, s, 0, minus, 2))
BOUNDS(lo3, "slice bounds out of range [3:2:]", gort_subslice3(int, s, three, 2, 4))
BOUNDS(lo3_negative, "slice bounds out of range [-1::]", gort_subslice3(int, s, minus, 2, 4))
BOUNDS(make_len, "makeslice: len out of range", gort_make_slice(int, minus, 4))
BOUNDS(make_len_huge, "makeslice: len out of range", gort_make_slice(int, PTRDIFF_MAX - five, PTRDIFF_MAX))
BOUNDS(make_cap, "makeslice: cap out of range", gort_make_slice(int, five, 4))
BOUNDS(make_cap_huge, "makeslice: cap out of range", gort_make_slice(int, five, PTRDIFF_MAX))
BOUNDS(make_cap_negative, "makeslice: cap out of range", gort_make_slice(int, 0, minus))
BOUNDS(append_slice_overflow, "growslice: len out of range",
       gort_append_slice(int, &s, ((gort_slice){s.array, PTRDIFF_MAX, PTRDIFF_MAX})))
BOUNDS(append_slice_huge, "growslice: len out of range",
       gort_append_slice(int, &s, ((gort_slice){s.array, PTRDIFF_MAX / 2, PTRDIFF_MAX / 2})))
BOUNDS(append_pointers_huge, "growslice: len out of range",
       s = ((gort_slice){s.array, PTRDIFF_MAX / 8, PTRDIFF_MAX / 8});
       gort_append(void *, &s, NULL))
BOUNDS(append_nothings_overflow, "growslice: len out of range",
       s = ((gort_slice){s.array, PTRDIFF_MAX, PTRDIFF_MAX});
       gort_append(struct nothing, &s, {}))
BOUNDS(grow_huge, "growslice: len out of range",
       s = ((gort_slice){s.array, PTRDIFF_MAX / 4, PTRDIFF_MAX / 4});
       gort_append(int, &s, 1))
BOUNDS(grow_overflow, "growslice: len out of range",
       s = ((gort_slice){s.array, PTRDIFF_MAX, PTRDIFF_MAX});
       gort_append(char, &s, 1))
