// SPDX-License-Identifier: BSD-3-Clause
// Address space. Everything is anonymous and private; a failed hint (huge pages) is not an error.
#include <errno.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "debug/throw.h"
#include "os/os.h"

// Tests set it: so many more mappings succeed, then none; negative: all.
_Atomic int64_t rt_os_grant = -1;

static bool
refused(void)
{
	int64_t left = rt_load(&rt_os_grant);
	while (left > 0 && !atomic_compare_exchange_weak(&rt_os_grant, &left, left - 1))
		;
	return rt_unlikely(left == 0);
}

static void *
map_noreserve(size_t n)
{
	if (refused())
		return NULL;
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void *
rt_os_reserve(size_t n, size_t min, size_t align, size_t *got)
{
	int saved = errno;
	char *p = NULL;
	for (; n >= min; n /= 2) {
		p = map_noreserve(n + align);
		if (p)
			break;
	}
	errno = saved;
	if (!p)
		return NULL;
	char *lo = (char *)rt_round_up((uintptr_t)p, align);
	if (lo > p)
		munmap(p, (size_t)(lo - p));
	munmap(lo + n, (size_t)(p + align - lo));
	*got = n;
	return lo;
}

void *
rt_os_alloc(size_t n)
{
	if (refused())
		return NULL;
	int saved = errno;
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	errno = saved;
	return p == MAP_FAILED ? NULL : p;
}

void
rt_os_free(void *p, size_t n)
{
	munmap(p, n);
}

void
rt_os_release(void *p, size_t n)
{
	int saved = errno;
	madvise(p, n, MADV_DONTNEED);
	errno = saved;
}

void
rt_os_hugepage(void *p, size_t n, bool on)
{
	int saved = errno;
	madvise(p, n, on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	errno = saved;
}

size_t
rt_os_resident(uintptr_t lo, uintptr_t hi)
{
	enum { PAGES = 32 };
	const uintptr_t page = 4096;
	size_t sum = 0, step = PAGES;
	int saved = errno;
	for (hi = rt_round_up(hi, page); hi - lo >= page && step > 0;) {
		unsigned char there[PAGES];
		size_t n = rt_min((hi - lo) / page, (uintptr_t)step), had = sum;
		if (mincore((void *)(hi - n * page), n * page, there) != 0) {
			step = n / 2; // reaches below what the system has mapped of a stack that grows
			continue;
		}
		hi -= n * page;
		for (size_t i = 0; i < n; i++)
			sum += there[i] & 1 ? page : 0;
		if (sum == had)
			break;
	}
	errno = saved;
	return sum;
}

// Chunks of 256 KiB are cut from front to back; what is larger gets a mapping of its own.
#define PERSISTENT_CHUNK ((size_t)256 << 10)

static struct {
	struct rt_mutex lock;
	uintptr_t next, end;
} persistent;

_Atomic uint64_t rt_persistent_other;

void *
rt_persistent_try(size_t n, size_t align, _Atomic uint64_t *stat)
{
	void *p = NULL;
	align = rt_max(align, (size_t)16);
	if (n >= PERSISTENT_CHUNK / 4) {
		p = rt_os_alloc(rt_round_up(n, (size_t)4096));
	} else {
		rt_lock(&persistent.lock);
		uintptr_t at = rt_round_up(persistent.next, align);
		if (at + n > persistent.end) {
			at = (uintptr_t)rt_os_alloc(PERSISTENT_CHUNK);
			if (at)
				persistent.end = at + PERSISTENT_CHUNK;
		}
		if (at)
			persistent.next = at + n;
		rt_unlock(&persistent.lock);
		p = (void *)at;
	}
	if (p)
		atomic_fetch_add_explicit(stat ? stat : &rt_persistent_other, n, memory_order_relaxed);
	return p;
}

void *
rt_persistent_alloc(size_t n, size_t align, _Atomic uint64_t *stat)
{
	void *p = rt_persistent_try(n, align, stat);
	if (!p)
		rt_fatal("runtime: cannot allocate memory");
	return p;
}
