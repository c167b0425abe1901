// SPDX-License-Identifier: BSD-3-Clause
// Listeners and connections: <gort/net.h> over rt_fd (net/fd.h).
// Go: net/sock_posix.go, net/tcpsock.go, net/unixsock.go.
#include <gort/net.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include <gort/sched.h>
#include <gort/time.h>

#include "mem/malloc.h"
#include "net/addr.h"
#include "net/fd.h"
#include "os/net.h"
#include "os/os.h"
#include "sched/sched.h"

#define KEEPALIVE_S 15
#define BACKLOG 65535 // the system cuts it to net.core.somaxconn
#define SELF_CONNECTS 3
#define MAX_BACKOFF_NS (10 * GORT_MILLISECOND)

// Neither holds a collected pointer.
struct gort_listener {
	struct rt_fd fd;
	struct rt_addr addr;
};

struct gort_conn {
	struct rt_fd fd;
	struct rt_addr remote;
};

static bool
is_tcp(const struct rt_addr *a)
{
	return a->sa.sa_family != AF_UNIX;
}

// Best effort: a connection without these still works. Accepted sockets inherit them from the listener.
static void
tcp_options(int fd)
{
	rt_os_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	rt_os_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	rt_os_setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S);
	rt_os_setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S);
}

// ---- listening ----

static int
bind_and_listen(int fd, const struct rt_addr *a)
{
	if (is_tcp(a)) {
		rt_os_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (a->sa.sa_family == AF_INET6)
			rt_os_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, !a->any);
		tcp_options(fd);
	}
	int err = rt_os_bind(fd, &a->sa, a->len);
	return err ? err : rt_os_listen(fd, BACKLOG);
}

static void
remove_path(const struct rt_addr *a)
{
	if (!is_tcp(a) && a->un.sun_path[0] != '\0')
		rt_os_unlink(a->un.sun_path);
}

static int
listen_at(const struct rt_addr *a, struct gort_listener *l)
{
	int fd = rt_os_socket(a->sa.sa_family);
	if (fd < 0)
		return fd;
	int err = bind_and_listen(fd, a);
	if (err) {
		rt_os_close(fd);
		return err;
	}
	err = rt_fd_init(&l->fd, fd, true);
	if (err) {
		rt_os_close(fd);
		remove_path(a);
		return err;
	}
	l->addr = *a;
	l->addr.len = sizeof l->addr.un;
	if (rt_os_getsockname(fd, &l->addr.sa, &l->addr.len) != 0)
		l->addr.len = a->len;
	return 0;
}

// The addresses to try: all for "no host", IPv4 before IPv6 for a name.
static int
listen_any(struct rt_addrs *addrs, struct gort_listener *l)
{
	int first = 0;
	while (first < addrs->n && addrs->a[first].sa.sa_family != AF_INET)
		first++;
	if (!addrs->a[0].any && first < addrs->n)
		return listen_at(&addrs->a[first], l);
	int err = listen_at(&addrs->a[0], l);
	for (int i = 1; i < addrs->n && (err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL); i++)
		err = listen_at(&addrs->a[i], l);
	return err;
}

int
gort_net_listen(const char *network, const char *addr, gort_listener **out)
{
	struct rt_addrs addrs;
	*out = NULL;
	int err = rt_resolve(network, addr, true, &addrs);
	if (err)
		return err;
	rt_enter();
	struct gort_listener *l = rt_mallocgc_noscan(sizeof *l);
	err = listen_any(&addrs, l);
	rt_leave();
	if (!err)
		*out = l;
	return err;
}

// ---- accepting ----

static int
accept_ready(struct gort_listener *l, struct rt_addr *remote)
{
	int err = rt_poll_check(l->fd.pd, POLL_READ);
	while (!err) {
		remote->len = sizeof remote->un;
		int fd = rt_os_accept(l->fd.sysfd, &remote->sa, &remote->len);
		if (fd >= 0)
			return fd;
		if (fd == -EAGAIN)
			err = rt_poll_wait(l->fd.pd, POLL_READ);
		else if (fd != -EINTR && fd != -ECONNABORTED)
			return fd;
	}
	return err;
}

