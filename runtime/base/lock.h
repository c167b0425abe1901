// SPDX-License-Identifier: BSD-3-Clause
// The runtime's own locks and its one-shot event. They block the thread (the M), never the goroutine
// alone; they are held and waited for at depth > 0 (sched/tls.h), so the world never stops inside.
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

// A lock that is held for some dozens of instructions and never over anything that waits: its release is
// a plain store, half the locked instructions of a lock that must know whether somebody sleeps. A
// contender spins, yields, then naps; nobody wakes it.
struct rt_spinlock {
	_Atomic uint32_t key; // 0 unlocked, 1 locked
};

void rt_spin_lock_slow(struct rt_spinlock *l);

RT_INLINE bool
rt_spin_trylock(struct rt_spinlock *l)
{
	uint32_t free = 0;
	return atomic_compare_exchange_strong_explicit(&l->key, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

RT_INLINE void
rt_spin_lock(struct rt_spinlock *l)
{
	if (rt_unlikely(!rt_spin_trylock(l)))
		rt_spin_lock_slow(l);
}

// release: pairs with the acquire of the next owner.
RT_INLINE void
rt_spin_unlock(struct rt_spinlock *l)
{
	rt_store_release(&l->key, 0);
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
