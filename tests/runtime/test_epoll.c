// SPDX-License-Identifier: BSD-3-Clause
// The kernel refuses the netpoller something: each call says so by its own error, nothing leaks or hangs,
// and what was refused once works the next time. syscall is ours in this program.
#include "on_gort.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include <gort/net.h>
#include <gort/sched.h>
#include <gort/sync.h>
#include <gort/time.h>

// The next `times` calls of number nr fail with err.
static struct {
	_Atomic long nr;
	atomic_int times;
	int err;
} fault;

static atomic_int refused; // so many were
static atomic_int most;    // events that one wait or look returned

static long (*real_syscall)(long nr, ...);

__attribute__((constructor)) static void
find_real(void)
{
	real_syscall = (__typeof__(real_syscall))dlsym(RTLD_NEXT, "syscall");
}

static bool
refuse(long nr, long op)
{
	if (atomic_load(&fault.nr) != nr || (nr == SYS_epoll_ctl && op != EPOLL_CTL_ADD))
		return false;
	if (atomic_fetch_sub(&fault.times, 1) <= 0)
		return false;
	atomic_fetch_add(&refused, 1);
	return true;
}

long
syscall(long nr, ...)
{
	long a[6];
	va_list ap;
	va_start(ap, nr);
	for (int i = 0; i < 6; i++) // those that were not passed are whatever the registers hold
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (refuse(nr, a[1])) {
		errno = fault.err;
		return -1;
	}
	long r = real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if ((nr == SYS_epoll_pwait || nr == SYS_epoll_pwait2) && r > atomic_load(&most))
		atomic_store(&most, (int)r); // two at once: the smaller may win, in one run of many
	return r;
}

static void
fail(long nr, int times, int err)
{
	atomic_store(&fault.times, 0);
	atomic_store(&refused, 0);
	fault.err = err;
	atomic_store(&fault.nr, nr);
	atomic_store(&fault.times, times);
}

static int
open_fds(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
echo_one(gort_listener *l, const char *addr)
{
	gort_conn *a, *b;
	char v;
	CHECK_EQ(gort_net_dial("tcp", addr, &a), 0);
	CHECK_EQ(gort_net_accept(l, &b), 0);
	CHECK_EQ(gort_net_write(a, "x", 1), 1);
	CHECK_EQ(gort_net_read(b, &v, 1), 1);
	CHECK_EQ(v, 'x');
	CHECK_EQ(gort_conn_close(a), 0);
	CHECK_EQ(gort_net_read(b, &v, 1), 0);
	CHECK_EQ(gort_conn_close(b), 0);
}

// The first use makes the epoll instance and the eventfd, and adds the latter.
GORT_TEST(epoll, cannot_be_made)
{
	static const struct {
		long nr;
		int err;
	} steps[] = {{SYS_epoll_create1, ENOMEM}, {SYS_eventfd2, ENODEV}, {SYS_epoll_ctl, ENOSPC}};
	char addr[128];
	gort_listener *l;
	int fds = open_fds();
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		fail(steps[i].nr, 1, steps[i].err);
		CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &l), -steps[i].err);
		CHECK_EQ(atomic_load(&refused), 1);
		CHECK_EQ(open_fds(), fds);
	}
	CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &l), 0);
	CHECK(gort_listener_addr(l, addr, sizeof addr) > 0);
	echo_one(l, addr);
}

// The limit of watched descriptors (/proc/sys/fs/epoll/max_user_watches).
GORT_TEST(epoll, watches_no_more_descriptors)
{
	char addr[128];
	gort_listener *l, *m;
	gort_conn *a;
	CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &l), 0);
	CHECK(gort_listener_addr(l, addr, sizeof addr) > 0);
	int fds = open_fds();
	fail(SYS_epoll_ctl, 2, ENOSPC);
	CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &m), -ENOSPC);
	CHECK_EQ(gort_net_dial("tcp", addr, &a), -ENOSPC);
	CHECK_EQ(atomic_load(&refused), 2);
	CHECK_EQ(open_fds(), fds);

	gort_listener_close(l);
}

