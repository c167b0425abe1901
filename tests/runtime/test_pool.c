// SPDX-License-Identifier: BSD-3-Clause
#include <gort/mem.h>
#include <gort/sync.h>

#include <stdint.h>

#include "on_gort.h"

TestSuite(pool, .timeout = 60);

static gort_pool pool;

struct item {
	uint64_t check;
	uint64_t fill[7];
};

// A collected object that only the pool knows of.
static void
put_item(gort_pool *p, uint64_t k)
{
	struct item *x = gort_new(struct item);
	x->check = k * 0x9e3779b97f4a7c15u;
	x->fill[0] = k;
	gort_pool_put(p, x);
}

static bool
whole(const struct item *x)
{
	return x->check == x->fill[0] * 0x9e3779b97f4a7c15u;
}

// Overwrites what dead frames left on the stack.
static __attribute__((noinline)) void
scrub(void)
{
	volatile char junk[4096];
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = 0;
}

// Go: sync/pool_test.go TestPool.
GORT_TEST(pool, private_item_first_then_last_in_first_out)
{
	gort_maxprocs(1);
	int a, b, c;
	CHECK(gort_pool_get(&pool) == NULL);
	gort_pool_put(&pool, &a);
	gort_pool_put(&pool, &b);
	gort_pool_put(&pool, &c);
	CHECK(gort_pool_get(&pool) == &a);
	CHECK(gort_pool_get(&pool) == &c);
	CHECK(gort_pool_get(&pool) == &b);
	CHECK(gort_pool_get(&pool) == NULL);
	gort_pool_put(&pool, NULL);
	CHECK(gort_pool_get(&pool) == NULL);
}

static int made;

static void *
make(void)
{
	made++;
	return &made;
}

GORT_TEST(pool, an_empty_pool_makes_one)
{
	int a;
	gort_pool p = {.new_fn = make};
	gort_maxprocs(1);
	CHECK(gort_pool_get(&p) == &made);
	gort_pool_put(&p, &a);
	CHECK(gort_pool_get(&p) == &a);
	CHECK(gort_pool_get(&p) == &made);
	CHECK_EQ(made, 2);
}

GORT_TEST(pool, items_survive_one_collection_and_not_two)
{
	gort_maxprocs(1);
	for (uint64_t i = 0; i < 100; i++)
		put_item(&pool, i);
	scrub();
	gort_gc();
	int n = 0;
	for (struct item *x; n < 50 && (x = gort_pool_get(&pool)); n++)
		CHECK(whole(x));
	CHECK_EQ(n, 50);
	gort_gc();
	CHECK(gort_pool_get(&pool) == NULL);
}

GORT_TEST(pool, items_in_steady_use_are_never_lost)
{
	int a;
	gort_maxprocs(1);
	gort_pool_put(&pool, &a);
	for (int i = 0; i < 20; i++) {
		CHECK(gort_pool_get(&pool) == &a);
		gort_pool_put(&pool, &a);
		gort_gc();
	}
}

static gort_pool *
forgotten_pool(char *memory)
{
	gort_pool *p = (gort_pool *)memory;
	*p = (gort_pool){0};
	put_item(p, 1);
	return p;
}

GORT_TEST(pool, its_memory_may_go_away_and_be_another_pool)
{
	char memory[sizeof(gort_pool) + 16] __attribute__((aligned(8)));
	gort_maxprocs(1);
	forgotten_pool(memory);
	memset(memory, 0x5a, sizeof(memory));
	for (int i = 0; i < 4; i++)
		gort_gc();
	for (size_t i = 0; i < sizeof(memory); i++)
		CHECK_EQ(memory[i], 0x5a);
	gort_pool *p = forgotten_pool(memory);
	struct item *x = gort_pool_get(p);
	CHECK(x && whole(x));
	CHECK(gort_pool_get(p) == NULL);
}

GORT_TEST(pool, sets_of_dead_pools_are_used_again)
{
	gort_maxprocs(1);
	gort_pool *p = calloc(1000, sizeof(*p));
	for (int round = 0; round < 3; round++) {
		memset(p, 0, 1000 * sizeof(*p));
		for (int i = 0; i < 1000; i++)
			gort_pool_put(&p[i], p);
		for (int i = 0; i < 3; i++)
			gort_gc();
	}
	void *first = p[0].local;
	memset(p, 0, 1000 * sizeof(*p));
	bool again = false;
	for (int i = 0; i < 1000; i++) {
		gort_pool_put(&p[i], p);
		again |= p[i].local == first;
	}
	CHECK(again);
	free(p);
}

static gort_pool *shared;
static _Atomic bool taken;

static void
thief(gort_waitgroup *wg)
{
	for (void *x; !(x = gort_pool_get(shared));)
		gort_gosched();
	taken = true;
	gort_waitgroup_done(wg);
}

GORT_TEST(pool, other_processors_take_what_one_has_too_much_of)
{
	int a, b;
	gort_waitgroup wg = {0};
	gort_maxprocs(2);
	shared = &pool;
	gort_pool_put(&pool, &a); // private
	gort_pool_put(&pool, &b);
	gort_waitgroup_add(&wg, 1);
	gort_go(thief, &wg);
	while (!taken)
		; // stays on its P
	gort_waitgroup_wait(&wg);
}

GORT_TEST(pool, more_processors_than_at_first)
{
	int a;
	gort_maxprocs(1);
	gort_pool_put(&pool, &a);
	gort_maxprocs(8);
	for (int i = 0; i < 200; i++) {
		gort_pool_put(&pool, &a);
		gort_gosched();
		gort_pool_get(&pool);
	}
}

static _Atomic int64_t wrong;

static void
hammer(gort_waitgroup *wg, int id)
{
	for (int i = 0; i < 20000; i++) {
		int k = i % 9;
		while (k-- > 0)
			put_item(&pool, (uint64_t)(id * 100000 + i));
		for (k = 0; k < 8; k++) {
			struct item *x = gort_pool_get(&pool);
			if (!x)
				continue;
			if (!whole(x))
				wrong++;
			x->fill[0] = x->check = 0; // it is ours alone
			x->fill[0] = (uint64_t)id;
			x->check = (uint64_t)id * 0x9e3779b97f4a7c15u;
			if (k & 1)
				gort_pool_put(&pool, x);
		}
	}
	gort_waitgroup_done(wg);
}

// Under collections: an item that was freed while it lay in a pool would be zeroed or another's.
GORT_TEST(pool, items_belong_to_one_and_live)
{
	gort_waitgroup wg = {0};
	gort_maxprocs(4);
	gort_set_gc_percent(10);
	gort_waitgroup_add(&wg, 8);
	for (int i = 0; i < 8; i++)
		gort_go(hammer, &wg, i);
	for (int i = 0; i < 3; i++)
		gort_gc(); // beside them, however few the allocations start by themselves
	gort_waitgroup_wait(&wg);
	CHECK_EQ(wrong, 0);
}
