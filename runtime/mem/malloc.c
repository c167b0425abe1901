// SPDX-License-Identifier: BSD-3-Clause
// rt_mallocgc, by size:
//   0            one static address
//   < 16, no pointers   parts of 16-byte slots, by the same steps
//   <= 32 KiB    1. mcache of this P: next free slot of the run. No lock, no atomic.
//                2. mcache: the next run in the span's alloc bits
//                3. mcentral: another span with room, sweeping some if need be. One lock, once a span.
//                4. mheap: cut a new span. mheap.lock.
//                5. the OS: grow by 4 MiB chunks
//   larger       4 directly
// Objects are cleared before they are handed out, only when their span may hold old bytes: small ones when
// their run is taken (mcache.h), larger ones each by itself.
//
// A collection may start at the slow steps, before the object exists. Callers hold no runtime lock.
// Go: runtime/malloc.go.
#include "mem/malloc.h"

#include <string.h>

#include <gort/mem.h>

#include "base/print.h"
#include "debug/hooks.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/mcache.h"
#include "os/os.h"
#include "sched/proc.h"

static uint64_t zerobase[2];

static struct mcache *
getmcache(void)
{
	return rt_getp()->mcache;
}

void
rt_mallocinit(void)
{
	rt_sizeclass_init();
	rt_mheap_init();
}

bool
rt_enter_if_started(void)
{
	// acquire: pairs with gort_run. A dying process runs destructors; one that left the runtime
	// through a preemption point there would never be scheduled again.
	bool started = rt_load_acquire(&rt_started) && !rt_load(&sched.dying);
	if (started)
		rt_enter();
	return started;
}

void
rt_leave_if(bool entered)
{
	if (entered)
		rt_leave();
}

RT_COLD static void
out_of_memory(size_t size)
{
	rt_printf("runtime: out of memory: cannot allocate %zu-byte block (%llu in use)\n", size,
		  (unsigned long long)(rt_load(&rt_heap.pagesinuse) << RT_PAGE_SHIFT));
	rt_fatal("out of memory");
}

// ---- heap profile sampling ----

RT_COLD static void
sampled(void *p, size_t size)
{
	if (!rt_hooked(RT_HOOK_HEAP))
		return;
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks); // pairs with rt_set_hooks
	void *token = h && h->malloc_sampled ? h->malloc_sampled(p, size) : NULL;
	if (token)
		rt_add_special(p, SPECIAL_PROFILE, token);
}

// ---- small objects ----

// Bytes that cache slot spc was given with its span; before it has one, what it may be given.
static size_t
bytes_of_span(unsigned spc)
{
	const struct mspan *s = getmcache()->slot[spc].span;
	if (!s)
		return (size_t)rt_spanclasses[rt_span_spanclass(spc)].npages << RT_PAGE_SHIFT;
	return (s->nelems - s->alloccount) * s->elemsize;
}

// Gives cache slot spc of this P another span: its old one is paid for when it is used up.
static enum refill
new_span(unsigned spc)
{
	rt_gc_before_span(bytes_of_span(spc));
	enum refill r = rt_mcache_new_span(getmcache(), spc);
	if (rt_likely(r != REFILL_NONE))
		return r;
	rt_gc_emergency();
	r = rt_mcache_new_span(getmcache(), spc);
	if (r == REFILL_NONE)
		out_of_memory(bytes_of_span(spc));
	return r;
}

// What an object of size bytes at p may still hold is cleared from byte `from` on.
RT_INLINE void
clear_from(const struct mcache_slot *sl, uintptr_t p, size_t from, size_t size)
{
	if (sl->needzero && from < size)
		memset((char *)p + from, 0, size - from);
}

// The first size bytes of the next run; size 0: a slot, cleared from byte `from` on if need be.
RT_NOINLINE static void *
alloc_slow(unsigned spc, size_t size, size_t from)
{
	enum refill r = rt_mcache_next_run(getmcache(), spc);
	if (r == REFILL_NONE)
		r = new_span(spc);
	struct mcache_slot *sl = &getmcache()->slot[spc];
	uintptr_t p = sl->next;
	sl->next = p + (size ? size : sl->elemsize);
	clear_from(sl, p, from, sl->elemsize);
	if (rt_unlikely(r == REFILL_SAMPLE))
		sampled((void *)p, sl->elemsize);
	return (void *)p;
}

RT_INLINE void *
alloc_small(unsigned spc, size_t from)
{
	struct mcache_slot *sl = &getmcache()->slot[spc];
	uintptr_t p = sl->next;
	size_t size = sl->elemsize;
	if (rt_unlikely(p >= sl->limit))
		return alloc_slow(spc, 0, from);
	sl->next = p + size;
	clear_from(sl, p, from, size);
	return (void *)p;
}

// ---- tiny objects ----

// Where the next object of size bytes is to lie: as aligned as its size, within one block.
RT_INLINE uintptr_t
place_tiny(uintptr_t p, size_t size)
{
	size_t align = size & -size;
	p = rt_round_up(p, align);
	return p % RT_TINY_SIZE + size > RT_TINY_SIZE ? rt_round_up(p, (uintptr_t)RT_TINY_SIZE) : p;
}

RT_INLINE void *
alloc_tiny(size_t size)
{
	struct mcache *c = getmcache();
	struct mcache_slot *sl = &c->slot[RT_TINY_SPANCLASS];
	uintptr_t p = place_tiny(sl->next, size);
	c->tinyallocs++;
	if (rt_unlikely(p + size > sl->limit))
		return alloc_slow(RT_TINY_SPANCLASS, size, 0);
	sl->next = p + size;
	return (void *)p;
}

