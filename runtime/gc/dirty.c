// SPDX-License-Identifier: BSD-3-Clause
// GORT_BARRIER=dirty: marking beside a program that has no barriers. The kernel tells which pages of the
// heap were written; this is what the snapshot's barrier would have told, later and by the page.
//
//   arm       before the stop of t0: every page of the heap counts as unwritten from here on
//   marking   as always, from t0's roots; barriers are off
//   rescan    in the stop of mark termination: the roots again, and every marked object of a written
//             page; then marking goes on, with the world stopped, until nothing is left
//
// Why nothing is lost: take an object that is reachable when the world has stopped, over a path from a
// root. The root is read again. By induction along the path each object is marked; its words were read
// after t0, and if one was stored since, its page was written since t0, thus since it was armed, and all
// its words are read again. Objects born during marking are black without having been read: they were
// zero then, and what is in them now was written. Barriers that shade are not needed by this; those that
// are on in the default mode are off, since gort_write_barrier_on stays 0.
//
// The price: a fault at the first write to each page of a cycle, and a stop that grows with what was
// written while marking ran.
// A scan that fails makes all of the heap count as written. Where the kernel has none of this, cycles run
// with the world stopped.
#include "base/print.h"
#include "debug/env.h"
#include "gc/gc.h"
#include "mem/mheap.h"
#include "os/os.h"

static enum { BY_BARRIER, BY_PAGE, STOPPED } mode;
static bool armed; // a cycle marks beside the program; changes under the right to run one

void
rt_dirty_init(void)
{
	if (!rt_env_barrier_dirty())
		return;
	mode = rt_os_watch_init((void *)rt_heap.base, rt_heap.reserved) ? BY_PAGE : STOPPED;
	if (mode == STOPPED)
		rt_printf("gort: GORT_BARRIER=dirty: this kernel does not tell which pages were written "
			  "(Linux 6.7 with userfaultfd does); marking with the world stopped\n");
}

bool
rt_dirty_stopped(void)
{
	return mode == STOPPED;
}

bool
rt_dirty_on(void)
{
	return mode != BY_BARRIER;
}

void
rt_dirty_arm(void)
{
	armed = mode == BY_PAGE;
	// What could not be armed counts as written.
	if (armed)
		rt_os_watch_arm(rt_heap.base, rt_heap.base + rt_load(&rt_heap.grown));
}

static void
rescan(uintptr_t lo, uintptr_t hi, void *w)
{
	rt_mark_written(w, lo, hi);
}

void
rt_dirty_rescan(struct gcwork *w)
{
	if (!armed)
		return;
	armed = false;
	rt_roots_t0(w);
	uintptr_t lo = rt_heap.base, hi = lo + rt_load(&rt_heap.grown);
	if (!rt_os_watch_written(lo, hi, rescan, w))
		rescan(lo, hi, w);
}
