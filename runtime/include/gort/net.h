// SPDX-License-Identifier: BSD-3-Clause
// Stream sockets over TCP and Unix sockets, and waiting for any descriptor. A call that has to wait
// blocks the goroutine, not its thread. Go: package net.
//
//	gort_listener *l;
//	int err = gort_net_listen("tcp", "127.0.0.1:0", &l);
//	gort_conn *c;
//	while (err == 0 && (err = gort_net_accept(l, &c)) == 0)
//		gort_go(serve, c);
//
// Errors are negative errno values; errno itself is kept. Everywhere:
//   -EBADF      closed before, or while the call waited
//   -ETIMEDOUT  the deadline has passed (a dial or a connection may also get it from the system)
//   -EINVAL     a NULL listener, connection or poll
// Interrupted system calls are repeated. Writing to a connection that the peer has closed returns
// -EPIPE; no SIGPIPE is raised.
//
// Listeners, connections and polls are collected objects, but a descriptor is freed by closing only:
// one that becomes unreachable unclosed stays open. Closing may happen at any time from any goroutine:
// calls under way return -EBADF, closing returns when the last of them has left and the descriptor is
// closed, and every later call returns -EBADF, whatever the descriptor's number stands for by then. On one
// connection any number of goroutines may read and write; calls in one direction take turns.
//
// Descriptors are non-blocking and close-on-exec. No function here is async-signal-safe.
#pragma once

#include <gort/base.h>

GORT_BEGIN_DECLS

typedef struct gort_listener gort_listener;
typedef struct gort_conn gort_conn;

// Networks: "tcp", "tcp4" and "tcp6" (IPv4, IPv6 only), "unix". Addresses:
//   tcp   "host:port". host: an IPv4 address, an IPv6 address in brackets with an optional %zone, a
//         name, or empty; port: a number or a service's name, 0 to listen on a free one
//   unix  a path, or "@name" in Linux's abstract namespace
// Names are looked up by the system's resolver without blocking other goroutines.

// gort_net_listen listens at addr and stores the listener in *l. Without a host it serves every address
// of the machine, IPv6 and IPv4; of a name with both kinds of address, IPv4. Errors: -EADDRINUSE,
// -EADDRNOTAVAIL, -EACCES, -EMFILE, ... as socket, bind and listen give them; -EINVAL for a malformed
// address; -ENAMETOOLONG for a long path; -EPROTONOSUPPORT for another network; -ENOENT when the name
// has no such address, -EAGAIN when that could not be found out. *l is NULL then.
// A Unix socket's path must not exist before; closing the listener removes it. Go: net.Listen.
GORT_API int gort_net_listen(const char *network, const char *addr, gort_listener **l);

// gort_net_accept waits for the next connection and stores it in *c (NULL on failure). Errors: those
// above; -EMFILE, -ENFILE, -ENOMEM and the like when the system can open no more: the connection stays
// in the queue, and a later call gets it. Go: Listener.Accept.
GORT_API int gort_net_accept(gort_listener *l, gort_conn **c);

// gort_net_dial connects to addr and stores the connection in *c (NULL on failure). The addresses of a
// name are tried in the resolver's order; the error is the first one's. Without a host: this machine.
// Errors: -ECONNREFUSED, -ENETUNREACH, -EHOSTUNREACH, -ETIMEDOUT, -EMFILE, ... and as gort_net_listen.
// TCP connections send small pieces at once and probe a silent peer (Go's TCP_NODELAY and keep-alive
// of 15 s). Go: net.Dial.
GORT_API int gort_net_dial(const char *network, const char *addr, gort_conn **c);
// The same with -ETIMEDOUT from abs_ns on (gort_nanotime's clock; 0: no limit). The deadline does not
// cover the lookup of a name, and is not the connection's afterwards. Go: net.Dialer.Deadline.
GORT_API int gort_net_dial_deadline(const char *network, const char *addr, int64_t abs_ns,
				    gort_conn **c);

