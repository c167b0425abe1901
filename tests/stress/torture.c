// SPDX-License-Identifier: BSD-3-Clause
// Eight goroutines build, rewire and check random graphs while collections run back to back (GOGC 1 to 5),
// signals rain on all threads and every freed object is overwritten.
//
// Private graphs. Each goroutine knows what its graph must look like from a shadow of it: numbers in libc's
// memory, which the collector does not see. Every so often it walks both together from the roots and
// compares every reachable object: identity, payload, and each edge. Its roots are on its stack, in the
// heap, in a registered malloc block, and pinned. Objects are typed, untyped, pointer-free, large and
// larger than an oblet; edges are pointers to the first byte or into the middle.
//
// Shared graph. All goroutines rewire one graph of the same objects, and pass objects through channels,
// maps, pools, timers, arguments of new goroutines, weak handles and registers over system calls; who meets an
// object checks its payload. GOGC and GOMAXPROCS change all the time.
//
// GORT_STRESS_MS: how long (5000). Arguments: seed.
#include <gort/map.h>
#include <gort/mem.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>

#include "stress.h"

#define WORKERS 8
#define NODES 1500 // of a private graph
#define ROOTS 16
#define SHARED 256

enum kind { TYPED, UNTYPED, LEAF, LARGE, HUGE_ONE };

// Payload, constant once made; then edges, which are read and written as single words.
struct node {
	uint64_t id;
	uint32_t kind, nkids;
	uint64_t nbytes; // leaf: of pattern in place of kids
	uint64_t sum;
	struct node *kid[];
};
struct typed { // a node with room
	uint64_t n[sizeof(struct node) / sizeof(uint64_t)];
	struct node *kid[4];
};
GORT_TYPE(struct typed, kid)
_Static_assert(offsetof(struct typed, kid) == offsetof(struct node, kid), "a typed node is a node");

static _Atomic int done;
static _Atomic uint64_t nchecked, nmade, nsignals, nverified, nwalks;

// ---- objects ----

static uint64_t
sum_of(const struct node *n)
{
	return (n->id * 0x9e3779b97f4a7c15u ^ n->kind * 77 ^ n->nkids * 12345 ^ n->nbytes) + 1;
}

static void
check(const struct node *n)
{
	STRESS_CHECK(n->sum == sum_of(n), "object %p of id %llx, kind %u was freed or overwritten",
		     (const void *)n, (unsigned long long)n->id, n->kind);
	const unsigned char *d = (const unsigned char *)n->kid;
	for (uint64_t i = 0; i < n->nbytes; i += 32)
		STRESS_CHECK(d[i] == (unsigned char)n->id, "bytes of %p", (const void *)n);
	atomic_fetch_add_explicit(&nchecked, 1, memory_order_relaxed);
}

static struct node *
allocate(enum kind kind, uint32_t nkids, uint64_t nbytes)
{
	size_t size = sizeof(struct node) + nkids * sizeof(struct node *);
	switch (kind) {
	case TYPED:
		return (struct node *)gort_new(struct typed);
	case LEAF:
		return gort_new_bytes(sizeof(struct node) + nbytes);
	default:
		return (struct node *)gort_new_array(void *, size / sizeof(void *));
	}
}

static struct node *
make(struct rng *r)
{
	uint32_t pick = rng_below(r, 1000);
	enum kind kind = pick < 450 ? TYPED : pick < 800 ? UNTYPED : pick < 996 ? LEAF
		       : pick < 999 ? LARGE : HUGE_ONE;
	uint32_t nkids = kind == TYPED ? 4 : kind == LEAF ? 0 : kind == UNTYPED ? 1 + rng_below(r, 12)
		       : kind == LARGE ? 5000 : 40000;
	uint64_t nbytes = kind == LEAF ? rng_below(r, 8) ? rng_below(r, 200) : rng_below(r, 40000) : 0;
	struct node *n = allocate(kind, nkids, nbytes);
	const uint64_t *w = (const uint64_t *)n;
	for (size_t i = 0; i < sizeof *n / 8; i++)
		STRESS_CHECK(w[i] == 0, "a new object is not zero");
	for (uint32_t i = 0; i < nkids; i += 1 + nkids / 64)
		STRESS_CHECK(!n->kid[i], "a new object has an edge");
	rng_below(r, 2);
	n->id = r->s;
	n->kind = kind;
	n->nkids = nkids;
	n->nbytes = nbytes;
	n->sum = sum_of(n);
	memset(n->kid, (unsigned char)n->id, nbytes);
	atomic_fetch_add_explicit(&nmade, 1, memory_order_relaxed);
	return n;
}

