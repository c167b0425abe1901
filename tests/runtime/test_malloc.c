// SPDX-License-Identifier: BSD-3-Clause
#include "on_gort.h"

#include <gort/mem.h>

#include "gc/gc.h"
#include "mem/malloc.h"
#include "mem/mcache.h"
#include "sched/proc.h"

TestSuite(malloc, .timeout = 60);

// A place that no stack scan sees: the address is stored inverted.
static uintptr_t hidden[4096];
GORT_NOSCAN(hidden)

static void
hide(int i, const void *p)
{
	hidden[i] = ~(uintptr_t)p;
}

// Whether the slot at hidden[i] is still allocated. All sweeping is done.
static __attribute__((noinline)) bool
alive(int i)
{
	uintptr_t p = ~hidden[i];
	struct mspan *s = rt_spanof(p);
	return s && rt_span_allocated(s, rt_span_index(s, p));
}

// Collects with this P's caches flushed, so that alloc bits are the whole truth.
static void
collect(void)
{
	gort_gc();
	rt_enter();
	rt_mcache_flush(rt_getp()->mcache);
	rt_leave();
}

// Overwrites what earlier calls left on the stack.
static __attribute__((noinline, no_sanitize("address"))) void
scrub_stack(void)
{
	volatile char junk[16384];
	for (size_t i = 0; i < sizeof junk; i++)
		junk[i] = 0;
}

GORT_TEST(malloc, sizes_are_rounded_to_classes_and_slots_are_aligned)
{
	for (size_t n = 1; n <= 100000; n += n / 7 + 1) {
		rt_enter();
		char *p = rt_mallocgc(n, NULL);
		size_t size;
		struct mspan *s;
		uintptr_t start = rt_find_object((uintptr_t)p + n - 1, &size, &s);
		rt_leave();
		CHECK(start == (uintptr_t)p);
		CHECK(size >= n);
		CHECK_EQ(size, rt_round_size(n, false));
		CHECK((uintptr_t)p % 8 == 0);
		if (n % 16 == 0)
			CHECK((uintptr_t)p % 16 == 0);
	}
}

static __attribute__((noinline)) void
dirty_and_drop(size_t n)
{
	for (int i = 0; i < 200; i++)
		memset(gort_new_bytes(n), 0xff, n);
}

GORT_TEST(malloc, memory_is_zero_also_when_it_was_used_before)
{
	static const size_t sizes[] = {1, 8, 15, 16, 24, 48, 64, 100, 256, 257, 512, 1000, 4096, 9000, 32768, 40000};
	for (int round = 0; round < 3; round++) {
		for (size_t k = 0; k < rt_nelem(sizes); k++)
			dirty_and_drop(sizes[k]);
		gort_gc();
		for (size_t k = 0; k < rt_nelem(sizes); k++)
			for (int i = 0; i < 200; i++) {
				char *p = gort_new_bytes(sizes[k]);
				for (size_t o = 0; o < sizes[k]; o++)
					CHECK_EQ(p[o], 0);
				memset(p, 0xee, sizes[k]);
			}
	}
}

GORT_TEST(malloc, tiny_objects_share_a_block_and_keep_their_alignment)
{
	char *a = gort_new_bytes(1);
	uint64_t *b = gort_new(uint64_t);
	CHECK((uintptr_t)b % 8 == 0);
	CHECK((uintptr_t)a / 16 == (uintptr_t)b / 16);
	uint32_t *c = gort_new(uint32_t);
	CHECK((uintptr_t)c % 4 == 0);
	CHECK(gort_new_bytes(0) == gort_new_bytes(0));
}

static __attribute__((noinline)) void
make_garbage(int n, size_t size)
{
	for (int i = 0; i < n; i++) {
		rt_enter();
		hide(i, rt_mallocgc(size, NULL));
		rt_leave();
	}
}

