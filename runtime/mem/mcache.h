// SPDX-License-Identifier: BSD-3-Clause
// The per-P cache of spans with free slots. Only its P touches it, at depth > 0, so the fast path has
// neither lock nor atomic. Others read it with the world stopped.
//
// A slot of the cache hands out a *run*: neighbouring free slots of its span, by moving `next` to
// `limit`. On a new or empty span the run is the whole span, so allocation is an addition; on a
// fragmented one the next run is found in the alloc bits, once per run instead of once per object.
//
// What is rare is done when a run is taken, so that handing out an object is a compare and an addition:
//   - slots of up to RT_CLEAR_AHEAD_SIZE bytes are cleared then, RT_CLEAR_AHEAD bytes at most, which are
//     still in the nearest cache when they are handed out; larger ones one by one
//   - a run ends before the object that is the next heap profile sample; that one is a run by itself
//
// Invariants of a cache slot with a span:
//   - [next, limit) are free slots of span, next and limit on slot boundaries, but for the tiny slot's next
//   - every slot of span below next is allocated; from limit on the alloc bits say
// Go: runtime/mcache.go (there: a 64-bit window of the bitmap).
#pragma once

#include "mem/mheap.h"

// The cache slot, and gort_type's spanclass, of pointer-free objects below 16 bytes: its `next` moves by
// bytes, so that a slot of the span is a block which several share. None of them crosses the end of one.
#define RT_TINY_SPANCLASS RT_SPANCLASS(0, true)

// The class of the spans that serve cache slot i.
RT_INLINE unsigned
rt_span_spanclass(unsigned i)
{
	return i == RT_TINY_SPANCLASS ? RT_SPANCLASS(RT_TINY_CLASS, true) : i;
}

#define RT_CLEAR_AHEAD_SIZE 256u
#define RT_CLEAR_AHEAD 8192u

struct mcache_slot {
	uintptr_t next, limit;
	uint32_t elemsize;
	bool needzero;      // who takes a slot clears it
	bool clearahead;    // ... no: whoever takes a run
	int64_t nextsample; // bytes beyond limit until the next heap profile sample; < 0: to be drawn
	struct mspan *span;
};

struct mcache {
	uint32_t nslots;    // slots [0, nslots) may have a span
	int64_t rate;       // the sampling rate that each nextsample was drawn for
	uint64_t randstate;

	// Counts since start; this P adds, readers stop the world or accept a slightly old value.
	uint64_t tinyallocs;
	uint64_t nmalloc[RT_NUM_SIZE_CLASSES]; // [0]: large
	uint64_t largealloc;                   // bytes
	// By span class. [0]: large objects, a sampling distance only; [1]: RT_TINY_SPANCLASS.
	struct mcache_slot slot[RT_MAX_SPANCLASSES] RT_HOT_LINE;
};

// There is none; a run; a run whose one object is a sample.
enum refill { REFILL_NONE, REFILL_RUN, REFILL_SAMPLE };

// Gives slot spc, whose run is used up, the next one of its span.
enum refill rt_mcache_next_run(struct mcache *c, unsigned spc);
// Gives slot spc another span and its first run. May sweep. REFILL_NONE: out of memory.
enum refill rt_mcache_new_span(struct mcache *c, unsigned spc);
// Whether an object of n bytes, which is not taken from a run, is a sample.
bool rt_mcache_sample_large(struct mcache *c, size_t n);
// Gives all spans back. Owner, or world stopped.
void rt_mcache_flush(struct mcache *c);
// Bytes until the next sample: exponentially distributed with the given mean.
int64_t rt_sample_distance(uint64_t *randstate, int64_t mean);