// A connection that is accepted and cannot be watched is closed: its client sees an end.
GORT_TEST(epoll, watches_no_accepted_connection)
{
	char addr[128], v;
	gort_listener *l;
	gort_conn *a, *b;
	CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &l), 0);
	CHECK(gort_listener_addr(l, addr, sizeof addr) > 0);
	CHECK_EQ(gort_net_dial("tcp", addr, &a), 0);
	fail(SYS_epoll_ctl, 1, ENOSPC);
	CHECK_EQ(gort_net_accept(l, &b), -ENOSPC);
	CHECK(b == NULL);
	CHECK(gort_net_read(a, &v, 1) <= 0);
	CHECK_EQ(gort_conn_close(a), 0);
	echo_one(l, addr);
}

// Waits that end with nothing, again and again, lose neither data nor timers.
GORT_TEST(epoll, interrupted_waits)
{
	char addr[128];
	gort_listener *l;
	CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &l), 0);
	CHECK(gort_listener_addr(l, addr, sizeof addr) > 0);
	fail(SYS_epoll_pwait2, 200, EINTR);
	for (int i = 0; i < 1000 && atomic_load(&refused) < 200; i++) {
		echo_one(l, addr);
		gort_sleep(50 * GORT_MICROSECOND);
	}
	CHECK(atomic_load(&refused) > 0);
}

// An old kernel, or a filter of system calls.
GORT_TEST(epoll, without_pwait2)
{
	char addr[128];
	gort_listener *l;
	fail(SYS_epoll_pwait2, 1, ENOSYS);
	CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &l), 0);
	CHECK(gort_listener_addr(l, addr, sizeof addr) > 0);
	for (int i = 0; i < 20; i++) {
		echo_one(l, addr);
		gort_sleep(GORT_MILLISECOND);
	}
	CHECK_EQ(atomic_load(&refused), 1);
}

// Closed by the program, for instance: without it nobody could wait for anything.
static void
wait_fails(void)
{
	gort_listener *l;
	CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &l), 0);
	fail(SYS_epoll_pwait2, 1, EBADF);
	for (int i = 0; i < 100; i++)
		gort_sleep(GORT_MILLISECOND);
	_exit(0);
}

Test(epoll, a_wait_that_fails_ends_the_program)
{
	char out[8192];
	int status = on_gort_exits(wait_fails, out, sizeof out);
	cr_assert(status == 2, "exit status %d, stderr: %s", status, out);
	cr_assert(strstr(out, "epoll_wait failed with errno 9 (was the descriptor "), "stderr: %s", out);
}

// ---- many at once ----

enum { MANY = 64 };

static void
read_one(gort_conn *c, gort_waitgroup *wg)
{
	char v;
	CHECK_EQ(gort_net_read(c, &v, 1), 1);
	gort_waitgroup_done(wg);
}

// 64 readers wait and get a byte each, on that many Ps. Returns the most events that one look took.
static int
most_events(int procs)
{
	char addr[128];
	gort_listener *l;
	gort_conn *a[MANY], *b[MANY];
	gort_waitgroup wg = {0};
	gort_maxprocs(procs);
	CHECK_EQ(gort_net_listen("tcp", "127.0.0.1:0", &l), 0);
	CHECK(gort_listener_addr(l, addr, sizeof addr) > 0);
	gort_waitgroup_add(&wg, MANY);
	for (int i = 0; i < MANY; i++) {
		CHECK_EQ(gort_net_dial("tcp", addr, &a[i]), 0);
		CHECK_EQ(gort_net_accept(l, &b[i]), 0);
		gort_go(read_one, b[i], &wg);
	}
	gort_sleep(20 * GORT_MILLISECOND);
	atomic_store(&most, 0);
	for (int i = 0; i < MANY; i++)
		CHECK_EQ(gort_net_write(a[i], "x", 1), 1);
	gort_waitgroup_wait(&wg);
	return atomic_load(&most);
}

// epoll's queue is common to all Ps: each takes a few, so that those who came first run first.
GORT_TEST(epoll, several_ps_take_a_few_events_each)
{
	for (int i = 0; i < 20; i++)
		CHECK(most_events(2) <= 8);
	while (most_events(1) <= 8) // unless sysmon came in between
		;
}
