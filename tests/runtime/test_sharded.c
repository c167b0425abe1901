// SPDX-License-Identifier: BSD-3-Clause
#include <gort.h>

#include "base/rand.h"
#include "on_gort.h"

TestSuite(sharded, .timeout = 60);

struct big {
	uint64_t id[40];
};

#define KEYS 2000

static void
check_against_array(gort_sharded_map *m)
{
	static int want[KEYS];
	static bool present[KEYS];
	uint64_t state = 7;
	ptrdiff_t n = 0;
	memset(present, 0, sizeof(present));
	for (int step = 0; step < 200000; step++) {
		int k = (int)(rt_rand_next(&state) % KEYS), v = -1;
		switch (rt_rand_next(&state) % 4) {
		case 0:
			gort_sharded_map_store(int, int, m, k, step);
			n += !present[k];
			present[k] = true;
			want[k] = step;
			break;
		case 1:
			CHECK_EQ(gort_sharded_map_delete(int, m, k), present[k]);
			n -= present[k];
			present[k] = false;
			break;
		default:
			CHECK_EQ(gort_sharded_map_load(int, int, m, k, &v), present[k]);
			CHECK_EQ(v, present[k] ? want[k] : -1);
		}
		if (step % 1000 == 0)
			CHECK_EQ(gort_sharded_map_len(m), n);
	}
}

GORT_TEST(sharded, behaves_as_a_map_whatever_the_number_of_shards)
{
	ptrdiff_t shards[] = {1, 2, 3, 64, 1000, 0, -5};
	for (size_t i = 0; i < sizeof(shards) / sizeof(shards[0]); i++)
		check_against_array(gort_make_sharded_map(int, int, shards[i]));
}

GORT_TEST(sharded, keys_and_values_of_other_kinds)
{
	gort_sharded_map *s = gort_make_sharded_map(gort_string, gort_string, 4);
	gort_sharded_map_store(gort_string, gort_string, s, gort_str("k"), gort_str("v"));
	gort_string v;
	CHECK(gort_sharded_map_load(gort_string, gort_string, s, gort_string_from("k"), &v));
	CHECK(gort_string_equal(v, gort_str("v")));
	gort_sharded_map *b = gort_make_sharded_map(struct big, struct big, 4);
	struct big k = {{0}}, w;
	for (uint64_t i = 0; i < 100; i++) {
		k.id[39] = i;
		gort_sharded_map_store(struct big, struct big, b, k, k);
	}
	k.id[39] = 77;
	CHECK(gort_sharded_map_load(struct big, struct big, b, k, &w) && w.id[39] == 77);
	gort_sharded_map *a = gort_make_sharded_map(gort_any, int, 4);
	gort_sharded_map_store(gort_any, int, a, gort_box(int, 1), 10);
	gort_sharded_map_store(gort_any, int, a, gort_box(long, 1), 11);
	int got = 0;
	CHECK(gort_sharded_map_load(gort_any, int, a, gort_box(long, 1), &got) && got == 11);
}

static void
increment(void *value, bool present, void *arg)
{
	int *v = value;
	CHECK(present || *v == 0);
	*v += *(int *)arg;
}

static void
add_often(gort_sharded_map *m, gort_waitgroup *wg, int by)
{
	for (int i = 0; i < 20000; i++)
		gort_sharded_map_update(int, int, m, i % 100, increment, &by);
	gort_waitgroup_done(wg);
}

GORT_TEST(sharded, updates_of_many_goroutines_add_up)
{
	gort_sharded_map *m = gort_make_sharded_map(int, int, 8);
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, 8);
	for (int i = 0; i < 8; i++)
		gort_go(add_often, m, &wg, i);
	gort_waitgroup_wait(&wg);
	for (int k = 0, v; k < 100; k++) {
		CHECK(gort_sharded_map_load(int, int, m, k, &v));
		CHECK_EQ(v, 200 * (0 + 1 + 2 + 3 + 4 + 5 + 6 + 7));
	}
}

struct seen {
	gort_sharded_map *m;
	int n, sum, stop;
};

static bool
visit(const void *key, void *value, void *arg)
{
	struct seen *s = arg;
	CHECK_EQ(*(const int *)key * 2, *(int *)value);
	s->sum += *(const int *)key;
	// No lock is held.
	CHECK(gort_sharded_map_delete(int, s->m, *(const int *)key));
	return ++s->n != s->stop;
}

GORT_TEST(sharded, range_visits_each_entry_once_and_may_change_the_map)
{
	gort_sharded_map *m = gort_make_sharded_map(int, int, 7);
	struct seen s = {m, 0, 0, -1};
	for (int i = 0; i < 1000; i++)
		gort_sharded_map_store(int, int, m, i, 2 * i);
	gort_sharded_map_range(m, visit, &s);
	CHECK_EQ(s.n, 1000);
	CHECK_EQ(s.sum, 999 * 1000 / 2);
	CHECK_EQ(gort_sharded_map_len(m), 0);
	for (int i = 0; i < 1000; i++)
		gort_sharded_map_store(int, int, m, i, 2 * i);
	s = (struct seen){m, 0, 0, 10};
	gort_sharded_map_range(m, visit, &s);
	CHECK_EQ(s.n, 10);
	CHECK_EQ(gort_sharded_map_len(m), 990);
	gort_sharded_map_clear(m);
	CHECK_EQ(gort_sharded_map_len(m), 0);
}

GORT_TEST(sharded, values_survive_collections)
{
	gort_sharded_map *m = gort_make_sharded_map(int, int *, 16);
	gort_set_gc_percent(1);
	for (int i = 0; i < 50000; i++) {
		int *p = gort_new(int), *q = NULL;
		*p = i;
		gort_sharded_map_store(int, int *, m, i % 1000, p);
		if (gort_sharded_map_load(int, int *, m, i * 7 % 1000, &q))
			CHECK_EQ(*q % 1000, i * 7 % 1000);
	}
}

GORT_TEST(sharded, null_is_empty)
{
	int v = 5;
	CHECK(!gort_sharded_map_load(int, int, NULL, 1, &v) && v == 5);
	CHECK(!gort_sharded_map_delete(int, NULL, 1));
	CHECK_EQ(gort_sharded_map_len(NULL), 0);
	gort_sharded_map_clear(NULL);
}

GORT_DEATH_TEST(sharded, storing_into_null_panics, "panic: assignment to entry in nil map")
{
	gort_sharded_map_store(int, int, NULL, 1, 1);
}

GORT_DEATH_TEST(sharded, another_key_size_panics, "panic: gort: key of 8 bytes for a sharded map of int to int")
{
	gort_sharded_map *m = gort_make_sharded_map(int, int, 1);
	gort_sharded_map_store(long, int, m, 1, 1);
}
