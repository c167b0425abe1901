// SPDX-License-Identifier: BSD-3-Clause
// Sleeping semaphores on any uint32_t: what the locks of <gort/sync.h> wait on. Each acquire that sleeps
// is paired with one release; it is meant as sleep and wakeup that cannot miss each other.
// At depth 1 exactly, on a goroutine. Go: runtime/sema.go.
#pragma once

#include "base/base.h"
#include "sched/proc.h"

enum {
	RT_SEMA_BLOCK_PROFILE = 1, // the wait is an event of the block profile
	RT_SEMA_MUTEX_PROFILE = 2, // the release that ends it is one of the mutex profile
};

// Waits until *addr > 0 and takes one. lifo: queue before those that wait already. The caller's frame is
// hidden in profiles: it is the slow half of a public function that is inlined.
void rt_semacquire(uint32_t *addr, bool lifo, unsigned profile, enum wait_reason why);

// Adds one to *addr and wakes a waiter if there is one. handoff: the waiter gets the unit at once and
// runs next, in the rest of the caller's time. skip: frames of callers that profiles hide.
// Does not touch *addr once somebody may have acquired, except with handoff.
void rt_semrelease(uint32_t *addr, bool handoff, int skip);
