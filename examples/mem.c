// SPDX-License-Identifier: BSD-3-Clause
// <gort/mem.h>: collected memory. A list in typed objects survives collections; what nothing points to
// any more goes, though nobody frees it.
#include <gort.h>
#include <stdio.h>
#include <string.h>

struct node {
	struct node *next;
	long value;
	char name[16];
};
GORT_TYPE(struct node, next) // only next holds a pointer

static struct node *list; // globals are roots

static void
push(long value)
{
	struct node *n = gort_new(struct node); // zeroed
	n->value = value;
	snprintf(n->name, sizeof n->name, "node %ld", value);
	gort_set(&n->next, list); // a pointer in a collected object: with the barrier
	list = n;
}

static long
sum(void)
{
	long s = 0;
	for (struct node *n = list; n; n = n->next)
		s += n->value;
	return s;
}

static int
app(int argc, char **argv)
{
	static gort_mem_stats before, after;
	for (long i = 1; i <= 1000; i++)
		push(i);
	gort_gc();
	printf("sum %ld, newest \"%s\"\n", sum(), list->name);

	for (int i = 0; i < 1000; i++)
		memset(gort_new_bytes(1 << 20), 1, 1 << 20); // a GiB in all, dead at once
	printf("sum %ld after a GiB of garbage\n", sum());

	gort_gc();
	gort_read_mem_stats(&before);
	list = NULL;
	gort_gc();
	gort_read_mem_stats(&after);
	uint64_t freed = after.frees - before.frees;
	printf("dropping the list frees it: %s\n",
	       freed >= 900 ? "yes" : "no"); // a stale word may hold some
	printf("the heap stays small: %s\n", after.heap_sys < (uint64_t)512 << 20 ? "yes" : "no");
	printf("collections ran by themselves: %s\n",
	       after.num_gc > after.num_forced_gc ? "yes" : "no");
	return 0;
}
GORT_MAIN(app)
