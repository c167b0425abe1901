// SPDX-License-Identifier: BSD-3-Clause
// The per-P cache of spans with free slots. Only its P touches it, at depth > 0, so the fast path has
// neither lock nor atomic. Others read it with the world stopped.
//
// A slot of the cache hands out a *run*: neighbouring free slots of its span, by moving `next` to
// `limit`. On a new or empty span the run is the whole span, so allocation is an addition; on a
// fragmented one the next run is found in the alloc bits, once per run instead of once per object.
//
// Invariants of a cache slot with a span:
//   - [next, limit) are free slots of span, next and limit on slot boundaries
//   - every slot of span below next is allocated; from limit on the alloc bits say
// Go: runtime/mcache.go (there: a 64-bit window of the bitmap).
#pragma once

#include "mem/mheap.h"

struct mcache_slot {
	uintptr_t next, limit;
	uint32_t elemsize;
	bool needzero;
	struct mspan *span;
};

struct mcache {
	uintptr_t tiny;      // the current 16-byte block for pointer-free objects below 16 bytes; 0 none
	uint32_t tinyoffset; // bytes used of it
	uint32_t nslots;     // slots [0, nslots) may have a span
	int64_t nextsample;  // bytes until the next heap profile sample
	int64_t rate;        // the sampling rate that nextsample was drawn for
	uint64_t randstate;

	// Counts since start; this P adds, readers stop the world or accept a slightly old value.
	uint64_t tinyallocs;
	uint64_t nmalloc[RT_NUM_SIZE_CLASSES]; // [0]: large
	uint64_t largealloc;                   // bytes
	struct mcache_slot slot[RT_MAX_SPANCLASSES] RT_HOT_LINE;
};

// Gives slot spc at least one free slot. May sweep. false: out of memory.
bool rt_mcache_refill(struct mcache *c, unsigned spc);
// Gives all spans back and forgets the tiny block. Owner, or world stopped.
void rt_mcache_flush(struct mcache *c);
// Bytes until the next sample: exponentially distributed with the given mean.
int64_t rt_sample_distance(uint64_t *randstate, int64_t mean);
