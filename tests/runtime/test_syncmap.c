// SPDX-License-Identifier: BSD-3-Clause
#include <gort/iface.h>
#include <gort/slice.h>
#include <gort/mem.h>
#include <gort/string.h>
#include <gort/sync.h>

#include <math.h>
#include <stdint.h>

#include "base/rand.h"
#include "on_gort.h"

TestSuite(syncmap, .timeout = 60);

static gort_sync_map m;

static gort_any
num(int64_t k)
{
	return gort_box(int64_t, k);
}

static int64_t
value_of(gort_any a)
{
	return gort_unbox(int64_t, a);
}

static bool
is_nil(gort_any a)
{
	return a.type == NULL && a.value == NULL;
}

GORT_TEST(syncmap, every_operation_on_an_empty_map)
{
	gort_any v = num(1);
	CHECK(!gort_sync_map_load(&m, num(1), &v) && is_nil(v));
	v = num(1);
	CHECK(!gort_sync_map_load_and_delete(&m, num(1), &v) && is_nil(v));
	gort_sync_map_delete(&m, num(1));
	CHECK(!gort_sync_map_compare_and_swap(&m, num(1), num(1), num(2)));
	CHECK(!gort_sync_map_compare_and_delete(&m, num(1), num(1)));
	gort_sync_map_clear(&m);
	v = num(1);
	CHECK(!gort_sync_map_swap(&m, num(1), num(5), &v) && is_nil(v));
	CHECK(gort_sync_map_load_or_store(&m, num(1), num(6), &v) && value_of(v) == 5);
	CHECK(!gort_sync_map_load_or_store(&m, num(2), num(6), &v) && value_of(v) == 6);
	gort_sync_map_store(&m, num(3), num(7));
	CHECK(gort_sync_map_load(&m, num(3), NULL));
}

GORT_TEST(syncmap, nil_is_a_key_and_a_value)
{
	gort_any v = num(1), nil = {0};
	CHECK(!gort_sync_map_load(&m, nil, NULL));
	gort_sync_map_store(&m, nil, nil);
	CHECK(gort_sync_map_load(&m, nil, &v) && is_nil(v));
	CHECK(gort_sync_map_compare_and_swap(&m, nil, nil, num(4)));
	CHECK(gort_sync_map_swap(&m, nil, nil, &v) && value_of(v) == 4);
	CHECK(gort_sync_map_compare_and_delete(&m, nil, nil));
	CHECK(!gort_sync_map_load(&m, nil, NULL));
}

struct wide {
	int64_t a, b, c;
};

GORT_TEST(syncmap, keys_of_all_types_are_told_apart_and_equal_by_content)
{
	gort_any v;
	char text[] = "one and twenty bytes.";
	gort_sync_map_store(&m, gort_box(int32_t, 1), num(1));
	gort_sync_map_store(&m, gort_box(int64_t, 1), num(2));
	gort_sync_map_store(&m, gort_box(double, 1), num(3));
	gort_sync_map_store(&m, gort_box(gort_string, gort_str("one and twenty bytes.")), num(4));
	gort_sync_map_store(&m, gort_box(struct wide, ((struct wide){1, 2, 3})), num(5));
	CHECK(gort_sync_map_load(&m, gort_box(int32_t, 1), &v) && value_of(v) == 1);
	CHECK(gort_sync_map_load(&m, gort_box(int64_t, 1), &v) && value_of(v) == 2);
	CHECK(gort_sync_map_load(&m, gort_box(double, 1), &v) && value_of(v) == 3);
	CHECK(gort_sync_map_load(&m, gort_box(gort_string, gort_string_from(text)), &v) &&
	      value_of(v) == 4);
	CHECK(gort_sync_map_load(&m, gort_box(struct wide, ((struct wide){1, 2, 3})), &v) &&
	      value_of(v) == 5);
	CHECK(!gort_sync_map_load(&m, gort_box(struct wide, ((struct wide){1, 2, 4})), &v));
	// NaN is no key's equal: each store adds one that nobody finds.
	gort_sync_map_store(&m, gort_box(double, NAN), num(6));
	gort_sync_map_store(&m, gort_box(double, NAN), num(7));
	CHECK(!gort_sync_map_load(&m, gort_box(double, NAN), NULL));
	gort_sync_map_store(&m, gort_box(double, 0.0), num(8));
	CHECK(gort_sync_map_load(&m, gort_box(double, -0.0), &v) && value_of(v) == 8);
}

