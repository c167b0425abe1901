// SPDX-License-Identifier: BSD-3-Clause
// Sockets and descriptors. Every call returns a negative errno value on failure and keeps errno; none
// is repeated after EINTR; none blocks on a non-blocking descriptor.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "base/base.h"

// Stream sockets are made non-blocking and close-on-exec.
int rt_os_socket(int family);
int rt_os_bind(int fd, const void *addr, socklen_t len);
int rt_os_listen(int fd, int backlog);
int rt_os_accept(int fd, void *addr, socklen_t *len);
int rt_os_connect(int fd, const void *addr, socklen_t len);
int rt_os_getsockname(int fd, void *addr, socklen_t *len);
int rt_os_getpeername(int fd, void *addr, socklen_t *len);
int rt_os_setsockopt(int fd, int level, int opt, int value);
// The pending error of a socket: 0 or a negative errno value.
int rt_os_sockerror(int fd);
int rt_os_shutdown(int fd, int how);
ssize_t rt_os_recv(int fd, void *buf, size_t n);
ssize_t rt_os_send(int fd, const void *buf, size_t n); // no SIGPIPE
// What of events (POLLIN, POLLOUT, ...) holds now; POLLNVAL for a number that is no descriptor.
int rt_os_poll_now(int fd, short events);
int rt_os_close(int fd);
int rt_os_unlink(const char *path);
