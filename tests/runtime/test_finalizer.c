// SPDX-License-Identifier: BSD-3-Clause
// gort_set_finalizer.
#include "collecting.h"

#include "sched/proc.h"

TestSuite(finalizer, .timeout = 60);

struct thing {
	struct thing *other;
	long id;
	char pad[2000];
};
GORT_TYPE(struct thing, other)

static _Atomic int ran, wrong, visible;
static _Atomic uint64_t on_goroutine;
static struct thing *saved[MANY];

static void
count(void *obj, void *arg)
{
	struct thing *t = obj;
	long *id = arg;
	if (id && *id != t->id)
		atomic_fetch_add(&wrong, 1);
	if (t->other && t->other->id != t->id + 1)
		atomic_fetch_add(&wrong, 1);
	if (gort_num_goroutine() == 2)
		atomic_store(&visible, 1);
	uint64_t me = (uint64_t)rt_getg()->goid, was = 0;
	if (!atomic_compare_exchange_strong(&on_goroutine, &was, me) && was != me)
		atomic_fetch_add(&wrong, 1);
	if (rt_tls.depth & INT32_MAX)
		atomic_fetch_add(&wrong, 1);
	atomic_fetch_add(&ran, 1);
}

static __attribute__((noinline)) void
make_things(void)
{
	for (long i = 0; i < MANY; i++) {
		struct thing *t = gort_new(struct thing);
		long *arg = gort_new(long);
		*arg = t->id = i * 10;
		gort_set(&t->other, gort_new(struct thing));
		t->other->id = t->id + 1;
		gort_set_finalizer(t, count, arg);
	}
}

GORT_TEST(finalizer, runs_once_with_all_its_object_reaches_and_is_freed_afterwards)
{
	gort_mem_stats s0, s1, s2;
	gort_gc();
	gort_read_mem_stats(&s0);
	make_things();
	collect();
	gort_read_mem_stats(&s1);
	CHECK(ran >= MOST && ran <= MANY);
	CHECK_EQ(wrong, 0);
	CHECK_EQ(visible, 1);
	CHECK_EQ(gort_num_goroutine(), 1);
	// Object and what it points to were kept for the finalizer.
	CHECK(s1.heap_alloc - s0.heap_alloc > MOST * 2 * sizeof(struct thing));
	int before = ran;
	collect();
	gort_read_mem_stats(&s2);
	CHECK(ran - before <= MANY - before);
	CHECK(s2.heap_alloc < s0.heap_alloc + (MANY - MOST) * 2 * 3000);
	collect();
	CHECK(ran <= MANY);
}

static void
resurrect(void *obj, void *arg)
{
	struct thing *t = obj;
	(void)arg;
	saved[t->id] = t;
	gort_set_finalizer(t, count, NULL); // it may be set anew
	atomic_fetch_add(&ran, 1);
}

static __attribute__((noinline)) void
make_to_be_saved(void)
{
	for (long i = 0; i < MANY; i++) {
		struct thing *t = gort_new(struct thing);
		t->id = i;
		gort_set_finalizer(t, resurrect, NULL);
	}
}

GORT_TEST(finalizer, may_resurrect_its_object_and_set_another)
{
	make_to_be_saved();
	collect();
	int first = ran;
	CHECK(first >= MOST && first <= MANY);
	collect();
	collect();
	CHECK(ran - first <= MANY - first); // the saved ones live
	for (int i = 0; i < MANY; i++)
		CHECK(!saved[i] || saved[i]->id == i);
	memset(saved, 0, sizeof saved);
	ran = 0;
	collect();
	CHECK(ran >= MOST && ran <= MANY);
}

static __attribute__((noinline)) void
make_chains_and_rings(struct thing **ring)
{
	for (long i = 0; i < MANY; i++) {
		struct thing *a = gort_new(struct thing), *b = gort_new(struct thing);
		a->id = i * 10;
		b->id = i * 10 + 1;
		gort_set(&a->other, b);
		if (ring)
			gort_set(&b->other, a);
		gort_set_finalizer(a, count, NULL);
		gort_set_finalizer(b, count, NULL);
	}
}

GORT_TEST(finalizer, outermost_object_first_a_cycle_later_the_next)
{
	make_chains_and_rings(NULL);
	collect();
	CHECK(ran >= MOST && ran <= MANY);
	collect();
	CHECK(ran >= 2 * MOST && ran <= 2 * MANY);
	CHECK_EQ(wrong, 0);
}

