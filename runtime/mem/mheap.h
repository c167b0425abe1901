// SPDX-License-Identifier: BSD-3-Clause
// The heap: one reservation of address space, cut into 8 KiB pages, runs of which form spans.
//
// Address -> span takes arithmetic and one cache line: (address - base) >> 13 indexes rt_heap.info, a
// dense table of one 64-byte line a page that holds all the marker needs (first page of the span, slot
// size, mark and scanned bits). Mark bits never lie in the span itself: each test would drag in a cold
// line and a TLB entry of the heap (feasibility: three times slower).
//
// Bits, one per slot:
//   mark   reached in this cycle; all clear outside of marking and sweeping
//   scan   marked and its words followed; subset of mark
//   alloc  in use after the last sweep of the span; constant until the next
// A slot is *allocated* when its index is below the span's freeindex or its alloc bit is set. While a
// P's cache holds the span, the true freeindex is the cache's `next` (mcache.h); flushing stores it.
// Spans of at most 128 slots keep mark and scan bits in their line; others in the side tables.
//
// Span states and who may touch a span:
//   in an mcache           its P; markers set mark and scan bits atomically
//   in an mcentral set     whoever takes it out under the central's lock
//   large (spanclass 0, 1) immutable until swept
//   free                   its struct is on the fixalloc list, its pages in the page allocator
// sweepgen (heap.sweepgen is h, grows by 2 a cycle): h-2 needs sweeping, h-1 is being swept, h swept.
//
// Lock order: mcentral.lock < mheap.lock. rt_attached_lock < mspan.speciallock < mheap.lock.
// Go: runtime/mheap.go. Differences: the line table; alloc bits in a table, not swapped with marks.
#pragma once

#include "base/base.h"
#include "base/lock.h"
#include "mem/fixalloc.h"
#include "mem/page.h"
#include "mem/sizeclass.h"

#define RT_BITS_STRIDE 128 // bytes a page in the side tables: 1024 slots of 8 bytes
#define RT_INLINE_SLOTS 128

struct mspan;

// What the marker reads. Written when the span is made (before any pointer into it exists), apart from
// the bits and `queued`.
struct pageinfo {
	uint32_t base;   // first page of the span; all other fields count only in that page's line
	uint32_t divmul; // of the span class; 0: one object
	uint16_t spanclass;
	uint16_t nelems;
	uint8_t inuse;
	uint8_t noscan;
	_Atomic uint8_t queued; // in the marker's span queue
	uint8_t spare;
	size_t elemsize; // large: npages * page size
	struct mspan *span;
	_Atomic uint64_t mark[RT_INLINE_SLOTS / 64];
	_Atomic uint64_t scan[RT_INLINE_SLOTS / 64];
};
static_assert(sizeof(struct pageinfo) == 64, "one cache line");

enum special_kind { SPECIAL_PROFILE, SPECIAL_FINALIZER, SPECIAL_CLEANUP, SPECIAL_WEAK, SPECIAL_PIN };

// Something the sweeper must do when an object dies. On its span's list, ascending by slot.
struct special {
	struct special *next;
	uint32_t index; // of the slot
	uint8_t kind;   // enum special_kind
	void *token;    // SPECIAL_PROFILE: what the profiler's hook returned
	// else: a struct attached begins with this (gc/special.h)
};

struct mspan {
	struct mspan *next, *prev; // in an mcentral set
	uintptr_t base, limit;     // slots lie in [base, limit)
	size_t elemsize;
	struct pageinfo *info;
	_Atomic uint64_t *mark, *scan; // bits, in info or the side tables
	uint64_t *alloc;
	uint32_t page, npages;
	uint32_t nelems, divmul;
	uint32_t freeindex;
	uint32_t alloccount; // allocated slots, as of the last sweep or flush
	_Atomic uint32_t sweepgen;
	uint16_t spanclass;
	uint16_t nwords;     // of each bitmap
	bool needzero;       // slots may hold old bytes
	bool cached;         // a P's mcache holds it
	const gort_type *type; // large objects: the declared type, or NULL
	struct rt_mutex speciallock;
	struct special *specials; // under speciallock
};

struct span_list {
	struct mspan *head, *tail;
	uint32_t n;
};

// Spans of one class that no cache holds. [0] and [1] change roles each cycle (mcentral.c).
struct mcentral {
	struct rt_mutex lock;
	struct span_list partial[2], full[2]; // with a free slot; without
	char pad[64];
};

