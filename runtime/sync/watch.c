// SPDX-License-Identifier: BSD-3-Clause
// The other side of the plain unlock: how a lock becomes contended.
// Lock: a watchlock, one at a time; nothing else is taken under it.
#include "sync/watch.h"

#include "base/lock.h"
#include "os/os.h"

enum { NWATCHLOCKS = 64 };
#define LONGEST_REST INT64_C(2000000) // ns; a fence that took longer than 20 us has waited for a busy CPU

int64_t rt_rest = 100;

static struct watchlock {
	struct rt_mutex lock;
	int64_t rests; // no word becomes plain until rt_nanotime has come so far; a hint
} RT_HOT_LINE watchlocks[NWATCHLOCKS];

static struct watchlock *
lock_of(const int32_t *word)
{
	return &watchlocks[rt_hash_of_word(word) >> 58];
}

struct rt_mutex *
rt_watchlock(const int32_t *word)
{
	return &lock_of(word)->lock;
}

RT_COLD void
rt_watch(int32_t *word, int32_t held, int32_t watched, int32_t contended)
{
	struct watchlock *l = lock_of(word);

	rt_lock(&l->lock);
	if (__atomic_compare_exchange_n(word, &held, held | watched, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED)) {
		if (rt_rseq_offset != 0)
			__atomic_store_n(&l->rests, rt_fence_and_rest(), __ATOMIC_RELAXED);
		int32_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
		while (old & watched &&
		       !__atomic_compare_exchange_n(word, &old, old | contended, false,
						    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			;
	}
	rt_unlock(&l->lock);
}

bool
rt_calm_down(int32_t *word, int32_t held)
{
	if (rt_nanotime() < __atomic_load_n(&lock_of(word)->rests, __ATOMIC_RELAXED))
		return false;
	return __atomic_compare_exchange_n(word, &held, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

int64_t
rt_fence_and_rest(void)
{
	int64_t began = rt_nanotime();
	rt_os_rseq_fence();
	int64_t end = rt_nanotime();
	return end + rt_min(rt_rest * (end - began), LONGEST_REST);
}
