// SPDX-License-Identifier: BSD-3-Clause
// RWMutex, Cond, Pool, Once, contexts and tagged pointers under many goroutines. Each part keeps sums that
// come out wrong, or hangs, when one of them fails.
#include "stress.h"

#include <gort/atomic.h>
#include <gort/context.h>
#include <gort/mem.h>

#include <string.h>

enum { WORKERS = 6 };

// ---- RWMutex: writers move money between plain counters, readers see the sum ----

struct bank {
	gort_rwmutex rw;
	int64_t account[4];
	int64_t moves;
	gort_waitgroup wg;
};

static void
move_money(struct bank *b, struct rng *rng)
{
	int64_t n = rng_below(rng, 100);
	b->account[rng_below(rng, 4)] -= n;
	if (rng_below(rng, 64) == 0)
		gort_gosched();
	b->account[rng_below(rng, 4)] += n;
	b->moves++;
}

static void
count_money(struct bank *b, struct rng *rng)
{
	int64_t sum = 0;
	for (int i = 0; i < 4; i++)
		sum += b->account[i];
	if (rng_below(rng, 64) == 0)
		gort_gosched();
	STRESS_CHECK(sum == 1000, "%lld", (long long)sum);
}

static void
client(struct bank *b, int id, int n)
{
	struct rng rng = rng_for((uint64_t)id);
	for (int i = 0; i < n; i++) {
		uint32_t what = rng_below(&rng, 16);
		if (what == 0) {
			gort_rwmutex_lock(&b->rw);
			move_money(b, &rng);
			gort_rwmutex_unlock(&b->rw);
		} else if (what == 1 && gort_rwmutex_try_lock(&b->rw)) {
			move_money(b, &rng);
			gort_rwmutex_unlock(&b->rw);
		} else if (what != 2 || gort_rwmutex_try_rlock(&b->rw)) {
			if (what != 2)
				gort_rwmutex_rlock(&b->rw);
			count_money(b, &rng);
			gort_rwmutex_runlock(&b->rw);
		}
	}
	gort_waitgroup_done(&b->wg);
}

