// SPDX-License-Identifier: BSD-3-Clause
// The scavenger. Free pages keep their memory for the next allocation up to what the heap is expected
// to need, 10 % above the heap in use scaled by the change of the goal, and up to 95 % of the memory
// limit; the background scavenger, a goroutine, returns the rest, from the highest addresses down, at 1 %
// of one CPU: after a piece that took t it sleeps 99 t. gort_free_os_memory and an emergency return
// everything at once ("eager"), an allocation that goes over the memory limit what is over it.
//
// Pages are out of the page allocator while their memory is being returned, so nobody meets them half
// done and mheap.lock is not held over the system call.
// Go: runtime/mgcscavenge.go.
#include "mem/scavenge.h"

#include <gort/time.h>

#include "base/print.h"
#include "debug/env.h"
#include "gc/gc.h"
#include "mem/mheap.h"
#include "os/os.h"
#include "sched/proc.h"

#define PIECE_PAGES 64u // 512 KiB a system call
#define SLEEP_FACTOR 99
#define MIN_SLEEP_NS 1000000
#define LIMIT_SHARE 0.95
#define HUGE_PAGE ((uint64_t)2 << 20)

static struct {
	_Atomic uint64_t retain; // bytes of memory that may stay; UINT64_MAX before the first cycle
	_Atomic uint64_t bg, eager; // released since the last scavtrace line
	_Atomic uint64_t scvg;      // released since the last scvg line
	_Atomic int64_t bg_ns, eager_ns; // time it took, since the start
	uint64_t lastgoal;
	struct rt_mutex lock;
	// Under lock.
	struct g *g; // the background scavenger, once it has parked
	bool started, parked;
} scav = {.retain = UINT64_MAX};

// Returns one piece of at most npages pages; bytes returned.
static size_t
release_piece(uint32_t npages)
{
	struct mheap *h = &rt_heap;
	uint32_t page;
	rt_lock(&h->lock);
	h->scavcursor = h->scavcursor ? h->scavcursor : UINT32_MAX;
	uint32_t n = rt_pages_scavenge(&h->pages, &h->scavcursor, rt_min(npages, PIECE_PAGES), &page);
	if (n == 0) { // from the top once more: pages above the cursor were freed meanwhile
		h->scavcursor = UINT32_MAX;
		n = rt_pages_scavenge(&h->pages, &h->scavcursor, rt_min(npages, PIECE_PAGES), &page);
	}
	rt_unlock(&h->lock);
	if (n == 0)
		return 0;
	size_t bytes = (size_t)n << RT_PAGE_SHIFT;
	rt_os_release((void *)(h->base + ((uintptr_t)page << RT_PAGE_SHIFT)), bytes);
	rt_lock(&h->lock);
	rt_pages_free_scavenged(&h->pages, page, n);
	rt_unlock(&h->lock);
	atomic_fetch_add_explicit(&h->released, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&scav.scvg, bytes, memory_order_relaxed);
	return bytes;
}

size_t
rt_scavenge(size_t bytes)
{
	size_t done = 0, n = 0;
	if (bytes == 0)
		return 0;
	int64_t began = rt_nanotime();
	do {
		uint64_t pages = (bytes - done - 1) / RT_PAGE_SIZE + 1;
		n = release_piece((uint32_t)rt_min(pages, (uint64_t)PIECE_PAGES));
		done += n;
	} while (n && done < bytes);
	atomic_fetch_add_explicit(&scav.eager, done, memory_order_relaxed);
	atomic_fetch_add_explicit(&scav.eager_ns, rt_nanotime() - began, memory_order_relaxed);
	return done;
}

int64_t
rt_scavenge_background_ns(void)
{
	return rt_load(&scav.bg_ns);
}

int64_t
rt_scavenge_eager_ns(void)
{
	return rt_load(&scav.eager_ns);
}

// Bytes of heap pages that hold memory beyond what may stay, or beyond LIMIT_SHARE of the memory limit. Less
// than a huge page is not worth it: one would be split for it, and is slow from then on.
static uint64_t
excess(void)
{
	uint64_t held = rt_load(&rt_heap.grown) - rt_load(&rt_heap.released);
	uint64_t retain = rt_load(&scav.retain);
	uint64_t over = held > retain ? held - retain : 0;
	return rt_max(over >= HUGE_PAGE ? over : 0, rt_limit_excess(LIMIT_SHARE));
}

