// SPDX-License-Identifier: BSD-3-Clause
// Eight goroutines build, rewire and check linked structures while the collector runs all the time.
// Usage: stress_gc [seconds [seed]]. Each node knows its own checksum; one that was freed too early is
// overwritten (clobberfree) or reused and fails it.
#include <gort/mem.h>
#include <gort/sched.h>
#include <gort/time.h>

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS 8
#define ROOTS 64

struct node {
	struct node *kid[3];
	uint64_t id, sum;
	void *data; // pointer-free bytes
	size_t ndata;
};
struct typed {
	uint64_t id;
	struct node *a;
	uint64_t sum;
	struct typed *next;
};
GORT_TYPE(struct typed, a, next)

static _Atomic int done;
static _Atomic uint64_t nodes;
static int64_t deadline;

static uint64_t
next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void
fail(const char *what, uint64_t id)
{
	fprintf(stderr, "stress gc: %s, object %llu\n", what, (unsigned long long)id);
	abort();
}

static struct node *
make(uint64_t *x)
{
	struct node *n = gort_new(struct node);
	if (n->kid[0] || n->id || n->data)
		fail("new object is not zero", n->id);
	n->id = next(x);
	n->sum = n->id * 3 + 1;
	n->ndata = n->id % 200 < 2 ? 40000 : n->id % 300;
	n->data = gort_new_bytes(n->ndata + 1);
	unsigned char *d = n->data;
	for (size_t i = 0; i <= n->ndata; i += 64)
		d[i] = (unsigned char)n->id;
	return n;
}

static void
check(const struct node *n)
{
	if (n->sum != n->id * 3 + 1)
		fail("object was freed", n->id);
	const unsigned char *d = n->data;
	for (size_t i = 0; i <= n->ndata; i += 64)
		if (d[i] != (unsigned char)n->id)
			fail("data was freed", n->id);
}

static unsigned
walk(const struct node *n, int depth)
{
	if (!n || depth == 0)
		return 0;
	check(n);
	return 1 + walk(n->kid[0], depth - 1) + walk(n->kid[1], depth - 1) +
	       walk(n->kid[2], depth - 1);
}

static struct typed *
typed_list(uint64_t *x, int n)
{
	struct typed *head = NULL;
	for (int i = 0; i < n; i++) {
		struct typed *t = gort_new(struct typed);
		t->id = next(x);
		t->sum = ~t->id;
		gort_set(&t->a, make(x));
		gort_set(&t->next, head);
		head = t;
	}
	return head;
}

static void
check_list(const struct typed *t, int want)
{
	int n = 0;
	for (; t; t = t->next, n++) {
		if (t->sum != ~t->id)
			fail("typed object was freed", t->id);
		check(t->a);
	}
	if (n != want)
		fail("list changed its length", (uint64_t)n);
}

static void
worker(int id, uint64_t seed)
{
	struct node *root[ROOTS] = {0}; // on this stack only
	uint64_t x = seed + (uint64_t)id * 0x9e3779b97f4a7c15ull, made = 0;
	struct typed *list = typed_list(&x, 50);
	for (int step = 0; step % 256 || gort_nanotime() < deadline; step++) {
		struct node *n = make(&x);
		made++;
		struct node *into = root[next(&x) % ROOTS];
		if (into && next(&x) % 4) {
			gort_set(&n->kid[next(&x) % 3], into->kid[next(&x) % 3]);
			gort_set(&into->kid[next(&x) % 3], n);
		} else {
			root[next(&x) % ROOTS] = n;
		}
		if (step % 64 == 0)
			walk(root[next(&x) % ROOTS], 6);
		if (step % 1024 == 0) {
			check_list(list, 50);
			list = typed_list(&x, 50);
			gort_gosched();
		}
		if (step % 512 == 0)
			root[next(&x) % ROOTS] = NULL;
	}
	check_list(list, 50);
	for (int i = 0; i < ROOTS; i++)
		walk(root[i], 8);
	atomic_fetch_add(&nodes, made);
	atomic_fetch_add(&done, 1);
}

static int
app(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	printf("stress gc: %g s, seed %llu\n", seconds, (unsigned long long)seed);
	fflush(stdout);
	gort_set_gc_percent(20);
	deadline = gort_nanotime() + (int64_t)(seconds * 1e9);
	for (int i = 0; i < WORKERS; i++)
		gort_go(worker, i, seed);
	for (int n = 0; atomic_load(&done) < WORKERS || n <= 10; n++) { // slow builds come to fewer in the time
		gort_gc();
		gort_sleep(1000000);
	}
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	printf("stress gc: %llu nodes, %u collections (%u forced), heap %llu KiB of %llu KiB\n",
	       (unsigned long long)atomic_load(&nodes), s.num_gc, s.num_forced_gc,
	       (unsigned long long)(s.heap_alloc >> 10), (unsigned long long)(s.heap_sys >> 10));
	return s.num_gc > 10 && s.heap_sys < 1ull << 30 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	setenv("GORT_DEBUG", "clobberfree=1", 0);
	return gort_run(app, argc, argv);
}
