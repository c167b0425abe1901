// SPDX-License-Identifier: BSD-3-Clause
// The page allocator: which 8 KiB pages of the heap's reservation belong to a span.
//
// Pages are grouped in chunks of 512 (4 MiB). Each chunk has two bitmaps: alloc (page in use) and scav
// (page holds no memory: never touched, or returned to the system; reads as zeros). Over the chunks
// lies a tree of fan-out 8 whose nodes say how many free pages a range starts with, ends with, and has
// in its longest run, so the first fit at the lowest address is found in one descent.
//
// Invariants, whenever the owner's lock is free:
//   - a node's summary is the merge of its children's
//   - no chunk below `search` has a free page
//   - a page beyond nchunks has alloc bit and summary 0, and is not part of the heap yet
// Not locked: mheap.lock protects it. Go: runtime/mpagealloc.go.
#pragma once

#include "base/base.h"

#define RT_CHUNK_PAGES 512u
#define RT_CHUNK_WORDS (RT_CHUNK_PAGES / 64)
#define RT_NO_PAGE UINT32_MAX
#define RT_PAGE_LEVELS 8

struct page_sum {
	uint32_t start, max, end; // free pages at the start, longest run, free pages at the end
};

struct page_chunk {
	uint64_t alloc[RT_CHUNK_WORDS];
	uint64_t scav[RT_CHUNK_WORDS];
};

struct page_alloc {
	struct page_chunk *chunk;
	struct page_sum *level[RT_PAGE_LEVELS]; // [0]: one a chunk
	uint32_t nlevels;
	uint32_t maxchunks; // what the reservation can hold; a power of 8 or rounded up to one
	uint32_t nchunks;   // grown so far
	uint32_t search;
	uint64_t nfree;     // free pages of the grown part
	uint64_t nscav;     // free pages with the scav bit
	bool fresh;         // rt_pages_alloc: the run is the first in 2 MiB that held no memory
};

// maxpages: a multiple of RT_CHUNK_PAGES. false when the system refuses the tables' address space.
bool rt_pages_init(struct page_alloc *a, uint32_t maxpages);
// Adds n chunks of untouched pages at the end. false at the end of the reservation.
bool rt_pages_grow(struct page_alloc *a, uint32_t n);
// The lowest run of n free pages, now in use; RT_NO_PAGE when there is none. *scav: how many of them
// hold no memory; when all, they read as zeros.
uint32_t rt_pages_alloc(struct page_alloc *a, uint32_t n, uint32_t *scav);
void rt_pages_free(struct page_alloc *a, uint32_t page, uint32_t n);
// Takes a run of free pages that hold memory, at most max, from the highest chunk at or below *cursor
// that has one (then *cursor is that chunk): the caller returns the memory to the system and gives the
// pages back with rt_pages_free_scavenged. The number of pages; 0: nothing left, *cursor is 0.
uint32_t rt_pages_scavenge(struct page_alloc *a, uint32_t *cursor, uint32_t max, uint32_t *page);
void rt_pages_free_scavenged(struct page_alloc *a, uint32_t page, uint32_t n);
// Walks everything and throws when an invariant does not hold. For tests and -Dcheck builds.
void rt_pages_check(const struct page_alloc *a);