GORT_TEST(malloc, unreachable_objects_are_freed)
{
	static const size_t sizes[] = {16, 48, 64, 512, 2048, 32768, 100000};
	for (size_t k = 0; k < rt_nelem(sizes); k++) {
		make_garbage(1000, sizes[k]);
		scrub_stack();
		collect();
		int n = 0;
		for (int i = 0; i < 1000; i++)
			n += alive(i);
		CHECK(n <= 5); // a stale word on the stack may hold a few
	}
}

struct holder {
	void *p;
	long pad[9];
};
static struct holder *global;

static __attribute__((noinline)) void
hang(size_t size, size_t offset, int i)
{
	rt_enter();
	char *p = rt_mallocgc(size, NULL);
	rt_leave();
	hide(i, p);
	global->p = p + offset;
}

GORT_TEST(malloc, an_interior_pointer_keeps_an_object)
{
	static const size_t sizes[] = {16, 48, 512, 2688, 32768, 1000000};
	global = gort_new(struct holder);
	for (size_t k = 0; k < rt_nelem(sizes); k++) {
		hang(sizes[k], sizes[k] - 1, 0);
		scrub_stack();
		collect();
		CHECK(alive(0));
		global->p = NULL;
		scrub_stack();
		collect();
		CHECK(!alive(0));
	}
}

static char *volatile past;

static __attribute__((noinline)) void
one_past(size_t size, int i)
{
	rt_enter();
	char *p = rt_mallocgc(size, NULL);
	rt_leave();
	hide(i, p);
	past = p + size;
}

GORT_TEST(malloc, a_root_one_past_the_end_keeps_an_object)
{
	static const size_t sizes[] = {16, 48, 512, 4096, 81920};
	for (size_t k = 0; k < rt_nelem(sizes); k++) {
		one_past(sizes[k], 0);
		scrub_stack();
		collect();
		CHECK(alive(0));
		past = NULL;
		scrub_stack();
		collect();
		CHECK(!alive(0));
	}
}

struct mapped {
	void *seen;
	uintptr_t blind;
	long pad[6];
};
GORT_TYPE(struct mapped, seen)
static struct mapped *mapped_global, *mapped_array;

static __attribute__((noinline)) void
fill_mapped(void)
{
	mapped_global = gort_new(struct mapped);
	mapped_array = gort_new_array(struct mapped, 2000);
	for (int i = 0; i < 8; i++) {
		rt_enter();
		hide(i, rt_mallocgc(64, NULL));
		rt_leave();
	}
	mapped_global->seen = (void *)~hidden[0];
	mapped_global->blind = ~hidden[1];
	mapped_array[0].seen = (void *)~hidden[2];
	mapped_array[0].blind = ~hidden[3];
	mapped_array[1999].seen = (void *)~hidden[4];
	mapped_array[1999].blind = ~hidden[5];
	struct mapped *small = gort_new_array(struct mapped, 3);
	mapped_array[7].seen = small;
	small[2].seen = (void *)~hidden[6];
	small[2].blind = ~hidden[7];
}

GORT_TEST(malloc, a_declared_type_is_scanned_by_its_map)
{
	fill_mapped();
	scrub_stack();
	collect();
	for (int i = 0; i < 8; i++)
		CHECK_EQ(alive(i), i % 2 == 0);
}

static __attribute__((noinline)) void
fill_noscan(void **root)
{
	rt_enter();
	hide(0, rt_mallocgc(64, NULL));
	rt_leave();
	uintptr_t *words = gort_new_array(uintptr_t, 10);
	words[3] = ~hidden[0];
	*root = words;
}

GORT_TEST(malloc, pointer_free_memory_is_not_scanned)
{
	static void *root;
	fill_noscan(&root);
	scrub_stack();
	collect();
	CHECK(!alive(0));
}

static __attribute__((noinline)) void
fill_root(void **cell)
{
	rt_enter();
	*cell = rt_mallocgc(64, NULL);
	rt_leave();
	hide(0, *cell);
}

GORT_TEST(malloc, libc_memory_holds_an_object_only_while_it_is_a_root)
{
	void **cell = malloc(sizeof *cell);
	gort_add_root(cell, sizeof *cell);
	fill_root(cell);
	scrub_stack();
	collect();
	CHECK(alive(0));
	gort_remove_root(cell);
	collect();
	CHECK(!alive(0));
	free(cell);
}