static void
rwmutex_round(struct rng *rng)
{
	struct bank b = {.account = {1000}};
	gort_waitgroup_add(&b.wg, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		gort_go(client, &b, (int)rng_below(rng, 1u << 30), 500);
	gort_waitgroup_wait(&b.wg);
	count_money(&b, rng);
	gort_rwmutex_lock(&b.rw); // counts the readers that are counted elsewhere
	gort_rwmutex_unlock(&b.rw);
	STRESS_CHECK((b.rw.reader_count & ~(3 << 28)) == 0 && b.rw.reader_wait == 0, "%d readers, wait for %d",
		     b.rw.reader_count, b.rw.reader_wait);
}

// ---- Cond: a bounded buffer ----

struct buffer {
	gort_mutex mu;
	gort_cond not_empty, not_full;
	int n, cap;
	int64_t in, out; // sums
	int producers;
	gort_waitgroup wg;
};

static void
produce(struct buffer *b, int id, int n)
{
	struct rng rng = rng_for((uint64_t)id);
	for (int i = 0; i < n; i++) {
		gort_mutex_lock(&b->mu);
		while (b->n == b->cap)
			gort_cond_wait(&b->not_full);
		b->n++;
		b->in++;
		if (rng_below(&rng, 2))
			gort_cond_signal(&b->not_empty);
		gort_mutex_unlock(&b->mu);
		if (rng_below(&rng, 2))
			gort_cond_signal(&b->not_empty);
		else
			gort_cond_broadcast(&b->not_empty);
	}
	gort_mutex_lock(&b->mu);
	b->producers--;
	gort_mutex_unlock(&b->mu);
	gort_cond_broadcast(&b->not_empty);
	gort_waitgroup_done(&b->wg);
}

static void
consume(struct buffer *b)
{
	gort_mutex_lock(&b->mu);
	while (b->n > 0 || b->producers > 0) {
		if (b->n == 0) {
			gort_cond_wait(&b->not_empty);
			continue;
		}
		b->n--;
		b->out++;
		gort_cond_signal(&b->not_full);
		gort_mutex_unlock(&b->mu);
		gort_mutex_lock(&b->mu);
	}
	gort_mutex_unlock(&b->mu);
	gort_waitgroup_done(&b->wg);
}

static void
cond_round(struct rng *rng)
{
	struct buffer b = {.cap = 1 + (int)rng_below(rng, 4), .producers = WORKERS / 2};
	gort_cond_init(&b.not_empty, &b.mu);
	gort_cond_init(&b.not_full, &b.mu);
	gort_waitgroup_add(&b.wg, WORKERS);
	for (int i = 0; i < WORKERS / 2; i++) {
		gort_go(produce, &b, (int)rng_below(rng, 1u << 30), 300);
		gort_go(consume, &b);
	}
	gort_waitgroup_wait(&b.wg);
	STRESS_CHECK(b.in == 300 * (WORKERS / 2) && b.out == b.in, "%lld in, %lld out",
		     (long long)b.in, (long long)b.out);
}

// ---- Pool: an item belongs to one goroutine at a time, and is alive ----

struct item {
	gort_atomic_int32 owners;
	int32_t id;
	int64_t check;
};

static gort_pool pool;

static void
borrow(gort_waitgroup *wg, int id, int n)
{
	struct rng rng = rng_for((uint64_t)id);
	struct item *have[8] = {NULL};
	for (int i = 0; i < n; i++) {
		struct item **x = &have[rng_below(&rng, 8)];
		if (*x) {
			gort_atomic_int32_add(&(*x)->owners, -1);
			gort_pool_put(&pool, *x);
			*x = NULL;
			continue;
		}
		*x = gort_pool_get(&pool);
		if (!*x) {
			*x = gort_new(struct item);
			(*x)->id = (int32_t)rng_below(&rng, 1u << 30);
			(*x)->check = (*x)->id * 3LL + 1;
		}
		STRESS_CHECK((*x)->check == (*x)->id * 3LL + 1, "an item that was freed");
		STRESS_CHECK(gort_atomic_int32_add(&(*x)->owners, 1) == 1, "two owners");
	}
	gort_waitgroup_done(wg);
}

static void
pool_round(struct rng *rng)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		gort_go(borrow, &wg, (int)rng_below(rng, 1u << 30), 2000);
	if (rng_below(rng, 4) == 0)
		gort_gc();
	gort_waitgroup_wait(&wg);
}

// Short lives of pools, one after the other in the same memory, each with one item, while the collector takes
// their sets away, which others then get: no item may turn up in another's. (Where the restartable sequence does
// not look at the set's number, six runs of four seconds in six fail here.)
static void
live(gort_waitgroup *wg, int id, int n)
{
	for (int i = 0; i < n; i++) {
		gort_pool own = {0};
		struct item *x = NULL;
		for (int k = 0; k < 100; k++) {
			if (!x) {
				x = gort_new(struct item);
				x->id = id + i;
			}
			gort_pool_put(&own, x);
			x = gort_pool_get(&own);
			STRESS_CHECK(!x || x->id == id + i, "an item of another pool");
			if (k % 4 == 0)
				gort_gosched(); // maybe on another P then
		}
	}
	gort_waitgroup_done(wg);
}

static void
pool_lives_round(struct rng *rng)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		gort_go(live, &wg, i << 20, 1 + (int)rng_below(rng, 100));
	for (int i = 0; i < 5; i++)
		gort_gc();
	gort_waitgroup_wait(&wg);
}

// ---- tagged pointers: a stack of nodes from a fixed set ----

struct node {
	gort_atomic_ptr next;
	gort_atomic_int32 taken;
};

static gort_tagged_ptr top;