// An edge may point to byte 0 or 8 of its object, which is aligned to 16.
static struct node *
edge(struct rng *r, struct node *n)
{
	return n ? (struct node *)((char *)n + 8 * rng_below(r, 2)) : NULL;
}

static struct node *
target(const struct node *edge)
{
	return (struct node *)((uintptr_t)edge & ~(uintptr_t)15);
}

static struct node *
kid(const struct node *n, uint32_t i)
{
	return target(__atomic_load_n(&n->kid[i], __ATOMIC_RELAXED));
}

// ---- private graphs ----

// Kids of large objects lie in a few slots, spread over the object.
#define SLOTS 12
struct shadow {
	uint64_t id;
	uint32_t nkids;
	bool used, seen;
	int kid[SLOTS]; // -1 none
};

struct graph {
	struct rng r;
	struct shadow *node; // NODES of them
	struct node **at;    // while walking: where each seen one is
	int *todo;
	int root[ROOTS];     // -1 none
	struct node **block; // malloc's, registered: roots 4 to 7
	uintptr_t pinned[4]; // roots 8 to 11; in libc's memory, as all of this
};

// Roots on the stack, 0 to 3, and in the heap, 12 to 15.
struct roots {
	struct node *stack[4];
	struct node **heap;
};

static struct node *
get_root(const struct graph *g, const struct roots *at, int i)
{
	struct node *n = i < 4 ? at->stack[i] : i < 8 ? g->block[i - 4]
		       : i < 12 ? (struct node *)g->pinned[i - 8] : at->heap[i - 12];
	return target(n);
}

static void
set_root(struct graph *g, struct roots *at, int i, struct node *n, int shadow)
{
	g->root[i] = shadow;
	if (i < 4) {
		at->stack[i] = edge(&g->r, n);
	} else if (i < 8) {
		g->block[i - 4] = edge(&g->r, n); // a plain store: roots are read at t0
	} else if (i < 12) {
		uintptr_t was = g->pinned[i - 8];
		if (n)
			gort_pin(edge(&g->r, n));
		g->pinned[i - 8] = (uintptr_t)n;
		if (was)
			gort_unpin((void *)was);
	} else {
		gort_set(&at->heap[i - 12], edge(&g->r, n));
	}
}

static uint32_t
slot_of(const struct node *n, uint32_t k)
{
	return n->nkids <= SLOTS ? k : (uint32_t)((uint64_t)k * (n->nkids - 1) / (SLOTS - 1));
}

static uint32_t
nslots(const struct shadow *s)
{
	return s->nkids < SLOTS ? s->nkids : SLOTS;
}

static void
meet(struct graph *g, int i, struct node *n, int *ntodo)
{
	struct shadow *s = &g->node[i];
	if (s->seen) {
		STRESS_CHECK(g->at[i] == n, "one object is in two places");
		return;
	}
	s->seen = true;
	g->at[i] = n;
	STRESS_CHECK(n && n->id == s->id && n->nkids == s->nkids,
		     "object %p has id %llx, not %llx", (void *)n,
		     (unsigned long long)(n ? n->id : 0), (unsigned long long)s->id);
	check(n);
	g->todo[(*ntodo)++] = i;
}

