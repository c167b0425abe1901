// SPDX-License-Identifier: BSD-3-Clause
// Active waiting of goroutines, in the hope that a lock's holder, running on another CPU, is about to
// leave. At depth > 0. Rounds of 2, 8, 32 and 128 pauses (50 ns to 3 us), the word being looked at
// between them: a short critical section is not missed, and a long row of short ones by one holder not
// disturbed, as each look takes the line away from it. Measured (MutexContended8, 2 Ps): 18 ns an
// operation; with four rounds of 30 pauses and only while nothing else could run here, 29.
// Go: sync_runtime_canSpin; that rule is Go's.
#pragma once

#include <gort/sched.h>

#include "sched/proc.h"

#define RT_SPIN_ROUNDS 4

// Whether round i makes sense: few rounds; there is another CPU, and another P that runs something
// (which may be the holder); and nothing on our own P could use the time better. Up to the last round,
// parking would cost as much as it saves.
RT_INLINE bool
rt_can_spin(int i)
{
	if (i >= RT_SPIN_ROUNDS || gort_num_cpu() <= 1)
		return false;
	if (gomaxprocs <= rt_load(&sched.npidle) + rt_load(&sched.nmspinning) + 1)
		return false;
	struct p *pp = rt_getp();
	return i < RT_SPIN_ROUNDS - 1 ||
	       (rt_load(&pp->runqhead) == rt_load(&pp->runqtail) && !rt_load(&pp->runnext));
}

RT_INLINE void
rt_spin(int i)
{
	for (int n = 2 << 2 * i; n > 0; n--)
		rt_cpu_relax();
}