GORT_TEST(malloc, a_root_that_is_added_again_is_replaced_and_an_unknown_one_is_not_missed)
{
	void **cell = calloc(2, sizeof *cell);
	gort_remove_root(cell); // there is none
	gort_add_root(cell, sizeof *cell);
	gort_add_root(cell, 2 * sizeof *cell); // now both
	fill_root(&cell[1]);
	scrub_stack();
	collect();
	CHECK(alive(0));
	gort_add_root(cell, sizeof *cell);
	scrub_stack();
	collect();
	CHECK(!alive(0));
	gort_add_root(cell, 0); // nothing of it
	fill_root(cell);
	scrub_stack();
	collect();
	CHECK(!alive(0));
	gort_remove_root(cell);
	free(cell);
}

enum { MANY = 400000 };
static void ***cell; // libc's, as what it points to: globals count towards the collector's goal

// Those with numbers of that parity, in another order than they came.
static void
remove_roots(int parity)
{
	for (int i = 0; i < MANY; i++) {
		int k = (int)(i * 7919ll % MANY);
		if (k % 2 != parity)
			continue;
		gort_remove_root(cell[k]);
		free(cell[k]);
	}
}

static void
count_root(const char *what, uintptr_t lo, uintptr_t hi, void *n)
{
	*(int *)n += strcmp(what, "root") == 0 && hi - lo == sizeof(void *);
}

static int
nroots(void)
{
	int n = 0;
	rt_enter();
	rt_stop_world("test");
	rt_roots_each_range(count_root, &n);
	rt_start_world();
	rt_leave();
	return n;
}

// Each block is registered and taken away by itself. Were each looked for among all, this would take minutes.
GORT_TEST(malloc, many_roots)
{
	cell = calloc(MANY, sizeof *cell);
	for (int i = 0; i < MANY; i++) {
		cell[i] = calloc(1, sizeof **cell);
		gort_add_root(cell[i], sizeof **cell);
	}
	for (int i = 0; i < MANY; i++)
		*cell[i] = gort_new_bytes(16);
	fill_root(cell[MANY / 2]);
	scrub_stack();
	collect();
	CHECK(alive(0));
	CHECK_EQ(nroots(), MANY);
	remove_roots(1);
	CHECK_EQ(nroots(), MANY / 2);
	for (int i = 0; i < MANY; i += 2)
		gort_add_root(cell[i], sizeof **cell); // finds each again
	CHECK_EQ(nroots(), MANY / 2);
	scrub_stack();
	collect();
	CHECK(alive(0));
	remove_roots(0);
	CHECK_EQ(nroots(), 0);
	scrub_stack();
	collect();
	CHECK(!alive(0));
}

GORT_DEATH_TEST(malloc, a_negative_length_is_gos_panic, "panic: runtime error: makeslice: len out of range")
{
	volatile ptrdiff_t n = -1;
	gort_new_array(int, n);
}

GORT_DEATH_TEST(malloc, more_bytes_than_there_are_addresses_is_gos_panic,
		"panic: runtime error: makeslice: len out of range")
{
	volatile size_t n = SIZE_MAX;
	gort_new_bytes(n);
}

GORT_DEATH_TEST(malloc, a_length_whose_bytes_overflow_is_gos_panic,
		"panic: runtime error: makeslice: len out of range")
{
	volatile ptrdiff_t n = PTRDIFF_MAX / 2;
	gort_new_array(uint64_t, n);
}

GORT_DEATH_TEST(malloc, the_smallest_negative_length_is_gos_panic,
		"panic: runtime error: makeslice: len out of range")
{
	volatile ptrdiff_t n = PTRDIFF_MIN;
	gort_new_array(char, n);
}

GORT_TEST(malloc, a_negative_number_of_objects_is_copied_and_cleared_as_none)
{
	char a[2] = "a", b[2] = "b";
	gort_copy_objects(char, a, b, -1);
	gort_clear_objects(char, a, -1);
	gort_clear_objects(char, a, PTRDIFF_MIN);
	CHECK(a[0] == 'a');
}

