// SPDX-License-Identifier: BSD-3-Clause
// Size classes, and the span classes built on them.
//
// A *size class* is one of Go's 67 slot sizes up to 32 KiB; class 0 stands for large objects, which get
// whole pages. A *span class* says what a span's slots hold and so how they are scanned:
//   0 .. 135      sizeclass << 1 | noscan, as in Go; without the noscan bit: word by word
//   136 .. 511    made on demand, one for each pair (declared type, size class): scanned by the type's
//                 pointer map. Every object of such a span has the same map, so neither a header word
//                 in front of each object nor a side table is needed, and the marker finds the map in
//                 the metadata line that it has to read anyway. When the pairs run out, further ones
//                 share the word-by-word spans, which keep alive at least as much.
// Go: runtime/sizeclasses.go, runtime/mheap.go (spanClass).
#pragma once

#include <gort/type.h>

#include "base/base.h"

#define RT_PAGE_SHIFT 13
#define RT_PAGE_SIZE ((size_t)1 << RT_PAGE_SHIFT)
#define RT_NUM_SIZE_CLASSES 68 // with class 0
#define RT_MAX_SMALL_SIZE 32768
#define RT_NUM_PLAIN_SPANCLASSES (RT_NUM_SIZE_CLASSES << 1)
#define RT_MAX_SPANCLASSES 512
#define RT_TINY_SIZE 16
#define RT_TINY_CLASS 2

#define RT_SPANCLASS(sizeclass, noscan) ((unsigned)(sizeclass) << 1 | (unsigned)(noscan))

struct spanclass {
	uint32_t size;   // bytes a slot; 0 for large
	uint32_t divmul; // ceil(2^32 / size): index of byte offset o is (o * divmul) >> 32; 0 for large
	uint16_t npages, nelems;
	uint8_t sizeclass;
	bool noscan;
	const gort_type *type; // the map of every object here; NULL: none, or word by word
};

// Entries below rt_nspanclasses are complete and never change afterwards.
extern struct spanclass rt_spanclasses[RT_MAX_SPANCLASSES];
extern _Atomic uint32_t rt_nspanclasses;
extern uint8_t rt_size_to_class8[1024 / 8 + 1];
extern uint8_t rt_size_to_class128[(RT_MAX_SMALL_SIZE - 1024) / 128 + 1];

// Builds the tables, the first time it is called; before everything else here.
void rt_sizeclass_init(void);

// size in [1, RT_MAX_SMALL_SIZE].
RT_INLINE unsigned
rt_sizeclass(size_t size)
{
	if (size <= 1024 - 8)
		return rt_size_to_class8[(size + 7) >> 3];
	return rt_size_to_class128[(size - 1024 + 127) >> 7];
}

// The span class for objects of class sizeclass with t's map. Takes a lock the first time for a pair.
unsigned rt_spanclass_for(const gort_type *t, unsigned sizeclass);
