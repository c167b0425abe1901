// SPDX-License-Identifier: BSD-3-Clause
// runtime/net and the netpoller through <gort/net.h>: loopback only.
#include "on_gort.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <gort/mem.h>
#include <gort/net.h>
#include <gort/sched.h>
#include <gort/sync.h>
#include <gort/time.h>

#define MS GORT_MILLISECOND

// ---- helpers ----

static gort_listener *
listen_on(const char *network, const char *where, char addr[128])
{
	gort_listener *l;
	CHECK_EQ(gort_net_listen(network, where, &l), 0);
	int n = gort_listener_addr(l, addr, 128);
	CHECK(n > 0 && n == (int)strlen(addr));
	return l;
}

static void
pair(gort_conn **a, gort_conn **b)
{
	char addr[128];
	gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr);
	CHECK_EQ(gort_net_dial("tcp", addr, a), 0);
	CHECK_EQ(gort_net_accept(l, b), 0);
	CHECK_EQ(gort_listener_close(l), 0);
}

static ssize_t
read_full(gort_conn *c, void *buf, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = gort_net_read(c, (char *)buf + done, n - done);
		if (r <= 0)
			return r < 0 ? r : (ssize_t)done;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static void
echo(gort_conn *c)
{
	char buf[4096];
	ssize_t n;
	while ((n = gort_net_read(c, buf, sizeof buf)) > 0)
		CHECK_EQ(gort_net_write(c, buf, (size_t)n), n);
	CHECK_EQ(n, 0);
	CHECK_EQ(gort_conn_close(c), 0);
}

static void
serve(gort_listener *l)
{
	gort_conn *c;
	int err;
	while ((err = gort_net_accept(l, &c)) == 0)
		gort_go(echo, c);
	CHECK_EQ(err, -EBADF);
}

static unsigned char
pattern(size_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static void
send_pattern(gort_conn *c, size_t n)
{
	unsigned char *buf = malloc(n);
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(i);
	CHECK_EQ(gort_net_write(c, buf, n), n);
	free(buf);
	CHECK_EQ(gort_conn_close_write(c), 0);
}

static void
echo_sizes(const char *network, const char *where)
{
	static const size_t sizes[] = {1, 63, 4096, 65537, 3 << 20};
	char addr[128];
	gort_listener *l = listen_on(network, where, addr);
	gort_go(serve, l);
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		gort_conn *c;
		size_t got = 0;
		unsigned char buf[5000];
		ssize_t n;
		CHECK_EQ(gort_net_dial(network, addr, &c), 0);
		gort_go(send_pattern, c, sizes[k]);
		while ((n = gort_net_read(c, buf, sizeof buf)) > 0)
			for (ssize_t i = 0; i < n; i++, got++)
				CHECK_EQ(buf[i], pattern(got));
		CHECK_EQ(n, 0);
		CHECK_EQ(got, sizes[k]);
		CHECK_EQ(gort_conn_close(c), 0);
	}
	CHECK_EQ(gort_listener_close(l), 0);
	gort_sleep(MS);
}

// ---- data ----

GORT_TEST(net, tcp_echoes_all_sizes)
{
	echo_sizes("tcp", "127.0.0.1:0");
}

GORT_TEST(net, unix_echoes_all_sizes)
{
	char path[64];
	snprintf(path, sizeof path, "/tmp/gort-net-%d", (int)getpid());
	echo_sizes("unix", path);
	CHECK(access(path, F_OK) != 0); // closing the listener removed it
	snprintf(path, sizeof path, "@gort-net-%d", (int)getpid());
	echo_sizes("unix", path);
}

GORT_TEST(net, without_a_host_serves_all_addresses)
{
	char addr[128];
	gort_conn *c;
	gort_listener *l = listen_on("tcp", ":0", addr);
	gort_go(serve, l);
	const char *port = strrchr(addr, ':');
	char to[160];
	snprintf(to, sizeof to, "127.0.0.1%s", port);
	CHECK_EQ(gort_net_dial("tcp", to, &c), 0);
	CHECK_EQ(gort_conn_close(c), 0);
	CHECK_EQ(gort_net_dial("tcp", port, &c), 0);
	CHECK_EQ(gort_conn_close(c), 0);
	snprintf(to, sizeof to, "localhost%s", port);
	CHECK_EQ(gort_net_dial("tcp4", to, &c), 0);
	CHECK_EQ(gort_conn_close(c), 0);
	if (strncmp(addr, "[::]", 4) == 0) {
		snprintf(to, sizeof to, "[::1]%s", port);
		int err = gort_net_dial("tcp6", to, &c);
		CHECK(err == 0 || err == -EADDRNOTAVAIL);
	}
	CHECK_EQ(gort_listener_close(l), 0);
}

GORT_TEST(net, addresses_as_text)
{
	char addr[128], small[8];
	gort_conn *a, *b;
	char la[128], rb[128];
	gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr);
	CHECK(strncmp(addr, "127.0.0.1:", 10) == 0 && atoi(addr + 10) > 0);
	CHECK_EQ(gort_listener_addr(l, small, sizeof small), strlen(addr));
	CHECK(strcmp(small, "127.0.0") == 0);
	CHECK_EQ(gort_net_dial("tcp", addr, &a), 0);
	CHECK_EQ(gort_net_accept(l, &b), 0);
	gort_conn_remote_addr(a, rb, sizeof rb);
	CHECK(strcmp(rb, addr) == 0);
	CHECK(gort_conn_local_addr(a, la, sizeof la) > 0);
	gort_conn_remote_addr(b, rb, sizeof rb);
	CHECK(strcmp(la, rb) == 0);
	gort_listener *six;
	if (gort_net_listen("tcp", "[::1]:0", &six) == 0) {
		gort_listener_addr(six, addr, sizeof addr);
		CHECK(strncmp(addr, "[::1]:", 6) == 0);
	}
}

