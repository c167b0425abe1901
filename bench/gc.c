// SPDX-License-Identifier: BSD-3-Clause
// The collector. Everything runs in a fresh child process, so that one benchmark's heap does not
// burden the next; use -benchtime 1x. Beside: peers/go/gc.
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The longest pause of the last 256 cycles, nanoseconds.
static uint64_t
max_pause(void)
{
	static gort_mem_stats st;
	gort_read_mem_stats(&st);
	uint64_t m = 0;
	for (size_t i = 0; i < sizeof st.pause_ns / sizeof *st.pause_ns; i++)
		if (st.pause_ns[i] > m)
			m = st.pause_ns[i];
	return m;
}

static uint32_t
gc_runs(void)
{
	static gort_mem_stats st;
	gort_read_mem_stats(&st);
	return st.num_gc;
}

// ---- binary trees ----

typedef struct tree tree;
struct tree {
	tree *l, *r;
};
GORT_TYPE(tree, l, r)

static tree *
build(int d)
{
	tree *l = d > 0 ? build(d - 1) : NULL, *r = d > 0 ? build(d - 1) : NULL;
	tree *t = gort_new(tree);
	gort_set(&t->l, l);
	gort_set(&t->r, r);
	return t;
}

static int64_t
check(const tree *t)
{
	return t->l ? 1 + check(t->l) + check(t->r) : 1;
}

static int64_t
build_and_check(int d, int64_t n)
{
	int64_t s = 0;
	for (int64_t i = 0; i < n; i++)
		s += check(build(d));
	return s;
}

static int64_t
binary_trees(int max)
{
	int64_t s = check(build(max + 1));
	tree *long_lived = build(max);
	for (int d = 4; d <= max; d += 4)
		s += build_and_check(d, (int64_t)1 << (max - d + 4));
	return s + check(long_lived);
}

struct sum {
	gort_mutex mu;
	int64_t s;
	gort_waitgroup wg;
};

static void
share(struct sum *sum, int d, int64_t n)
{
	int64_t c = build_and_check(d, n);
	gort_mutex_lock(&sum->mu);
	sum->s += c;
	gort_mutex_unlock(&sum->mu);
	gort_waitgroup_done(&sum->wg);
}

// Each depth's iterations split over as many goroutines as there are Ps (rounded down, as in Go).
static int64_t
binary_trees_par(int max)
{
	struct sum *sum = gort_new(struct sum);
	sum->s = check(build(max + 1));
	tree *long_lived = build(max);
	int w = gort_maxprocs(0);
	for (int d = 4; d <= max; d += 4) {
		gort_waitgroup_add(&sum->wg, w);
		for (int k = 0; k < w; k++)
			gort_go(share, sum, d, ((int64_t)1 << (max - d + 4)) / w);
		gort_waitgroup_wait(&sum->wg);
	}
	return sum->s + check(long_lived);
}

enum { NODES_18 = 34847678 }; // of all trees together

static void
report_trees(int64_t (*run)(int), int64_t want)
{
	int64_t t = gort_nanotime();
	int64_t s = run(18);
	int64_t ns = gort_nanotime() - t;
	if (s > want || (s < want && run == binary_trees))
		gort_panic("the trees have %" PRId64 " nodes", s);
	printf("%" PRId64 " ns/run %" PRId64 " cpu-ns/run %u gcs %" PRIu64 " pause-max-ns\n", ns,
	       bench_cputime(), gc_runs(), max_pause());
}

// ---- a graph of n nodes of 64 bytes with two pointers each ----

typedef struct node node;
struct node {
	node *a, *b;
	uint64_t pad[6];
};
GORT_TYPE(node, a, b)

static node *
graph(int64_t n)
{
	node **idx = gort_new_array(node *, n);
	for (int64_t i = 0; i < n; i++)
		gort_set(&idx[i], gort_new(node));
	uint64_t x = 88172645463325252ull;
	for (int64_t i = 0; i < n; i++) {
		gort_set(&idx[i]->a, idx[bench_xorshift(&x) % (uint64_t)n]);
		gort_set(&idx[i]->b, idx[(i + 1) % n]);
	}
	return idx[0];
}

static void
force_gc(int k)
{
	int64_t ns[16];
	gort_gc();
	int64_t c0 = bench_cputime();
	for (int i = 0; i < k; i++) {
		int64_t t = gort_nanotime();
		gort_gc();
		ns[i] = gort_nanotime() - t;
	}
	int64_t c1 = bench_cputime();
	bench_sort(ns, k);
	printf("%" PRId64 " ns/gc %" PRIu64 " pause-max-ns %" PRId64 " cpu-ns/gc\n", ns[k / 2],
	       max_pause(), (c1 - c0) / k);
}

BENCH_NOINLINE static void
hold(int depth, gort_chan *gate, int64_t **p)
{
	int64_t *q[4] = {gort_new(int64_t), p[0], p[1], p[2]};
	if (depth == 0)
		gort_chan_recv(gate, NULL);
	else
		hold(depth - 1, gate, q);
	BENCH_USE(q);
}

static void
hold_stack(gort_chan *gate)
{
	int64_t *q[4] = {0};
	hold(8, gate, q);
}

static void
stacks_100k(void)
{
	gort_chan *gate = gort_make_chan(int64_t, 0);
	for (int i = 0; i < 100000; i++)
		gort_go(hold_stack, gate);
	gort_sleep(200 * GORT_MILLISECOND);
	force_gc(5);
}

// ---- latency of a paced loop beside a live heap ----

typedef struct kb kb;
struct kb {
	kb *next;
	uint64_t pad[127];
};
GORT_TYPE(kb, next)

enum { RING = 4096 };

