// SPDX-License-Identifier: BSD-3-Clause
// Through syscall(2): libc's functions are cancellation points, which no goroutine may be. errno is
// read and put back within one function that cannot park (see epoll.c).
#include "os/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CALL(...)                                                                                  \
	({                                                                                         \
		int saved_ = errno;                                                                \
		long r_ = syscall(__VA_ARGS__);                                                    \
		if (rt_unlikely(r_ < 0)) {                                                         \
			r_ = -errno;                                                               \
			errno = saved_;                                                            \
		}                                                                                  \
		r_;                                                                                \
	})

RT_NOINLINE int
rt_os_socket(int family)
{
	return (int)CALL(SYS_socket, family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

RT_NOINLINE int
rt_os_bind(int fd, const void *addr, socklen_t len)
{
	return (int)CALL(SYS_bind, fd, addr, len);
}

RT_NOINLINE int
rt_os_listen(int fd, int backlog)
{
	return (int)CALL(SYS_listen, fd, backlog);
}

RT_NOINLINE int
rt_os_accept(int fd, void *addr, socklen_t *len)
{
	return (int)CALL(SYS_accept4, fd, addr, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

RT_NOINLINE int
rt_os_connect(int fd, const void *addr, socklen_t len)
{
	return (int)CALL(SYS_connect, fd, addr, len);
}

RT_NOINLINE int
rt_os_getsockname(int fd, void *addr, socklen_t *len)
{
	return (int)CALL(SYS_getsockname, fd, addr, len);
}

RT_NOINLINE int
rt_os_getpeername(int fd, void *addr, socklen_t *len)
{
	return (int)CALL(SYS_getpeername, fd, addr, len);
}

RT_NOINLINE int
rt_os_setsockopt(int fd, int level, int opt, int value)
{
	return (int)CALL(SYS_setsockopt, fd, level, opt, &value, sizeof value);
}

RT_NOINLINE int
rt_os_sockerror(int fd)
{
	int err = 0;
	socklen_t len = sizeof err;
	long r = CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return r < 0 ? (int)r : -err;
}

RT_NOINLINE int
rt_os_shutdown(int fd, int how)
{
	return (int)CALL(SYS_shutdown, fd, how);
}

RT_NOINLINE ssize_t
rt_os_recv(int fd, void *buf, size_t n)
{
	return CALL(SYS_recvfrom, fd, buf, n, 0, NULL, NULL);
}

RT_NOINLINE ssize_t
rt_os_send(int fd, const void *buf, size_t n)
{
	return CALL(SYS_sendto, fd, buf, n, MSG_NOSIGNAL, NULL, 0);
}

RT_NOINLINE int
rt_os_poll_now(int fd, short events)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	struct timespec none = {0};
	long r = CALL(SYS_ppoll, &pfd, 1, &none, NULL, 0);
	return r < 0 ? (int)r : r == 0 ? 0 : pfd.revents;
}

// Not repeated after EINTR: Linux has closed the descriptor then, and its number may be in use again.
RT_NOINLINE int
rt_os_close(int fd)
{
	return (int)CALL(SYS_close, fd);
}

RT_NOINLINE int
rt_os_unlink(const char *path)
{
	return (int)CALL(SYS_unlinkat, AT_FDCWD, path, 0);
}