GORT_TEST(net, end_and_broken_pipe)
{
	gort_conn *a, *b;
	char buf[16];
	pair(&a, &b);
	CHECK_EQ(gort_net_read(a, buf, 0), 0);
	CHECK_EQ(gort_net_write(a, "x", 1), 1);
	CHECK_EQ(gort_conn_close_write(a), 0);
	CHECK_EQ(gort_net_read(b, buf, sizeof buf), 1); // data and end came together
	CHECK_EQ(gort_net_read(b, buf, sizeof buf), 0);
	CHECK_EQ(gort_net_read(b, buf, sizeof buf), 0);
	CHECK_EQ(gort_net_write(b, "back", 4), 4); // the other direction still works
	CHECK_EQ(read_full(a, buf, 4), 4);
	CHECK_EQ(gort_conn_close(a), 0);
	ssize_t r = 1;
	for (int i = 0; i < 1000 && r > 0; i++) {
		gort_sleep(MS);
		r = gort_net_write(b, "y", 1);
	}
	CHECK(r == -EPIPE || r == -ECONNRESET);
}

enum { WRITERS = 8, ROUNDS = 20, MESSAGE = 60000 };

static void
write_messages(gort_conn *c, int who, gort_waitgroup *wg)
{
	char *m = malloc(MESSAGE);
	memset(m, who, MESSAGE);
	for (int i = 0; i < ROUNDS; i++)
		CHECK_EQ(gort_net_write(c, m, MESSAGE), MESSAGE);
	free(m);
	gort_waitgroup_done(wg);
}

GORT_TEST(net, writes_of_many_goroutines_take_turns)
{
	gort_conn *a, *b;
	gort_waitgroup wg = {0};
	pair(&a, &b);
	gort_waitgroup_add(&wg, WRITERS);
	for (int w = 0; w < WRITERS; w++)
		gort_go(write_messages, a, w, &wg);
	char *m = malloc(MESSAGE);
	for (int i = 0; i < WRITERS * ROUNDS; i++) {
		CHECK_EQ(read_full(b, m, MESSAGE), MESSAGE);
		for (int k = 1; k < MESSAGE; k++)
			CHECK(m[k] == m[0]);
	}
	free(m);
	gort_waitgroup_wait(&wg);
}