// gort_net_read reads what there is, at most n bytes (and at most 256 KiB), waiting until there is
// something. Returns the number of bytes, 0 at the end of the stream (or when n is 0), or an error.
// Go: Conn.Read.
GORT_API ssize_t gort_net_read(gort_conn *c, void *buf, size_t n);
// gort_net_write writes all n bytes and returns n, or an error, after which an unknown part of them may
// have been sent. Go: Conn.Write.
GORT_API ssize_t gort_net_write(gort_conn *c, const void *buf, size_t n);

// Close; 0, or -EBADF the second time. What was written before is still delivered. Those who wait on
// the connection or listener get -EBADF. Go: Conn.Close, Listener.Close.
GORT_API int gort_conn_close(gort_conn *c);
GORT_API int gort_listener_close(gort_listener *l);

// Ends one direction: the peer reads the end of the stream; no more is read here. Go: CloseWrite,
// CloseRead.
GORT_API int gort_conn_close_write(gort_conn *c);
GORT_API int gort_conn_close_read(gort_conn *c);

// Reads, writes or both fail with -ETIMEDOUT from abs_ns on, those that wait already included, until
// another deadline is set. abs_ns is on gort_nanotime's clock; 0 clears, the past fails at once.
// Go: SetDeadline, SetReadDeadline, SetWriteDeadline; for a listener it limits accepting.
GORT_API int gort_conn_set_deadline(gort_conn *c, int64_t abs_ns);
GORT_API int gort_conn_set_read_deadline(gort_conn *c, int64_t abs_ns);
GORT_API int gort_conn_set_write_deadline(gort_conn *c, int64_t abs_ns);
GORT_API int gort_listener_set_deadline(gort_listener *l, int64_t abs_ns);

// Write the address as text into buf, NUL-terminated and cut to n bytes, and return the length of the
// whole text: "127.0.0.1:80", "[::1]:80", a path, "@name"; an unnamed Unix socket is "". A listener's
// and the remote one are known after closing too. Go: Addr, LocalAddr, RemoteAddr.
GORT_API int gort_listener_addr(gort_listener *l, char *buf, size_t n);
GORT_API int gort_conn_local_addr(gort_conn *c, char *buf, size_t n);
GORT_API int gort_conn_remote_addr(gort_conn *c, char *buf, size_t n);

// ---- any descriptor ----

// Waiting for a descriptor of the caller's: a pipe, terminal, eventfd, timerfd, a foreign library's
// socket.
typedef struct gort_poll gort_poll;

// gort_poll_fd begins to watch fd and stores the watch in *p (NULL on failure). fd stays the caller's,
// who sets O_NONBLOCK and reads and writes it; it must stay open until gort_poll_close. Errors: -EPERM
// for what is always ready (files, directories), -EEXIST when fd is watched already, -EBADF, -EMFILE,
// -ENOSPC, -ENOMEM. Go: os.NewFile on a non-blocking descriptor, internal/poll.FD.
GORT_API int gort_poll_fd(int fd, gort_poll **p);

// Wait until a read, a write would not block: because there is data or room, or because it would fail
// or find the end. Return 0, also when that was so before the call. One goroutine's use of the
// readiness may leave nothing for the next, so expect EAGAIN and wait again.
GORT_API int gort_poll_wait_read(gort_poll *p);
GORT_API int gort_poll_wait_write(gort_poll *p);

// As for connections.
GORT_API int gort_poll_set_deadline(gort_poll *p, int64_t abs_ns);
GORT_API int gort_poll_set_read_deadline(gort_poll *p, int64_t abs_ns);
GORT_API int gort_poll_set_write_deadline(gort_poll *p, int64_t abs_ns);

// Ends the watch: those who wait, and all later calls, get -EBADF. Does not close the descriptor.
GORT_API int gort_poll_close(gort_poll *p);

GORT_END_DECLS
