// SPDX-License-Identifier: BSD-3-Clause
// When the next cycle begins, by Go's formula of 1.18:
//
//   goal = marked + (marked + stacks + globals) * GOGC / 100, at least 4 MiB * GOGC / 100
//
// Marking runs while the world stands, so nothing is allocated meanwhile and no runway is needed: the
// trigger is the upper bound that Go clamps its own to,
//   max(marked + 61/64 * (goal - marked), goal - 4 MiB).
// Go: runtime/mgcpacer.go.
#include "gc/gc.h"

#define HEAP_MINIMUM ((uint64_t)4 << 20)
#define MIN_RUN ((uint64_t)64 << 10) // a cycle is worth at least this much allocation

static uint64_t
heap_minimum(int32_t percent)
{
	return HEAP_MINIMUM * (uint64_t)percent / 100;
}

static void
set_goal(uint64_t marked, uint64_t roots, int32_t percent)
{
	if (percent < 0) {
		rt_store(&rt_gc.goal, UINT64_MAX);
		rt_store(&rt_gc.trigger, UINT64_MAX);
		return;
	}
	double room = (double)(marked + roots) * percent / 100;
	uint64_t goal = marked + (uint64_t)room;
	goal = rt_max(goal, heap_minimum(percent));
	uint64_t trigger = marked + (goal - marked) / 64 * 61;
	if (goal > HEAP_MINIMUM)
		trigger = rt_max(trigger, goal - HEAP_MINIMUM);
	trigger = rt_max(trigger, marked + MIN_RUN);
	rt_store(&rt_gc.goal, rt_max(goal, trigger));
	rt_store(&rt_gc.trigger, trigger);
}

void
rt_pacer_init(int32_t percent)
{
	rt_store(&rt_gc.percent, percent);
	// As if a cycle had left what makes the minimum heap the goal.
	rt_gc.marked = percent < 0 ? 0 : heap_minimum(percent) * 100 / (100 + (uint64_t)percent);
	set_goal(percent < 0 ? 0 : rt_gc.marked, 0, percent);
}

void
rt_pacer_mark_done(uint64_t marked, uint64_t stack_bytes, uint64_t global_bytes)
{
	rt_gc.marked = marked;
	rt_gc.stack_bytes = stack_bytes;
	rt_gc.global_bytes = global_bytes;
	rt_store(&rt_gc.heap_live, marked);
	rt_pacer_recompute();
}

void
rt_pacer_recompute(void)
{
	set_goal(rt_gc.marked, rt_gc.stack_bytes + rt_gc.global_bytes, rt_load(&rt_gc.percent));
}
