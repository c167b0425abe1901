// SPDX-License-Identifier: BSD-3-Clause
// Which pages were written: userfaultfd in its asynchronous write-protect mode, read and armed again by
// PAGEMAP_SCAN (both Linux 6.7). The kernel clears a page's mark by itself at the first write, the
// program's or one of its own (read(2) into the page), so nobody has to answer faults and nobody waits.
// A page that has been given back and comes again counts as written.
// The definitions are the kernel's ABI; older headers lack them.
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "os/os.h"

#define USER_MODE_ONLY 1
#define FEATURE_WP_ASYNC (1ull << 15)

#define SCAN_WP_MATCHING 1
#define SCAN_CHECK_WPASYNC 2
#define PAGE_WRITTEN 2

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN _IOWR('f', 16, struct scan_arg)

#define REGIONS 256

static int pagemap = -1;

static bool
register_range(int uffd, void *p, size_t n)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_WP_ASYNC};
	struct uffdio_register r = {.range = {(uintptr_t)p, n}, .mode = UFFDIO_REGISTER_MODE_WP};
	return ioctl(uffd, UFFDIO_API, &api) == 0 && ioctl(uffd, UFFDIO_REGISTER, &r) == 0;
}

// Pages of [*lo, hi) that were written, up to v's size, armed again if flags say so. *lo moves on.
static int
scan(uintptr_t *lo, uintptr_t hi, uint64_t flags, struct scan_region *v)
{
	struct scan_arg a = {sizeof a, flags | SCAN_CHECK_WPASYNC, *lo, hi, .vec = (uintptr_t)v,
			     .vec_len = v ? REGIONS : 0, .category_mask = PAGE_WRITTEN,
			     .return_mask = PAGE_WRITTEN};
	int n;
	do {
		n = ioctl(pagemap, SCAN, &a);
	} while (n < 0 && errno == EINTR);
	*lo = a.walk_end;
	return n;
}

bool
rt_os_watch_arm(uintptr_t lo, uintptr_t hi)
{
	int saved = errno;
	int n = 0;
	while (lo < hi && n >= 0)
		n = scan(&lo, hi, SCAN_WP_MATCHING, NULL);
	errno = saved;
	return n >= 0;
}

bool
rt_os_watch_written(uintptr_t lo, uintptr_t hi, bool arm, void (*fn)(uintptr_t lo, uintptr_t hi, void *arg),
		    void *arg)
{
	struct scan_region v[REGIONS];
	int saved = errno;
	int n = 0;
	while (lo < hi && (n = scan(&lo, hi, arm ? SCAN_WP_MATCHING : 0, v)) >= 0)
		for (int i = 0; i < n; i++)
			fn(v[i].start, v[i].end, arg);
	errno = saved;
	return n >= 0;
}

bool
rt_os_watch_init(void *p, size_t n)
{
	int saved = errno;
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uintptr_t lo = (uintptr_t)p;
	bool ok = uffd >= 0 && pagemap >= 0 && register_range(uffd, p, n) && scan(&lo, lo + 4096, 0, NULL) >= 0;
	// The registration ends with the descriptor.
	if (!ok && uffd >= 0)
		close(uffd);
	if (!ok && pagemap >= 0)
		close(pagemap);
	errno = saved;
	return ok;
}
