// SPDX-License-Identifier: BSD-3-Clause
// What the profilers cost. Ratios come from alternating short slices with the profiler off and on in
// one process; use -benchtime 1x. Beside: peers/go/prof.
#include "bench.h"

#include <gort/pprof.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t sink;
static int out = -1; // a file in memory that profiles are written to

BENCH_NOINLINE static uint64_t
leaf(uint64_t x)
{
	for (int i = 0; i < 200; i++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	return x;
}

BENCH_NOINLINE static uint64_t
down(int d, uint64_t x)
{
	return d == 0 ? leaf(x) : down(d - 1, x) + 1;
}

static void
cpu_worker(uint64_t x, int n)
{
	for (int i = 0; i < n; i++)
		x += down(20, x);
	atomic_fetch_add(&sink, x);
}

// 400,000 units on every P, 20 calls deep.
static void
cpu_work(void)
{
	gort_waitgroup wg = {0};
	int procs = gort_maxprocs(0);
	for (int p = 0; p < procs; p++)
		gort_waitgroup_go(&wg, cpu_worker, (uint64_t)p, 400000);
	gort_waitgroup_wait(&wg);
}

static int64_t
timed(void (*work)(void))
{
	int64_t t = gort_nanotime();
	work();
	return gort_nanotime() - t;
}

// Alternates work with the profiler off and on and prints the medians and their ratio.
static void
on_off(int rounds, void (*work)(void), void (*on)(void), void (*off)(void))
{
	double x[16], y[16];
	work();
	for (int i = 0; i < rounds; i++) {
		x[i] = (double)timed(work);
		on();
		y[i] = (double)timed(work);
		off();
	}
	double a = bench_median(x, rounds), z = bench_median(y, rounds);
	printf("%f off-ns %f on-ns %f on/off\n", a, z, z / a);
}

static void
reset_out(void)
{
	if (out < 0)
		out = memfd_create("profile", MFD_CLOEXEC);
	if (out < 0 || ftruncate(out, 0) != 0 || lseek(out, 0, SEEK_SET) != 0)
		gort_panic("no memory for a profile");
}

static void
print_out_size(void)
{
	printf("%" PRId64 " profile-B\n", (int64_t)lseek(out, 0, SEEK_END));
}

static int cpu_hz = 100;

static void
cpu_on(void)
{
	reset_out();
	int rc = gort_pprof_start_cpu(out, cpu_hz);
	if (rc != 0)
		gort_panic("the CPU profile does not start: %d", rc);
}

static void
cpu_off(void)
{
	gort_pprof_stop_cpu();
}

typedef struct obj obj;
struct obj {
	obj *p;
	uint64_t b[7];
};
GORT_TYPE(obj, p)

static void
malloc_work(void)
{
	obj *r[1024] = {0};
	for (int i = 0; i < 3000000; i++) {
		r[i & 1023] = gort_new(obj);
		BENCH_USE(r);
	}
}

static void
heap_on(void)
{
	gort_set_mem_profile_rate(512 << 10);
}

static void
heap_off(void)
{
	gort_set_mem_profile_rate(0);
}

struct contended {
	gort_mutex mu;
	uint64_t shared;
};

static void
contender(struct contended *c, uint64_t own)
{
	for (int i = 0; i < 20000; i++) {
		gort_mutex_lock(&c->mu);
		c->shared = leaf(c->shared);
		gort_mutex_unlock(&c->mu);
		own = leaf(own);
	}
	atomic_fetch_add(&sink, own);
}

static void
contend(void)
{
	struct contended *c = gort_new(struct contended);
	gort_waitgroup wg = {0};
	for (int g = 0; g < 8; g++)
		gort_waitgroup_go(&wg, contender, c, (uint64_t)g);
	gort_waitgroup_wait(&wg);
}

static void
mutex_on(void)
{
	gort_set_mutex_profile_fraction(1);
}

static void
mutex_off(void)
{
	gort_set_mutex_profile_fraction(0);
}

static void
echo(gort_chan *in, gort_chan *out)
{
	int64_t v;
	while (gort_chan_recv(in, &v))
		gort_send(int64_t, out, v);
	gort_chan_close(out);
}

static void
ping_pong(void)
{
	gort_chan *a = gort_make_chan(int64_t, 0), *c = gort_make_chan(int64_t, 0);
	gort_go(echo, a, c);
	for (int64_t i = 0; i < 300000; i++) {
		gort_send(int64_t, a, i);
		gort_recv(int64_t, c);
	}
	gort_chan_close(a);
	gort_chan_recv(c, NULL);
}

static void
block_on(void)
{
	gort_set_block_profile_rate(1);
}

static void
block_off(void)
{
	gort_set_block_profile_rate(0);
}

// Distinct call stacks: 14 binary choices give 16384 of them.
static void step(int d, int path, gort_slice *keep);

BENCH_NOINLINE static void
left(int d, int path, gort_slice *keep)
{
	step(d, path, keep);
	BENCH_USE(keep);
}

BENCH_NOINLINE static void
right(int d, int path, gort_slice *keep)
{
	step(d, path, keep);
	BENCH_USE(path);
}

BENCH_NOINLINE static void
step(int d, int path, gort_slice *keep)
{
	if (d == 0)
		gort_append(obj *, keep, gort_new(obj));
	else if (path & 1)
		right(d - 1, path >> 1, keep);
	else
		left(d - 1, path >> 1, keep);
	BENCH_USE(d);
}

// Median of nine.
static void
write_many(const char *profile)
{
	double ns[9];
	for (int i = 0; i < 9; i++) {
		reset_out();
		int64_t t = gort_nanotime();
		int rc = gort_pprof_write(profile, out, 0);
		ns[i] = (double)(gort_nanotime() - t);
		if (rc != 0)
			gort_panic("writing the %s profile: %d", profile, rc);
	}
	printf("%f ns/profile ", bench_median(ns, 9));
	print_out_size();
}

static void
heap_write(void)
{
	gort_set_mem_profile_rate(1);
	gort_slice keep = {0};
	for (int i = 0; i < 10000; i++)
		step(14, i, &keep);
	gort_gc();
	gort_gc();
	write_many("heap");
	gort_keep_alive(keep.array);
}

static void
park(gort_chan *gate)
{
	gort_chan_recv(gate, NULL);
}

static void
goroutine_write(void)
{
	gort_chan *gate = gort_make_chan(int64_t, 0);
	for (int i = 0; i < 10000; i++)
		gort_go(park, gate);
	gort_sleep(50 * GORT_MILLISECOND);
	write_many("goroutine");
}

static void
child(const char *what)
{
	if (strncmp(what, "cpu", 3) == 0) {
		cpu_hz = atoi(what + 3);
		on_off(11, cpu_work, cpu_on, cpu_off);
		print_out_size();
	} else if (strcmp(what, "heap") == 0) {
		heap_off();
		on_off(11, malloc_work, heap_on, heap_off);
	} else if (strcmp(what, "mutex") == 0) {
		on_off(11, contend, mutex_on, mutex_off);
	} else if (strcmp(what, "block") == 0) {
		on_off(11, ping_pong, block_on, block_off);
	} else if (strcmp(what, "heapwrite") == 0) {
		heap_write();
	} else if (strcmp(what, "goroutines") == 0) {
		goroutine_write();
	}
}

#define CHILD(name, what)                                                                          \
	static void name(struct bench *b)                                                          \
	{                                                                                          \
		bench_child(b, what, NULL);                                                        \
	}
CHILD(cpu_100hz, "cpu100")
CHILD(cpu_1000hz, "cpu1000")
CHILD(heap_default, "heap")
CHILD(mutex_1, "mutex")
CHILD(block_1, "block")
CHILD(heap_write_10k, "heapwrite")
CHILD(goroutine_10k, "goroutines")

static const bench_case cases[] = {
	{"CPUProfile100Hz", cpu_100hz},
	{"CPUProfile1000Hz", cpu_1000hz},
	{"HeapProfileDefault", heap_default},
	{"MutexProfile1", mutex_1},
	{"BlockProfile1", block_1},
	{"HeapProfileWrite10k", heap_write_10k},
	{"GoroutineProfile10k", goroutine_10k},
};
BENCH_MAIN("prof", cases, child)
