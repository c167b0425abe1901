// SPDX-License-Identifier: BSD-3-Clause
// For test_sched_traces.py: an echo server with up to 10,000 connections (as the limit on descriptors
// allows; both ends are here), 100,000 timers, and a goroutine that computes without ever calling the
// runtime. Every connection gets its answers, every timer fires; prints how many.
#include <gort.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { TIMERS = 100000, ANSWERS = 3, SPAN_MS = 1000 };

static atomic_long answers, fired;
static gort_waitgroup timers;

static void
compute(void)
{
	for (volatile uint64_t i = 0;; i++)
		;
}

static void
fire(void *arg)
{
	(void)arg;
	atomic_fetch_add(&fired, 1);
	gort_waitgroup_done(&timers);
}

static void
check(bool ok, const char *what)
{
	if (!ok)
		gort_panic("%s", what);
}

static void
echo(gort_conn *c)
{
	char buf[64];
	ssize_t n;
	while ((n = gort_net_read(c, buf, sizeof buf)) > 0)
		check(gort_net_write(c, buf, (size_t)n) == n, "echo: write");
	gort_conn_close(c);
}

static void
serve(gort_listener *l)
{
	gort_conn *c;
	while (gort_net_accept(l, &c) == 0)
		gort_go(echo, c);
}

// Asks when all are connected, and again while timers fire; the connection stays until all have.
static void
ask(const char *addr, int64_t id, gort_waitgroup *connected, gort_chan *go, gort_chan *end, gort_waitgroup *wg)
{
	gort_conn *c;
	check(gort_net_dial("tcp", addr, &c) == 0, "dial");
	gort_waitgroup_done(connected);
	gort_chan_recv(go, NULL);
	for (int i = 0; i < ANSWERS; i++) {
		int64_t out = id * ANSWERS + i, in = -1;
		check(gort_net_write(c, &out, sizeof out) == sizeof out, "ask: write");
		check(gort_net_read(c, &in, sizeof in) == sizeof in && in == out, "ask: another answer");
		atomic_fetch_add(&answers, 1);
	}
	gort_chan_recv(end, NULL);
	gort_conn_close(c);
	gort_waitgroup_done(wg);
}

static int
connections(void)
{
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	return rl.rlim_max > 20200 ? 10000 : (int)(rl.rlim_max - 200) / 2;
}

static int
app(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	char addr[64];
	int n = connections();
	gort_listener *l;
	gort_waitgroup connected = {0}, wg = {0};
	gort_chan *go = gort_make_chan(int, 0), *end = gort_make_chan(int, 0);
	check(gort_net_listen("tcp", "127.0.0.1:0", &l) == 0, "listen");
	gort_listener_addr(l, addr, sizeof addr);
	gort_go(serve, l);
	gort_go(compute);
	gort_waitgroup_add(&connected, n);
	gort_waitgroup_add(&wg, n);
	for (int i = 0; i < n; i++)
		gort_go(ask, addr, (int64_t)i, &connected, go, end, &wg);
	gort_waitgroup_wait(&connected);
	gort_waitgroup_add(&timers, TIMERS);
	for (int64_t i = 0; i < TIMERS; i++)
		gort_after_func(i * 7919 % TIMERS * (SPAN_MS * GORT_MILLISECOND / TIMERS), fire, NULL);
	gort_chan_close(go);
	gort_waitgroup_wait(&timers);
	gort_chan_close(end);
	gort_waitgroup_wait(&wg);
	printf("%d connections, %ld answers, %ld timers\n", n, atomic_load(&answers), atomic_load(&fired));
	return 0;
}
GORT_MAIN(app)
