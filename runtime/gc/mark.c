// SPDX-License-Identifier: BSD-3-Clause
// The marker. It queues spans, not objects: a FIFO of spans that have grey objects. When a span comes up,
// all its grey objects are scanned together; by then there are many (tens, on a random graph), and they
// are neighbours. Pointers found go through a delay line: each enters with a prefetch of its page's line
// of metadata and is tested DELAY pointers later, when the line has arrived.
//
//   pointer -> delay line -> test and set mark bit -> span into the queue (once, `queued`)
//   queue -> span -> grey = mark & ~scan -> prefetch, scan each object's words -> pointers
//
// FIFO order is what lets objects gather; a stack would find three a visit. Measured against a textbook
// depth-first marker: five times faster (docs/gc.md).
//
// Several workers may run this at once: mark and scan bits are set by fetch_or unless `alone`; a grey
// object is scanned by whoever set its scan bit; queue slots are claimed by fetch_add and CAS. A span is
// in the queue at most once, so a queue of as many slots as spans cannot overflow.
#include "arch/arch.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/mheap.h"
#include "os/os.h"

#define DELAY 64
#define AHEAD 8 // objects prefetched before their scan

#define NO_SANITIZE __attribute__((no_sanitize("address", "thread")))

// What setting a mark bit needs.
struct greyer {
	bool alone;     // no other worker: bits need no atomics
	uint64_t bytes; // marked
};

struct gcwork {
	struct greyer g;
	uintptr_t base;       // rt_heap.base
	size_t grown;         // rt_heap.grown
	struct pageinfo *info;
	uint32_t pos;         // of the delay line
	size_t line[DELAY];   // heap offset + 1, 0 empty
	uint16_t grey[1024];  // of the span at hand
};

// Not a static: that would be a root which points to the heap's first object.
static struct gcwork *worker0;
static _Atomic uint64_t shaded_bytes; // marked by barriers

// The span queue. Positions only grow within a cycle.
static struct {
	_Atomic uint32_t *slot; // page + 1, 0: not written yet
	uint32_t mask;
	size_t mapped; // bytes
	_Atomic uint64_t head RT_HOT_LINE;
	_Atomic uint64_t tail RT_HOT_LINE;
} queue;

static void
queue_reset(size_t nspans)
{
	size_t n = 1024;
	while (n < nspans)
		n *= 2;
	if (n * sizeof *queue.slot > queue.mapped) {
		if (queue.slot)
			rt_os_free(queue.slot, queue.mapped);
		queue.mapped = n * sizeof *queue.slot;
		queue.slot = rt_os_alloc(queue.mapped);
		if (!queue.slot)
			rt_fatal("out of memory (collector's queue)");
		rt_store(&rt_sys_stats.gc, queue.mapped);
	}
	queue.mask = (uint32_t)(n - 1);
	rt_store(&queue.head, 0);
	rt_store(&queue.tail, 0);
}

static void
queue_push(uint32_t page)
{
	uint64_t at = atomic_fetch_add_explicit(&queue.tail, 1, memory_order_relaxed);
	// release: the popper sees the mark bits that made the span worth queueing.
	rt_store_release(&queue.slot[at & queue.mask], page + 1);
}

// RT_NO_PAGE when empty.
static uint32_t
queue_pop(void)
{
	uint64_t head = rt_load(&queue.head);
	do {
		if (head >= rt_load_acquire(&queue.tail))
			return RT_NO_PAGE;
	} while (!atomic_compare_exchange_weak_explicit(&queue.head, &head, head + 1,
							memory_order_acquire,
							memory_order_relaxed));
	_Atomic uint32_t *slot = &queue.slot[head & queue.mask];
	uint32_t v;
	while (!(v = atomic_exchange_explicit(slot, 0, memory_order_acquire)))
		rt_cpu_relax(); // its pusher is between fetch_add and store
	return v - 1;
}

void
rt_mark_start(void)
{
	queue_reset(rt_load(&rt_heap.pagesinuse) + 1);
	if (!worker0)
		worker0 = rt_persistent_alloc(sizeof *worker0, 64, &rt_sys_stats.gc);
	rt_store(&shaded_bytes, 0);
	*worker0 = (struct gcwork){
		.g.alone = true,
		.base = rt_heap.base,
		.grown = rt_load(&rt_heap.grown),
		.info = rt_heap.info,
	};
}