// Compares graph and shadow, all that is reachable; what is not is free in the shadow afterwards.
static int
verify(struct graph *g, const struct roots *at)
{
	int ntodo = 0, nseen = 0;
	for (int i = 0; i < NODES; i++)
		g->node[i].seen = false;
	for (int i = 0; i < ROOTS; i++) {
		STRESS_CHECK((g->root[i] >= 0) == (get_root(g, at, i) != NULL), "root %d", i);
		if (g->root[i] >= 0)
			meet(g, g->root[i], get_root(g, at, i), &ntodo);
	}
	for (; ntodo > 0; nseen++) {
		int i = g->todo[--ntodo];
		const struct shadow *s = &g->node[i];
		for (uint32_t k = 0; k < nslots(s); k++) {
			struct node *n = kid(g->at[i], slot_of(g->at[i], k));
			STRESS_CHECK((s->kid[k] >= 0) == (n != NULL), "edge %u of %p was lost or found",
				     k, (void *)g->at[i]);
			if (n)
				meet(g, s->kid[k], n, &ntodo);
		}
	}
	for (int i = 0; i < NODES; i++)
		g->node[i].used = g->node[i].seen;
	atomic_fetch_add(&nverified, (uint64_t)nseen);
	atomic_fetch_add(&nwalks, 1);
	return nseen;
}

// Follows both from a random root for a few edges. -1: there is none.
static int
wander(struct graph *g, const struct roots *at, struct node **np)
{
	int r = (int)rng_below(&g->r, ROOTS), i = g->root[r];
	if (i < 0)
		return -1;
	struct node *n = get_root(g, at, r);
	for (uint32_t steps = rng_below(&g->r, 20); steps > 0; steps--) {
		const struct shadow *s = &g->node[i];
		uint32_t k = nslots(s) ? rng_below(&g->r, nslots(s)) : 0;
		if (!nslots(s) || s->kid[k] < 0)
			break;
		n = kid(n, slot_of(n, k));
		i = s->kid[k];
	}
	STRESS_CHECK(n->id == g->node[i].id, "wandered to %p, which has another id", (void *)n);
	check(n);
	*np = n;
	return i;
}

static int
fresh(struct graph *g, struct node **np)
{
	int i = (int)rng_below(&g->r, NODES), end = i;
	do {
		i = (i + 1) % NODES;
	} while (g->node[i].used && i != end);
	if (g->node[i].used)
		return -1;
	struct shadow *s = &g->node[i];
	*np = make(&g->r);
	s->id = (*np)->id;
	s->nkids = (*np)->nkids;
	s->used = true;
	for (int k = 0; k < SLOTS; k++)
		s->kid[k] = -1;
	return i;
}

static __attribute__((noinline)) void
mutate(struct graph *g, struct roots *at)
{
	struct node *to = NULL, *n = NULL;
	uint32_t what = rng_below(&g->r, 100);
	int j = what < 60 ? fresh(g, &to) : what < 92 ? wander(g, at, &to) : -1; // else cut
	int i = wander(g, at, &n);
	for (int tries = 0; tries < 20 && i >= 0 && !nslots(&g->node[i]); tries++)
		i = wander(g, at, &n);
	if (j < 0)
		to = NULL;
	if (i < 0 || !nslots(&g->node[i]) || rng_below(&g->r, 500) == 0) {
		set_root(g, at, (int)rng_below(&g->r, ROOTS), to, j);
		return;
	}
	uint32_t k = rng_below(&g->r, nslots(&g->node[i]));
	for (int tries = 0; tries < 8 && g->node[i].kid[k] >= 0 && j >= 0; tries++)
		k = rng_below(&g->r, nslots(&g->node[i])); // rather an empty one, so that graphs grow
	gort_set(&n->kid[slot_of(n, k)], edge(&g->r, to));
	g->node[i].kid[k] = j;
}

static struct graph *
new_graph(uint64_t id)
{
	struct graph *g = calloc(1, sizeof *g);
	g->r = rng_for(id);
	g->node = calloc(NODES, sizeof *g->node);
	g->at = calloc(NODES, sizeof *g->at);
	g->todo = calloc(NODES, sizeof *g->todo);
	g->block = calloc(4, sizeof *g->block);
	gort_add_root(g->block, 4 * sizeof *g->block);
	for (int i = 0; i < ROOTS; i++)
		g->root[i] = -1;
	return g;
}

