// SPDX-License-Identifier: BSD-3-Clause
// Timers: a 4-ary heap a P, ordered by when. Expired ones are run by the P's own M in schedule(), or
// by a thief. A timer's function runs on g0 at depth 1 with a P: it must be short, may ready goroutines
// and set timers, and may neither park nor allocate collected memory.
#pragma once

#include "base/base.h"

struct p;

// One alarm. All fields but fn belong to timer.c. Zeroed with fn set it is ready for rt_timer_set. Its
// memory must outlive every heap entry: collected (heaps are roots) or never freed.
struct rt_timer {
	_Atomic(struct p *) pp; // whose heap has an entry for it; NULL: none
	int64_t when;		// rt_nanotime; 0: does not fire
	int64_t hwhen;		// the key of that entry, <= when; 0: none
	void (*fn)(struct rt_timer *t, int64_t now);
};

// What a heap is made of; the key stands beside the pointer so that sifting touches no timer.
struct timer_when {
	int64_t when;
	struct rt_timer *t;
};

// Makes t fire at `when` (> 0) instead of whenever it would have, or not at all (0). Returns whether it
// would have fired: false means that fn has been or is about to be called, or that t was not set. At
// depth > 0 with a P; locks of objects may be held. Concurrent calls for one t take effect in some order.
bool rt_timer_set(struct rt_timer *t, int64_t when);

// When something is due that takes ns from now: saturates, and is never 0.
int64_t rt_when(int64_t ns);