struct gcwork *
rt_mark_worker(void)
{
	return worker0;
}

uint64_t
rt_mark_bytes(void)
{
	return worker0->g.bytes + rt_load(&shaded_bytes);
}

// ---- setting bits ----

RT_INLINE _Atomic uint64_t *
mark_bits(struct pageinfo *pi)
{
	return pi->nelems <= RT_INLINE_SLOTS
		       ? pi->mark
		       : (_Atomic uint64_t *)(rt_heap.marktab + (size_t)pi->base * RT_BITS_STRIDE);
}

RT_INLINE _Atomic uint64_t *
scan_bits(struct pageinfo *pi)
{
	return pi->nelems <= RT_INLINE_SLOTS
		       ? pi->scan
		       : (_Atomic uint64_t *)(rt_heap.scantab + (size_t)pi->base * RT_BITS_STRIDE);
}

// relaxed everywhere: the queue orders what matters.
RT_INLINE uint64_t
or_bits(const struct greyer *g, _Atomic uint64_t *p, uint64_t bits)
{
	if (!g->alone)
		return atomic_fetch_or_explicit(p, bits, memory_order_relaxed);
	uint64_t old = rt_load(p);
	rt_store(p, old | bits);
	return old;
}

RT_INLINE void
grey_slot(struct greyer *g, struct pageinfo *pi, uint32_t i)
{
	_Atomic uint64_t *word = &mark_bits(pi)[i / 64];
	uint64_t bit = 1ull << (i % 64);
	if ((rt_load(word) & bit) || (or_bits(g, word, bit) & bit))
		return;
	g->bytes += pi->elemsize;
	if (pi->noscan || rt_load(&pi->queued))
		return;
	// A popper clears queued before it reads the mark bits, so our bit is seen by the visit that is
	// queued, or we see 0 here and queue another.
	if (atomic_exchange_explicit(&pi->queued, 1, memory_order_acq_rel) == 0)
		queue_push(pi->base);
}

// Greys the slot that holds heap offset off, if there is one.
RT_INLINE void
grey_offset(struct greyer *g, struct pageinfo *info, size_t off)
{
	size_t page = off >> RT_PAGE_SHIFT;
	struct pageinfo *pi = &info[page];
	uint32_t base = pi->base;
	if (base != page)
		pi = &info[base];
	size_t o = off - ((size_t)base << RT_PAGE_SHIFT);
	if (!pi->inuse || o >= pi->elemsize * pi->nelems)
		return; // a free page, or the unused tail of a span
	grey_slot(g, pi, (uint32_t)((o * pi->divmul) >> 32));
}

void
rt_shade_pointer(uintptr_t p)
{
	size_t off = p - rt_heap.base;
	if (off >= rt_load(&rt_heap.grown))
		return;
	struct greyer g = {0};
	grey_offset(&g, rt_heap.info, off);
	if (g.bytes)
		atomic_fetch_add_explicit(&shaded_bytes, g.bytes, memory_order_relaxed);
}

// ---- the delay line ----

RT_INLINE void
push(struct gcwork *w, size_t off)
{
	__builtin_prefetch(&w->info[off >> RT_PAGE_SHIFT], 1);
	size_t *slot = &w->line[w->pos++ % DELAY];
	size_t old = *slot;
	*slot = off + 1;
	if (old)
		grey_offset(&w->g, w->info, old - 1);
}

static void
flush_line(struct gcwork *w)
{
	for (unsigned i = 0; i < DELAY; i++) {
		size_t *slot = &w->line[w->pos++ % DELAY];
		size_t old = *slot;
		*slot = 0;
		if (old)
			grey_offset(&w->g, w->info, old - 1);
	}
}

// ---- scanning ----

// Word loads race with the mutator's stores by design; each is one aligned load.
RT_INLINE uintptr_t
load_word(uintptr_t at)
{
	return *(const volatile uintptr_t *)at;
}

