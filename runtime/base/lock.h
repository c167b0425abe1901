// SPDX-License-Identifier: BSD-3-Clause
// The runtime's own lock and its one-shot event. Both block the thread (the M), never the goroutine
// alone; both are held and waited for at depth > 0 (sched/tls.h), so the world never stops inside.
// They call neither libc's allocator nor stdio. Go: runtime/lock_futex.go.
#pragma once

#include "base/base.h"

// key: 0 unlocked, 1 locked, 2 locked and somebody may sleep.
// Legal: 2 with nobody asleep (one wasted futex wake). Illegal: 1 with a sleeper (a lost wakeup).
struct rt_mutex {
	_Atomic uint32_t key;
};

void rt_lock_slow(struct rt_mutex *l);
void rt_unlock_slow(struct rt_mutex *l);

RT_INLINE bool
rt_trylock(struct rt_mutex *l)
{
	uint32_t free = 0;
	return atomic_compare_exchange_strong_explicit(&l->key, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

RT_INLINE void
rt_lock(struct rt_mutex *l)
{
	if (rt_unlikely(!rt_trylock(l)))
		rt_lock_slow(l);
}

RT_INLINE void
rt_unlock(struct rt_mutex *l)
{
	if (rt_unlikely(atomic_exchange_explicit(&l->key, 0, memory_order_release) == 2))
		rt_unlock_slow(l);
}

// A one-shot event: one sleeper, one wakeup, cleared in between. A wakeup before the sleep is kept.
struct rt_note {
	_Atomic uint32_t key;
};

void rt_note_clear(struct rt_note *n);
void rt_note_wakeup(struct rt_note *n);
void rt_note_sleep(struct rt_note *n);
// Returns false when ns nanoseconds passed without a wakeup.
bool rt_note_sleep_for(struct rt_note *n, int64_t ns);