static void
push(struct node *n)
{
	gort_tagged_ptr old;
	do {
		old = gort_tagged_ptr_load(&top);
		gort_atomic_ptr_store(&n->next, old.ptr);
	} while (!gort_tagged_ptr_cas(&top, old, n));
}

static struct node *
pop(void)
{
	for (;;) {
		gort_tagged_ptr old = gort_tagged_ptr_load(&top);
		struct node *n = old.ptr;
		if (!n)
			return NULL;
		// n may be somebody else's by now: then next is garbage, and the exchange fails.
		if (gort_tagged_ptr_cas(&top, old, gort_atomic_ptr_load(&n->next)))
			return n;
	}
}

static void
juggle(gort_waitgroup *wg, int n)
{
	struct node *have[3];
	for (int i = 0; i < n; i++) {
		int k = 0;
		while (k < 3 && (have[k] = pop()) != NULL) {
			STRESS_CHECK(gort_atomic_int32_add(&have[k]->taken, 1) == 1,
				     "a node popped twice");
			k++;
		}
		while (k-- > 0) {
			gort_atomic_int32_add(&have[k]->taken, -1);
			push(have[k]);
		}
	}
	gort_waitgroup_done(wg);
}

static void
stack_round(struct rng *rng)
{
	enum { NODES = 8 };
	static struct node node[NODES];
	gort_waitgroup wg = {0};
	int n = 0;
	top = (gort_tagged_ptr){0};
	for (int i = 0; i < NODES; i++)
		push(&node[i]);
	gort_waitgroup_add(&wg, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		gort_go(juggle, &wg, 200 + (int)rng_below(rng, 500));
	gort_waitgroup_wait(&wg);
	while (pop())
		n++;
	STRESS_CHECK(n == NODES, "%d nodes", n);
}

// ---- contexts and Once: cancelled and timed out from all sides ----

static gort_atomic_int32 woken, ran;

static void
run_once(void *arg)
{
	gort_atomic_int32_add(arg, 1);
}

static void
wait_for_end(gort_context *ctx, gort_once *once, gort_waitgroup *wg)
{
	gort_chan_recv(gort_context_done(ctx), NULL);
	STRESS_CHECK(gort_context_err(ctx) != 0, "done without an error");
	gort_atomic_int32_add(&woken, 1);
	gort_once_do(once, run_once, &ran);
	STRESS_CHECK(gort_atomic_int32_load(&ran) == 1, "once");
	gort_waitgroup_done(wg);
}

static void
context_round(struct rng *rng)
{
	gort_waitgroup wg = {0};
	gort_once once = {0};
	gort_context *root = gort_context_with_cancel(gort_context_background());
	gort_atomic_int32_store(&woken, 0);
	gort_atomic_int32_store(&ran, 0);
	gort_waitgroup_add(&wg, WORKERS * 2);
	for (int i = 0; i < WORKERS; i++) {
		gort_context *a = gort_context_with_timeout(root, rng_below(rng, 300000));
		gort_context *b = gort_context_with_cancel(a);
		gort_go(wait_for_end, a, &once, &wg);
		gort_go(wait_for_end, b, &once, &wg);
		if (rng_below(rng, 2))
			gort_context_cancel(rng_below(rng, 2) ? a : b);
	}
	gort_context_cancel(root);
	gort_waitgroup_wait(&wg);
	STRESS_CHECK(gort_atomic_int32_load(&woken) == WORKERS * 2, "woken");
}

static int
app(int argc, char **argv)
{
	static void (*const rounds[])(struct rng *) = {rwmutex_round,	  cond_round,  pool_round,
						       pool_lives_round, stack_round, context_round};
	stress_begin(argc, argv);
	struct rng rng = rng_for(0);
	int64_t n = 0;
	do {
		gort_maxprocs(1 + (int)rng_below(&rng, 4));
		rounds[rng_below(&rng, 6)](&rng);
	} while (++n, stress_time_left());
	printf("%lld rounds\n", (long long)n);
	return 0;
}
GORT_MAIN(app)