static void
read_one(gort_conn *c, atomic_int *sum, gort_waitgroup *wg)
{
	unsigned char v;
	CHECK_EQ(gort_net_read(c, &v, 1), 1);
	atomic_fetch_add(sum, v);
	gort_waitgroup_done(wg);
}

GORT_TEST(net, readers_of_one_connection_take_turns)
{
	gort_conn *a, *b;
	gort_waitgroup wg = {0};
	atomic_int sum = 0;
	pair(&a, &b);
	gort_waitgroup_add(&wg, 100);
	for (int i = 0; i < 100; i++)
		gort_go(read_one, b, &sum, &wg);
	gort_sleep(2 * MS);
	unsigned char all[100];
	for (int i = 0; i < 100; i++)
		all[i] = (unsigned char)i;
	CHECK_EQ(gort_net_write(a, all, 100), 100);
	gort_waitgroup_wait(&wg);
	CHECK_EQ(sum, 99 * 100 / 2);
}

// ---- closing ----

static atomic_int ended;

static void
blocked_read(gort_conn *c)
{
	char v;
	CHECK_EQ(gort_net_read(c, &v, 1), -EBADF);
	ended++;
}

static void
blocked_write(gort_conn *c)
{
	static char big[8 << 20];
	CHECK_EQ(gort_net_write(c, big, sizeof big), -EBADF);
	ended++;
}

static void
blocked_accept(gort_listener *l)
{
	gort_conn *c = (gort_conn *)1;
	CHECK_EQ(gort_net_accept(l, &c), -EBADF);
	CHECK(c == NULL);
	ended++;
}

static void
wait_ended(int n)
{
	while (ended != n)
		gort_sleep(MS);
}

GORT_TEST(net_close, ends_what_waits)
{
	gort_conn *a, *b;
	char addr[128], v;
	pair(&a, &b);
	gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr);
	for (int i = 0; i < 3; i++) { // the first waits in the poller, the others for their turn
		gort_go(blocked_read, a);
		gort_go(blocked_write, a);
		gort_go(blocked_accept, l);
	}
	gort_sleep(20 * MS);
	CHECK_EQ(ended, 0);
	CHECK_EQ(gort_conn_close(a), 0);
	CHECK_EQ(gort_listener_close(l), 0);
	wait_ended(9);
	CHECK_EQ(gort_conn_close(a), -EBADF);
	CHECK_EQ(gort_listener_close(l), -EBADF);
	CHECK_EQ(gort_net_read(a, &v, 1), -EBADF);
	CHECK_EQ(gort_net_write(a, &v, 1), -EBADF);
	CHECK_EQ(gort_conn_set_deadline(a, 1), -EBADF);
	CHECK_EQ(gort_conn_close_write(a), -EBADF);
	CHECK_EQ(gort_conn_local_addr(a, addr, sizeof addr), -EBADF);
}

// Nobody can connect once it has returned, and the port is free.
GORT_TEST(net_close, of_a_listener_returns_when_its_port_is_free)
{
	for (int i = 0; i < 50; i++) {
		char addr[128];
		gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr), *again;
		gort_conn *c;
		for (int n = 0; n < 3; n++)
			gort_go(blocked_accept, l);
		gort_sleep(MS);
		CHECK_EQ(gort_listener_close(l), 0);
		CHECK_EQ(gort_net_dial("tcp", addr, &c), -ECONNREFUSED);
		CHECK_EQ(gort_net_listen("tcp", addr, &again), 0);
		CHECK_EQ(gort_listener_close(again), 0);
	}
	wait_ended(150);
}

GORT_TEST(net_close, of_nothing_is_an_error)
{
	char v;
	CHECK_EQ(gort_conn_close(NULL), -EINVAL);
	CHECK_EQ(gort_listener_close(NULL), -EINVAL);
	CHECK_EQ(gort_net_read(NULL, &v, 1), -EINVAL);
	CHECK_EQ(gort_poll_close(NULL), -EINVAL);
}

