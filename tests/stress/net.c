// SPDX-License-Identifier: BSD-3-Clause
// The network under load, over loopback: as many connections as the limit on descriptors allows (10,000
// at most), all talking at once; then a few on which readers and writers race with deadlines and
// closing. Whatever arrives must be what was sent, and everybody must come to an end.
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include <gort/mem.h>
#include <gort/net.h>

#include "base/base.h"
#include "stress.h"

#define MS GORT_MILLISECOND
#define US GORT_MICROSECOND

enum { REQUEST = 64 };

static ssize_t
read_full(gort_conn *c, void *buf, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = gort_net_read(c, (char *)buf + done, n - done);
		if (r <= 0)
			return r;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static void
echo(gort_conn *c)
{
	char buf[2048];
	ssize_t n;
	while ((n = gort_net_read(c, buf, sizeof buf)) > 0)
		if (gort_net_write(c, buf, (size_t)n) != n)
			break;
	gort_conn_close(c);
}

static void
serve(gort_listener *l)
{
	gort_conn *c;
	int err;
	while ((err = gort_net_accept(l, &c)) == 0)
		gort_go(echo, c);
	STRESS_CHECK(err == -EBADF, "accept: %d", err);
}

// ---- many ----

static int
max_connections(void)
{
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	long n = ((long)rl.rlim_max - 200) / 2; // both ends are ours
	if (getenv("GORT_STRESS_SMALL") || RT_TSAN)
		n = rt_min(n, 500L);
	return (int)rt_min(n, 10000L);
}

static void
talk(const char *addr, int id, gort_waitgroup *connected, gort_chan *go, gort_waitgroup *wg)
{
	gort_conn *c;
	char out[REQUEST], in[REQUEST];
	int err = gort_net_dial("tcp", addr, &c);
	STRESS_CHECK(err == 0, "connection %d: %d", id, err);
	gort_waitgroup_done(connected);
	gort_chan_recv(go, NULL); // closed when all are connected
	for (int i = 0; i < 5; i++) {
		memset(out, id + i, sizeof out);
		STRESS_CHECK(gort_net_write(c, out, REQUEST) == REQUEST, "write %d", id);
		ssize_t n = read_full(c, in, REQUEST);
		STRESS_CHECK(n == REQUEST, "read %d: %zd", id, n);
		STRESS_CHECK(memcmp(in, out, REQUEST) == 0, "connection %d got other bytes", id);
	}
	STRESS_CHECK(gort_conn_close(c) == 0, "close %d", id);
	gort_waitgroup_done(wg);
}

static void
many_connections(void)
{
	char addr[64];
	gort_listener *l;
	gort_waitgroup connected = {0}, wg = {0};
	gort_chan *go = gort_make_chan(int, 0);
	int n = max_connections();
	STRESS_CHECK(gort_net_listen("tcp", "127.0.0.1:0", &l) == 0, "listen");
	gort_listener_addr(l, addr, sizeof addr);
	gort_go(serve, l);
	gort_waitgroup_add(&connected, n);
	gort_waitgroup_add(&wg, n);
	int64_t start = gort_nanotime();
	for (int i = 0; i < n; i++)
		gort_go(talk, addr, i, &connected, go, &wg);
	gort_waitgroup_wait(&connected);
	int64_t open = gort_nanotime();
	gort_chan_close(go);
	gort_waitgroup_wait(&wg);
	printf("%d connections: open after %lld ms, %d requests in %lld ms\n", n,
	       (long long)(open - start) / MS, 5 * n, (long long)(gort_nanotime() - open) / MS);
	gort_listener_close(l);
}

// ---- a few, with everything that can happen to them ----

enum { PAIRS = 16 };

struct pair {
	gort_conn *a, *b; // a writes 0, 1, 2, ... ; b reads them
	gort_waitgroup wg;
	bool unix_socket;
};

static unsigned char bytes[256 * 300]; // 0, 1, ..., 255, 0, ...; filled before anybody looks

static bool
is_end(ssize_t r)
{
	return r == 0 || r == -EBADF || r == -EPIPE || r == -ECONNRESET;
}

static unsigned char bytes[256 * 300]; // 0 1 ... 255 0 1 ...; filled before the first goroutine starts

static void
writer(struct pair *p, uint64_t id)
{
	struct rng r = rng_for(id);
	size_t at = 0;
	for (;;) {
		size_t n = 1 + rng_below(&r, rng_below(&r, 10) ? 300 : 60000);
		ssize_t w = gort_net_write(p->a, bytes + at % 256, n);
		if (w != (ssize_t)n) { // how much of it was sent is not known: the stream ends here
			STRESS_CHECK(is_end(w) || w == -ETIMEDOUT, "write: %zd", w);
			break;
		}
		at += n;
	}
	int err = gort_conn_close(p->a);
	STRESS_CHECK(err == 0 || err == -EBADF, "close: %d", err);
	gort_waitgroup_done(&p->wg);
}

static void
reader(struct pair *p, uint64_t id)
{
	struct rng r = rng_for(id + 100);
	unsigned char buf[5000];
	size_t at = 0;
	for (;;) {
		if (rng_below(&r, 8) == 0)
			gort_conn_set_read_deadline(p->b,
						    gort_nanotime() + rng_below(&r, 200) * US);
		ssize_t n = gort_net_read(p->b, buf, 1 + rng_below(&r, sizeof buf));
		if (n == -ETIMEDOUT) {
			gort_conn_set_read_deadline(p->b, 0);
			continue;
		}
		if (is_end(n))
			break;
		STRESS_CHECK(n > 0, "read: %zd", n);
		for (ssize_t i = 0; i < n; i++, at++)
			STRESS_CHECK(buf[i] == (unsigned char)at, "byte %zu is %d", at, buf[i]);
	}
	int err = gort_conn_close(p->b);
	STRESS_CHECK(err == 0 || err == -EBADF, "close: %d", err);
	gort_waitgroup_done(&p->wg);
}

static void
disturber(struct pair *p, uint64_t id)
{
	struct rng r = rng_for(id + 200);
	int64_t now = gort_nanotime();
	gort_conn_set_write_deadline(p->a, now + 100 * MS);
	for (int i = rng_below(&r, 5); i > 0; i--) {
		gort_sleep(rng_below(&r, 1000) * US);
		gort_conn_set_read_deadline(p->b, 1);
	}
	gort_sleep(rng_below(&r, 3000) * US);
	gort_conn *victim = rng_below(&r, 2) ? p->a : p->b;
	switch (rng_below(&r, 3)) {
	case 0:
		gort_conn_set_write_deadline(p->a, 1);
		break;
	case 1:
		gort_conn_close_write(p->a);
		break;
	default:
		gort_conn_close(victim);
	}
	gort_waitgroup_done(&p->wg);
}

static void
connect_pair(struct pair *p, gort_listener *l, const char *network, const char *addr)
{
	int err = gort_net_dial(network, addr, &p->a);
	STRESS_CHECK(err == 0, "dial: %d", err);
	err = gort_net_accept(l, &p->b);
	STRESS_CHECK(err == 0, "accept: %d", err);
}

static void
one_life(struct pair *p, gort_listener *l, const char *network, const char *addr, uint64_t id)
{
	connect_pair(p, l, network, addr);
	gort_waitgroup_add(&p->wg, 3);
	gort_go(writer, p, id);
	gort_go(reader, p, id);
	gort_go(disturber, p, id);
	gort_waitgroup_wait(&p->wg);
	STRESS_CHECK(gort_conn_close(p->a) == -EBADF, "not closed");
	STRESS_CHECK(gort_conn_close(p->b) == -EBADF, "not closed");
}

static atomic_long lives;

static void
pair_of_lives(int id, gort_waitgroup *wg)
{
	char addr[64];
	gort_listener *l;
	struct pair *p = gort_new_array(struct pair, 1);
	const char *network = id % 2 ? "tcp" : "unix";
	snprintf(addr, sizeof addr, "@gort-stress-%d-%d", (int)stress_seed, id);
	STRESS_CHECK(gort_net_listen(network, id % 2 ? "127.0.0.1:0" : addr, &l) == 0, "listen");
	gort_listener_addr(l, addr, sizeof addr);
	for (int i = 0; stress_time_left(); i++) {
		one_life(p, l, network, addr, (uint64_t)(id * 100000 + i));
		atomic_fetch_add(&lives, 1);
	}
	gort_listener_close(l);
	gort_waitgroup_done(wg);
}

static void
disturbed_connections(void)
{
	gort_waitgroup wg = {0};
	for (int i = 0; i < (int)sizeof bytes; i++)
		bytes[i] = (unsigned char)i;
	gort_waitgroup_add(&wg, PAIRS);
	for (int i = 0; i < PAIRS; i++)
		gort_go(pair_of_lives, i, &wg);
	gort_waitgroup_wait(&wg);
	printf("%ld connections broken in every way\n", (long)lives);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)i;
	many_connections();
	stress_end = gort_nanotime() + rt_max(stress_end - gort_nanotime(), 500 * MS);
	disturbed_connections();
	printf("ok\n");
	return 0;
}
GORT_MAIN(app)
