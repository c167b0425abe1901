// SPDX-License-Identifier: BSD-3-Clause
// GORT_BARRIER=dirty: marking beside a program that has no barriers. The kernel tells which pages of the
// heap were written; this is what the snapshot's barrier would have told, later and by the page.
//
//   arm       before the stop of t0: every page of the heap counts as unwritten from here on
//   marking   as always, from t0's roots; barriers are off
//   preclean  when nothing is left to mark, a few times: which pages were written, and those are armed anew;
//             a short stop; their marked objects are looked at by whoever marks, beside the program
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
// Precleaning keeps that true. A store after a page was armed anew makes it a written page again. One before
// is seen by whoever reads the word after the call, since the kernel has flushed the page from all TLBs when it
// returns. So a word is safe if it is read after the call. Take an object that was read before, or born black
// and never. The stop lies between the call and the second look: no visit to a span lasts over a stop, so the
// object's mark, if it was known to the visitor alone, is published; and the caches are flushed, so a young
// object is seen to be allocated. Therefore the second look finds it. What is left of a second look when the
// last stop comes is done there.
//
// The price: a fault at the first write to each page, again after each round, and a stop that grows with what
// was written since the last.
// A scan that fails makes all of the heap count as written. Where the kernel has none of this, cycles run
// with the world stopped.
#include <string.h>

#include "base/print.h"
#include "debug/env.h"
#include "gc/gc.h"
#include "mem/mheap.h"
#include "os/os.h"
#include "sched/proc.h"

#define PIECE ((uintptr_t)128 << 10)
#define CHUNK ((uintptr_t)64 << 20) // of the heap, asked about at once
#define FEW ((size_t)128 << 10)    // bytes that the last stop may look at
#define MAX_ROUNDS 4

static enum { BY_BARRIER, BY_PAGE, STOPPED } mode;
static bool armed; // a cycle marks beside the program; changes under the right to run one

// Parts of written pages' ranges.
struct piece {
	uintptr_t lo, hi;
};

static struct {
	struct piece *v;
	size_t cap;
	size_t n;              // found by the last look; the finisher's
	_Atomic size_t ready;  // to be scanned; changes with the world stopped
	_Atomic size_t next;   // of them, handed out
	uint32_t rounds;       // of this cycle
	size_t found, was;     // bytes, by the last look and by the one before
} pieces;

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
	pieces.rounds = 0;
	pieces.found = pieces.was = 0;
	// What could not be armed counts as written.
	if (armed)
		rt_os_watch_arm(rt_heap.base, rt_heap.base + rt_load(&rt_heap.grown));
}

// ---- beside the program ----

static void
add_piece(uintptr_t lo, uintptr_t hi)
{
	if (pieces.n == pieces.cap) {
		size_t cap = rt_max(pieces.cap * 2, (size_t)256);
		struct piece *v = rt_sys_alloc(cap * sizeof *v);
		if (pieces.n)
			memcpy(v, pieces.v, pieces.n * sizeof *v);
		if (pieces.v)
			rt_os_free(pieces.v, pieces.cap * sizeof *v);
		atomic_fetch_add_explicit(&rt_sys_stats.gc, (cap - pieces.cap) * sizeof *v,
					  memory_order_relaxed);
		pieces.v = v;
		pieces.cap = cap;
	}
	pieces.v[pieces.n++] = (struct piece){lo, hi};
}

static void
found(uintptr_t lo, uintptr_t hi, void *arg)
{
	(void)arg;
	pieces.found += hi - lo;
	for (; lo < hi; lo += PIECE)
		add_piece(lo, rt_min(lo + PIECE, hi));
}

// Ends early when the world is to stop: what was not asked about is still as it was.
static void
look(void)
{
	uintptr_t lo = rt_heap.base, end = lo + rt_load(&rt_heap.grown);
	pieces.was = pieces.rounds++ ? pieces.found : SIZE_MAX;
	pieces.found = 0;
	for (uintptr_t hi; lo < end && !rt_load(&sched.gcwaiting); lo = hi) {
		hi = rt_min(lo + CHUNK, end);
		if (!rt_os_watch_written(lo, hi, true, found, NULL))
			found(lo, hi, NULL); // armed in part, and who knows which
	}
}

// World stopped: what the last look found may be scanned.
static void
publish(void)
{
	rt_store(&pieces.next, 0);
	rt_store(&pieces.ready, pieces.n);
	pieces.n = 0;
}

static bool
worth_a_round(void)
{
	return pieces.rounds < MAX_ROUNDS && pieces.found <= pieces.was / 2;
}

// While this runs `finishing` is ours, and nobody but who ends the cycle with the world stopped for all of it
// (finish_now0 in mgc.c) looks at pieces; that takes them over.
bool
rt_dirty_preclean(void)
{
	if (!rt_gc_marking() || !armed || !rt_mark_complete() || !worth_a_round())
		return false;
	look();
	if (pieces.found < FEW)
		return false;
	int64_t began = rt_stop_world("GC dirty pages");
	rt_gc_flush_caches();
	if (pieces.n > 0) // else the cycle is over
		publish();
	rt_gc.cur.between += rt_nanotime() - began;
	rt_start_world();
	return true;
}

bool
rt_dirty_left(void)
{
	return rt_load(&pieces.next) < rt_load(&pieces.ready);
}

bool
rt_dirty_scan_some(struct gcwork *w)
{
	if (!rt_dirty_left())
		return false;
	size_t i = atomic_fetch_add_explicit(&pieces.next, 1, memory_order_relaxed);
	if (i >= rt_load(&pieces.ready))
		return false;
	rt_mark_written(w, pieces.v[i].lo, pieces.v[i].hi);
	return true;
}

// ---- the last stop ----

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
	if (pieces.n > 0)
		publish();
	rt_roots_t0(w);
	uintptr_t lo = rt_heap.base, hi = lo + rt_load(&rt_heap.grown);
	if (!rt_os_watch_written(lo, hi, false, rescan, w))
		rescan(lo, hi, w);
}
