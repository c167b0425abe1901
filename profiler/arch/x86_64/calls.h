// SPDX-License-Identifier: BSD-3-Clause
// Names of the system calls in which threads wait.
#pragma once

#include <sys/syscall.h>

#include "base/base.h"

RT_INLINE const char *
rtp_call_name(long nr)
{
	static const struct {
		int nr;
		const char *name;
	} calls[] = {
		{ SYS_futex, "futex" },
		{ SYS_nanosleep, "nanosleep" },
		{ SYS_clock_nanosleep, "nanosleep" },
		{ SYS_poll, "poll" },
		{ SYS_ppoll, "poll" },
		{ SYS_select, "select" },
		{ SYS_pselect6, "select" },
		{ SYS_epoll_wait, "epoll_wait" },
		{ SYS_epoll_pwait, "epoll_wait" },
		{ SYS_read, "read" },
		{ SYS_readv, "read" },
		{ SYS_pread64, "read" },
		{ SYS_preadv, "read" },
		{ SYS_write, "write" },
		{ SYS_writev, "write" },
		{ SYS_pwrite64, "write" },
		{ SYS_pwritev, "write" },
		{ SYS_recvfrom, "recv" },
		{ SYS_recvmsg, "recv" },
		{ SYS_recvmmsg, "recv" },
		{ SYS_sendto, "send" },
		{ SYS_sendmsg, "send" },
		{ SYS_sendmmsg, "send" },
		{ SYS_sendfile, "send" },
		{ SYS_accept, "accept" },
		{ SYS_accept4, "accept" },
		{ SYS_connect, "connect" },
		{ SYS_wait4, "wait" },
		{ SYS_waitid, "wait" },
		{ SYS_pause, "pause" },
		{ SYS_rt_sigsuspend, "sigsuspend" },
		{ SYS_rt_sigtimedwait, "sigwait" },
		{ SYS_fsync, "fsync" },
		{ SYS_fdatasync, "fsync" },
		{ SYS_flock, "flock" },
		{ SYS_fcntl, "fcntl" },
		{ SYS_open, "open" },
		{ SYS_openat, "open" },
		{ SYS_close, "close" },
		{ SYS_ioctl, "ioctl" },
		{ SYS_io_getevents, "io_getevents" },
		{ SYS_semop, "semop" },
		{ SYS_semtimedop, "semop" },
		{ SYS_msgrcv, "msgrcv" },
		{ SYS_msgsnd, "msgsnd" },
		{ SYS_vfork, "vfork" },
		{ SYS_clone, "clone" },
		{ SYS_execve, "exec" },
	};
	for (size_t i = 0; i < rt_nelem(calls); i++)
		if (calls[i].nr == nr)
			return calls[i].name;
	return nr < 0 ? "page fault" : "system call";
}
