// SPDX-License-Identifier: BSD-3-Clause
// What tests share that wait for the collector to find objects unreachable. A stale word on a stack may
// keep an object now and then, so they make MANY and ask for MOST.
#pragma once

#include "on_gort.h"

#include <stdatomic.h>

#include <gort/mem.h>
#include <gort/time.h>

#include "gc/special.h"
#include "sched/tls.h"

enum { MANY = 200, MOST = MANY - 10 };

// Fills the frames that calls have left with zeros.
static __attribute__((noinline, unused)) void
scrub(void)
{
	volatile char bytes[8192];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = 0;
}

static inline bool
finalizers_idle(void)
{
	rt_enter();
	bool yes = rt_fin_idle();
	rt_leave();
	return yes;
}

// A collection, and all finalizers and cleanups that it leads to.
static inline void
collect(void)
{
	scrub();
	gort_gc();
	for (int i = 0; i < 2000 && !finalizers_idle(); i++)
		gort_sleep(1000000);
}
