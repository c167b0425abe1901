// SPDX-License-Identifier: BSD-3-Clause
// Restartable sequences: rseq(2), which glibc registers for each thread it makes (since 2.35), and the
// membarrier(2) that restarts those under way (Linux 5.10). Where either is missing, or where the tools
// that watch memory would not see what such a sequence does, rt_rseq_offset stays 0.
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gort/rseq.h>

#include "debug/throw.h"
#include "os/os.h"

// glibc's; weak for other and older C libraries.
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

ptrdiff_t rt_rseq_offset;
ptrdiff_t gort_rseq_offset_; // the same, for what is inline in programs

static int
membarrier(int cmd)
{
	return (int)syscall(SYS_membarrier, cmd, 0, 0);
}

void
rt_os_rseq_init(void)
{
	if (RT_ASAN || RT_TSAN || !&__rseq_offset || !&__rseq_size || __rseq_size == 0)
		return;
	int all = membarrier(MEMBARRIER_CMD_QUERY);
	if (all < 0 || !(all & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ))
		return;
	if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) == 0)
		rt_rseq_offset = gort_rseq_offset_ = __rseq_offset;
}

void
rt_os_rseq_fence(void)
{
	int saved = errno;
	// Fails for want of memory only, or where a filter came up after the start.
	for (int tries = 0; membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) != 0; tries++) {
		if (tries == 1000)
			rt_throw("membarrier fails, which worked at the start");
		rt_os_yield();
	}
	errno = saved;
}