GORT_TEST(net_close, does_not_touch_a_descriptor_that_has_the_number_now)
{
	gort_conn *a, *b;
	int p[64];
	char v = 'v', w;
	pair(&a, &b);
	CHECK_EQ(gort_conn_close(a), 0);
	CHECK_EQ(gort_conn_close(b), 0);
	for (int i = 0; i < 64; i += 2)
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, &p[i]), 0);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(gort_net_write(a, "stale", 5), -EBADF);
		CHECK_EQ(gort_conn_close(a), -EBADF);
		CHECK_EQ(gort_conn_close(b), -EBADF);
	}
	for (int i = 0; i < 64; i += 2) {
		CHECK(read(p[i], &w, 1) == -1 && errno == EAGAIN); // neither written nor closed
		CHECK_EQ(write(p[i], &v, 1), 1);
		CHECK_EQ(read(p[i + 1], &w, 1), 1);
	}
}

// ---- deadlines ----

GORT_TEST(net_deadline, in_the_past_fails_at_once)
{
	gort_conn *a, *b;
	char v;
	pair(&a, &b);
	CHECK_EQ(gort_net_write(b, "x", 1), 1);
	gort_sleep(5 * MS);
	CHECK_EQ(gort_conn_set_deadline(a, 1), 0);
	CHECK_EQ(gort_net_read(a, &v, 1), -ETIMEDOUT); // though there is data
	CHECK_EQ(gort_net_write(a, &v, 1), -ETIMEDOUT);
	CHECK_EQ(gort_conn_set_deadline(a, -5), 0);
	CHECK_EQ(gort_net_read(a, &v, 1), -ETIMEDOUT);
	CHECK_EQ(gort_conn_set_write_deadline(a, 0), 0);
	CHECK_EQ(gort_net_write(a, &v, 1), 1);
	CHECK_EQ(gort_net_read(a, &v, 1), -ETIMEDOUT);
	CHECK_EQ(gort_conn_set_deadline(a, 0), 0);
	CHECK_EQ(gort_net_read(a, &v, 1), 1);
}

GORT_TEST(net_deadline, ends_a_wait_in_time)
{
	gort_conn *a, *b;
	char v;
	pair(&a, &b);
	for (int i = 1; i <= 5; i++) {
		int64_t start = gort_nanotime();
		CHECK_EQ(gort_conn_set_read_deadline(a, start + i * 5 * MS), 0);
		CHECK_EQ(gort_net_read(a, &v, 1), -ETIMEDOUT);
		CHECK(gort_nanotime() - start >= i * 5 * MS);
		CHECK_EQ(gort_net_read(a, &v, 1), -ETIMEDOUT); // it stays
	}
	static char big[8 << 20];
	CHECK_EQ(gort_conn_set_write_deadline(a, gort_nanotime() + 20 * MS), 0);
	CHECK_EQ(gort_net_write(a, big, sizeof big), -ETIMEDOUT);
}

// One read, on a goroutine of its own.
struct reading {
	gort_conn *c;
	ssize_t result;
	_Atomic int64_t at; // when it ended; 0 before
};

static void
read_into(struct reading *r)
{
	char v;
	r->result = gort_net_read(r->c, &v, 1);
	r->at = gort_nanotime();
}

static void
begin_reading(struct reading *r)
{
	r->at = 0;
	gort_go(read_into, r);
	gort_sleep(5 * MS); // most likely it waits now; it need not
}

static int64_t
await_end(struct reading *r)
{
	while (r->at == 0)
		gort_sleep(MS);
	return r->at;
}