void
rt_scavenge_new_goal(void)
{
	uint64_t goal = rt_load(&rt_gc.goal);
	double inuse = (double)(rt_load(&rt_heap.pagesinuse) << RT_PAGE_SHIFT);
	double ratio = scav.lastgoal && goal != UINT64_MAX ? (double)goal / (double)scav.lastgoal : 1;
	double retain = inuse * ratio * 1.1;
	rt_store(&scav.retain, rt_round_up((uint64_t)retain, (uint64_t)RT_PAGE_SIZE));
	scav.lastgoal = goal == UINT64_MAX ? 0 : goal;
}

// ---- trace lines ----

static void
print_scavtrace(bool forced)
{
	uint64_t inuse = rt_load(&rt_heap.pagesinuse) << RT_PAGE_SHIFT;
	uint64_t released = rt_load(&rt_heap.released);
	uint64_t unreleased = rt_load(&rt_heap.grown) - released; // in use, and free with memory
	rt_printf("scav %llu KiB work (bg), %llu KiB work (eager), %llu KiB now, %llu%% util%s\n",
		  (unsigned long long)(atomic_exchange(&scav.bg, 0) >> 10),
		  (unsigned long long)(atomic_exchange(&scav.eager, 0) >> 10),
		  (unsigned long long)(released >> 10),
		  (unsigned long long)(unreleased ? inuse * 100 / unreleased : 100),
		  forced ? " (forced)" : "");
}

static void
print_scvg(void)
{
	uint64_t sys = rt_load(&rt_heap.grown), released = rt_load(&rt_heap.released);
	uint64_t inuse = rt_load(&rt_heap.pagesinuse) << RT_PAGE_SHIFT;
	uint64_t step = atomic_exchange(&scav.scvg, 0);
	if (step)
		rt_printf("scvg: %llu KB released\n", (unsigned long long)(step >> 10));
	rt_printf("scvg: inuse: %llu, idle: %llu, sys: %llu, released: %llu, consumed: %llu (MB)\n",
		  (unsigned long long)(inuse >> 20), (unsigned long long)((sys - inuse) >> 20),
		  (unsigned long long)(sys >> 20), (unsigned long long)(released >> 20),
		  (unsigned long long)((sys - released) >> 20));
}

void
rt_scavenge_all(void)
{
	rt_scavenge(SIZE_MAX);
	if (rt_debug.scavtrace > 0)
		print_scavtrace(true);
	if (rt_debug.scvg > 0)
		print_scvg();
}

// ---- the background scavenger ----

static void
bgscavenger(void *arg)
{
	rt_enter();
	for (;;) {
		while (excess() > 0) {
			int64_t t0 = rt_nanotime();
			uint64_t pages = (excess() + RT_PAGE_SIZE - 1) >> RT_PAGE_SHIFT;
			size_t n = release_piece((uint32_t)rt_min(pages, (uint64_t)PIECE_PAGES));
			if (n == 0)
				break;
			atomic_fetch_add_explicit(&scav.bg, n, memory_order_relaxed);
			int64_t took = rt_nanotime() - t0;
			atomic_fetch_add_explicit(&scav.bg_ns, took, memory_order_relaxed);
			rt_leave(); // the sleep enters by itself
			gort_sleep(rt_max(took * SLEEP_FACTOR, (int64_t)MIN_SLEEP_NS));
			rt_enter();
		}
		if (rt_debug.scvg > 0 && rt_load(&scav.scvg))
			print_scvg();
		rt_lock(&scav.lock);
		scav.parked = true;
		scav.g = rt_getg();
		rt_park(&scav.lock, WAIT_GC_SCAVENGE);
	}
}

void
rt_scavenge_wake(void)
{
	if (excess() == 0)
		return;
	rt_lock(&scav.lock);
	struct g *gp = scav.parked ? scav.g : NULL;
	bool first = !scav.started;
	scav.parked = false;
	scav.started = true;
	rt_unlock(&scav.lock);
	if (first)
		rt_newproc_system(bgscavenger, NULL);
	else if (gp)
		rt_ready(gp);
}

void
rt_scavenge_after_sweep(void)
{
	if (rt_debug.scavtrace > 0)
		print_scavtrace(false);
	if (rt_debug.scvg > 0)
		print_scvg();
	rt_scavenge_wake();
}