static int
accept_conn(struct gort_listener *l, gort_conn **out)
{
	// First: whatever may collect garbage comes before there is a descriptor to lose.
	struct gort_conn *c = rt_mallocgc_noscan(sizeof *c);
	int err = rt_fd_lock(&l->fd, POLL_READ);
	if (err)
		return err;
	int fd = accept_ready(l, &c->remote);
	rt_fd_unlock(&l->fd, POLL_READ);
	if (fd < 0)
		return fd;
	err = rt_fd_init(&c->fd, fd, true);
	if (err) {
		rt_os_close(fd);
		return err;
	}
	c->fd.drained_short = is_tcp(&l->addr);
	*out = c;
	return 0;
}

int
gort_net_accept(gort_listener *l, gort_conn **c)
{
	*c = NULL;
	if (!l)
		return -EINVAL;
	rt_enter();
	int err = accept_conn(l, c);
	rt_leave();
	return err;
}

// ---- dialling ----

// Writable: connected, failed, or a spurious edge.
static int
finish_connect(struct rt_fd *f)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	for (;;) {
		int err = rt_poll_wait(f->pd, POLL_WRITE);
		if (err)
			return err;
		err = rt_os_sockerror(f->sysfd);
		if (err == -EISCONN)
			return 0;
		if (err != 0 && err != -EINPROGRESS && err != -EALREADY && err != -EINTR)
			return err;
		if (err == 0 && rt_os_getpeername(f->sysfd, &peer, &len) == 0)
			return 0;
	}
}

static int
connect_at_depth(const struct rt_addr *a, int64_t abs_ns, struct gort_conn *c)
{
	int fd = rt_os_socket(a->sa.sa_family);
	if (fd < 0)
		return fd;
	if (is_tcp(a))
		tcp_options(fd);
	int err = rt_os_connect(fd, &a->sa, a->len);
	bool pending = err == -EINPROGRESS || err == -EINTR;
	if (!err || pending)
		err = rt_fd_init(&c->fd, fd, true);
	if (err) {
		rt_os_close(fd);
		return err;
	}
	if (pending) {
		rt_poll_set_deadline(c->fd.pd, abs_ns, POLL_WRITE);
		err = finish_connect(&c->fd);
		rt_poll_set_deadline(c->fd.pd, 0, POLL_WRITE);
	}
	if (err)
		rt_fd_close(&c->fd);
	c->fd.drained_short = is_tcp(a);
	c->remote = *a;
	return err;
}

// Without a listener, a port of the range for outgoing connections may happen to be our own: TCP then
// connects the socket to itself.
static bool
connected_to_itself(const struct gort_conn *c)
{
	struct rt_addr local = {.len = sizeof local.un};
	if (!is_tcp(&c->remote) || rt_os_getsockname(c->fd.sysfd, &local.sa, &local.len) != 0)
		return false;
	if (local.sa.sa_family == AF_INET)
		return local.in.sin_port == c->remote.in.sin_port &&
		       local.in.sin_addr.s_addr == c->remote.in.sin_addr.s_addr;
	return local.in6.sin6_port == c->remote.in6.sin6_port &&
	       IN6_ARE_ADDR_EQUAL(&local.in6.sin6_addr, &c->remote.in6.sin6_addr);
}

// At depth 0.
static int
connect_once(const struct rt_addr *a, int64_t abs_ns, struct gort_conn *c)
{
	rt_enter();
	memset(c, 0, sizeof *c);
	int err = connect_at_depth(a, abs_ns, c);
	for (int i = 1; err == 0 && connected_to_itself(c); i++) {
		rt_fd_close(&c->fd);
		memset(c, 0, sizeof *c);
		err = i < SELF_CONNECTS ? connect_at_depth(a, abs_ns, c) : -ECONNREFUSED;
	}
	rt_leave();
	return err;
}

// At depth 0. A Unix listener whose queue is full answers EAGAIN; there is nothing to wait for but time.
static int
connect_to(const struct rt_addr *a, int64_t abs_ns, struct gort_conn *c)
{
	int64_t backoff = 50 * GORT_MICROSECOND;
	for (;;) {
		int err = connect_once(a, abs_ns, c);
		if (err != -EAGAIN || is_tcp(a))
			return err;
		if (abs_ns != 0 && rt_nanotime() + backoff >= abs_ns)
			return -ETIMEDOUT;
		gort_sleep(backoff);
		backoff = rt_min(backoff * 2, (int64_t)MAX_BACKOFF_NS);
	}
}