// Earlier than the first, and later again; false if this thread was late, and the earlier one had come.
static bool
moved_while_waiting(struct reading *r)
{
	begin_reading(r);
	int64_t now = gort_nanotime(), early = now + 100 * MS, late = now + 400 * MS;
	gort_conn_set_read_deadline(r->c, now + 3600 * GORT_SECOND);
	gort_conn_set_read_deadline(r->c, early);
	gort_conn_set_read_deadline(r->c, late);
	bool in_time = gort_nanotime() < early;
	int64_t at = await_end(r);
	CHECK_EQ(r->result, -ETIMEDOUT);
	CHECK(!in_time || at >= late);
	gort_conn_set_read_deadline(r->c, 0);
	return in_time;
}

// The reader then waits on; false if the deadline may have come before it was cleared.
static bool
cleared_while_waiting(struct reading *r, gort_conn *other)
{
	int64_t early = gort_nanotime() + 200 * MS;
	char v;
	gort_conn_set_read_deadline(r->c, early);
	begin_reading(r);
	gort_conn_set_read_deadline(r->c, 0);
	bool in_time = gort_nanotime() < early;
	if (in_time) {
		gort_sleep(250 * MS);
		CHECK_EQ(r->at, 0);
	}
	CHECK_EQ(gort_net_write(other, "x", 1), 1);
	await_end(r);
	CHECK(r->result == 1 || (!in_time && r->result == -ETIMEDOUT));
	CHECK(r->result == 1 || gort_net_read(r->c, &v, 1) == 1);
	return in_time;
}

GORT_TEST(net_deadline, set_while_waiting_takes_effect)
{
	struct reading r = {0};
	gort_conn *b;
	pair(&r.c, &b);
	while (!moved_while_waiting(&r))
		;
	begin_reading(&r);
	gort_conn_set_read_deadline(r.c, 1); // the past: now
	await_end(&r);
	CHECK_EQ(r.result, -ETIMEDOUT);
	while (!cleared_while_waiting(&r, b))
		;
}

GORT_TEST(net_deadline, of_a_listener_limits_accepting)
{
	char addr[128];
	gort_conn *c;
	gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr);
	CHECK_EQ(gort_listener_set_deadline(l, gort_nanotime() + 10 * MS), 0);
	CHECK_EQ(gort_net_accept(l, &c), -ETIMEDOUT);
	CHECK_EQ(gort_listener_set_deadline(l, 0), 0);
	gort_conn *d;
	CHECK_EQ(gort_net_dial("tcp", addr, &d), 0);
	CHECK_EQ(gort_net_accept(l, &c), 0);
}

// ---- what the environment refuses ----

GORT_TEST(net_error, refused_port)
{
	char addr[128];
	gort_conn *c;
	gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr);
	CHECK_EQ(gort_listener_close(l), 0);
	for (int i = 0; i < 50; i++) {
		c = (gort_conn *)1;
		CHECK_EQ(gort_net_dial("tcp", addr, &c), -ECONNREFUSED);
		CHECK(c == NULL);
	}
	CHECK_EQ(gort_net_dial("unix", "/tmp/gort-there-is-no-such-socket", &c), -ENOENT);
	CHECK_EQ(gort_net_dial("unix", "@gort-there-is-no-such-socket", &c), -ECONNREFUSED);
}

GORT_TEST(net_error, malformed_addresses)
{
	static const struct {
		const char *network, *addr;
		int err;
	} bad[] = {
		{"tcp", "127.0.0.1", -EINVAL},
		{"tcp", "::1:80", -EINVAL},
		{"tcp", "[::1:80", -EINVAL},
		{"tcp", "127.0.0.1:65536", -EINVAL},
		{"tcp", "127.0.0.1:99999999999999999999", -EINVAL},
		{"tcp", "[::1]80", -EINVAL},
		{"udp", "127.0.0.1:80", -EPROTONOSUPPORT},
		{"", "127.0.0.1:80", -EPROTONOSUPPORT},
		{"tcp6", "127.0.0.1:80", -ENOENT},
		{"unix", "", -EINVAL},
		{NULL, "x", -EINVAL},
		{"tcp", NULL, -EINVAL},
	};
	char path[300];
	gort_listener *l;
	gort_conn *c;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK_EQ(gort_net_listen(bad[i].network, bad[i].addr, &l), bad[i].err);
		CHECK_EQ(gort_net_dial(bad[i].network, bad[i].addr, &c), bad[i].err);
	}
	memset(path, 'p', sizeof path);
	path[108] = '\0'; // exactly as many as fit, without a NUL behind, do not for a path
	path[0] = '/';
	CHECK_EQ(gort_net_dial("unix", path, &c), -ENAMETOOLONG);
	path[107] = '\0';
	CHECK_EQ(gort_net_dial("unix", path, &c), -ENOENT);
}