GORT_TEST(malloc, negative_settings)
{
	int64_t limit = gort_set_memory_limit(-1);
	CHECK_EQ(limit, INT64_MAX);
	CHECK_EQ(gort_set_memory_limit(INT64_MIN), INT64_MAX); // nothing was changed
	CHECK_EQ(gort_set_gc_percent(INT_MIN), 100);
	CHECK_EQ(gort_set_gc_percent(100), -1);
}

GORT_TEST(malloc, mem_stats_add_up)
{
	gort_mem_stats a, b;
	gort_gc();
	gort_read_mem_stats(&a);
	static void *keep[1000];
	for (int i = 0; i < 1000; i++) {
		rt_enter();
		keep[i] = rt_mallocgc(96, NULL);
		rt_leave();
	}
	static void *big;
	big = gort_new_bytes(1 << 20);
	gort_read_mem_stats(&b);
	CHECK(big != NULL);
	CHECK_EQ(b.mallocs - a.mallocs, 1001);
	CHECK_EQ(b.total_alloc - a.total_alloc, 96000 + (1 << 20));
	CHECK_EQ(b.heap_alloc - a.heap_alloc, 96000 + (1 << 20));
	CHECK_EQ(b.by_size[8].mallocs - a.by_size[8].mallocs, 1000);
	CHECK_EQ(b.heap_sys, b.heap_inuse + b.heap_idle);
	CHECK(b.heap_released <= b.heap_idle);
	CHECK(b.heap_inuse >= b.heap_alloc);
	CHECK_EQ(b.sys, b.heap_sys + b.stack_sys + b.mspan_sys + b.mcache_sys + b.buck_hash_sys + b.gc_sys + b.other_sys);
	big = NULL;
	memset(keep, 0, sizeof keep);
	scrub_stack();
	gort_gc();
	gort_read_mem_stats(&b);
	CHECK(b.heap_alloc < a.heap_alloc + 10000);
	CHECK_EQ(b.num_gc, a.num_gc + 1);
	CHECK_EQ(b.num_forced_gc, a.num_forced_gc + 1);
	CHECK_EQ(b.heap_objects, b.mallocs - b.frees);
}

GORT_TEST(malloc, gogc_sets_the_goal_and_returns_the_old_value)
{
	static void *keep;
	keep = gort_new_bytes(64 << 20);
	gort_mem_stats s;
	CHECK_EQ(gort_set_gc_percent(50), 100);
	gort_gc();
	gort_read_mem_stats(&s);
	CHECK(s.next_gc >= 96 << 20 && s.next_gc < 100 << 20);
	CHECK_EQ(gort_set_gc_percent(-7), 50);
	CHECK_EQ(gort_set_gc_percent(100), -1);
	gort_read_mem_stats(&s);
	CHECK(s.next_gc >= 128 << 20 && s.next_gc < 132 << 20);
	CHECK(keep != NULL);
}

GORT_TEST(malloc, free_os_memory_returns_pages_that_read_as_zeros_later)
{
	gort_mem_stats before, after;
	dirty_and_drop(1 << 20);
	gort_read_mem_stats(&before);
	gort_free_os_memory();
	gort_read_mem_stats(&after);
	CHECK(after.heap_released > before.heap_released);
	CHECK(after.heap_idle - after.heap_released < 1 << 20);
	char *p = gort_new_bytes(32 << 20);
	for (size_t i = 0; i < 32 << 20; i += 512)
		CHECK_EQ(p[i], 0);
}

// The sampling distance is exponential: mean and variance.
Test(malloc, sample_distances_are_exponential)
{
	uint64_t state = 42;
	double sum = 0, sum2 = 0;
	const int n = 200000;
	for (int i = 0; i < n; i++) {
		double d = (double)rt_sample_distance(&state, 524288) / 524288;
		sum += d;
		sum2 += d * d;
	}
	cr_assert_float_eq(sum / n, 1, 0.02);
	cr_assert_float_eq(sum2 / n, 2, 0.08);
}