// Runs n operations, one every period, and reports how late each one finished after the time it was
// due (so a pause counts for all it delays).
static void
paced(int64_t n, int64_t period, void (*op)(int64_t i, void *arg), void *arg)
{
	int64_t *lat = gort_new_array(int64_t, n), *srv = gort_new_array(int64_t, n);
	int64_t start = gort_nanotime();
	for (int64_t i = 0; i < n; i++) {
		int64_t due = i * period, t;
		while ((t = gort_nanotime() - start) < due)
			;
		op(i, arg);
		int64_t e = gort_nanotime() - start;
		lat[i] = e - due;
		srv[i] = e - t;
	}
	bench_sort(lat, n);
	bench_sort(srv, n);
	printf("%" PRId64 " p50-ns %" PRId64 " p99-ns %" PRId64 " p99.9-ns %" PRId64
	       " p99.99-ns %" PRId64 " max-ns ",
	       bench_quantile(lat, n, .5), bench_quantile(lat, n, .99),
	       bench_quantile(lat, n, .999), bench_quantile(lat, n, .9999), lat[n - 1]);
	printf("%" PRId64 " op-p50-ns %" PRId64 " op-p99.9-ns %u gcs %" PRIu64 " pause-max-ns\n",
	       srv[n / 2], srv[n / 1000 * 999], gc_runs(), max_pause());
}

static kb *ring[RING];

static void
churn(int64_t i, void *unused)
{
	kb *k = gort_new(kb), *next = ring[(i + 1) % RING];
	gort_set(&k->next, next);
	if (next)
		gort_set(&next->next, NULL);
	for (int j = 0; j < 127; j += 8)
		k->pad[j] = (uint64_t)i;
	gort_set(&ring[i % RING], k);
}

static void
latency(int64_t n, int64_t period)
{
	node *g = graph(4 << 20);
	gort_gc();
	paced(n, period, churn, NULL);
	gort_keep_alive(g);
}

static void
touch(int64_t i, void *k)
{
	for (int j = 0; j < 127; j++)
		((kb *)k)->pad[j] = (uint64_t)i;
	BENCH_USE(k);
}

static void
child(const char *what)
{
	if (strcmp(what, "bintree18") == 0) {
		report_trees(binary_trees, NODES_18);
	} else if (strcmp(what, "bintree18par") == 0) {
		report_trees(binary_trees_par, NODES_18);
	} else if (strcmp(what, "graph10m") == 0) {
		node *g = graph(10000000);
		gort_gc();
		force_gc(3);
		gort_keep_alive(g);
	} else if (strcmp(what, "stacks100k") == 0) {
		stacks_100k();
	} else if (strcmp(what, "empty") == 0) {
		force_gc(11);
	} else if (strcmp(what, "churn256m") == 0) {
		latency(500000, 10 * GORT_MICROSECOND);
	} else if (strcmp(what, "churn256mfast") == 0) {
		latency(800000, 5 * GORT_MICROSECOND);
	} else if (strcmp(what, "quiet") == 0) {
		gort_set_gc_percent(-1);
		paced(400000, 10 * GORT_MICROSECOND, touch, gort_new(kb));
	}
}

#define CHILD(name, what, env)                                                                     \
	static void name(struct bench *b)                                                          \
	{                                                                                          \
		bench_child(b, what, env);                                                         \
	}
CHILD(binary_trees_18, "bintree18", NULL)
CHILD(binary_trees_18_par, "bintree18par", NULL)
CHILD(binary_trees_18_gogc400, "bintree18", "GOGC=400")
CHILD(forced_graph_10m, "graph10m", NULL)
CHILD(forced_stacks_100k, "stacks100k", NULL)
CHILD(forced_empty, "empty", NULL)
CHILD(latency_churn, "churn256m", NULL)
CHILD(latency_churn_fast, "churn256mfast", NULL)
CHILD(latency_quiet, "quiet", NULL)

// A store of a pointer in an object, plain and by gort_set, while no collection runs: what the barrier costs
// when it is off. Both in C, beside each other; 8 at a time, so that the loop does not hide it.
typedef struct cell cell;
struct cell {
	cell *to[8];
};
GORT_TYPE(cell, to)

BENCH_NOINLINE static void
store_plain(cell *c, cell *v)
{
	for (int i = 0; i < 8; i++) {
		c->to[i] = v;
		__asm__ volatile("" ::: "memory"); // one store each: no vectors
	}
}

BENCH_NOINLINE static void
store_by_gort_set(cell *c, cell *v)
{
	for (int i = 0; i < 8; i++) {
		gort_set(&c->to[i], v);
		__asm__ volatile("" ::: "memory");
	}
}

static void
stores(struct bench *b, void (*store)(cell *c, cell *v))
{
	cell *c = gort_new(cell), *v = gort_new(cell);
	bench_reset_timer(b);
	for (int64_t i = 0; i < b->n; i += 8)
		store(c, v);
	BENCH_USE(c);
}

static void
set_plain(struct bench *b)
{
	stores(b, store_plain);
}

static void
set_barrier_off(struct bench *b)
{
	stores(b, store_by_gort_set);
}

static const bench_case cases[] = {
	{"BinaryTrees18", binary_trees_18},
	{"BinaryTrees18Par", binary_trees_18_par},
	{"BinaryTrees18GOGC400", binary_trees_18_gogc400},
	{"ForcedGCGraph10M", forced_graph_10m},
	{"ForcedGCStacks100k", forced_stacks_100k},
	{"ForcedGCEmpty", forced_empty},
	{"LatencyChurn256M", latency_churn},
	{"LatencyChurn256MFast", latency_churn_fast},
	{"LatencyQuiet", latency_quiet},
	{"SetPlain", set_plain},
	{"SetBarrierOff", set_barrier_off},
};
BENCH_MAIN("gc", cases, child)
