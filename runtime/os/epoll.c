// SPDX-License-Identifier: BSD-3-Clause
// System calls of the netpoller. errno is read and put back within one function that cannot park: its
// address must not be kept over a switch.
#include "os/epoll.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long
result(long r, int saved)
{
	if (r < 0)
		r = -errno;
	errno = saved;
	return r;
}

int
rt_os_epoll_create(void)
{
	int saved = errno;
	return (int)result(syscall(SYS_epoll_create1, EPOLL_CLOEXEC), saved);
}

static int
add(int epfd, int fd, uint32_t events, uint64_t data)
{
	int saved = errno;
	struct epoll_event ev = {.events = events, .data.u64 = data};
	return (int)result(syscall(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &ev), saved);
}

int
rt_os_epoll_add(int epfd, int fd, uint64_t data)
{
	return add(epfd, fd, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET, data);
}

int
rt_os_epoll_add_level(int epfd, int fd, uint64_t data)
{
	return add(epfd, fd, EPOLLIN, data);
}

int
rt_os_epoll_del(int epfd, int fd)
{
	int saved = errno;
	struct epoll_event ev = {.events = 0}; // kernels before 2.6.9 want one
	return (int)result(syscall(SYS_epoll_ctl, epfd, EPOLL_CTL_DEL, fd, &ev), saved);
}

int
rt_os_epoll_wait(int epfd, struct epoll_event *events, int n, int64_t ns)
{
	static _Atomic bool no_pwait2;
	int saved = errno;
#ifdef SYS_epoll_pwait2
	if (ns > 0 && !rt_load(&no_pwait2)) {
		struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
		long r = result(syscall(SYS_epoll_pwait2, epfd, events, n, &ts, NULL, 0), saved);
		if (r != -ENOSYS && r != -EPERM)
			return (int)r;
		rt_store(&no_pwait2, true); // an old kernel or a filter
	}
#endif
	int ms = ns <= 0 ? (int)rt_max(ns, INT64_C(-1))
			 : (int)rt_min((ns + 999999) / 1000000, (int64_t)INT_MAX);
	return (int)result(syscall(SYS_epoll_pwait, epfd, events, n, ms, NULL, 0), saved);
}

int
rt_os_eventfd(void)
{
	int saved = errno;
	return (int)result(syscall(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC), saved);
}

void
rt_os_eventfd_signal(int fd)
{
	int saved = errno;
	uint64_t one = 1;
	while (result(syscall(SYS_write, fd, &one, sizeof one), saved) == -EINTR)
		;
}

void
rt_os_eventfd_clear(int fd)
{
	int saved = errno;
	uint64_t n;
	while (result(syscall(SYS_read, fd, &n, sizeof n), saved) == -EINTR)
		;
}
