// SPDX-License-Identifier: BSD-3-Clause
#include <gort/atomic.h>
#include <gort/mem.h>
#include <gort/sync.h>

#include <stdint.h>

#include "on_gort.h"

TestSuite(atomic, .timeout = 30);

#define CHECK_INTEGER(X, T, min, max)                                                              \
	do {                                                                                       \
		gort_atomic_##X a = {0};                                                           \
		CHECK(gort_atomic_##X##_load(&a) == 0);                                            \
		gort_atomic_##X##_store(&a, 5);                                                    \
		CHECK(gort_atomic_##X##_add(&a, 3) == 8);                                          \
		CHECK(gort_atomic_##X##_swap(&a, 12) == 8);                                        \
		CHECK(!gort_atomic_##X##_cas(&a, 11, 1));                                          \
		CHECK(gort_atomic_##X##_cas(&a, 12, 13));                                          \
		CHECK(gort_atomic_##X##_and(&a, 9) == 13);                                         \
		CHECK(gort_atomic_##X##_or(&a, 6) == 9);                                           \
		CHECK(gort_atomic_##X##_load(&a) == 15);                                           \
		gort_atomic_##X##_store(&a, max);                                                  \
		CHECK(gort_atomic_##X##_add(&a, 1) == (T)(min));                                   \
		CHECK(gort_atomic_##X##_add(&a, (T)-1) == (T)(max));                               \
		CHECK(sizeof(a) == sizeof(T));                                                     \
	} while (0)

// Criterion's own thread, before gort_run: integers, and pointers too, work anywhere.
Test(atomic, outside_of_gort)
{
	CHECK_INTEGER(int32, int32_t, INT32_MIN, INT32_MAX);
	CHECK_INTEGER(int64, int64_t, INT64_MIN, INT64_MAX);
	CHECK_INTEGER(uint32, uint32_t, 0, UINT32_MAX);
	CHECK_INTEGER(uint64, uint64_t, 0, UINT64_MAX);
	gort_atomic_bool b = {0};
	CHECK(!gort_atomic_bool_swap(&b, true));
	CHECK(gort_atomic_bool_cas(&b, true, false));
	CHECK(!gort_atomic_bool_cas(&b, true, false));
	gort_atomic_bool_store(&b, true);
	CHECK(gort_atomic_bool_load(&b));
	int x, y;
	gort_atomic_ptr p = {0};
	gort_atomic_ptr_store(&p, &x);
	CHECK(gort_atomic_ptr_swap(&p, &y) == &x);
	CHECK(!gort_atomic_ptr_cas(&p, &x, NULL));
	CHECK(gort_atomic_ptr_load(&p) == &y);
	CHECK(gort_atomic_ptr_cas(&p, &y, &x));
	CHECK(gort_atomic_ptr_load(&p) == &x);
}

GORT_TEST(atomic, tagged_pointer_counts_its_changes)
{
	int x, y;
	gort_tagged_ptr a = {0};
	gort_tagged_ptr zero = gort_tagged_ptr_load(&a);
	CHECK(zero.ptr == NULL && zero.version == 0);
	CHECK(gort_tagged_ptr_cas(&a, zero, &x));
	CHECK(!gort_tagged_ptr_cas(&a, zero, &y));
	gort_tagged_ptr one = gort_tagged_ptr_load(&a);
	CHECK(one.ptr == &x && one.version == 1);
	gort_tagged_ptr wrong = {.ptr = &y, .version = 1};
	CHECK(!gort_tagged_ptr_cas(&a, wrong, &y));
	CHECK(gort_tagged_ptr_cas(&a, one, &x)); // the same pointer is another version
	CHECK(!gort_tagged_ptr_cas(&a, one, &x));
}

// What the slow halves do, which the inline ones call while marking runs.
GORT_TEST(atomic, out_of_line_halves_do_the_same)
{
	int x, y;
	gort_atomic_ptr p = {&x};
	CHECK(gort_atomic_ptr_swap_(&p, &y) == &x);
	CHECK(!gort_atomic_ptr_cas_(&p, &x, NULL));
	CHECK(gort_atomic_ptr_cas_(&p, &y, NULL));
	CHECK(p.v == NULL);
	gort_tagged_ptr a = {&x, 7};
	CHECK(!gort_tagged_ptr_cas_(&a, (gort_tagged_ptr){&x, 6}, &y));
	CHECK(gort_tagged_ptr_cas_(&a, (gort_tagged_ptr){&x, 7}, &y));
	CHECK(a.ptr == &y && a.version == 8);
}

// ---- the ABA problem ----
//
// A stack of three nodes from a fixed set. One goroutine begins to pop: it has read top and top->next.
// Another pops two and pushes the first again. The first one's compare-and-swap then finds the top it
// has read, and makes a node the top that is not in the stack any more.

struct node {
	struct node *next;
};

static struct node nodes[3];

static void
link_nodes(void)
{
	nodes[0].next = &nodes[1];
	nodes[1].next = &nodes[2];
	nodes[2].next = NULL;
}

GORT_TEST(atomic, without_a_version_aba_happens)
{
	gort_atomic_ptr top = {&nodes[0]};
	link_nodes();
	struct node *seen = gort_atomic_ptr_load(&top), *next = seen->next;
	// meanwhile: pop 0, pop 1, push 0
	CHECK(gort_atomic_ptr_cas(&top, &nodes[0], &nodes[1]));
	CHECK(gort_atomic_ptr_cas(&top, &nodes[1], &nodes[2]));
	nodes[0].next = &nodes[2];
	CHECK(gort_atomic_ptr_cas(&top, &nodes[2], &nodes[0]));
	// the first one goes on: node 1, which somebody else owns, is in the stack again
	CHECK(gort_atomic_ptr_cas(&top, seen, next));
	CHECK(gort_atomic_ptr_load(&top) == &nodes[1]);
}

GORT_TEST(atomic, with_a_version_aba_is_noticed)
{
	gort_tagged_ptr top = {&nodes[0], 0};
	link_nodes();
	gort_tagged_ptr seen = gort_tagged_ptr_load(&top);
	struct node *next = ((struct node *)seen.ptr)->next;
	CHECK(gort_tagged_ptr_cas(&top, gort_tagged_ptr_load(&top), &nodes[1]));
	CHECK(gort_tagged_ptr_cas(&top, gort_tagged_ptr_load(&top), &nodes[2]));
	nodes[0].next = &nodes[2];
	CHECK(gort_tagged_ptr_cas(&top, gort_tagged_ptr_load(&top), &nodes[0]));
	CHECK(gort_tagged_ptr_load(&top).ptr == seen.ptr);
	CHECK(!gort_tagged_ptr_cas(&top, seen, next));
	CHECK(gort_tagged_ptr_load(&top).ptr == &nodes[0]);
}

static gort_atomic_int64 sum;

static void
add(gort_waitgroup *wg)
{
	for (int i = 0; i < 100000; i++)
		gort_atomic_int64_add(&sum, 1);
	gort_waitgroup_done(wg);
}

GORT_TEST(atomic, adds_are_not_lost)
{
	gort_waitgroup wg = {0};
	gort_maxprocs(4);
	gort_waitgroup_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		gort_go(add, &wg);
	gort_waitgroup_wait(&wg);
	CHECK_EQ(gort_atomic_int64_load(&sum), 400000);
}
