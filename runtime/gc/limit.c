// SPDX-License-Identifier: BSD-3-Clause
// The memory limit (GOMEMLIMIT): what counts towards it, the heap goal that keeps to it, and the CPU that
// the collector may take for it.
//
//   counted   all memory of the runtime that is backed: gort_mem_stats' sys - heap_released
//   goal      limit - everything but the objects - what is over the limit already, less headroom of 3 %
//             or 1 MiB; never below what the last cycle marked (pacer.c takes the lesser of two goals)
//   pages     free pages go back to the system when an allocation takes the total over the limit, and in
//             the background from 95 % of it (scavenge.c)
//   CPU       a program whose live heap is above the limit would collect all the time. A bucket of one
//             second of all Ps fills with the collector's CPU time and leaks with the program's; while it
//             is full allocations neither assist nor wait, and the heap goes over the limit instead.
// Go: memoryLimitHeapGoal in runtime/mgcpacer.go, runtime/mgclimit.go.
#include "gc/gc.h"
#include "mem/mheap.h"
#include "mem/scavenge.h"
#include "os/os.h"
#include "sched/proc.h"

#define HEADROOM_MIN ((uint64_t)1 << 20)
#define UPDATE_NS 10000000

static uint64_t fragments; // of spans in use, bytes beside the objects; written with the world stopped

bool
rt_limit_set(void)
{
	return rt_load(&rt_gc.memory_limit) != INT64_MAX;
}

// Backed memory of the runtime but for the heap's pages, when the heap has `grown` bytes of them.
static uint64_t
nonheap(uint64_t grown)
{
	return rt_load(&rt_sys_stats.mspan) + rt_load(&rt_sys_stats.mcache) +
	       rt_profile_bytes() + rt_load(&rt_sys_stats.gc) + rt_other_bytes() +
	       rt_load(&rt_sys_stats.stacks_os) + rt_gc.stack_bytes +
	       (grown >> RT_PAGE_SHIFT) * (sizeof(struct pageinfo) + RT_BITS_STRIDE);
}

uint64_t
rt_limit_mapped(void)
{
	// In this order: a page that is taken in between is counted, never below zero.
	uint64_t released = rt_load(&rt_heap.released), grown = rt_load(&rt_heap.grown);
	return (grown > released ? grown - released : 0) + nonheap(grown);
}

// Bytes over `share` of the limit.
uint64_t
rt_limit_excess(double share)
{
	if (!rt_limit_set())
		return 0;
	uint64_t limit = (uint64_t)((double)rt_load(&rt_gc.memory_limit) * share);
	uint64_t mapped = rt_limit_mapped();
	return mapped > limit ? mapped - limit : 0;
}

// World stopped, caches flushed, all of the last cycle swept: heap_live is what is in the spans.
void
rt_limit_measure(uint64_t heap_live)
{
	uint64_t inuse = rt_load(&rt_heap.pagesinuse) << RT_PAGE_SHIFT;
	fragments = inuse > heap_live ? inuse - heap_live : 0;
}

uint64_t
rt_limit_headroom(uint64_t goal)
{
	return rt_max(goal / 100 * 3, HEADROOM_MIN);
}

uint64_t
rt_limit_goal(uint64_t marked)
{
	if (!rt_limit_set())
		return UINT64_MAX;
	uint64_t limit = (uint64_t)rt_load(&rt_gc.memory_limit);
	// With the tables that the heap will have by the time it is there.
	uint64_t grown = rt_max(rt_min(limit, (uint64_t)rt_heap.reserved), rt_load(&rt_heap.grown));
	uint64_t taken = nonheap(grown) + fragments + rt_limit_excess(1);
	uint64_t goal = limit > taken ? limit - taken : 0;
	uint64_t headroom = rt_limit_headroom(goal);
	return rt_max(goal > headroom ? goal - headroom : 0, marked);
}

// ---- before memory is taken ----

void
rt_limit_sweep(size_t bytes)
{
	uint64_t limit = (uint64_t)rt_load(&rt_gc.memory_limit);
	while (rt_limit_mapped() + bytes > limit && rt_sweepone())
		;
}

void
rt_limit_scavenge(void)
{
	uint64_t over = rt_limit_excess(1);
	if (over)
		rt_scavenge(over);
}

// ---- the collector's CPU ----

static struct {
	struct rt_mutex lock;
	// Under lock.
	struct rt_bucket bucket;
	int64_t gc; // CPU ns up to the last update
	_Atomic int64_t at; // of the last update
	_Atomic bool on;
	_Atomic uint32_t last_on; // the cycle under way, or to come, when it was last turned on
} limiter;

bool
rt_bucket_add(struct rt_bucket *b, int64_t capacity, int64_t gc, int64_t mutator)
{
	int64_t fill = b->fill + gc - mutator;
	b->fill = rt_max(rt_min(fill, capacity), (int64_t)0);
	return gc > mutator && fill >= capacity;
}

// Written with the world stopped, which it is not here.
static int64_t
gc_cpu(void)
{
	int64_t ns = rt_gc.cpu_assist + rt_gc.cpu_dedicated + rt_gc.cpu_pause;
	if (rt_gc_marking())
		ns += rt_load(&rt_gc.cur.assist_ns) + rt_load(&rt_gc.cur.dedicated_ns);
	return ns;
}

static void
update_locked(int64_t now)
{
	uint32_t procs = rt_gc_cpu_procs();
	int64_t total = (now - rt_load(&limiter.at)) * procs, gc = gc_cpu();
	int64_t used = rt_min(gc - limiter.gc, total);
	if (rt_load(&limiter.at) != 0) {
		bool on = rt_bucket_add(&limiter.bucket, (int64_t)procs * 1000000000, used, total - used);
		if (on && !rt_load(&limiter.on))
			rt_store(&limiter.last_on, rt_load(&rt_gc.ncycles) + 1);
		rt_store(&limiter.on, on);
	}
	limiter.gc = gc;
	rt_store(&limiter.at, now);
}

bool
rt_limiter_on(void)
{
	if (!rt_limit_set())
		return false;
	int64_t now = rt_nanotime();
	if (now - rt_load(&limiter.at) >= UPDATE_NS) {
		rt_lock(&limiter.lock);
		if (now - rt_load(&limiter.at) >= UPDATE_NS)
			update_locked(now);
		rt_unlock(&limiter.lock);
	}
	return rt_load(&limiter.on);
}

uint32_t
rt_limiter_last_on(void)
{
	return rt_load(&limiter.last_on);
}
