// SPDX-License-Identifier: BSD-3-Clause
// Hash chains by address, for what live.c and locks.c remember of the program's blocks and locks. A chain's lock
// is held for a few instructions and tried for a bounded time only: a signal handler that comes here over
// an interrupted owner, or a child forked from one, goes on without.
#pragma once

#include <sched.h>

#include <gort/base.h>

typedef _Atomic uint32_t preload_chain_lock; // 1: held

RT_INLINE uint64_t
preload_hash(const void *p)
{
	return ((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15ull; // the high bits are the good ones
}

RT_INLINE bool
preload_chain_enter(preload_chain_lock *l)
{
	for (int i = 0; i < 4000; i++) {
		// acquire: what the holder before wrote is seen.
		if (atomic_exchange_explicit(l, 1, memory_order_acquire) == 0)
			return true;
		if (i > 100)
			sched_yield();
	}
	return false;
}

RT_INLINE void
preload_chain_leave(preload_chain_lock *l)
{
	rt_store_release(l, 0);
}
