// SPDX-License-Identifier: BSD-3-Clause
// Active waiting of goroutines: a few hundred nanoseconds in the hope that a lock's holder, running on
// another CPU, is about to leave. At depth > 0. Go: sync_runtime_canSpin.
#pragma once

#include <gort/sched.h>

#include "sched/proc.h"

#define RT_SPIN_ROUNDS 4
#define RT_SPIN_PAUSES 30

// Whether round i makes sense: few rounds; there is another CPU, and another P that runs something
// (which may be the holder); and nothing on our own P could use the time better.
RT_INLINE bool
rt_can_spin(int i)
{
	if (i >= RT_SPIN_ROUNDS || gort_num_cpu() <= 1)
		return false;
	if (gomaxprocs <= rt_load(&sched.npidle) + rt_load(&sched.nmspinning) + 1)
		return false;
	struct p *pp = rt_getp();
	return rt_load(&pp->runqhead) == rt_load(&pp->runqtail) && !rt_load(&pp->runnext);
}

RT_INLINE void
rt_spin(void)
{
	for (int i = 0; i < RT_SPIN_PAUSES; i++)
		rt_cpu_relax();
}
