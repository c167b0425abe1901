// SPDX-License-Identifier: BSD-3-Clause
// Goroutine creation, yielding and the memory of parked goroutines. Beside: peers/go/sched.
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct empty {
};

static void
done(gort_waitgroup *wg)
{
	gort_waitgroup_done(wg);
}

// One goroutine is created and waited for, over and over.
static void
spawn_join_1(struct bench *b)
{
	gort_waitgroup wg = {0};
	for (int64_t i = 0; i < b->n; i++) {
		gort_waitgroup_add(&wg, 1);
		gort_go(done, &wg);
		gort_waitgroup_wait(&wg);
	}
}

static void
send_empty(gort_chan *c)
{
	gort_send(struct empty, c, ((struct empty){}));
}

// The same joined through a channel.
static void
spawn_join_chan_1(struct bench *b)
{
	gort_chan *c = gort_make_chan(struct empty, 0);
	for (int64_t i = 0; i < b->n; i++) {
		gort_go(send_empty, c);
		gort_chan_recv(c, NULL);
	}
}

enum { BATCH = 100000 };

// 1e5 goroutines are created, then all are waited for. One op is one batch.
static void
spawn_join_batch(struct bench *b)
{
	gort_waitgroup wg = {0};
	for (int64_t i = 0; i < b->n; i++) {
		gort_waitgroup_add(&wg, BATCH);
		for (int j = 0; j < BATCH; j++)
			gort_go(done, &wg);
		gort_waitgroup_wait(&wg);
	}
	bench_report(b, (double)bench_elapsed(b) / (double)b->n / BATCH, "ns/goroutine");
}

static void
wait_gate(gort_chan *gate, gort_waitgroup *wg)
{
	gort_chan_recv(gate, NULL);
	gort_waitgroup_done(wg);
}

// As above, but every goroutine blocks once before it ends: all 1e5 exist at the same time.
static void
spawn_park_join_batch(struct bench *b)
{
	for (int64_t i = 0; i < b->n; i++) {
		gort_waitgroup wg = {0};
		gort_chan *gate = gort_make_chan(struct empty, 0);
		gort_waitgroup_add(&wg, BATCH);
		for (int j = 0; j < BATCH; j++)
			gort_go(wait_gate, gate, &wg);
		gort_chan_close(gate);
		gort_waitgroup_wait(&wg);
	}
	bench_report(b, (double)bench_elapsed(b) / (double)b->n / BATCH, "ns/goroutine");
}

static void
yield_many(gort_waitgroup *wg, int64_t n)
{
	for (int64_t k = 0; k < n; k++)
		gort_gosched();
	gort_waitgroup_done(wg);
}

// One op is one yield, with g goroutines taking part.
static void
yields(struct bench *b, int g)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, g);
	for (int i = 0; i < g; i++)
		gort_go(yield_many, &wg, (b->n + g - 1) / g);
	gort_waitgroup_wait(&wg);
}

static void
gosched_1(struct bench *b)
{
	yields(b, 1);
}

static void
gosched_2(struct bench *b)
{
	yields(b, 2);
}

static void
gosched_1000(struct bench *b)
{
	yields(b, 1000);
}

// A frame of about 128 bytes.
BENCH_NOINLINE static long
deep(int n)
{
	volatile long pad[13];
	if (n == 0)
		return 0;
	pad[n % 13] = n;
	return deep(n - 1) + pad[n % 13];
}

static void
go_deep(gort_waitgroup *wg)
{
	BENCH_USE(deep(450));
	gort_waitgroup_done(wg);
}

// A fresh goroutine needs about 64 KiB of stack.
static void
spawn_stack_grow(struct bench *b)
{
	gort_waitgroup wg = {0};
	for (int64_t i = 0; i < b->n; i++) {
		gort_waitgroup_add(&wg, 1);
		gort_go(go_deep, &wg);
		gort_waitgroup_wait(&wg);
	}
}

// ---- memory of parked goroutines, each measurement in a fresh process ----

static void
statm(int64_t *virt, int64_t *rss)
{
	int64_t v = 0, r = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f || fscanf(f, "%" SCNd64 " %" SCNd64, &v, &r) != 2)
		gort_panic("/proc/self/statm cannot be read");
	fclose(f);
	*virt = v * getpagesize();
	*rss = r * getpagesize();
}

static void
park(gort_chan *gate)
{
	gort_chan_recv(gate, NULL);
}

static void
child(const char *what)
{
	int n = atoi(what);
	int64_t v0, r0, v1, r1;
	gort_gc();
	statm(&v0, &r0);
	int64_t t0 = gort_nanotime();
	gort_chan *gate = gort_make_chan(long, 0);
	for (int i = 0; i < n; i++)
		gort_go(park, gate);
	while (gort_num_goroutine() < n)
		gort_gosched();
	gort_sleep(20 * GORT_MILLISECOND); // the last ones park
	int64_t ns = gort_nanotime() - t0 - 20 * GORT_MILLISECOND;
	statm(&v1, &r1);
	printf("%f rss-B/goroutine %f virt-B/goroutine %f ns/goroutine\n", (double)(r1 - r0) / n,
	       (double)(v1 - v0) / n, (double)ns / n);
	gort_keep_alive(gate);
}

static void
parked_mem_100k(struct bench *b)
{
	bench_child(b, "100000", NULL);
}

static void
parked_mem_1m(struct bench *b)
{
	bench_child(b, "1000000", NULL);
}

static const bench_case cases[] = {
	{"SpawnJoin1", spawn_join_1},
	{"SpawnJoinChan1", spawn_join_chan_1},
	{"SpawnJoinBatch100k", spawn_join_batch},
	{"SpawnParkJoinBatch100k", spawn_park_join_batch},
	{"Gosched1", gosched_1},
	{"Gosched2", gosched_2},
	{"Gosched1000", gosched_1000},
	{"SpawnStackGrow64K", spawn_stack_grow},
	{"ParkedMem100k", parked_mem_100k},
	{"ParkedMem1M", parked_mem_1m},
};
BENCH_MAIN("sched", cases, child)
