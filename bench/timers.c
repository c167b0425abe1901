// SPDX-License-Identifier: BSD-3-Clause
// Timers, sleeping and loopback TCP. Beside: peers/go/timers.
#include "bench.h"

#include <string.h>

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

static void
nothing(void *arg)
{
	(void)arg;
}

#define HOUR (3600 * GORT_SECOND)

static void
after_func_stop(struct bench *b)
{
	for (int64_t i = 0; i < b->n; i++)
		gort_timer_stop(gort_after_func(HOUR, nothing, NULL));
}

static void
after_func_stop_body(struct bench_pb *pb, void *arg)
{
	(void)arg;
	while (bench_next(pb))
		gort_timer_stop(gort_after_func(HOUR, nothing, NULL));
}

static void
after_func_stop_parallel(struct bench *b)
{
	bench_parallel(b, after_func_stop_body, NULL);
}

// 1e4 timers are pending; one of them is stopped and made anew per op.
enum { PENDING = 10000 };

static void
make_pending(gort_timer **ts, int64_t i, uint64_t *x)
{
	int64_t more = (int64_t)(bench_xorshift(x) % (uint64_t)HOUR);
	gort_set(&ts[i], gort_after_func(HOUR + more, nothing, NULL));
}

static void
after_func_stop_10k_pending(struct bench *b)
{
	gort_timer **ts = gort_new_array(gort_timer *, PENDING);
	uint64_t x = 88172645463325252u;
	for (int i = 0; i < PENDING; i++)
		make_pending(ts, i, &x);
	bench_reset_timer(b);
	for (int64_t i = 0; i < b->n; i++) {
		gort_timer_stop(ts[i % PENDING]);
		make_pending(ts, i % PENDING, &x);
	}
	bench_stop_timer(b);
	for (int i = 0; i < PENDING; i++)
		gort_timer_stop(ts[i]);
}

static void
timer_reset(struct bench *b)
{
	gort_timer *t = gort_new_timer(HOUR);
	for (int64_t i = 0; i < b->n; i++)
		gort_timer_reset(t, HOUR + i);
	gort_timer_stop(t);
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

// ---- echo over loopback TCP: one op is one 64-byte request answered ----

enum { REQUEST = 64, MAX_CONNS = 64 };

struct echo {
	int64_t n, *lat;
	_Atomic int64_t next;
	_Atomic bool failed;
	gort_waitgroup wg;
};

static bool
read_full(gort_conn *c, char *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = gort_net_read(c, buf + done, n - done);
		if (r <= 0)
			return false;
		done += (size_t)r;
	}
	return true;
}

static void
echo_server(gort_conn *c)
{
	char buf[REQUEST];
	while (read_full(c, buf, REQUEST))
		gort_net_write(c, buf, REQUEST);
	gort_conn_close(c);
}

static void
echo_accept(gort_listener *l)
{
	gort_conn *c;
	while (gort_net_accept(l, &c) == 0)
		gort_go(echo_server, c);
}

static void
echo_client(gort_conn *c, struct echo *e)
{
	char buf[REQUEST] = {0};
	for (int64_t i; (i = atomic_fetch_add(&e->next, 1)) < e->n;) {
		int64_t t = gort_nanotime();
		gort_net_write(c, buf, REQUEST);
		if (!read_full(c, buf, REQUEST))
			atomic_store(&e->failed, true);
		e->lat[i] = gort_nanotime() - t;
	}
	gort_waitgroup_done(&e->wg);
}

static void
echo_run(struct bench *b, gort_conn **cs, int conns)
{
	struct echo *e = gort_new_array(struct echo, 1);
	e->n = b->n;
	e->lat = gort_new_array(int64_t, b->n); // e is new: nothing to shade
	gort_waitgroup_add(&e->wg, conns);
	bench_reset_timer(b);
	for (int i = 0; i < conns; i++)
		gort_go(echo_client, cs[i], e);
	gort_waitgroup_wait(&e->wg);
	bench_stop_timer(b);
	if (e->failed)
		bench_fail(b, "a request was not answered");
	bench_sort(e->lat, b->n);
	bench_report(b, (double)b->n * 1e9 / (double)bench_elapsed(b), "req/s");
	bench_report(b, (double)e->lat[b->n / 2], "p50-ns");
	bench_report(b, (double)e->lat[b->n * 99 / 100], "p99-ns");
}

static void
echo(struct bench *b, int conns)
{
	char addr[64];
	gort_listener *l;
	gort_conn *cs[MAX_CONNS];
	int err = gort_net_listen("tcp", "127.0.0.1:0", &l);
	if (err) {
		bench_fail(b, "listen: %s", strerror(-err));
		return;
	}
	gort_listener_addr(l, addr, sizeof addr);
	gort_go(echo_accept, l);
	int open = 0;
	while (open < conns && (err = gort_net_dial("tcp", addr, &cs[open])) == 0)
		open++;
	if (err)
		bench_fail(b, "dial: %s", strerror(-err));
	else
		echo_run(b, cs, conns);
	while (open > 0)
		gort_conn_close(cs[--open]);
	gort_listener_close(l);
}

static void
tcp_echo_1(struct bench *b)
{
	echo(b, 1);
}

static void
tcp_echo_64(struct bench *b)
{
	echo(b, 64);
}

static const bench_case cases[] = {
	{"Sleepers100k", sleepers_100k},
	{"AfterFuncStop", after_func_stop},
	{"AfterFuncStopParallel", after_func_stop_parallel},
	{"AfterFuncStop10kPending", after_func_stop_10k_pending},
	{"TimerReset", timer_reset},
	{"Sleep1us", sleep_1us},
	{"Now", now},
	{"TCPEcho1", tcp_echo_1},
	{"TCPEcho64", tcp_echo_64},
};
BENCH_MAIN("timers", cases, NULL)
