// SPDX-License-Identifier: BSD-3-Clause
// When a cycle begins, and what an allocation owes while it runs. By Go's formulas of 1.19:
//
//   goal    = marked + (marked + stacks + globals) * GOGC / 100, at least 4 MiB * GOGC / 100
//   trigger = goal - runway, where the runway is what the program will allocate while workers with 25 %
//             of the CPU scan what the last cycle scanned: cons/mark * 1/3 * scan work. cons/mark is the
//             ratio of allocation to marking per CPU second, the largest of the last four cycles.
//             Between 70 % and 95 % of the way from marked to goal.
//   assist ratio = scan work left / allocation left until the goal; once the estimate of the work turns
//             out too small, of all that may be live, against a goal that is stretched by up to 10 %.
//
// Under a memory limit the goal is the lesser of this and the one that keeps to the limit (limit.c).
//
// Scan work is heap bytes scanned; t0's share (globals, running stacks) is not paid by allocations.
// Go: runtime/mgcpacer.go.
#include "base/print.h"
#include "debug/env.h"
#include "gc/gc.h"
#include "sched/proc.h"

#define HEAP_MINIMUM ((uint64_t)4 << 20)
#define MIN_RUN ((uint64_t)64 << 10) // a cycle is worth at least this much allocation
#define UTILIZATION 0.25
#define MAX_OVERSHOOT 1.1
#define HISTORY 4

// Written with the world stopped.
static struct {
	double consmark[HISTORY]; // a ring by cycle
	double last_consmark;     // the largest of them
	_Atomic uint64_t last_scan; // heap bytes the last cycle scanned; 0: there was none
	uint64_t trigger;         // heap_live when marking began
	uint64_t goal;            // at that moment
	bool limited;             // the goal in force is the memory limit's
} pacer;

static uint64_t
heap_minimum(int32_t percent)
{
	return HEAP_MINIMUM * (uint64_t)percent / 100;
}

static double
largest_consmark(void)
{
	double x = 0;
	for (int i = 0; i < HISTORY; i++)
		x = rt_max(x, pacer.consmark[i]);
	return x;
}

static uint64_t
trigger_for(uint64_t marked, uint64_t goal)
{
	uint64_t room = goal - marked;
	uint64_t least = marked + room / 10 * 7, most = marked + room / 64 * 61;
	if (goal > HEAP_MINIMUM)
		most = rt_max(most, goal - HEAP_MINIMUM);
	double runway = pacer.last_consmark * UTILIZATION / (1 - UTILIZATION) *
			(double)(rt_load(&pacer.last_scan) + rt_gc.stack_bytes + rt_gc.global_bytes);
	uint64_t trigger = runway >= (double)goal ? least : goal - (uint64_t)runway;
	return rt_min(rt_max(trigger, least), most);
}

static uint64_t
percent_goal(uint64_t marked, uint64_t roots, int32_t percent)
{
	if (percent < 0)
		return UINT64_MAX;
	double room = (double)(marked + roots) * percent / 100;
	return rt_max(marked + (uint64_t)room, heap_minimum(percent));
}

static void
set_goal(uint64_t marked, uint64_t roots, int32_t percent)
{
	uint64_t goal = percent_goal(marked, roots, percent), limited = rt_limit_goal(marked);
	pacer.limited = limited < goal;
	goal = rt_min(goal, limited);
	if (goal == UINT64_MAX) {
		rt_store(&rt_gc.goal, UINT64_MAX);
		rt_store(&rt_gc.trigger, UINT64_MAX);
		return;
	}
	uint64_t trigger = rt_max(trigger_for(marked, goal), marked + MIN_RUN);
	rt_store(&rt_gc.goal, rt_max(goal, trigger));
	rt_store(&rt_gc.trigger, trigger);
}

void
rt_pacer_init(int32_t percent, int64_t memory_limit)
{
	rt_store(&rt_gc.percent, percent);
	rt_store(&rt_gc.memory_limit, memory_limit);
	// As if a cycle had left what makes the minimum heap the goal.
	rt_gc.marked = percent < 0 ? 0 : heap_minimum(percent) * 100 / (100 + (uint64_t)percent);
	set_goal(percent < 0 ? 0 : rt_gc.marked, 0, percent);
}

void
rt_pacer_recompute(void)
{
	set_goal(rt_gc.marked, rt_gc.stack_bytes + rt_gc.global_bytes, rt_load(&rt_gc.percent));
}

uint64_t
rt_pacer_last_scan(void)
{
	return rt_load(&pacer.last_scan);
}

// ---- while marking runs ----

// What this cycle is expected to scan: as much as the last one did; the first one all there is.
static uint64_t
expected_work(void)
{
	uint64_t last = rt_load(&pacer.last_scan);
	return last ? last : pacer.trigger;
}

