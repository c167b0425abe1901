// SPDX-License-Identifier: BSD-3-Clause
// The system calls that a signal ends even with SA_RESTART: sleeping and waiting for descriptors. The
// runtime signals its threads (SIGURG), so a library that sleeps in a goroutine would wake up early.
// These definitions stand in front of libc's: after a signal of ours they go on with the time left;
// any other signal ends them with EINTR, as before. (Both at once count as ours.)
//
// They never park: the caller stays on its thread, sysmon detaches it from its P when that is wanted.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"
#include "sched/sched.h"

#if !RT_ASAN && !RT_TSAN // those define the same functions

#define EXPORT __attribute__((visibility("default")))
#define KERNEL_SIGSET 8

static uint32_t
signals_seen(void)
{
	struct m *mp = rt_getm();
	return mp ? rt_load(&mp->nsignals) : 0;
}

// The call that returned r (with errno) was ended by a signal of ours alone.
static bool
again(long r, uint32_t before)
{
	return r == -1 && errno == EINTR && signals_seen() != before;
}

static int64_t
to_ns(const struct timespec *ts)
{
	int64_t ns;
	if (__builtin_mul_overflow((int64_t)ts->tv_sec, (int64_t)1000000000, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)ts->tv_nsec, &ns))
		return INT64_MAX;
	return ns;
}

// What is left of a wait of *left that began at start.
static struct timespec
remaining(int64_t total, int64_t start)
{
	int64_t ns = total - (rt_nanotime() - start);
	if (ns < 0)
		ns = 0;
	return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

EXPORT int
clock_nanosleep(clockid_t clock, int flags, const struct timespec *req, struct timespec *rem)
{
	int saved = errno;
	struct timespec left = *req, out;
	for (;;) {
		uint32_t before = signals_seen();
		out = left;
		long r = syscall(SYS_clock_nanosleep, clock, flags, &left, &out);
		int err = r == 0 ? 0 : errno;
		if (again(r, before)) {
			if (!(flags & TIMER_ABSTIME))
				left = out;
			continue;
		}
		if (err == EINTR && rem && !(flags & TIMER_ABSTIME))
			*rem = out;
		errno = saved;
		return err;
	}
}

EXPORT int
nanosleep(const struct timespec *req, struct timespec *rem)
{
	int err = clock_nanosleep(CLOCK_REALTIME, 0, req, rem);
	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

EXPORT int
usleep(useconds_t us)
{
	struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
	return nanosleep(&ts, NULL);
}

EXPORT unsigned
sleep(unsigned seconds)
{
	struct timespec ts = {.tv_sec = seconds}, rem = {0};
	if (nanosleep(&ts, &rem) == 0)
		return 0;
	return (unsigned)rem.tv_sec + (rem.tv_nsec >= 500000000);
}

EXPORT int
ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	int64_t start = timeout ? rt_nanotime() : 0, total = timeout ? to_ns(timeout) : 0;
	for (;;) {
		uint32_t before = signals_seen();
		struct timespec left = timeout ? remaining(total, start) : (struct timespec){0};
		long r = syscall(SYS_ppoll, fds, n, timeout ? &left : NULL, mask, KERNEL_SIGSET);
		if (!again(r, before))
			return (int)r;
	}
}

EXPORT int
poll(struct pollfd *fds, nfds_t n, int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	return ppoll(fds, n, ms < 0 ? NULL : &ts, NULL);
}

// The kernel changes the sets only when it returns success.
EXPORT int
pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout, const sigset_t *mask)
{
	int64_t start = timeout ? rt_nanotime() : 0, total = timeout ? to_ns(timeout) : 0;
	struct {
		const sigset_t *set;
		size_t size;
	} arg = {mask, KERNEL_SIGSET};
	for (;;) {
		uint32_t before = signals_seen();
		struct timespec left = timeout ? remaining(total, start) : (struct timespec){0};
		long got = syscall(SYS_pselect6, n, r, w, e, timeout ? &left : NULL, mask ? &arg : NULL);
		if (!again(got, before))
			return (int)got;
	}
}

EXPORT int
select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
	if (!timeout)
		return pselect(n, r, w, e, NULL, NULL);
	if (timeout->tv_sec < 0 || timeout->tv_usec < 0) {
		errno = EINVAL;
		return -1;
	}
	struct timespec ts = {.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000,
			      .tv_nsec = timeout->tv_usec % 1000000 * 1000};
	int64_t start = rt_nanotime();
	int got = pselect(n, r, w, e, &ts, NULL);
	struct timespec left = remaining(to_ns(&ts), start); // Linux's select tells what is left
	*timeout = (struct timeval){.tv_sec = left.tv_sec, .tv_usec = left.tv_nsec / 1000};
	return got;
}

EXPORT int
epoll_pwait(int fd, struct epoll_event *events, int max, int ms, const sigset_t *mask)
{
	int64_t start = ms > 0 ? rt_nanotime() : 0, total = (int64_t)ms * 1000000;
	for (;;) {
		uint32_t before = signals_seen();
		long r = syscall(SYS_epoll_pwait, fd, events, max, ms, mask, KERNEL_SIGSET);
		if (!again(r, before))
			return (int)r;
		if (ms > 0) {
			int64_t left = total - (rt_nanotime() - start);
			ms = left > 0 ? (int)((left + 999999) / 1000000) : 0;
		}
	}
}

EXPORT int
epoll_wait(int fd, struct epoll_event *events, int max, int ms)
{
	return epoll_pwait(fd, events, max, ms, NULL);
}

#endif
