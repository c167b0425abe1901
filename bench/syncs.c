// SPDX-License-Identifier: BSD-3-Clause
// Mutex and WaitGroup. Beside: peers/go/syncs. "8" uses 8 goroutines on all Ps.
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

static const bench_case cases[] = {
	{"MutexUncontended", mutex_uncontended},
	{"MutexContended8", mutex_contended},
	{"MutexContended8Work", mutex_contended_work},
	{"WaitGroupAddDone", waitgroup_add_done},
	{"WaitGroupAddDoneParallel", waitgroup_add_done_parallel},
};
BENCH_MAIN("syncs", cases, NULL)
