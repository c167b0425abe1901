// SPDX-License-Identifier: BSD-3-Clause
// futex(2), process-private. Both keep errno: a goroutine's errno must not change under it.
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

void
rt_futex_wait(_Atomic uint32_t *addr, uint32_t val, int64_t ns)
{
	int saved = errno;
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	syscall(SYS_futex, addr, FUTEX_WAIT_PRIVATE, val, ns < 0 ? NULL : &ts, NULL, 0);
	errno = saved;
}

void
rt_futex_wake(_Atomic uint32_t *addr, uint32_t n)
{
	int saved = errno;
	syscall(SYS_futex, addr, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
	errno = saved;
}