NO_SANITIZE static void
scan_words(struct gcwork *w, uintptr_t lo, uintptr_t hi)
{
	for (; lo < hi; lo += sizeof(uintptr_t)) {
		size_t off = load_word(lo) - w->base;
		if (off < w->grown)
			push(w, off);
	}
}

// As many t's as fit into [lo, hi).
NO_SANITIZE static void
scan_typed(struct gcwork *w, uintptr_t lo, uintptr_t hi, const gort_type *t)
{
	for (; lo + t->size <= hi; lo += t->size)
		for (uint32_t i = 0; i < t->nptrs; i++) {
			size_t off = load_word(lo + t->ptrs[i]) - w->base;
			if (off < w->grown)
				push(w, off);
		}
}

static void
scan_large(struct gcwork *w, struct pageinfo *pi)
{
	struct mspan *s = pi->span;
	if (or_bits(&w->g, &pi->scan[0], 1) & 1)
		return;
	if (s->type)
		scan_typed(w, s->base, s->limit, s->type);
	else
		scan_words(w, s->base, s->limit);
}

// Claims the span's grey objects; their indices go to w->grey.
static uint32_t
take_grey(struct gcwork *w, struct pageinfo *pi)
{
	_Atomic uint64_t *mark = mark_bits(pi), *scan = scan_bits(pi);
	uint32_t n = 0, nwords = (pi->nelems + 63u) / 64;
	for (uint32_t k = 0; k < nwords; k++) {
		uint64_t grey = rt_load(&mark[k]) & ~rt_load(&scan[k]);
		if (!grey)
			continue;
		grey &= ~or_bits(&w->g, &scan[k], grey);
		for (; grey; grey &= grey - 1)
			w->grey[n++] = (uint16_t)(k * 64 + (unsigned)__builtin_ctzll(grey));
	}
	return n;
}

static void
scan_span(struct gcwork *w, uint32_t page)
{
	struct pageinfo *pi = &w->info[page];
	// Before the mark bits are read: see grey_slot.
	atomic_exchange_explicit(&pi->queued, 0, memory_order_acq_rel);
	if (!pi->divmul) {
		scan_large(w, pi);
		return;
	}
	uint32_t n = take_grey(w, pi);
	uintptr_t base = w->base + ((uintptr_t)page << RT_PAGE_SHIFT);
	size_t size = pi->elemsize;
	const gort_type *t = rt_spanclasses[pi->spanclass].type;
	for (uint32_t i = 0; i < rt_min(n, (uint32_t)AHEAD); i++)
		__builtin_prefetch((void *)(base + w->grey[i] * size));
	for (uint32_t i = 0; i < n; i++) {
		if (i + AHEAD < n)
			__builtin_prefetch((void *)(base + w->grey[i + AHEAD] * size));
		uintptr_t obj = base + w->grey[i] * size;
		if (t)
			scan_typed(w, obj, obj + size, t);
		else
			scan_words(w, obj, obj + size);
	}
}

void
rt_mark_drain(struct gcwork *w)
{
	for (;;) {
		uint32_t page = queue_pop();
		if (page == RT_NO_PAGE) {
			flush_line(w);
			page = queue_pop();
			if (page == RT_NO_PAGE)
				return;
		}
		scan_span(w, page);
	}
}

// ---- roots ----

// Unlike a word in the heap, a root word may be stale: slots that are free are left alone. Returns the
// slot's first byte, or 0.
static uintptr_t
root_pointer(struct gcwork *w, uintptr_t p)
{
	struct mspan *s = rt_spanof(p);
	if (!s)
		return 0;
	uint32_t i = rt_span_index(s, p);
	if (rt_span_allocated(s, i))
		grey_slot(&w->g, s->info, i);
	return s->base + i * s->elemsize;
}

NO_SANITIZE void
rt_mark_root_range(struct gcwork *w, uintptr_t lo, uintptr_t hi)
{
	for (lo = rt_round_up(lo, sizeof(uintptr_t)); lo + sizeof(uintptr_t) <= hi;
	     lo += sizeof(uintptr_t)) {
		uintptr_t p = load_word(lo);
		if (p - w->base > w->grown) // == grown: one past the last byte
			continue;
		uintptr_t start = root_pointer(w, p);
		if (start == p || start == 0)
			root_pointer(w, p - 1);
	}
}