void
rt_pacer_trace_begin(void)
{
	char ratio[64], fraction[64];
	rt_printf("pacer: assist ratio=%s (scan %llu MB in %llu->%llu MB) workers=%d+%s\n",
		  rt_shortest(ratio, rt_load(&rt_gc.assist_ratio)),
		  (unsigned long long)(expected_work() >> 20), (unsigned long long)(pacer.trigger >> 20),
		  (unsigned long long)(pacer.goal >> 20), rt_gc.dedicated_wanted,
		  rt_shortest(fraction, rt_gc.fractional_goal));
}

void
rt_pacer_revise(void)
{
	uint64_t live = rt_load(&rt_gc.heap_live), goal = pacer.goal;
	uint64_t work = rt_load(&rt_gc.scan_work), expected = expected_work();
	if (goal == UINT64_MAX) { // GOGC=off and no limit: nothing to keep to
		rt_store(&rt_gc.assist_ratio, 1.0);
		return;
	}
	if (work > expected || live > goal) {
		expected = rt_max(pacer.trigger, work);
		goal = rt_max(goal, live) / 10 * 11;
	}
	double left = rt_max((double)expected - (double)work, 1000.0);
	double room = goal > live ? (double)(goal - live) : 1;
	rt_store(&rt_gc.assist_ratio, left / room); // a racing store is another answer to the same question
}

uint64_t
rt_pacer_hard_limit(void)
{
	uint64_t goal = rt_gc_marking() ? pacer.goal : rt_load(&rt_gc.goal);
	if (goal == UINT64_MAX)
		return UINT64_MAX;
	if (pacer.limited)
		return goal + rt_limit_headroom(goal) / 2;
	return goal / 10 * 11 + MIN_RUN;
}

void
rt_pacer_mark_begin(void)
{
	pacer.trigger = rt_gc.cur.heap0;
	pacer.goal = rt_load(&rt_gc.goal);
	if (pacer.goal != UINT64_MAX) // forced early: the room is what the program would have had
		pacer.goal = rt_max(pacer.goal, pacer.trigger + MIN_RUN);
	rt_pacer_revise();
}

// ---- at its end ----


// Before consmark is learnt: what was expected is what the last cycles had told.
static void
trace_done(double used)
{
	const struct gc_times *t = &rt_gc.cur;
	char consmark[64];
	rt_printf("pacer: %d%% CPU (%d exp.) for %llu+%llu+%llu B work (%llu B exp.) in %llu B -> %llu B "
		  "(∆goal %lld, cons/mark %s)\n",
		  (int)(used * 100), (int)(UTILIZATION * 100),
		  (unsigned long long)rt_load(&rt_gc.scan_work),
		  (unsigned long long)rt_load(&t->stack_bytes), (unsigned long long)t->global_bytes,
		  (unsigned long long)(expected_work() + rt_gc.stack_bytes + rt_gc.global_bytes),
		  (unsigned long long)pacer.trigger, (unsigned long long)t->heap1,
		  (long long)(t->heap1 - pacer.goal), rt_shortest(consmark, pacer.last_consmark));
}

// Allocation per CPU second of the program over marking per CPU second of the collector. Unlike Go, which
// takes 25 % for granted and idle Ps for the program's: here idle Ps may do all there is to mark.
static void
learn_consmark(void)
{
	struct gc_times *t = &rt_gc.cur;
	double cpu_ns = (double)(t->term - t->mark) * t->maxprocs;
	double work = (double)rt_load(&rt_gc.scan_work);
	if (t->heap1 <= pacer.trigger || cpu_ns <= 0 || work <= 0)
		return;
	double used = (double)(rt_load(&t->dedicated_ns) + rt_load(&t->assist_ns)) / cpu_ns;
	double idle = (double)rt_load(&t->idle_ns) / cpu_ns;
	if (rt_unlikely(rt_debug.gcpacertrace > 0))
		trace_done(used);
	double consmark = (double)(t->heap1 - pacer.trigger) * (used + idle) /
			  (work * rt_max(1 - used - idle, 0.01));
	pacer.consmark[rt_load(&rt_gc.ncycles) % HISTORY] = consmark;
	pacer.last_consmark = largest_consmark();
}

void
rt_pacer_mark_done(uint64_t marked)
{
	learn_consmark();
	rt_limit_measure(rt_gc.cur.heap1);
	rt_store(&pacer.last_scan, rt_load(&rt_gc.scan_work));
	rt_gc.marked = marked;
	rt_gc.stack_bytes = rt_load(&rt_gc.cur.stack_bytes);
	rt_gc.global_bytes = rt_gc.cur.global_bytes;
	rt_store(&rt_gc.heap_live, marked);
	rt_pacer_recompute();
}
