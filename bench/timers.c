// SPDX-License-Identifier: BSD-3-Clause
// Sleeping and the clock. Beside: peers/go/timers.
#include "bench.h"

enum { SLEEPERS = 100000 };

static void
sleeper(int64_t due, int64_t *late, gort_waitgroup *wg)
{
	gort_sleep(due - gort_nanotime());
	*late = gort_nanotime() - due;
	gort_waitgroup_done(wg);
}

// 1e5 goroutines sleep to deadlines spread over 200 ms, starting 300 ms from now. Reported: CPU per
// goroutine (creation, sleep and wake-up together) and how late the wake-ups came.
static void
sleepers_100k(struct bench *b)
{
	int64_t *late = gort_new_array(int64_t, SLEEPERS), cpu = 0;
	for (int64_t k = 0; k < b->n; k++) {
		int64_t c0 = bench_cputime(), t0 = gort_nanotime();
		gort_waitgroup wg = {0};
		gort_waitgroup_add(&wg, SLEEPERS);
		for (int64_t i = 0; i < SLEEPERS; i++) {
			int64_t slot = i * 7919 % SLEEPERS;
			int64_t due = t0 + 300 * GORT_MILLISECOND + slot * 2 * GORT_MICROSECOND;
			gort_go(sleeper, due, &late[i], &wg);
		}
		gort_waitgroup_wait(&wg);
		cpu += bench_cputime() - c0;
	}
	bench_sort(late, SLEEPERS);
	bench_report(b, (double)cpu / (double)b->n / SLEEPERS, "cpu-ns/goroutine");
	bench_report(b, (double)late[SLEEPERS / 2], "late-p50-ns");
	bench_report(b, (double)late[SLEEPERS / 100 * 99], "late-p99-ns");
	bench_report(b, (double)late[SLEEPERS - 1], "late-max-ns");
}

// One op is one sleep.
static void
sleep_1us(struct bench *b)
{
	for (int64_t i = 0; i < b->n; i++)
		gort_sleep(GORT_MICROSECOND);
}

static void
now(struct bench *b)
{
	for (int64_t i = 0; i < b->n; i++)
		BENCH_USE(gort_nanotime());
}

static const bench_case cases[] = {
	{"Sleepers100k", sleepers_100k},
	{"Sleep1us", sleep_1us},
	{"Now", now},
};
BENCH_MAIN("timers", cases, NULL)
