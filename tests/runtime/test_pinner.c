// SPDX-License-Identifier: BSD-3-Clause
// gort_pin, gort_unpin.
#include "collecting.h"

TestSuite(pinner, .timeout = 60);

struct thing {
	struct thing *other;
	long id;
	char pad[500];
};
GORT_TYPE(struct thing, other)

static uintptr_t *foreign; // malloc's: not looked at
static gort_weak *weak[MANY], *inner[MANY];

static __attribute__((noinline)) void
make(int npins)
{
	for (long i = 0; i < MANY; i++) {
		struct thing *t = gort_new(struct thing);
		gort_set(&t->other, gort_new(struct thing));
		t->id = i;
		weak[i] = gort_weak_make(t);
		inner[i] = gort_weak_make(t->other);
		for (int k = 0; k < npins; k++)
			gort_pin(k % 2 ? (void *)t->pad : t);
		foreign[i] = (uintptr_t)t;
	}
}

static __attribute__((noinline)) int
alive(void)
{
	int n = 0;
	for (long i = 0; i < MANY; i++)
		if (gort_weak_value(weak[i])) {
			CHECK(((struct thing *)foreign[i])->id == i);
			CHECK(gort_weak_value(inner[i])); // what it points to, too
			n++;
		}
	return n;
}

static __attribute__((noinline)) void
unpin_all(void)
{
	for (int i = 0; i < MANY; i++)
		gort_unpin((char *)foreign[i] + 30); // any byte
}

GORT_TEST(pinner, keeps_until_unpinned_as_often)
{
	foreign = calloc(MANY, sizeof *foreign);
	make(3);
	for (int i = 0; i < 3; i++) {
		collect();
		CHECK_EQ(alive(), MANY);
		unpin_all();
	}
	collect();
	CHECK(alive() <= MANY - MOST);
}

GORT_TEST(pinner, ignores_memory_outside_of_the_heap)
{
	static int global;
	void *p = calloc(1, 10);
	gort_pin(&global);
	gort_pin(p);
	gort_pin(&p);
	gort_unpin(&p);
	gort_unpin(p);
	gort_unpin(&global);
	gort_unpin(&global);
}

static _Atomic int done;

static void
pins(long me)
{
	for (int i = 0; i < 20000; i++) {
		gort_pin((void *)foreign[i % 7]);
		if (i % 100 == me)
			gort_gosched();
		gort_unpin((void *)foreign[i % 7]);
	}
	atomic_fetch_add(&done, 1);
}

GORT_TEST(pinner, one_object_by_many_goroutines_while_collections_run)
{
	foreign = calloc(MANY, sizeof *foreign);
	make(1);
	for (long i = 0; i < 4; i++)
		gort_go(pins, i);
	while (done < 4)
		gort_gc();
	CHECK_EQ(alive(), MANY);
}

GORT_DEATH_TEST(pinner, of_nil, "panic: runtime error: runtime.Pinner: argument is nil")
{
	gort_pin(NULL);
}

GORT_DEATH_TEST(pinner, unpinned_once_too_often,
		"fatal error: runtime.Pinner: object already unpinned")
{
	struct thing *t = gort_new(struct thing);
	gort_pin(t);
	gort_unpin(t);
	gort_unpin(t);
}