static void
free_graph(struct graph *g, struct roots *at)
{
	for (int i = 8; i < 12; i++)
		set_root(g, at, i, NULL, -1);
	gort_remove_root(g->block);
	free(g->block);
	free(g->todo);
	free(g->at);
	free(g->node);
	free(g);
}

// ---- the shared graph ----

static struct node **shared; // a heap array of edges
static gort_weak **handles;  // a heap array
static gort_chan *buffered, *unbuffered;
static gort_map *map;
static gort_mutex maplock;

static void
stroll(struct rng *r, struct node *n, int depth)
{
	for (; n && depth > 0; depth--) {
		check(n);
		if (n->nkids == 0)
			break;
		n = kid(n, rng_below(r, n->nkids < 8 ? n->nkids : 8));
	}
}

static struct node *
any_shared(struct rng *r)
{
	return target(__atomic_load_n(&shared[rng_below(r, SHARED)], __ATOMIC_RELAXED));
}

static void
receive_it(struct node *n, uint64_t id)
{
	struct rng r = rng_for(id);
	stroll(&r, n, 10);
	gort_set(&shared[rng_below(&r, SHARED)], edge(&r, n));
}

static void
on_timer(void *n)
{
	check(n);
}

static void
exchange(struct rng *r, struct node *n)
{
	struct node *got = NULL;
	gort_select_case both[] = {GORT_SEND(unbuffered, &n), GORT_RECV(unbuffered, &got), GORT_DEFAULT};
	gort_select(both, 3);
	stroll(r, got, 10);
	got = NULL;
	if (!gort_chan_try_send(buffered, &n) && gort_chan_try_recv(buffered, &got) == 1)
		stroll(r, got, 10);
}

static void
use_map(struct rng *r, struct node *n)
{
	uint64_t key = rng_below(r, 200);
	gort_mutex_lock(&maplock);
	struct node **at = gort_map_get(uint64_t, struct node *, map, key);
	struct node *was = at ? *at : NULL;
	if (rng_below(r, 3) == 0)
		gort_map_delete(uint64_t, map, key);
	else
		gort_set(gort_map_put(uint64_t, struct node *, map, key), n);
	gort_mutex_unlock(&maplock);
	stroll(r, was, 10);
}

// A register may be all that holds n while the thread has no P and collections begin.
static __attribute__((noinline)) struct node *
over_a_system_call(struct rng *r, struct node *n)
{
	gort_entersyscall();
	if (rng_below(r, 8) == 0)
		sched_yield();
	gort_exitsyscall();
	return n;
}

static void
share(struct rng *r)
{
	struct node *n = rng_below(r, 2) ? make(r) : any_shared(r);
	if (!n)
		n = make(r);
	stroll(r, any_shared(r), 20);
	switch (rng_below(r, 12)) {
	case 0:
		exchange(r, n);
		break;
	case 1:
		use_map(r, n);
		break;
	case 2:
		gort_go_stack(rng_below(r, 64) ? 0 : 1 << 20, receive_it, n, (uint64_t)rng_below(r, 1u << 30));
		break;
	case 6:
		check(over_a_system_call(r, n));
		break;
	case 3:
		gort_after_func((int64_t)rng_below(r, 1000000), on_timer, n);
		break;
	case 4: {
		gort_weak *w = __atomic_load_n(&handles[rng_below(r, SHARED)], __ATOMIC_RELAXED);
		struct node *alive = gort_weak_value(w);
		stroll(r, alive, 10);
		gort_set(&shared[rng_below(r, SHARED)], edge(r, alive));
		gort_set(&handles[rng_below(r, SHARED)], gort_weak_make(n));
		break;
	}
	case 5:
		gort_set(&shared[rng_below(r, SHARED)], NULL);
		break;
	default: {
		struct node *into = any_shared(r);
		if (into && into->nkids)
			gort_set(&into->kid[rng_below(r, into->nkids < 8 ? into->nkids : 8)], edge(r, n));
		gort_set(&shared[rng_below(r, SHARED)], edge(r, n));
	}
	}
}

// ---- goroutines ----