GORT_TEST(finalizer, never_for_a_ring)
{
	make_chains_and_rings(saved);
	collect();
	collect();
	CHECK_EQ(ran, 0);
}

static __attribute__((noinline)) void
make_and_clear(void)
{
	for (int i = 0; i < MANY; i++) {
		struct thing *t = gort_new(struct thing);
		gort_set_finalizer(t, count, NULL);
		gort_set_finalizer(t, NULL, NULL);
		gort_set_finalizer(t, NULL, NULL); // nothing to clear: fine
	}
}

GORT_TEST(finalizer, cleared_does_not_run_and_keeps_nothing)
{
	gort_mem_stats s0, s1;
	gort_gc();
	gort_read_mem_stats(&s0);
	make_and_clear();
	collect();
	gort_read_mem_stats(&s1);
	CHECK_EQ(ran, 0);
	CHECK(s1.heap_alloc < s0.heap_alloc + (MANY - MOST) * 3000);
}

static _Atomic int tiny_sum;

static void
add_tiny(void *obj, void *arg)
{
	(void)arg;
	atomic_fetch_add(&tiny_sum, *(char *)obj);
	atomic_fetch_add(&ran, 1);
}

static __attribute__((noinline)) void
make_tiny(void)
{
	for (int i = 0; i < 4 * MANY; i++) { // four share a block
		char *p = gort_new_bytes(4);
		*p = 1;
		gort_set_finalizer(p, add_tiny, NULL);
	}
}

GORT_TEST(finalizer, each_of_the_tiny_objects_in_one_block_has_its_own)
{
	make_tiny();
	collect();
	CHECK(ran >= 4 * MOST && ran <= 4 * MANY);
	CHECK_EQ(tiny_sum, ran);
}

static __attribute__((noinline)) void
make_large(void)
{
	for (int i = 0; i < 40; i++)
		gort_set_finalizer(gort_new_array(struct thing, 100), count, NULL);
}

GORT_TEST(finalizer, large_object)
{
	make_large();
	collect();
	CHECK(ran >= 30 && ran <= 40);
}

GORT_TEST(finalizer, globals_and_empty_objects_never_die)
{
	static struct thing global;
	gort_set_finalizer(&global, count, NULL);
	gort_set_finalizer(gort_new_bytes(0), count, NULL);
	gort_set_finalizer(&global, NULL, NULL);
	collect();
	CHECK_EQ(ran, 0);
}

// All the while collections run; whatever was set and not cleared runs once, its memory intact.
static _Atomic int clearing_done, churned;

static __attribute__((noinline)) int
churn(int rounds)
{
	int kept = 0;
	struct thing *window[64] = {0};
	for (int i = 0; i < rounds; i++) {
		struct thing *t = gort_new(struct thing);
		long *arg = gort_new(long);
		t->id = *arg = i;
		gort_set_finalizer(t, count, arg);
		if (i % 3 == 0)
			gort_set_finalizer(t, NULL, NULL);
		else
			kept++;
		window[i % 64] = t;
	}
	memset(window, 0, sizeof window);
	return kept;
}

static void
churner(void)
{
	atomic_fetch_add(&clearing_done, churn(20000));
	atomic_fetch_add(&churned, 1);
}

GORT_TEST(finalizer, set_and_cleared_while_collections_run)
{
	for (int i = 0; i < 3; i++)
		gort_go(churner);
	while (churned < 3)
		gort_gc();
	for (int i = 0; i < 3; i++)
		collect();
	CHECK_EQ(wrong, 0);
	CHECK(ran >= clearing_done - 100 && ran <= clearing_done);
}

GORT_DEATH_TEST(finalizer, of_nil, "fatal error: runtime.SetFinalizer: first argument is nil")
{
	gort_set_finalizer(NULL, count, NULL);
}

GORT_DEATH_TEST(finalizer, of_foreign_memory, "fatal error: runtime.SetFinalizer: pointer not in heap")
{
	gort_set_finalizer(malloc(100), count, NULL);
}

GORT_DEATH_TEST(finalizer, of_inner_pointer,
		"fatal error: runtime.SetFinalizer: pointer not at beginning of allocated block")
{
	gort_set_finalizer(&gort_new(struct thing)->id, count, NULL);
}

GORT_DEATH_TEST(finalizer, set_twice, "fatal error: runtime.SetFinalizer: finalizer already set")
{
	struct thing *t = gort_new(struct thing);
	gort_set_finalizer(t, count, NULL);
	gort_set_finalizer(t, count, NULL);
}
