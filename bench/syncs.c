// SPDX-License-Identifier: BSD-3-Clause
// Locks, Once, Pool, Map, Cond and atomics. Beside: peers/go/syncs. "8" uses 8 goroutines on all Ps.
#include "bench.h"

struct shared {
	gort_mutex mu;
	uint64_t x;
};

static _Atomic uint64_t sink;

static void
run_split(void (*f)(struct shared *, int64_t), struct shared *s, int64_t n, gort_waitgroup *wg)
{
	f(s, n);
	gort_waitgroup_done(wg);
}

static void
split(struct bench *b, int g, void (*f)(struct shared *, int64_t))
{
	struct shared *s = gort_new(struct shared);
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, g);
	for (int i = 0; i < g; i++)
		gort_go(run_split, f, s, (b->n + g - 1) / g, &wg);
	gort_waitgroup_wait(&wg);
}

static void
mutex_uncontended(struct bench *b)
{
	gort_mutex mu = {0};
	volatile uint64_t x = 0;
	for (int64_t i = 0; i < b->n; i++) {
		gort_mutex_lock(&mu);
		x = x + 1;
		gort_mutex_unlock(&mu);
	}
}

static void
increments(struct shared *s, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		gort_mutex_lock(&s->mu);
		s->x++;
		gort_mutex_unlock(&s->mu);
	}
}

// 8 goroutines, critical section of one increment, nothing outside it.
static void
mutex_contended(struct bench *b)
{
	split(b, 8, increments);
}

// n dependent multiplications.
static inline uint64_t
work(uint64_t x, int n)
{
	for (int k = 0; k < n; k++) {
		x *= 6364136223846793005ull;
		__asm__("" : "+r"(x)); // one by one
	}
	return x;
}

static void
work_in_and_out(struct shared *s, int64_t n)
{
	uint64_t own = 1;
	for (int64_t i = 0; i < n; i++) {
		gort_mutex_lock(&s->mu);
		s->x = work(s->x, 50);
		gort_mutex_unlock(&s->mu);
		own = work(own, 200);
	}
	atomic_fetch_add(&sink, own);
}

// 8 goroutines, ~50 dependent multiplications inside and ~200 outside.
static void
mutex_contended_work(struct bench *b)
{
	split(b, 8, work_in_and_out);
}

static void
rwmutex_read_uncontended(struct bench *b)
{
	gort_rwmutex rw = {0};
	for (int64_t i = 0; i < b->n; i++) {
		gort_rwmutex_rlock(&rw);
		gort_rwmutex_runlock(&rw);
	}
}

static void
read_only(struct bench_pb *pb, void *rw)
{
	while (bench_next(pb)) {
		gort_rwmutex_rlock(rw);
		gort_rwmutex_runlock(rw);
	}
}

static void
rwmutex_read_parallel(struct bench *b)
{
	gort_rwmutex rw = {0};
	bench_parallel(b, read_only, &rw);
}

static inline __attribute__((always_inline)) void
write_1_in(int n, struct bench_pb *pb, gort_rwmutex *rw)
{
	int i = 0;
	while (bench_next(pb)) {
		if (++i % n == 0) {
			gort_rwmutex_lock(rw);
			gort_rwmutex_unlock(rw);
		} else {
			gort_rwmutex_rlock(rw);
			gort_rwmutex_runlock(rw);
		}
	}
}

static void
write_1_in_10(struct bench_pb *pb, void *rw)
{
	write_1_in(10, pb, rw);
}

static void
write_1_in_100(struct bench_pb *pb, void *rw)
{
	write_1_in(100, pb, rw);
}

static void
rwmutex_write_1_in_10(struct bench *b)
{
	gort_rwmutex rw = {0};
	bench_parallel(b, write_1_in_10, &rw);
}

static void
rwmutex_write_1_in_100(struct bench *b)
{
	gort_rwmutex rw = {0};
	bench_parallel(b, write_1_in_100, &rw);
}

static void
waitgroup_add_done(struct bench *b)
{
	gort_waitgroup wg = {0};
	for (int64_t i = 0; i < b->n; i++) {
		gort_waitgroup_add(&wg, 1);
		gort_waitgroup_done(&wg);
	}
	gort_waitgroup_wait(&wg);
}

static void
add_done(struct bench_pb *pb, void *wg)
{
	while (bench_next(pb)) {
		gort_waitgroup_add(wg, 1);
		gort_waitgroup_done(wg);
	}
}

static void
waitgroup_add_done_parallel(struct bench *b)
{
	gort_waitgroup wg = {0};
	bench_parallel(b, add_done, &wg);
	gort_waitgroup_wait(&wg);
}

static BENCH_NOINLINE void
nothing(void *arg)
{
	BENCH_USE(arg);
}

static void
once(struct bench *b)
{
	gort_once o = {0};
	for (int64_t i = 0; i < b->n; i++) {
		gort_once_do(&o, nothing, NULL);
		BENCH_USE(&o);
	}
}

static void
pool(struct bench *b)
{
	gort_pool p = {0};
	for (int64_t i = 0; i < b->n; i++) {
		gort_pool_put(&p, (void *)&sink);
		BENCH_USE(gort_pool_get(&p));
	}
}

static void
put_and_get(struct bench_pb *pb, void *p)
{
	while (bench_next(pb)) {
		gort_pool_put(p, (void *)&sink);
		BENCH_USE(gort_pool_get(p));
	}
}