int
gort_net_dial_deadline(const char *network, const char *addr, int64_t abs_ns, gort_conn **out)
{
	struct rt_addrs addrs;
	*out = NULL;
	int first = rt_resolve(network, addr, false, &addrs);
	if (first)
		return first;
	rt_enter();
	struct gort_conn *c = rt_mallocgc_noscan(sizeof *c);
	rt_leave();
	for (int i = 0; i < addrs.n; i++) {
		int err = abs_ns != 0 && rt_nanotime() >= abs_ns
				  ? -ETIMEDOUT
				  : connect_to(&addrs.a[i], abs_ns, c);
		if (err == 0) {
			*out = c;
			return 0;
		}
		if (first == 0)
			first = err;
	}
	return first;
}

int
gort_net_dial(const char *network, const char *addr, gort_conn **c)
{
	return gort_net_dial_deadline(network, addr, 0, c);
}

// ---- connections ----

ssize_t
gort_net_read(gort_conn *c, void *buf, size_t n)
{
	if (!c)
		return -EINVAL;
	rt_enter();
	ssize_t r = rt_fd_read(&c->fd, buf, n);
	rt_leave();
	return r;
}

ssize_t
gort_net_write(gort_conn *c, const void *buf, size_t n)
{
	if (!c)
		return -EINVAL;
	rt_enter();
	ssize_t r = rt_fd_write(&c->fd, buf, n);
	rt_leave();
	return r;
}

int
gort_conn_close(gort_conn *c)
{
	if (!c)
		return -EINVAL;
	rt_enter();
	int err = rt_fd_close(&c->fd);
	rt_leave();
	return err;
}

int
gort_listener_close(gort_listener *l)
{
	if (!l)
		return -EINVAL;
	rt_enter();
	int err = rt_fd_close(&l->fd);
	if (!err)
		remove_path(&l->addr);
	rt_leave();
	return err;
}

static int
close_one_way(gort_conn *c, int how)
{
	if (!c)
		return -EINVAL;
	rt_enter();
	int err = rt_fd_get(&c->fd);
	if (!err) {
		err = rt_os_shutdown(c->fd.sysfd, how);
		rt_fd_put(&c->fd);
	}
	rt_leave();
	return err;
}

int
gort_conn_close_write(gort_conn *c)
{
	return close_one_way(c, SHUT_WR);
}

int
gort_conn_close_read(gort_conn *c)
{
	return close_one_way(c, SHUT_RD);
}

// ---- deadlines ----

static int
set_deadline(struct rt_fd *f, int64_t abs_ns, unsigned modes)
{
	rt_enter();
	int err = rt_fd_set_deadline(f, abs_ns, modes);
	rt_leave();
	return err;
}

int
gort_conn_set_deadline(gort_conn *c, int64_t abs_ns)
{
	return c ? set_deadline(&c->fd, abs_ns, POLL_READ | POLL_WRITE) : -EINVAL;
}

int
gort_conn_set_read_deadline(gort_conn *c, int64_t abs_ns)
{
	return c ? set_deadline(&c->fd, abs_ns, POLL_READ) : -EINVAL;
}

int
gort_conn_set_write_deadline(gort_conn *c, int64_t abs_ns)
{
	return c ? set_deadline(&c->fd, abs_ns, POLL_WRITE) : -EINVAL;
}

int
gort_listener_set_deadline(gort_listener *l, int64_t abs_ns)
{
	return l ? set_deadline(&l->fd, abs_ns, POLL_READ | POLL_WRITE) : -EINVAL;
}

// ---- addresses ----

int
gort_listener_addr(gort_listener *l, char *buf, size_t n)
{
	return l ? rt_addr_text(&l->addr, buf, n) : -EINVAL;
}

int
gort_conn_remote_addr(gort_conn *c, char *buf, size_t n)
{
	return c ? rt_addr_text(&c->remote, buf, n) : -EINVAL;
}

int
gort_conn_local_addr(gort_conn *c, char *buf, size_t n)
{
	struct rt_addr local = {.len = sizeof local.un};
	if (!c)
		return -EINVAL;
	rt_enter();
	int err = rt_fd_get(&c->fd);
	if (!err) {
		err = rt_os_getsockname(c->fd.sysfd, &local.sa, &local.len);
		rt_fd_put(&c->fd);
	}
	rt_leave();
	return err ? err : rt_addr_text(&local, buf, n);
}