GORT_TEST(net_error, address_in_use)
{
	char addr[128];
	gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr), *m;
	CHECK_EQ(gort_net_listen("tcp", addr, &m), -EADDRINUSE);
	CHECK(m == NULL);
	CHECK_EQ(gort_listener_close(l), 0);
	CHECK_EQ(gort_net_listen("tcp", addr, &m), 0);
}

// Uses up all descriptors; returns how many were taken, in fds.
static int
exhaust(int *fds, int max)
{
	struct rlimit rl = {max, max};
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &rl), 0);
	int n = 0;
	while ((fds[n] = dup(0)) >= 0)
		n++;
	CHECK_EQ(errno, EMFILE);
	return n;
}

GORT_TEST(net_error, no_descriptors_left)
{
	enum { MAX = 100 };
	char addr[128], v;
	int fds[MAX];
	gort_conn *a, *b, *c;
	gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr), *m;
	CHECK_EQ(gort_net_dial("tcp", addr, &a), 0);
	CHECK_EQ(gort_net_dial("tcp", addr, &b), 0);
	int n = exhaust(fds, MAX);
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(gort_net_accept(l, &c), -EMFILE);
		CHECK(c == NULL);
		CHECK_EQ(gort_net_dial("tcp", addr, &c), -EMFILE);
		CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &m), -EMFILE);
	}
	while (n > 0)
		close(fds[--n]);
	CHECK_EQ(gort_net_accept(l, &c), 0); // nothing was lost
	CHECK_EQ(gort_net_write(a, "1", 1), 1);
	CHECK_EQ(gort_net_read(c, &v, 1), 1);
	CHECK_EQ(gort_net_accept(l, &c), 0);
	CHECK_EQ(gort_net_write(b, "2", 1), 1);
	CHECK_EQ(gort_net_read(c, &v, 1), 1);
}

GORT_TEST(net_error, no_descriptor_for_the_netpoller_itself)
{
	enum { MAX = 60 };
	int fds[MAX];
	gort_listener *l;
	int n = exhaust(fds, MAX);
	// Room for the socket, for the socket and epoll, and for all.
	for (int room = 0; room <= 3; room++) {
		for (int i = 0; i < room; i++)
			close(fds[--n]);
		CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &l), room < 3 ? -EMFILE : 0);
		for (int i = 0; i < room && room < 3; i++)
			CHECK((fds[n++] = dup(0)) >= 0); // the failed call leaked nothing
		CHECK(room == 3 || dup(0) == -1);
	}
}

GORT_TEST(net_error, dial_deadline)
{
	// A listener that never accepts, with a full queue, does not answer any more.
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof in;
	int s = socket(AF_INET, SOCK_STREAM, 0), err = 0;
	gort_conn *c;
	char addr[64];
	CHECK_EQ(bind(s, (struct sockaddr *)&in, len), 0);
	CHECK_EQ(listen(s, 0), 0);
	getsockname(s, (struct sockaddr *)&in, &len);
	snprintf(addr, sizeof addr, "127.0.0.1:%d", ntohs(in.sin_port));
	int64_t start = gort_nanotime();
	for (int i = 0; i < 50 && err == 0; i++)
		err = gort_net_dial_deadline("tcp", addr, start + 300 * MS, &c);
	CHECK_EQ(err, -ETIMEDOUT);
	CHECK(c == NULL && gort_nanotime() - start >= 300 * MS);
}

