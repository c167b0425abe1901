// SPDX-License-Identifier: BSD-3-Clause
// Clocks and CPUs. clock_gettime is answered by the vDSO for the first two.
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

static int64_t
clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
rt_nanotime(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int64_t
rt_walltime(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t
rt_thread_cputime(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

int64_t
rt_process_cputime(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t
rt_os_cputime_of(int tid)
{
	// The kernel's encoding of a thread's clock, which libc offers for pthread_t only.
	struct timespec ts;
	clockid_t clock = (clockid_t)(~(unsigned)tid << 3 | 6);
	if (syscall(SYS_clock_gettime, clock, &ts) != 0)
		return -1;
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

bool
rt_os_is_runnable(int tid)
{
	char path[48] = "/proc/self/task/", digits[12], buf[256];
	size_t n = strlen(path), k = sizeof digits;
	do
		digits[--k] = (char)('0' + tid % 10);
	while (tid /= 10);
	memcpy(path + n, digits + k, sizeof digits - k);
	memcpy(path + n + sizeof digits - k, "/stat", sizeof "/stat");
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t got = syscall(SYS_read, fd, buf, sizeof buf - 1);
	syscall(SYS_close, fd);
	buf[rt_max(got, (ssize_t)0)] = 0;
	const char *paren = strrchr(buf, ')'); // "tid (name) R ...", and the name may be anything
	return paren && paren[1] == ' ' && paren[2] == 'R';
}

// 8192 CPUs are more than any Linux supports; the kernel refuses a mask that is too small.
#define MASK_WORDS (8192 / (8 * sizeof(unsigned long)))

int
rt_os_cpu_ids(void)
{
	unsigned long mask[MASK_WORDS];
	long n = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask); // the length of the kernel's own masks
	return n > 0 ? (int)n * 8 : 0;
}

int
rt_os_ncpu(void)
{
	unsigned long mask[MASK_WORDS];
	long n = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
	int cpus = 0;
	for (long i = 0; i < n / (long)sizeof mask[0]; i++)
		cpus += __builtin_popcountl(mask[i]);
	return cpus > 0 ? cpus : 1;
}

void
rt_os_yield(void)
{
	syscall(SYS_sched_yield);
}

int
rt_os_gettid(void)
{
	return (int)syscall(SYS_gettid);
}
