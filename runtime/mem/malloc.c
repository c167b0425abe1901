// SPDX-License-Identifier: BSD-3-Clause
// rt_mallocgc, by size:
//   0            one static address
//   < 16, no pointers   the tiny allocator: parts of a 16-byte block
//   <= 32 KiB    1. mcache of this P: next free slot of the run. No lock, no atomic.
//                2. mcache: the next run in the span's alloc bits
//                3. mcentral: another span with room, sweeping some if need be. One lock, once a span.
//                4. mheap: cut a new span. mheap.lock.
//                5. the OS: grow by 4 MiB chunks
//   larger       4 directly
// Objects up to 256 bytes are cleared when they are handed out (their line is about to be written
// anyway), larger ones too, all of them only when their span may hold old bytes.
//
// A collection may start at the slow steps, before the object exists. Callers hold no runtime lock.
// Go: runtime/malloc.go.
#include "mem/malloc.h"

#include <string.h>

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

static void
draw_next_sample(struct mcache *c)
{
	c->rate = rt_load(&rt_mem_profile_rate);
	c->nextsample = c->rate > 0 ? rt_sample_distance(&c->randstate, c->rate) : INT64_MAX;
}

RT_COLD static void
sampled(struct mcache *c, void *p, size_t size)
{
	draw_next_sample(c);
	if (!rt_hooked(RT_HOOK_HEAP))
		return;
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks); // pairs with rt_set_hooks
	void *token = h && h->malloc_sampled ? h->malloc_sampled(p, size) : NULL;
	if (token)
		rt_add_special(p, SPECIAL_PROFILE, token);
}

// ---- small objects ----

RT_INLINE void
clear_slot(uint64_t *p, size_t n)
{
	if (n > 256) {
		memset(p, 0, n);
		return;
	}
	uint64_t *end = p + n / 8;
	do
		*p++ = 0;
	while (p < end);
}

RT_COLD static struct mcache *
refill(struct mcache *c, unsigned spc)
{
	if (c->rate != rt_load(&rt_mem_profile_rate))
		draw_next_sample(c);
	struct mcache_slot *sl = &c->slot[spc];
	size_t bytes = (size_t)rt_spanclasses[spc].npages << RT_PAGE_SHIFT;
	if (!sl->span || sl->limit == sl->span->limit) {
		rt_gc_before_span(bytes);
		c = getmcache();
	}
	if (rt_mcache_refill(c, spc))
		return c;
	rt_gc_emergency();
	c = getmcache();
	if (!rt_mcache_refill(c, spc))
		out_of_memory(bytes);
	return c;
}

RT_INLINE void *
alloc_small(unsigned spc, bool zero)
{
	struct mcache *c = getmcache();
	struct mcache_slot *sl = &c->slot[spc];
	if (rt_unlikely(sl->next >= sl->limit)) {
		c = refill(c, spc);
		sl = &c->slot[spc];
	}
	uintptr_t p = sl->next;
	size_t size = sl->elemsize;
	sl->next = p + size;
	if (zero && sl->needzero)
		clear_slot((uint64_t *)p, size);
	c->nextsample -= (int64_t)size;
	if (rt_unlikely(c->nextsample < 0))
		sampled(c, (void *)p, size);
	return (void *)p;
}

// ---- tiny objects ----

static uint32_t
tiny_align(uint32_t off, size_t size)
{
	if ((size & 7) == 0)
		return rt_round_up(off, 8u);
	if ((size & 3) == 0)
		return rt_round_up(off, 4u);
	if ((size & 1) == 0)
		return rt_round_up(off, 2u);
	return off;
}

static void *
alloc_tiny(size_t size)
{
	struct mcache *c = getmcache();
	uint32_t off = tiny_align(c->tinyoffset, size);
	if (c->tiny && off + size <= RT_TINY_SIZE) {
		c->tinyoffset = off + (uint32_t)size;
		c->tinyallocs++;
		return (void *)(c->tiny + off);
	}
	uintptr_t p = (uintptr_t)alloc_small(RT_SPANCLASS(RT_TINY_CLASS, true), true);
	c = getmcache();
	c->tinyallocs++;
	// Keep the block with more room left.
	if (!c->tiny || size < c->tinyoffset) {
		c->tiny = p;
		c->tinyoffset = (uint32_t)size;
	}
	return (void *)p;
}

// ---- large objects ----

static void *
alloc_large(size_t size, const gort_type *t, bool noscan, bool zero)
{
	if (size > rt_heap.reserved)
		out_of_memory(size);
	uint32_t npages = (uint32_t)((size + RT_PAGE_SIZE - 1) >> RT_PAGE_SHIFT);
	size_t bytes = (size_t)npages << RT_PAGE_SHIFT;
	rt_gc_before_span(bytes);
	unsigned spc = RT_SPANCLASS(0, noscan);
	struct mspan *s = rt_mheap_alloc(npages, spc, zero || !noscan);
	if (!s) {
		rt_gc_emergency();
		s = rt_mheap_alloc(npages, spc, zero || !noscan);
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
	c->nextsample -= (int64_t)bytes;
	if (rt_unlikely(c->nextsample < 0))
		sampled(c, p, bytes);
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
		return alloc_large(size, t, false, true);
	if (t && t->spanclass && size == t->size) // 0: a type of the runtime's own, not interned
		return alloc_small(t->spanclass, true);
	return alloc_small(rt_spanclass_for(t, rt_sizeclass(size)), true);
}

void *
rt_mallocgc_noscan(size_t size)
{
	if (size < RT_TINY_SIZE)
		return size ? alloc_tiny(size) : zerobase;
	if (rt_unlikely(size > RT_MAX_SMALL_SIZE))
		return alloc_large(size, NULL, true, true);
	return alloc_small(RT_SPANCLASS(rt_sizeclass(size), true), true);
}

void *
rt_mallocgc_noscan_raw(size_t size)
{
	if (size < RT_TINY_SIZE)
		return size ? alloc_tiny(size) : zerobase;
	if (rt_unlikely(size > RT_MAX_SMALL_SIZE))
		return alloc_large(size, NULL, true, false);
	return alloc_small(RT_SPANCLASS(rt_sizeclass(size), true), false);
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
