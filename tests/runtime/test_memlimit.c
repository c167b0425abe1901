// SPDX-License-Identifier: BSD-3-Clause
// gort_set_memory_limit against what gort_read_mem_stats says.
#include "on_gort.h"

#include <gort/mem.h>
#include <gort/time.h>

#include "gc/gc.h"

TestSuite(memlimit, .timeout = 60);

#define MiB ((int64_t)1 << 20)

struct cell {
	struct cell *next;
	long pad[15];
};
static struct cell *live;
static void *garbage;

static int64_t
held(void)
{
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	return (int64_t)(s.sys - s.heap_released);
}

static void
keep(int64_t bytes)
{
	for (int64_t n = 0; n < bytes; n += sizeof(struct cell)) {
		struct cell *c = gort_new(struct cell);
		gort_set(&c->next, live);
		live = c;
	}
}

// Small, middling and large garbage; the most that was held at any look.
static int64_t
produce(int64_t bytes)
{
	int64_t most = 0, look = 0;
	static const size_t sizes[] = {64, 1000, 8000, 100000};
	for (int64_t n = 0, i = 0; n < bytes; i++) {
		size_t size = sizes[i % 4];
		garbage = gort_new_bytes(size);
		memset(garbage, 1, size);
		n += size;
		if (n >= look) {
			most = most > held() ? most : held();
			look = n + 4 * MiB;
		}
	}
	return most;
}

GORT_TEST(memlimit, returns_the_old_value_and_only_reads_when_negative)
{
	CHECK(gort_set_memory_limit(-1) == INT64_MAX);
	CHECK(gort_set_memory_limit(100 * MiB) == INT64_MAX);
	CHECK_EQ(gort_set_memory_limit(-7), 100 * MiB);
	CHECK_EQ(gort_set_memory_limit(INT64_MAX), 100 * MiB);
	CHECK(gort_set_memory_limit(INT64_MIN) == INT64_MAX);
}

GORT_TEST(memlimit, is_kept_with_gogc_off)
{
	gort_set_gc_percent(-1);
	gort_set_memory_limit(64 * MiB);
	keep(8 * MiB);
	int64_t most = produce(600 * MiB);
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	if (most >= 64 * MiB)
		fprintf(stderr, "held %lld bytes\n", (long long)most);
	CHECK(most < 64 * MiB);
	CHECK(most > 48 * MiB); // and made use of
	CHECK(s.num_gc >= 600 / 64 && s.num_gc < 100);
	CHECK(s.next_gc < 64 * MiB);
}

GORT_TEST(memlimit, leaves_a_smaller_gogc_goal_alone)
{
	keep(16 * MiB);
	gort_gc();
	gort_mem_stats s, t;
	gort_read_mem_stats(&s);
	gort_set_memory_limit(1024 * MiB);
	gort_read_mem_stats(&t);
	CHECK_EQ(t.next_gc, s.next_gc);
	gort_set_memory_limit(26 * MiB);
	gort_read_mem_stats(&t);
	CHECK(t.next_gc < s.next_gc && t.next_gc > 16 * MiB);
	gort_set_memory_limit(INT64_MAX);
	gort_read_mem_stats(&t);
	CHECK_EQ(t.next_gc, s.next_gc);
}

GORT_TEST(memlimit, set_below_what_is_held_returns_free_memory)
{
	gort_set_gc_percent(400);
	produce(200 * MiB);
	keep(4 * MiB);
	garbage = NULL;
	gort_gc();
	int64_t before = held();
	gort_set_memory_limit(before / 2);
	int64_t now = before;
	for (int i = 0; i < 10000 && (now = held()) > before / 2; i++)
		gort_sleep(1000000);
	CHECK(now <= before / 2);
}

GORT_TEST(memlimit, gives_way_to_a_larger_live_heap)
{
	gort_set_memory_limit(32 * MiB);
	keep(64 * MiB); // would not end if each allocation waited for the limit
	produce(100 * MiB);
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	CHECK(s.heap_alloc > 64 * MiB);
	CHECK(s.num_gc > 10);
}

Test(memlimit, bucket_is_full_after_a_second_of_nothing_but_collection)
{
	struct rt_bucket b = {0};
	const int64_t second = 1000000000, cap = 2 * second;
	for (int i = 0; i < 199; i++)
		cr_assert(!rt_bucket_add(&b, cap, second / 100, 0));
	cr_assert(rt_bucket_add(&b, cap, second / 100, 0));
	cr_assert(rt_bucket_add(&b, cap, second / 100, 0));
	cr_assert(!rt_bucket_add(&b, cap, 1, 2)); // leaks: assists again
	cr_assert(!rt_bucket_add(&b, cap, 0, 0));
	cr_assert(rt_bucket_add(&b, cap, 3, 1));
	// Half and half: stays where it is, however long.
	b.fill = 0;
	for (int i = 0; i < 100000; i++)
		cr_assert(!rt_bucket_add(&b, cap, second / 100, second / 100));
	cr_assert(!rt_bucket_add(&b, cap, 0, 10 * cap));
	cr_assert_eq(b.fill, 0);
}
