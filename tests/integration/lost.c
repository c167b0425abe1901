// SPDX-License-Identifier: BSD-3-Clause
// Forgets gort_set: what one object alone holds is moved to a new one by plain stores, while collections run.
#include <gort.h>
#include <gort/pprof.h>

#define ROWS 20000

struct cell {
	struct cell *next;
	long weight;
};
GORT_TYPE(struct cell, next)

static struct cell *row[ROWS];

static void
collect(void)
{
	for (;;)
		gort_gc();
}

__attribute__((noinline)) static struct cell *
new_treasure(void)
{
	struct cell *c = gort_new(struct cell);
	c->weight = 7;
	return c;
}

static int
app(int argc, char **argv)
{
	gort_set_mem_profile_rate(1);
	for (int i = 0; i < ROWS; i++) {
		row[i] = gort_new(struct cell);
		row[i]->next = new_treasure();
	}
	gort_set_mem_profile_rate(0);
	gort_go(collect);
	for (long n = 0; n < 2000000000; n++) {
		struct cell *fresh = gort_new(struct cell), *old = row[n % ROWS];
		fresh->next = old->next;
		old->next = NULL;
		row[n % ROWS] = fresh;
	}
	return 0; // nothing was found
}
GORT_MAIN(app)
