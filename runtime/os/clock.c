// SPDX-License-Identifier: BSD-3-Clause
// Clocks and CPUs. clock_gettime is answered by the vDSO for the first two.
#include <sched.h>
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

int
rt_os_ncpu(void)
{
	// 8192 CPUs are more than any Linux supports; the kernel refuses a mask that is too small.
	unsigned long mask[8192 / (8 * sizeof(unsigned long))];
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
