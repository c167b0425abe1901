// SPDX-License-Identifier: BSD-3-Clause
// Seeds. getrandom(2) may be refused (seccomp); then clock and address bits, stirred, must do.
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/rand.h"
#include "os/os.h"

void
rt_random_bytes(void *buf, size_t n)
{
	int saved = errno;
	long got = syscall(SYS_getrandom, buf, n, 0);
	errno = saved;
	if (got == (long)n)
		return;
	uint64_t state = (uint64_t)rt_nanotime() ^ (uintptr_t)&state ^ (uint64_t)rt_walltime() << 20;
	for (size_t i = 0; i < n; i += 8) {
		uint64_t r = rt_rand_next(&state);
		memcpy((char *)buf + i, &r, rt_min(n - i, sizeof r));
	}
}