// ---- large objects ----

static void *
alloc_large(size_t size, const gort_type *t, bool noscan, size_t from)
{
	if (size > rt_heap.reserved)
		out_of_memory(size);
	uint32_t npages = (uint32_t)((size + RT_PAGE_SIZE - 1) >> RT_PAGE_SHIFT);
	size_t bytes = (size_t)npages << RT_PAGE_SHIFT;
	rt_gc_before_span(bytes);
	unsigned spc = RT_SPANCLASS(0, noscan);
	struct mspan *s = rt_mheap_alloc(npages, spc, from);
	if (!s) {
		rt_gc_emergency();
		s = rt_mheap_alloc(npages, spc, from);
		if (!s)
			out_of_memory(size);
	}
	s->type = t && (t->flags & GORT_TYPE_PRECISE) ? t : NULL;
	void *p = (void *)s->base;
	s->alloccount = 1;
	__atomic_store_n(&s->freeindex, 1, __ATOMIC_RELAXED); // see rt_span_allocated
	rt_gc_heap_live_add((int64_t)bytes);
	rt_gc_span_cached(s);
	rt_mcentral_put(s);
	struct mcache *c = getmcache();
	c->nmalloc[0]++;
	c->largealloc += bytes;
	if (rt_unlikely(rt_mcache_sample_large(c, bytes)))
		sampled(p, bytes);
	return p;
}

// ---- entry points ----

void *
rt_mallocgc(size_t size, const gort_type *t)
{
	if (t && (t->flags & GORT_TYPE_NOSCAN))
		return rt_mallocgc_noscan(size);
	if (rt_unlikely(size == 0))
		return zerobase;
	if (rt_unlikely(size > RT_MAX_SMALL_SIZE))
		return alloc_large(size, t, false, 0);
	if (t && t->spanclass && size == t->size) // 0: a type of the runtime's own, not interned
		return alloc_small(t->spanclass, 0);
	return alloc_small(rt_spanclass_for(t, rt_sizeclass(size)), 0);
}

void *
rt_mallocgc_noscan(size_t size)
{
	if (size < RT_TINY_SIZE)
		return size ? alloc_tiny(size) : zerobase;
	if (rt_unlikely(size > RT_MAX_SMALL_SIZE))
		return alloc_large(size, NULL, true, 0);
	return alloc_small(RT_SPANCLASS(rt_sizeclass(size), true), 0);
}

void *
rt_mallocgc_noscan_raw(size_t size, size_t raw)
{
	if (size <= RT_CLEAR_AHEAD_SIZE)
		return rt_mallocgc_noscan(size);
	if (rt_unlikely(size > RT_MAX_SMALL_SIZE))
		return alloc_large(size, NULL, true, raw);
	return alloc_small(RT_SPANCLASS(rt_sizeclass(size), true), raw);
}

bool
rt_array_size(size_t elem, ptrdiff_t count, size_t *bytes)
{
	return count >= 0 && !__builtin_mul_overflow(elem, (size_t)count, bytes) &&
	       *bytes <= (size_t)1 << 47;
}

size_t
rt_round_size(size_t size, bool noscan)
{
	if (size == 0)
		return 0;
	if (size <= RT_MAX_SMALL_SIZE)
		return rt_spanclasses[RT_SPANCLASS(rt_sizeclass(size), noscan)].size;
	return rt_round_up(size, RT_PAGE_SIZE);
}

// ---- specials ----

void
rt_add_special(void *obj, enum special_kind kind, void *token)
{
	struct mspan *s = rt_spanof((uintptr_t)obj);
	rt_lock(&rt_heap.lock);
	struct special *sp = rt_fixalloc_alloc(&rt_heap.specialalloc);
	rt_unlock(&rt_heap.lock);
	sp->index = rt_span_index(s, (uintptr_t)obj);
	sp->kind = kind;
	sp->token = token;
	rt_lock(&s->speciallock);
	struct special **at = &s->specials;
	while (*at && (*at)->index < sp->index)
		at = &(*at)->next;
	sp->next = *at;
	rt_special_link(at, sp);
	rt_unlock(&s->speciallock);
}

// ---- public ----

RT_NOINLINE static void *
new_unusual(const gort_type *t)
{
	void *p = rt_mallocgc(t->size, t);
	rt_leave();
	return p;
}

void *
gort_new_(const gort_type *t)
{
	rt_enter();
	unsigned spc = t->spanclass;
	if (rt_unlikely(!spc))
		return new_unusual(t);
	void *p = spc == RT_TINY_SPANCLASS ? alloc_tiny(t->size) : alloc_small(spc, 0);
	rt_leave();
	return p;
}

void *
gort_new_array_(const gort_type *t, ptrdiff_t n)
{
	size_t bytes;
	if (!rt_array_size(t->size, n, &bytes))
		rt_panic("runtime error: makeslice: len out of range");
	rt_enter();
	void *p = rt_mallocgc(bytes, t);
	rt_leave();
	return p;
}

void *
gort_new_bytes(size_t n)
{
	if (n > PTRDIFF_MAX || n > (size_t)1 << 47)
		rt_panic("runtime error: makeslice: len out of range");
	rt_enter();
	void *p = rt_mallocgc_noscan(n);
	rt_leave();
	return p;
}

RT_NOINLINE void
gort_keep_alive(const void *p)
{
	__asm__ volatile("" ::"r"(p) : "memory");
}