// Deep frames with a pointer each: what a stop finds on the way.
static uint64_t
deep(struct rng *r, struct node *n, int depth)
{
	struct node *volatile mine = n;
	uint64_t s = depth > 0 ? deep(r, make(r), depth - 1) : 0;
	check(mine);
	return s + mine->id;
}

static void
worker(uint64_t id)
{
	struct graph *g = new_graph(id);
	struct roots at = {.heap = gort_new_array(struct node *, 4)};
	for (uint64_t step = 1; step % 64 || stress_time_left(); step++) {
		mutate(g, &at);
		if (step % 4 == 0)
			share(&g->r);
		if (step % 512 == 0 && verify(g, &at) > NODES * 3 / 4)
			for (int i = 0; i < ROOTS; i += 2)
				set_root(g, &at, i, NULL, -1);
		if (step % 300 == 0)
			deep(&g->r, make(&g->r), 40);
		if (step % 1000 == 0)
			gort_gosched();
	}
	verify(g, &at);
	free_graph(g, &at);
	atomic_fetch_add(&done, 1);
}

// ---- signals ----

static void
on_signal(int sig)
{
	(void)sig;
	for (volatile int i = 0; i < 100; i++)
		;
	atomic_fetch_add_explicit(&nsignals, 1, memory_order_relaxed);
}

// To every thread in turn: one on its signal stack, one on whatever stack is in use, and the runtime's own.
static void *
rain(void *arg)
{
	static const int signals[] = {SIGUSR1, SIGUSR2, SIGURG};
	(void)arg;
	for (unsigned n = 0; atomic_load(&done) < WORKERS;) {
		DIR *d = opendir("/proc/self/task");
		for (struct dirent *e; d && (e = readdir(d));) {
			int tid = atoi(e->d_name);
			if (tid > 0 && tid != syscall(SYS_gettid))
				syscall(SYS_tgkill, getpid(), tid, signals[n++ % 3]);
		}
		if (d)
			closedir(d);
		usleep(200);
	}
	return NULL;
}

static void
start_rain(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
	sigset_t all, old;
	pthread_t t;
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &sa, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	STRESS_CHECK(pthread_create(&t, NULL, rain, NULL) == 0, "pthread_create");
	pthread_detach(t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

// Each change stops the world, mostly while marking is on, and GOMAXPROCS goes down to 1 while others still run.
static void
change_settings(void)
{
	int procs = gort_maxprocs(0);
	for (int n = 0; atomic_load(&done) < WORKERS; n++) {
		gort_set_gc_percent(1 + n / 50 % 5);
		if (n % 50 == 0)
			gort_maxprocs(1);
		else if (n % 50 == 5)
			gort_maxprocs(procs);
		gort_sleep(GORT_MILLISECOND);
	}
	gort_maxprocs(procs);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	shared = gort_new_array(struct node *, SHARED);
	handles = gort_new_array(gort_weak *, SHARED);
	buffered = gort_make_chan(struct node *, 50);
	unbuffered = gort_make_chan(struct node *, 0);
	map = gort_make_map(uint64_t, struct node *, 0);
	start_rain();
	for (uint64_t i = 0; i < WORKERS; i++)
		gort_go(worker, i);
	change_settings();
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	printf("%llu graphs of %llu objects on average compared, ", (unsigned long long)nwalks,
	       (unsigned long long)(nverified / nwalks));
	printf("%llu made, %llu checks, %u collections, %llu signals, heap %llu of %llu KiB\n",
	       (unsigned long long)nmade, (unsigned long long)nchecked, s.num_gc,
	       (unsigned long long)nsignals, (unsigned long long)(s.heap_alloc >> 10),
	       (unsigned long long)(s.heap_sys >> 10));
	STRESS_CHECK(s.num_gc > 3 && nchecked > 10000 && nsignals > 10, "nothing much happened");
	// Generous: on a busy machine much is allocated before a stop comes about.
	STRESS_CHECK(s.heap_sys < 4ull << 30, "memory is not bounded");
	return 0;
}

int
main(int argc, char **argv)
{
	setenv("GORT_DEBUG", "clobberfree=1", 0);
	setenv("GORT_STRESS_MS", "5000", 0);
	return gort_run(app, argc, argv);
}
