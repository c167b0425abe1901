// SPDX-License-Identifier: BSD-3-Clause
#include "mem/mheap.h"

#include <string.h>

#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/mcache.h"
#include "os/os.h"
#include "sched/proc.h"

#define RESERVE_BYTES ((size_t)512 << 30)
#define RESERVE_MIN ((size_t)64 << 20)
#define CHUNK_BYTES ((size_t)RT_CHUNK_PAGES << RT_PAGE_SHIFT)

struct mheap rt_heap;
struct rt_sys_stats rt_sys_stats;

static void *
side_table(size_t n)
{
	size_t got;
	n = rt_round_up(n, (size_t)4096);
	return rt_os_reserve(n, n, 4096, &got);
}

// Reserves n bytes of heap with all its tables, or nothing.
static bool
reserve(struct mheap *h, size_t n)
{
	size_t got;
	void *p = rt_os_reserve(n, RESERVE_MIN, CHUNK_BYTES, &got);
	if (!p)
		return false;
	h->base = (uintptr_t)p;
	h->reserved = rt_round_down(got, CHUNK_BYTES);
	size_t pages = h->reserved >> RT_PAGE_SHIFT;
	h->info = side_table(pages * sizeof *h->info);
	h->marktab = side_table(pages * RT_BITS_STRIDE);
	h->scantab = side_table(pages * RT_BITS_STRIDE);
	h->alloctab = side_table(pages * RT_BITS_STRIDE);
	if (h->info && h->marktab && h->scantab && h->alloctab &&
	    rt_pages_init(&h->pages, (uint32_t)pages))
		return true;
	if (h->info)
		rt_os_free(h->info, pages * sizeof *h->info);
	if (h->marktab)
		rt_os_free(h->marktab, pages * RT_BITS_STRIDE);
	if (h->scantab)
		rt_os_free(h->scantab, pages * RT_BITS_STRIDE);
	if (h->alloctab)
		rt_os_free(h->alloctab, pages * RT_BITS_STRIDE);
	rt_os_free(p, got);
	return false;
}

void
rt_mheap_init(void)
{
	struct mheap *h = &rt_heap;
	size_t n = RESERVE_BYTES;
	while (!reserve(h, n)) {
		if (n <= RESERVE_MIN)
			rt_fatal("cannot reserve address space for the heap");
		n /= 2;
	}
	rt_store(&h->sweepgen, 2);
	rt_fixalloc_init(&h->spanalloc, sizeof(struct mspan), &rt_sys_stats.mspan);
	rt_fixalloc_init(&h->specialalloc, sizeof(struct special), &rt_sys_stats.other);
	rt_fixalloc_init(&h->cachealloc, sizeof(struct mcache), &rt_sys_stats.mcache);
}

// Makes room for npages more in one run. The heap grows by 4 MiB chunks: what a chunk does not use
// costs address space only.
static bool
grow_locked(struct mheap *h, uint32_t npages)
{
	uint32_t n = (npages + RT_CHUNK_PAGES - 1) / RT_CHUNK_PAGES;
	size_t old = rt_load(&h->grown);
	if (!rt_pages_grow(&h->pages, n))
		return false;
	rt_os_hugepage((void *)(h->base + old), n * CHUNK_BYTES, true);
	atomic_fetch_add_explicit(&h->released, n * CHUNK_BYTES, memory_order_relaxed);
	rt_store(&h->grown, old + n * CHUNK_BYTES);
	return true;
}

static void
init_bits(struct mspan *s, struct pageinfo *pi)
{
	s->nwords = (s->nelems + 63) / 64;
	size_t at = (size_t)s->page * RT_BITS_STRIDE;
	s->alloc = (uint64_t *)(rt_heap.alloctab + at);
	if (s->nelems <= RT_INLINE_SLOTS) {
		s->mark = pi->mark;
		s->scan = pi->scan;
	} else {
		s->mark = (_Atomic uint64_t *)(rt_heap.marktab + at);
		s->scan = (_Atomic uint64_t *)(rt_heap.scantab + at);
	}
	memset(s->alloc, 0, s->nwords * sizeof(uint64_t));
	// While marking runs everything new is black, also to a stale pointer that meets the span before
	// it is in use. Nobody else writes its bits yet.
	uint64_t bits = rt_gc_marking() ? ~0ull : 0;
	for (unsigned i = 0; i < s->nwords; i++) {
		rt_store(&s->mark[i], bits);
		rt_store(&s->scan[i], bits);
	}
	if (!s->divmul)
		rt_store(&s->scan[1], 0); // large: the oblet cursor
}