extern struct mheap {
	// Constant after rt_mheap_init.
	uintptr_t base;
	size_t reserved;
	struct pageinfo *info;
	char *marktab, *scantab, *alloctab;
	// Read by markers without the lock: pages of [base, base + grown) have lines.
	_Atomic size_t grown;
	_Atomic uint32_t sweepgen; // changes with the world stopped

	struct rt_mutex lock RT_HOT_LINE;
	// Under lock.
	struct page_alloc pages;
	struct fixalloc spanalloc, specialalloc, cachealloc;
	uint32_t scavcursor;

	// Statistics, bytes and pages; atomic, each exact by itself.
	_Atomic uint64_t pagesinuse RT_HOT_LINE;
	_Atomic uint64_t released; // bytes of free pages without memory that once were or could be heap
	_Atomic uint64_t nspans;

	struct mcentral central[RT_MAX_SPANCLASSES];
} rt_heap;

// Where the runtime's own memory went. Sums are gort_mem_stats' *Sys fields.
extern struct rt_sys_stats {
	_Atomic uint64_t mspan, mcache, gc, other;
	_Atomic uint64_t stacks_os; // as of the end of the last cycle under a memory limit
} rt_sys_stats;
uint64_t rt_profile_bytes(void); // of the profiler's tables
uint64_t rt_other_bytes(void);   // everything else of the runtime's own

void rt_mheap_init(void);

// A span of npages pages for span class spc, its bits clear, not in any set; zeroed from byte raw on. NULL
// when memory has run out. The world may stop meanwhile.
struct mspan *rt_mheap_alloc(uint32_t npages, unsigned spc, size_t raw);
// Gives back a span that is in no set and holds no object.
void rt_mheap_free(struct mspan *s);

// The span that holds p in one of its slots, NULL when there is none.
RT_INLINE struct mspan *
rt_spanof(uintptr_t p)
{
	uintptr_t off = p - rt_heap.base;
	if (off >= rt_load(&rt_heap.grown)) // relaxed: who has a pointer synchronised to get it
		return NULL;
	// A free page's line may name a span that no longer reaches it, hence the test against limit.
	uint32_t base = __atomic_load_n(&rt_heap.info[off >> RT_PAGE_SHIFT].base, __ATOMIC_RELAXED);
	struct pageinfo *pi = &rt_heap.info[base];
	// acquire: pairs with init_span's release
	return __atomic_load_n(&pi->inuse, __ATOMIC_ACQUIRE) && p < pi->span->limit ? pi->span : NULL;
}

RT_INLINE uint32_t
rt_span_index(const struct mspan *s, uintptr_t p)
{
	return (uint32_t)(((p - s->base) * (uint64_t)s->divmul) >> 32);
}

// Whether slot i is in use (not cached, or world stopped and caches flushed).
RT_INLINE bool
rt_span_allocated(const struct mspan *s, uint32_t i)
{
	// relaxed: a marker may look while the span leaves its cache; all slots in question are black then.
	return i < __atomic_load_n(&s->freeindex, __ATOMIC_RELAXED) || (s->alloc[i / 64] >> (i % 64) & 1);
}

// The first word of an object that p points into, and its size; 0 when p is no heap pointer or the slot
// is free. World stopped, or the caller keeps the object alive.
uintptr_t rt_find_object(uintptr_t p, size_t *size, struct mspan **span);

// *at = sp, under the span's speciallock. Atomic because the sweeper looks whether there is any without it.
RT_INLINE void
rt_special_link(struct special **at, struct special *sp)
{
	__atomic_store_n(at, sp, __ATOMIC_RELAXED);
}

// Ties a special to the object that starts at (or, tiny ones, lies in the slot of) obj.
void rt_add_special(void *obj, enum special_kind kind, void *token);

// For what may be called by constructors and destructors: before gort_run, and in a dying process.
bool rt_enter_if_started(void);
void rt_leave_if(bool entered);

// rt_os_alloc for what the runtime cannot do without: when the system refuses, returns free heap memory to
// it and tries again, then ends the process with Go's text. No lock of the heap held.
void *rt_sys_alloc(size_t n);

// ---- mcentral.c ----

// A span of class spc with at least one free slot, swept, out of every set. NULL: out of memory.
struct mspan *rt_mcentral_cachespan(unsigned spc);
// Puts back a span that a cache used; its freeindex and alloccount are up to date.
void rt_mcentral_uncachespan(struct mspan *s);
// Puts a swept span (or a new large one) where it belongs now.
void rt_mcentral_put(struct mspan *s);
// Takes any span of class spc that needs sweeping out of its set, NULL when there is none.
struct mspan *rt_mcentral_take_unswept(unsigned spc);

// ---- gc/sweep.c, called by the allocator ----

// Sweeps s, which the caller has taken out of its set. Frees it and returns false when nothing in it
// lives and keep is false; else true, s being the caller's.
bool rt_sweep_span(struct mspan *s, bool keep);

// ---- scavenge.c ----
size_t rt_scavenge(size_t bytes); // returns up to that many bytes to the system; how many it did
