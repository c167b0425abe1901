// SPDX-License-Identifier: BSD-3-Clause
// <gort/atomic.h>: a counter, a flag that one goroutine wins, and a stack without locks, whose tagged pointer
// notices that its top went away and came back.
#include <gort.h>
#include <stdio.h>

struct node {
	struct node *next;
	int value;
};
GORT_TYPE(struct node, next)

static gort_tagged_ptr top;
static gort_atomic_int64 sum;
static gort_atomic_bool decided;
static gort_atomic_int32 winners;

static void
push(struct node *n)
{
	gort_tagged_ptr old;
	do {
		old = gort_tagged_ptr_load(&top);
		gort_set(&n->next, old.ptr);
	} while (!gort_tagged_ptr_cas(&top, old, n));
}

static struct node *
pop(void)
{
	gort_tagged_ptr old;
	struct node *n;
	do {
		old = gort_tagged_ptr_load(&top);
		n = old.ptr;
	} while (n && !gort_tagged_ptr_cas(&top, old, n->next));
	return n;
}

static void
work(int id)
{
	if (gort_atomic_bool_cas(&decided, false, true))
		gort_atomic_int32_add(&winners, 1);
	for (int i = 0; i < 1000; i++) {
		struct node *n = gort_new(struct node);
		n->value = id;
		push(n);
		gort_atomic_int64_add(&sum, pop()->value); // not always the node just pushed
	}
}

static int
app(int argc, char **argv)
{
	gort_waitgroup wg = {0};
	for (int id = 1; id <= 8; id++)
		gort_waitgroup_go(&wg, work, id);
	gort_waitgroup_wait(&wg);
	printf("sum %d, winners %d, left on the stack: %s\n", (int)gort_atomic_int64_load(&sum),
	       gort_atomic_int32_load(&winners), pop() ? "something" : "nothing");
	return 0;
}
GORT_MAIN(app)
