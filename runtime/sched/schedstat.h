// SPDX-License-Identifier: BSD-3-Clause
// Distributions of times that the scheduler measures, for <gort/metrics.h>. Anybody adds and reads at any
// time: each count is exact, and a histogram read meanwhile is of no one moment.
#pragma once

#include "base/base.h"

// Counts by nanoseconds: [0] below 0; then 160 buckets, of 64 ns up to 512 ns, four to each power of two
// above; [161] from 2^47 ns on. Go: timeHistogram.
#define RT_TIMEHIST_COUNTS 162

struct rt_timehist {
	_Atomic uint64_t counts[RT_TIMEHIST_COUNTS];
};

// Stops of the world; [1] the collector's, [0] the others. stopping: until all stood still; total: until
// they went on.
struct rt_pauses {
	struct rt_timehist stopping[2], total[2];
};
extern struct rt_pauses rt_pauses;
extern struct rt_timehist rt_latencies; // Grunnable -> Grunning, of one in 8

void rt_timehist_add(struct rt_timehist *h, int64_t ns);
// Lower bound in ns of counts[i], i in [1, 161].
int64_t rt_timehist_bound(unsigned i);

// A goroutine runs that was runnable for so long.
void rt_sched_latency(uint64_t ticks);

// The length in nanoseconds of a cputick, by both clocks since the start; 0 before they have moved.
double rt_ns_per_tick(void);