static void
pool_parallel(struct bench *b)
{
	gort_pool p = {0};
	bench_parallel(b, put_and_get, &p);
}

static void
atomic_add(struct bench *b)
{
	gort_atomic_int64 v = {0};
	for (int64_t i = 0; i < b->n; i++)
		gort_atomic_int64_add(&v, 1);
}

static void
add_one(struct bench_pb *pb, void *v)
{
	while (bench_next(pb))
		gort_atomic_int64_add(v, 1);
}

static void
atomic_add_parallel(struct bench *b)
{
	gort_atomic_int64 v = {0};
	bench_parallel(b, add_one, &v);
}

// ---- sync.Map: 16384 integer keys ----

enum { KEYS = 1 << 14 };

static gort_atomic_uint64 seed;

static gort_any
any(int64_t k)
{
	return gort_box(int64_t, k);
}

static gort_sync_map *
new_map(struct bench *b)
{
	gort_sync_map *m = gort_new(gort_sync_map);
	for (int64_t i = 0; i < KEYS; i++)
		gort_sync_map_store(m, any(i), any(i));
	for (int64_t i = 0; i < 2 * KEYS; i++) // promote to the read-only part
		gort_sync_map_load(m, any(i % KEYS), NULL);
	bench_reset_timer(b);
	return m;
}

static uint64_t
new_seed(void)
{
	return gort_atomic_uint64_add(&seed, 0x9E3779B97F4A7C15ull);
}

static void
load_hit(struct bench_pb *pb, void *m)
{
	uint64_t x = new_seed();
	gort_any v;
	while (bench_next(pb))
		if (!gort_sync_map_load(m, any((int64_t)(bench_xorshift(&x) % KEYS)), &v))
			gort_panic("miss");
}

// All keys present, random order.
static void
syncmap_load_hit(struct bench *b)
{
	bench_parallel(b, load_hit, new_map(b));
}

static void
mixed_90(struct bench_pb *pb, void *m)
{
	uint64_t x = new_seed();
	gort_any v;
	while (bench_next(pb)) {
		uint64_t r = bench_xorshift(&x);
		gort_any k = any((int64_t)(r >> 8) & (KEYS - 1));
		if (r % 10 == 0)
			gort_sync_map_store(m, k, k);
		else
			gort_sync_map_load(m, k, &v);
	}
}

// 90 % loads, 10 % stores to present keys.
static void
syncmap_mixed_90(struct bench *b)
{
	bench_parallel(b, mixed_90, new_map(b));
}

static void
churn(struct bench_pb *pb, void *m)
{
	uint64_t x = new_seed();
	gort_any v;
	while (bench_next(pb)) {
		uint64_t r = bench_xorshift(&x);
		gort_any k = any((int64_t)(r >> 8) & (2 * KEYS - 1));
		if (r % 20 == 0)
			gort_sync_map_store(m, k, k);
		else if (r % 20 == 1)
			gort_sync_map_delete(m, k);
		else
			gort_sync_map_load(m, k, &v);
	}
}

// 90 % loads over twice the keys, 5 % stores, 5 % deletes.
static void
syncmap_churn(struct bench *b)
{
	bench_parallel(b, churn, new_map(b));
}

struct table {
	gort_mutex mu;
	gort_cond c;
	int turn;
	gort_waitgroup wg;
};

static void
play(struct table *t, int me, int64_t n)
{
	gort_mutex_lock(&t->mu);
	for (int64_t i = 0; i < n; i++) {
		while (t->turn != me)
			gort_cond_wait(&t->c);
		t->turn = 1 - me;
		gort_cond_signal(&t->c);
	}
	gort_mutex_unlock(&t->mu);
	gort_waitgroup_done(&t->wg);
}

// Two goroutines hand a token to and fro through a Cond; one op is a round trip.
static void
cond_ping_pong(struct bench *b)
{
	struct table *t = gort_new(struct table);
	gort_cond_init(&t->c, &t->mu);
	gort_waitgroup_add(&t->wg, 2);
	for (int me = 0; me < 2; me++)
		gort_go(play, t, me, b->n);
	gort_waitgroup_wait(&t->wg);
}

static const bench_case cases[] = {
	{"MutexUncontended", mutex_uncontended},
	{"MutexContended8", mutex_contended},
	{"MutexContended8Work", mutex_contended_work},
	{"RWMutexReadUncontended", rwmutex_read_uncontended},
	{"RWMutexReadParallel", rwmutex_read_parallel},
	{"RWMutexWrite1In10", rwmutex_write_1_in_10},
	{"RWMutexWrite1In100", rwmutex_write_1_in_100},
	{"WaitGroupAddDone", waitgroup_add_done},
	{"WaitGroupAddDoneParallel", waitgroup_add_done_parallel},
	{"Once", once},
	{"Pool", pool},
	{"PoolParallel", pool_parallel},
	{"SyncMapLoadHit", syncmap_load_hit},
	{"SyncMapMixed90", syncmap_mixed_90},
	{"SyncMapChurn", syncmap_churn},
	{"AtomicAdd", atomic_add},
	{"AtomicAddParallel", atomic_add_parallel},
	{"CondPingPong", cond_ping_pong},
};
BENCH_MAIN("syncs", cases, NULL)
