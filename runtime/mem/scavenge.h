// SPDX-License-Identifier: BSD-3-Clause
// Returning free pages' memory to the system. See scavenge.c.
#pragma once

#include "base/base.h"

// Returns up to `bytes` bytes of free pages to the system; how many it did. Counted as eager.
size_t rt_scavenge(size_t bytes);
// gort_free_os_memory: all there is, with its trace line.
void rt_scavenge_all(void);
// Wakes the background scavenger if there is something for it to do.
void rt_scavenge_wake(void);
// After a cycle: what may stay, from the new goal.
void rt_scavenge_new_goal(void);
// When a cycle's sweep is complete: trace lines, and the background scavenger goes to work.
void rt_scavenge_after_sweep(void);
// Time spent, ns: by the background scavenger, and by whoever needed memory returned at once.
int64_t rt_scavenge_background_ns(void);
int64_t rt_scavenge_eager_ns(void);