GORT_TEST(net_error, unix_queue_full_is_waited_for)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "gort-full-%d", (int)getpid());
	char addr[120];
	socklen_t len = (socklen_t)(sizeof un.sun_family + 1 + strlen(un.sun_path + 1));
	int s = socket(AF_UNIX, SOCK_STREAM, 0), err, queued = 0;
	gort_conn *c;
	snprintf(addr, sizeof addr, "@%s", un.sun_path + 1);
	CHECK_EQ(bind(s, (struct sockaddr *)&un, len), 0);
	CHECK_EQ(listen(s, 0), 0);
	do { // a slow machine may be too late for the first ones
		err = gort_net_dial_deadline("unix", addr, gort_nanotime() + 30 * MS, &c);
		queued += err == 0;
		CHECK(err == 0 || err == -ETIMEDOUT);
		CHECK(queued < 50);
	} while (err == 0 || queued == 0);
	close(accept(s, NULL, NULL)); // room for one
	CHECK_EQ(gort_net_dial_deadline("unix", addr, gort_nanotime() + 3600 * GORT_SECOND, &c), 0);
}

static volatile sig_atomic_t alarms;

static void
on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

GORT_TEST(net_error, interrupted_calls_are_repeated)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK};
	struct itimerval every = {.it_interval = {0, 500}, .it_value = {0, 500}}, off = {0};
	sigaction(SIGALRM, &sa, NULL); // without SA_RESTART
	setitimer(ITIMER_REAL, &every, NULL);
	int64_t start = gort_nanotime();
	while (gort_nanotime() - start < 200 * MS || alarms <= 10)
		echo_sizes("tcp", "127.0.0.1:0");
	setitimer(ITIMER_REAL, &off, NULL);
}

// ---- who calls, and who waits ----

static void *
foreign_client(void *addr)
{
	gort_conn *c;
	char v = 'f';
	CHECK_EQ(gort_net_dial("tcp", addr, &c), 0);
	CHECK_EQ(gort_net_write(c, &v, 1), 1);
	CHECK_EQ(gort_net_read(c, &v, 1), 1);
	CHECK_EQ(gort_conn_close(c), 0);
	return NULL;
}

static void
join(void *thread)
{
	pthread_join(*(pthread_t *)thread, NULL);
}

GORT_TEST(net, foreign_threads_may_use_it)
{
	char addr[128];
	pthread_t thread;
	gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr);
	gort_go(serve, l);
	CHECK_EQ(pthread_create(&thread, NULL, foreign_client, addr), 0);
	gort_blocking(join, &thread);
}

GORT_TEST(net, waiting_for_it_is_no_deadlock)
{
	char name[64], addr[128];
	gort_conn *c;
	snprintf(name, sizeof name, "@gort-no-deadlock-%d", (int)getpid());
	gort_listener *l = listen_on("unix", name, addr);
	if (fork() == 0) {
		struct sockaddr_un un = {.sun_family = AF_UNIX};
		size_t n = strlen(name);
		memcpy(un.sun_path + 1, name + 1, n - 1);
		usleep(1500000); // sysmon looks for a deadlock once a second
		int s = socket(AF_UNIX, SOCK_STREAM, 0);
		_exit(connect(s, (struct sockaddr *)&un, (socklen_t)(sizeof(sa_family_t) + n)) != 0);
	}
	CHECK_EQ(gort_net_accept(l, &c), 0);
}

static void
spin(void)
{
	static volatile unsigned long x;
	for (;;)
		x++;
}

GORT_TEST(net, works_beside_a_goroutine_that_never_stops)
{
	char addr[128], v = 'x';
	gort_conn *c;
	gort_maxprocs(1);
	gort_listener *l = listen_on("tcp", "127.0.0.1:0", addr);
	gort_go(serve, l);
	CHECK_EQ(gort_net_dial("tcp", addr, &c), 0);
	gort_go(spin);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(gort_net_write(c, &v, 1), 1);
		CHECK_EQ(gort_net_read(c, &v, 1), 1);
	}
}

// ---- gort_poll_fd ----