static int visited;
static int64_t sum;

static bool
visit(gort_any key, gort_any value, void *arg)
{
	visited++;
	sum += value_of(key) * 1000 + value_of(value);
	return visited != (int)(intptr_t)arg;
}

GORT_TEST(syncmap, range_visits_each_once_until_told_to_stop)
{
	int64_t want = 0;
	for (int64_t i = 0; i < 1000; i++) {
		gort_sync_map_store(&m, num(i), num(i + 1));
		want += i * 1000 + i + 1;
	}
	gort_sync_map_range(&m, visit, NULL);
	CHECK_EQ(visited, 1000);
	CHECK_EQ(sum, want);
	visited = 0;
	gort_sync_map_range(&m, visit, (void *)10);
	CHECK_EQ(visited, 10);
	for (int64_t i = 0; i < 1000; i++)
		if (i % 2)
			gort_sync_map_delete(&m, num(i));
	visited = 0;
	gort_sync_map_range(&m, visit, NULL);
	CHECK_EQ(visited, 500);
}

static bool
delete_and_add(gort_any key, gort_any value, void *arg)
{
	gort_sync_map_delete(&m, key);
	gort_sync_map_store(&m, num(value_of(key) + 1000), value);
	return true;
}

// Go: sync/map_test.go TestMapRangeNestedCall.
GORT_TEST(syncmap, range_may_change_the_map)
{
	for (int64_t i = 0; i < 100; i++)
		gort_sync_map_store(&m, num(i), num(i));
	gort_sync_map_range(&m, delete_and_add, NULL);
	for (int64_t i = 0; i < 100; i++) {
		CHECK(!gort_sync_map_load(&m, num(i), NULL));
		CHECK(gort_sync_map_load(&m, num(i + 1000), NULL));
	}
	gort_sync_map_clear(&m);
	gort_sync_map_range(&m, visit, NULL);
	CHECK_EQ(visited, 0);
}

// ---- against a plain array ----

enum { KEYS = 200 };
static int64_t model[KEYS]; // -1: absent

static void
check_value(bool there, gort_any got, int64_t want)
{
	CHECK_EQ(there, want >= 0);
	if (want >= 0)
		CHECK_EQ(value_of(got), want);
	else
		CHECK(is_nil(got));
}

static void
random_operation(uint64_t r, uint64_t nkeys)
{
	int64_t k = (int64_t)((r >> 8) % nkeys), v = (int64_t)(r >> 40) & 3, was = model[k];
	int64_t w = (int64_t)(r >> 44) & 3;
	gort_any got = num(99);
	switch (r % 16) {
	case 0:
		gort_sync_map_store(&m, num(k), num(v));
		model[k] = v;
		break;
	case 1: {
		bool loaded = gort_sync_map_load_or_store(&m, num(k), num(v), &got);
		CHECK_EQ(loaded, was >= 0);
		if (was < 0)
			model[k] = v;
		CHECK_EQ(value_of(got), model[k]);
		break;
	}
	case 2:
	case 3:
		check_value(gort_sync_map_load_and_delete(&m, num(k), &got), got, was);
		model[k] = -1;
		break;
	case 4:
		check_value(gort_sync_map_swap(&m, num(k), num(v), &got), got, was);
		model[k] = v;
		break;
	case 5:
		CHECK_EQ(gort_sync_map_compare_and_swap(&m, num(k), num(v), num(w)), was == v);
		if (was == v)
			model[k] = w;
		break;
	case 6:
		CHECK_EQ(gort_sync_map_compare_and_delete(&m, num(k), num(v)), was == v);
		if (was == v)
			model[k] = -1;
		break;
	case 7:
		if ((r >> 20) % 5000 == 0) {
			gort_sync_map_clear(&m);
			memset(model, -1, sizeof(model));
			break;
		}
		// fallthrough
	default:
		check_value(gort_sync_map_load(&m, num(k), &got), got, was);
	}
}

