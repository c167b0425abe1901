// SPDX-License-Identifier: BSD-3-Clause
// The other side of the plain unlock: how a lock becomes contended.
// Lock: a watchlock, one at a time; nothing else is taken under it.
#include "sync/watch.h"

#include "base/lock.h"
#include "os/os.h"

#define NWATCHLOCKS 64
static struct {
	struct rt_mutex lock RT_HOT_LINE;
} watchlocks[NWATCHLOCKS];

struct rt_mutex *
rt_watchlock(const int32_t *word)
{
	return &watchlocks[rt_hash_of_word(word) >> 58].lock;
}

RT_COLD void
rt_watch(int32_t *word, int32_t held, int32_t watched, int32_t contended)
{
	struct rt_mutex *l = rt_watchlock(word);

	rt_lock(l);
	if (__atomic_compare_exchange_n(word, &held, held | watched, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED)) {
		if (rt_rseq_offset != 0)
			rt_os_rseq_fence();
		int32_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
		while (old & watched &&
		       !__atomic_compare_exchange_n(word, &old, old | contended, false,
						    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			;
	}
	rt_unlock(l);
}