static void
init_span(struct mspan *s, uint32_t page, uint32_t npages, unsigned spc)
{
	const struct spanclass *sc = &rt_spanclasses[spc];
	s->page = page;
	s->npages = npages;
	s->base = rt_heap.base + ((uintptr_t)page << RT_PAGE_SHIFT);
	s->spanclass = spc;
	s->elemsize = sc->size ? sc->size : (size_t)npages << RT_PAGE_SHIFT;
	s->nelems = sc->nelems;
	s->divmul = sc->divmul;
	s->limit = s->base + s->nelems * s->elemsize;
	rt_store(&s->sweepgen, rt_load(&rt_heap.sweepgen));
	struct pageinfo *pi = s->info = &rt_heap.info[page];
	pi->divmul = s->divmul;
	pi->spanclass = spc;
	pi->nelems = s->nelems;
	pi->noscan = sc->noscan;
	rt_store(&pi->queued, 0);
	pi->elemsize = s->elemsize;
	pi->span = s;
	init_bits(s, pi);
	for (uint32_t i = 0; i < npages; i++)
		__atomic_store_n(&pi[i].base, page, __ATOMIC_RELAXED);
	// release: a conservative scan that meets an old value of a page of ours sees a whole line or
	// inuse 0.
	__atomic_store_n(&pi->inuse, 1, __ATOMIC_RELEASE);
}

// What happens to new pages: [lo, from) is touched, [from, hi) is cleared.
struct pages {
	char *lo, *from, *hi;
};

#define HUGE_PAGE ((uintptr_t)2 << 20)

// The first touch of a huge page takes the kernel 0.1 to 5 ms.
static void
prepare(void *arg)
{
	const struct pages *p = arg;
	for (char *at = p->lo; at < p->from; at = (char *)rt_round_up((uintptr_t)at + 1, HUGE_PAGE))
		*(volatile char *)at = 0;
	memset(p->from, 0, (size_t)(p->hi - p->from));
}

struct mspan *
rt_mheap_alloc(uint32_t npages, unsigned spc, size_t raw)
{
	struct mheap *h = &rt_heap;
	uint32_t scav;
	rt_lock(&h->lock);
	uint32_t page = rt_pages_alloc(&h->pages, npages, &scav);
	if (page == RT_NO_PAGE && grow_locked(h, npages))
		page = rt_pages_alloc(&h->pages, npages, &scav);
	if (page == RT_NO_PAGE) {
		rt_unlock(&h->lock);
		return NULL;
	}
	struct mspan *s = rt_fixalloc_try(&h->spanalloc);
	if (!s) { // those that held no memory are counted as if they did: nothing reads their pages
		rt_pages_free(&h->pages, page, npages);
		atomic_fetch_sub_explicit(&h->released, (uint64_t)scav << RT_PAGE_SHIFT,
					  memory_order_relaxed);
		rt_unlock(&h->lock);
		return NULL;
	}
	bool fresh = h->pages.fresh;
	rt_unlock(&h->lock);
	s->needzero = scav < npages;
	char *lo = (char *)h->base + ((uintptr_t)page << RT_PAGE_SHIFT);
	size_t bytes = (size_t)npages << RT_PAGE_SHIFT;
	struct pages p = {lo, lo + (s->needzero ? rt_min(raw, bytes) : bytes), lo + bytes};
	// Before there is a span: whatever happens in a stop concerns pages in use, nothing else.
	if (p.from < p.hi || fresh)
		rt_safely(prepare, &p);
	atomic_fetch_sub_explicit(&h->released, (uint64_t)scav << RT_PAGE_SHIFT, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->pagesinuse, npages, memory_order_relaxed);
	init_span(s, page, npages, spc);
	if (rt_unlikely(rt_limit_set()))
		rt_limit_scavenge();
	return s;
}

void
rt_mheap_free(struct mspan *s)
{
	struct mheap *h = &rt_heap;
	if (s->specials)
		rt_throw("mheap: span freed with specials");
	__atomic_store_n(&s->info->inuse, 0, __ATOMIC_RELAXED);
	atomic_fetch_sub_explicit(&h->pagesinuse, s->npages, memory_order_relaxed);
	rt_lock(&h->lock);
	rt_pages_free(&h->pages, s->page, s->npages);
	rt_fixalloc_free(&h->spanalloc, s);
	rt_unlock(&h->lock);
}

void *
rt_sys_alloc(size_t n)
{
	void *p = rt_os_alloc(n);
	if (rt_unlikely(!p)) {
		rt_scavenge(SIZE_MAX);
		p = rt_os_alloc(n);
	}
	if (!p)
		rt_fatal("runtime: out of memory");
	return p;
}

uintptr_t
rt_find_object(uintptr_t p, size_t *size, struct mspan **span)
{
	struct mspan *s = rt_spanof(p);
	if (!s)
		return 0;
	uint32_t i = rt_span_index(s, p);
	if (!s->cached && !rt_span_allocated(s, i))
		return 0;
	*size = s->elemsize;
	*span = s;
	return s->base + i * s->elemsize;
}
