// SPDX-License-Identifier: BSD-3-Clause
// Goroutine profiles while goroutines run, park and are born: each snapshot has every goroutine that lives
// throughout exactly once, with a whole stack. Prints the CPU time of a snapshot and how long the
// world stood still: snapshot PARKED SNAPSHOTS.
#include <gort.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/region.h"
#include "core/rtlink.h"
#include "sources/sources.h"
#include "unwind/modules.h"

#define PAIRS 8
#define SPAWNERS 2

static gort_chan *never;
static _Atomic bool stop;
static int rc;

static void __attribute__((noinline))
parked(void)
{
	int v;
	gort_chan_recv(never, &v);
}

static void __attribute__((noinline))
pinger(gort_chan *in, gort_chan *out)
{
	int v = 0;
	while (gort_chan_recv(in, &v))
		gort_send(int, out, v + 1);
}

static void
nothing(void)
{
}

static void __attribute__((noinline))
spawner(void)
{
	while (!stop) {
		gort_go(nothing);
		gort_gosched();
	}
}

static void __attribute__((noinline))
spinner(void)
{
	while (!stop)
		;
}

static uintptr_t
entry_of(struct rtp_region *r, const struct rtp_bucket *b)
{
	int n = b->npc;
	while (n > 0 && rtp_bucket_pcs(b)[n - 1] >= r->entry_lo && rtp_bucket_pcs(b)[n - 1] < r->entry_hi)
		n--;
	if (n == 0)
		return 0;
	unsigned token;
	const struct rtp_modules *t = rtp_modules_enter(&token);
	const struct rtp_module *m = rtp_module_of(t, rtp_bucket_pcs(b)[n - 1]);
	uintptr_t start = m ? rtp_rows_function(&m->rows, rtp_bucket_pcs(b)[n - 1]) : 0;
	rtp_modules_leave(token);
	return start;
}

static void
expect(const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return;
	printf("%s: %lu instead of %lu\n", what, (unsigned long)got, (unsigned long)want);
	rc = 1;
}

static void
check(struct rtp_region *r, uint64_t nparked)
{
	uint64_t n_parked = 0, n_pingers = 0, n_spawners = 0, n_spinners = 0;
	rtp_for_buckets(b, r, RTP_GOROUTINE) {
		uintptr_t start = entry_of(r, b);
		n_parked += start == (uintptr_t)parked ? b->v[RTP_COUNT] : 0;
		n_pingers += start == (uintptr_t)pinger ? b->v[RTP_COUNT] : 0;
		n_spawners += start == (uintptr_t)spawner ? b->v[RTP_COUNT] : 0;
		n_spinners += start == (uintptr_t)spinner ? b->v[RTP_COUNT] : 0;
	}
	expect("parked goroutines", n_parked, nparked);
	expect("pingers", n_pingers, 2 * PAIRS);
	expect("spawners", n_spawners, SPAWNERS);
	expect("spinners", n_spinners, 1);
}

static void
start_all(int nparked)
{
	never = gort_make_chan(int, 0);
	for (int i = 0; i < nparked; i++)
		gort_go(parked);
	for (int i = 0; i < PAIRS; i++) {
		gort_chan *a = gort_make_chan(int, 1), *b = gort_make_chan(int, 0);
		gort_go(pinger, a, b);
		gort_go(pinger, b, a);
		gort_send(int, a, 0);
	}
	for (int i = 0; i < SPAWNERS; i++)
		gort_go(spawner);
	gort_sleep(100 * GORT_MILLISECOND); // all but the spinner have run
	gort_go(spinner);
	gort_sleep(20 * GORT_MILLISECOND);
}

static int64_t
thread_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int
app(int argc, char **argv)
{
	int nparked = argc > 1 ? atoi(argv[1]) : 2000, snapshots = argc > 2 ? atoi(argv[2]) : 50;
	int64_t best = INT64_MAX;
	gort_lock_os_thread();
	start_all(nparked);
	for (int i = 0; i < snapshots; i++) {
		int64_t t = thread_ns();
		struct rtp_region *r = rtp_goroutine_snapshot(RTP_GOROUTINE, false);
		t = thread_ns() - t;
		best = t < best ? t : best;
		check(r, (uint64_t)nparked);
		rtp_region_free(r);
	}
	stop = true;
	printf("%d parked goroutines: a snapshot took %.1f ms of CPU time, the longest stop was %.0f us\n", nparked,
	       (double)best / 1e6, (double)rt_walk_longest_stop / 1e3);
	return rc;
}
GORT_MAIN(app)