static void
pipe_of(int p[2])
{
	CHECK_EQ(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
}

static void
write_later(int fd, int64_t ns)
{
	gort_sleep(ns);
	CHECK_EQ(write(fd, "xyz", 3), 3);
}

GORT_TEST(poll_fd, waits_for_levels)
{
	int p[2];
	char v;
	gort_poll *r, *w;
	pipe_of(p);
	CHECK_EQ(gort_poll_fd(p[0], &r), 0);
	CHECK_EQ(gort_poll_fd(p[1], &w), 0);
	CHECK_EQ(gort_poll_wait_write(w), 0);
	int64_t start = gort_nanotime();
	gort_go(write_later, p[1], 20 * MS);
	CHECK_EQ(gort_poll_wait_read(r), 0);
	CHECK(gort_nanotime() - start >= 20 * MS);
	for (int i = 0; i < 3; i++) { // ready as long as there is data, read or not
		CHECK_EQ(gort_poll_wait_read(r), 0);
		CHECK_EQ(gort_poll_wait_read(r), 0);
		CHECK_EQ(read(p[0], &v, 1), 1);
	}
	gort_poll_set_read_deadline(r, gort_nanotime() + 10 * MS);
	CHECK_EQ(gort_poll_wait_read(r), -ETIMEDOUT);
	gort_poll_set_deadline(r, 0);
	close(p[1]);
	CHECK_EQ(gort_poll_wait_read(r), 0); // the end
	CHECK_EQ(read(p[0], &v, 1), 0);
}

static void
blocked_poll(gort_poll *p)
{
	CHECK_EQ(gort_poll_wait_read(p), -EBADF);
	ended++;
}

GORT_TEST(poll_fd, close_ends_waits_and_leaves_the_descriptor)
{
	int p[2];
	char v;
	gort_poll *r;
	pipe_of(p);
	CHECK_EQ(gort_poll_fd(p[0], &r), 0);
	gort_go(blocked_poll, r);
	gort_go(blocked_poll, r);
	gort_sleep(10 * MS);
	CHECK_EQ(gort_poll_close(r), 0);
	CHECK_EQ(gort_poll_close(r), -EBADF);
	CHECK_EQ(gort_poll_wait_read(r), -EBADF);
	wait_ended(2);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(read(p[0], &v, 1), 1);
	CHECK_EQ(gort_poll_fd(p[0], &r), 0); // again
	gort_go(write_later, p[1], 5 * MS);
	CHECK_EQ(gort_poll_wait_read(r), 0);
}

GORT_TEST(poll_fd, refuses_what_cannot_be_watched)
{
	int p[2];
	gort_poll *a, *b;
	int file = open("/proc/self/exe", O_RDONLY);
	CHECK_EQ(gort_poll_fd(file, &a), -EPERM);
	CHECK_EQ(gort_poll_fd(-1, &a), -EBADF);
	CHECK_EQ(gort_poll_fd(9999, &a), -EBADF);
	pipe_of(p);
	CHECK_EQ(gort_poll_fd(p[0], &a), 0);
	CHECK_EQ(gort_poll_fd(p[0], &b), -EEXIST);
	CHECK(b == NULL);
}

GORT_TEST(poll_fd, survives_a_number_that_was_closed_behind_its_back)
{
	int p[2], q[2];
	gort_poll *old, *new;
	pipe_of(p);
	CHECK_EQ(gort_poll_fd(p[0], &old), 0);
	gort_go(blocked_poll, old);
	gort_sleep(5 * MS);
	close(p[0]);
	pipe_of(q);
	CHECK(q[0] == p[0]); // the lowest free number
	CHECK_EQ(gort_poll_fd(q[0], &new), 0);
	wait_ended(1);
	CHECK_EQ(gort_poll_wait_read(old), -EBADF);
	CHECK_EQ(gort_poll_close(old), 0); // leaves the new registration alone
	gort_go(write_later, q[1], 10 * MS);
	CHECK_EQ(gort_poll_wait_read(new), 0);
	CHECK_EQ(gort_poll_close(new), 0);
}