static bool
compare(gort_any key, gort_any value, void *arg)
{
	CHECK_EQ(model[value_of(key)], value_of(value));
	++*(int *)arg;
	return true;
}

GORT_TEST(syncmap, two_million_random_operations_do_what_an_array_does)
{
	uint64_t state = 20240607;
	memset(model, -1, sizeof(model));
	for (int i = 0; i < 2000000; i++) {
		// Phases of few and of many keys: tables grow, deleted keys are left out.
		random_operation(rt_rand_next(&state), i / 50000 % 2 ? KEYS : 5);
		if (i % 10000 == 0) {
			int seen = 0, there = 0;
			gort_sync_map_range(&m, compare, &seen);
			for (int k = 0; k < KEYS; k++)
				there += model[k] >= 0;
			CHECK_EQ(seen, there);
		}
	}
}

// Keys that never come back must not stay for ever.
GORT_TEST(syncmap, deleted_keys_are_forgotten)
{
	for (int64_t i = 0; i < 1000000; i++) {
		gort_sync_map_store(&m, num(i), num(i));
		CHECK(gort_sync_map_load(&m, num(i), NULL));
		gort_sync_map_delete(&m, num(i));
	}
	gort_gc();
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	CHECK(s.heap_objects < 2000);
	CHECK(s.heap_alloc < 1 << 20);
}

// ---- collector ----

struct item {
	int64_t check;
	int64_t fill[5];
};

static void
store_items(int64_t id, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		struct item *x = gort_new(struct item);
		x->check = id * 1000 + i % 50;
		gort_sync_map_store(&m, gort_box(struct wide, ((struct wide){id, i % 50, 0})),
				    gort_box(struct item *, x));
	}
}

static void
use_items(int64_t id, gort_waitgroup *wg)
{
	for (int round = 0; round < 200; round++) {
		store_items(id, 100);
		for (int64_t i = 0; i < 50; i++) {
			gort_any v, k = gort_box(struct wide, ((struct wide){id, i, 0}));
			CHECK(gort_sync_map_load(&m, k, &v));
			CHECK_EQ(gort_unbox(struct item *, v)->check, id * 1000 + i);
			if (i % 7 == round % 7)
				gort_sync_map_delete(&m, k);
		}
		if (id == 0 && round % 50 == 25)
			gort_gc(); // beside those that the allocations begin, of which there may be few
	}
	gort_waitgroup_done(wg);
}

GORT_TEST(syncmap, keys_and_values_live_as_long_as_they_are_in_it)
{
	gort_waitgroup wg = {0};
	gort_maxprocs(4);
	gort_set_gc_percent(10);
	gort_waitgroup_add(&wg, 4);
	for (int64_t id = 0; id < 4; id++)
		gort_go(use_items, id, &wg);
	for (int i = 0; i < 3; i++)
		gort_gc(); // beside them, however few the allocations start by themselves
	gort_waitgroup_wait(&wg);
}

// ---- failure ----

GORT_DEATH_TEST(syncmap, unhashable_key, "panic: runtime error: hash of unhashable type gort_slice")
{
	gort_sync_map_store(&m, gort_box(gort_slice, (gort_slice){0}), num(1));
}

GORT_DEATH_TEST(syncmap, uncomparable_value,
		"panic: runtime error: comparing uncomparable type gort_slice")
{
	gort_any s = gort_box(gort_slice, (gort_slice){0});
	gort_sync_map_store(&m, num(1), s);
	gort_sync_map_compare_and_swap(&m, num(1), s, num(2));
}
