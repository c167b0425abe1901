// SPDX-License-Identifier: BSD-3-Clause
// gort_weak_make, gort_weak_value.
#include "collecting.h"

TestSuite(weak, .timeout = 60);

struct thing {
	struct thing *other;
	long id;
	char pad[500];
};
GORT_TYPE(struct thing, other)

static gort_weak *weak[MANY];
static struct thing *strong[MANY];

static __attribute__((noinline)) void
make(void)
{
	for (long i = 0; i < MANY; i++) {
		strong[i] = gort_new(struct thing);
		strong[i]->id = i;
		weak[i] = gort_weak_make(strong[i]);
	}
}

static __attribute__((noinline)) int
count_cleared(void)
{
	int n = 0;
	for (int i = 0; i < MANY; i++) {
		const struct thing *t = gort_weak_value(weak[i]);
		n += !t;
		CHECK(!t || t->id == i);
	}
	return n;
}

GORT_TEST(weak, does_not_keep_and_is_cleared)
{
	make();
	for (int i = 0; i < 3; i++)
		collect();
	CHECK_EQ(count_cleared(), 0); // strong keeps them
	memset(strong, 0, sizeof strong);
	collect();
	int cleared = count_cleared();
	CHECK(cleared >= MOST);
	collect();
	CHECK(count_cleared() >= cleared);
}

GORT_TEST(weak, handles_are_equal_as_their_pointers_are)
{
	static gort_weak *again[MANY];
	make();
	collect();
	for (int i = 0; i < MANY; i++) {
		again[i] = gort_weak_make(strong[i]);
		CHECK(again[i] == weak[i]);
		gort_weak *inner = gort_weak_make(&strong[i]->id);
		CHECK(inner != weak[i]);
		CHECK(gort_weak_value(inner) == &strong[i]->id);
		CHECK(inner == gort_weak_make(&strong[i]->id));
		CHECK(i == 0 || weak[i] != weak[i - 1]);
	}
	memset(strong, 0, sizeof strong);
	collect();
	make();
	for (int i = 0; i < MANY; i++) // what is gone has its handle, what is new has its own
		for (int k = 0; k < MANY; k++)
			CHECK(weak[i] != again[k] || gort_weak_value(again[k]));
}

GORT_TEST(weak, of_nil_and_of_globals)
{
	static struct thing global[2];
	CHECK(gort_weak_make(NULL) == NULL);
	CHECK(gort_weak_value(NULL) == NULL);
	gort_weak *w = gort_weak_make(&global[0]);
	CHECK(w == gort_weak_make(&global[0]));
	CHECK(w != gort_weak_make(&global[1]));
	collect();
	CHECK(gort_weak_value(w) == &global[0]);
	w = gort_weak_make(gort_new_bytes(0));
	CHECK(gort_weak_value(w) == gort_new_bytes(0));
}

static _Atomic int revived, seen;

static void
revive(void *obj, void *arg)
{
	struct thing *t = obj;
	(void)arg;
	if (gort_weak_value(weak[t->id]))
		atomic_fetch_add(&seen, 1);
	strong[t->id] = t;
	if (gort_weak_make(t) == weak[t->id])
		atomic_fetch_add(&seen, 1);
	atomic_fetch_add(&revived, 1);
}

static __attribute__((noinline)) void
make_with_finalizers(void)
{
	make();
	for (int i = 0; i < MANY; i++)
		gort_set_finalizer(strong[i], revive, NULL);
	memset(strong, 0, sizeof strong);
}

GORT_TEST(weak, cleared_before_the_finalizer_is_queued_and_for_ever)
{
	make_with_finalizers();
	collect();
	CHECK(revived >= MOST);
	CHECK_EQ(seen, 0);
	for (int i = 0; i < MANY; i++)
		CHECK(!strong[i] || (strong[i]->id == i && !gort_weak_value(weak[i])));
}

// In the heap: a handle in a root keeps the block that ends where it begins.
static gort_weak **in_heap;

static __attribute__((noinline)) void
make_tiny_and_large(void)
{
	in_heap = gort_new_array(gort_weak *, MANY);
	for (int i = 0; i < MANY; i++)
		gort_set(&in_heap[i], gort_weak_make(gort_new_bytes(i % 10 ? 4 : 100000)));
}

GORT_TEST(weak, of_tiny_and_of_large_objects)
{
	make_tiny_and_large();
	collect();
	int n = 0;
	for (int i = 0; i < MANY; i++)
		n += !gort_weak_value(in_heap[i]);
	CHECK(n >= MOST - 4); // four share a block
}

static __attribute__((noinline)) void
make_many_short_lived(void)
{
	for (int i = 0; i < 100000; i++)
		gort_weak_make(gort_new_bytes(32));
}

GORT_TEST(weak, handles_and_entries_go_with_their_objects)
{
	static gort_mem_stats s0, s1;
	for (int i = 0; i < 3; i++) {
		make_many_short_lived();
		collect();
	}
	gort_read_mem_stats(&s0);
	for (int i = 0; i < 10; i++) {
		make_many_short_lived();
		collect();
		collect(); // a handle lives a cycle longer
	}
	gort_read_mem_stats(&s1);
	CHECK(s1.other_sys <= s0.other_sys + (s0.other_sys >> 1));
	CHECK(s1.heap_objects < 20000);
}

// The value is asked for while sweeping goes on in another thread: what was kept is there.
static _Atomic int stop;

static void
sweeps(void)
{
	while (!stop)
		gort_gc();
}

GORT_TEST(weak, what_is_kept_has_its_value_at_any_moment)
{
	make();
	gort_go(sweeps);
	for (int round = 0; round < 2000; round++)
		CHECK_EQ(count_cleared(), 0);
	stop = 1;
}

GORT_DEATH_TEST(weak, of_foreign_memory, "fatal error: getWeakHandle on invalid pointer")
{
	gort_weak_make(calloc(1, 100));
}
