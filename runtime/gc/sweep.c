// SPDX-License-Identifier: BSD-3-Clause
// Sweeping: turns mark bits into alloc bits, span by span, after the world runs again. By whom:
//   - a refill that needs a span of the class (mcentral.c): recycles the span on the spot
//   - an allocation, in proportion to its bytes, so that all is swept before the next cycle (rt_sweep_for)
//   - the background sweeper, a goroutine that yields between spans
//   - the next cycle's start, for what is left
//
// Whoever takes a span out of an unswept set owns it until it puts it back or frees it; between the two
// it is counted in nsweeping, so that "no unswept span in any set and nsweeping 0" means done.
// Only slots that were allocated can live: a stale word may have marked a free slot, and slots of a span
// that was cached while marking ran were marked beforehand (rt_gc_span_cached).
// Go: runtime/mgcsweep.go.
#include <string.h>

#include "base/print.h"
#include "debug/env.h"
#include "debug/hooks.h"
#include "gc/gc.h"
#include "gc/special.h"
#include "mem/scavenge.h"
#include "os/os.h"
#include "sched/proc.h"

#define CLOBBER 0xdeadbeefu

static struct {
	struct rt_mutex lock;
	// Under lock.
	struct g *g; // the background sweeper, once it has parked
	bool started, parked;
} bgsweep;

// ---- one span ----

static uint64_t
allocated_word(const struct mspan *s, uint32_t k)
{
	uint64_t w = s->alloc[k];
	uint32_t lo = k * 64;
	if (s->freeindex >= lo + 64)
		return ~0ull;
	if (s->freeindex > lo)
		w |= (1ull << (s->freeindex - lo)) - 1;
	return w;
}

static bool
marked(const struct mspan *s, uint32_t i)
{
	return rt_load(&s->mark[i / 64]) >> (i % 64) & 1; // marking is over
}

static void
take_special(struct special **at, struct special ***end)
{
	struct special *sp = *at;
	rt_special_link(at, sp->next);
	sp->next = NULL;
	**end = sp;
	*end = &sp->next;
}

// Handles of objects that are dead, or will be but for their finalizers.
static struct special *
clear_weak_locked(struct mspan *s)
{
	struct special *list = NULL, **end = &list;
	for (struct special **at = &s->specials; *at;)
		if ((*at)->kind == SPECIAL_WEAK && !marked(s, (*at)->index)) {
			rt_weak_clear(*at);
			take_special(at, &end);
		} else {
			at = &(*at)->next;
		}
	return list;
}

// The finalizers of objects that are dead but for them. Their objects live, with all their specials: marks
// are set when the whole list has been seen, as one slot may have several (tiny objects).
static struct special *
take_finalizers_locked(struct mspan *s)
{
	struct special *list = NULL, **end = &list;
	for (struct special **at = &s->specials; *at;)
		if ((*at)->kind == SPECIAL_FINALIZER && !marked(s, (*at)->index))
			take_special(at, &end);
		else
			at = &(*at)->next;
	for (struct special *sp = list; sp; sp = sp->next)
		rt_store(&s->mark[sp->index / 64],
			 rt_load(&s->mark[sp->index / 64]) | 1ull << (sp->index % 64));
	return list;
}

static struct special *
take_dead_locked(struct mspan *s, bool profile)
{
	struct special *list = NULL, **end = &list;
	for (struct special **at = &s->specials; *at;)
		if (((*at)->kind == SPECIAL_PROFILE) == profile && !marked(s, (*at)->index))
			take_special(at, &end);
		else
			at = &(*at)->next;
	return list;
}

// Takes the specials of dead objects off the span and acts on them.
static void
sweep_specials(struct mspan *s)
{
	rt_lock(&s->speciallock);
	struct special *weak = clear_weak_locked(s), *finalizers = take_finalizers_locked(s);
	struct special *cleanups = take_dead_locked(s, false), *dead = take_dead_locked(s, true);
	rt_unlock(&s->speciallock);
	rt_attached_died(weak);
	rt_attached_died(finalizers);
	rt_attached_died(cleanups);
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	while (dead) {
		struct special *sp = dead;
		dead = sp->next;
		if (h && h->malloc_freed)
			h->malloc_freed(sp->token, s->elemsize);
		rt_lock(&rt_heap.lock);
		rt_fixalloc_free(&rt_heap.specialalloc, sp);
		rt_unlock(&rt_heap.lock);
	}
}

// Not seen by TSan: that the program has read what it no longer reaches before, is known by the stop at the end of
// marking, of which threads that stopped in a handler or hold no P tell it nothing.
__attribute__((no_sanitize("thread"))) static void
clobber(struct mspan *s)
{
	for (uint32_t i = 0; i < s->nelems; i++)
		if (rt_span_allocated(s, i) && !marked(s, i))
			for (size_t o = 0; o < s->elemsize; o += 4)
				*(volatile uint32_t *)(s->base + i * s->elemsize + o) = CLOBBER;
}

static void
count_freed(const struct mspan *s, uint32_t nfreed)
{
	unsigned c = rt_spanclasses[s->spanclass].sizeclass;
	atomic_fetch_add_explicit(&rt_gc.nfree[c], nfreed, memory_order_relaxed);
	if (c == 0)
		atomic_fetch_add_explicit(&rt_gc.largefree, s->elemsize * nfreed,
					  memory_order_relaxed);
}

bool
rt_sweep_span(struct mspan *s, bool keep)
{
	uint32_t swept = rt_load(&rt_heap.sweepgen);
	rt_store(&s->sweepgen, swept - 1);
	atomic_thread_fence(memory_order_release); // before any mark changes: pairs with weak.c's judge
	if (__atomic_load_n(&s->specials, __ATOMIC_RELAXED))
		sweep_specials(s);
	if (rt_unlikely(rt_debug.clobberfree))
		clobber(s);
	uint32_t live = 0;
	for (uint32_t k = 0; k < s->nwords; k++) {
		uint64_t bits = rt_load(&s->mark[k]) & allocated_word(s, k);
		s->alloc[k] = bits;
		live += __builtin_popcountll(bits);
		rt_store(&s->mark[k], 0);
		rt_store(&s->scan[k], 0);
	}
	if (!s->divmul)
		rt_store(&s->scan[1], 0); // large: the oblet cursor
	uint32_t nfreed = s->alloccount - live;
	if (nfreed)
		count_freed(s, nfreed);
	s->alloccount = live;
	__atomic_store_n(&s->freeindex, 0, __ATOMIC_RELAXED);
	rt_store_release(&s->sweepgen, swept);
	atomic_fetch_add_explicit(&rt_gc.pages_swept, s->npages, memory_order_relaxed);
	if (live || keep)
		return true;
	rt_mheap_free(s);
	return false;
}

// ---- all spans ----

static _Atomic uint32_t cursor; // span classes below it have no unswept span

uint32_t
rt_sweepone(void)
{
	if (rt_load(&rt_gc.sweepdone))
		return 0;
	rt_sweep_begin();
	uint32_t npages = 0, n = rt_load_acquire(&rt_nspanclasses);
	for (uint32_t spc = rt_load(&cursor); spc < n; spc++) {
		struct mspan *s = rt_mcentral_take_unswept(spc);
		if (s) {
			npages = s->npages;
			if (rt_sweep_span(s, false))
				rt_mcentral_put(s);
			break;
		}
		// A raced store may put the cursor back: costs looks into empty sets, misses nothing.
		rt_store(&cursor, spc + 1);
	}
	rt_sweep_end();
	return npages;
}

static void
trace_done(void)
{
	uint64_t live = rt_load(&rt_gc.heap_live), basis = rt_gc.sweep_live_basis;
	char ratio[64];
	rt_printf("pacer: sweep done at heap size %lluMB; allocated %lluMB during sweep; swept %llu pages "
		  "at %s pages/byte\n",
		  (unsigned long long)(live >> 20),
		  (unsigned long long)((live > basis ? live - basis : 0) >> 20),
		  (unsigned long long)rt_load(&rt_gc.pages_swept), rt_shortest(ratio, rt_gc.sweep_ratio));
}

// Once a cycle, when the last span is swept.
static void
sweep_done(void)
{
	bool no = false;
	if (!atomic_compare_exchange_strong(&rt_gc.sweepdone, &no, true))
		return;
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	if (h && h->heap_swept)
		h->heap_swept();
	if (rt_unlikely(rt_debug.gcpacertrace > 0))
		trace_done();
	rt_scavenge_after_sweep();
}

void
rt_sweep_finish(void)
{
	while (!rt_load(&rt_gc.sweepdone)) {
		if (rt_sweepone())
			continue;
		if (atomic_load(&rt_gc.nsweeping) == 0)
			sweep_done();
		else
			rt_os_yield(); // its thread is inside the runtime: it comes out soon
	}
}

void
rt_sweep_start(void)
{
	rt_store(&rt_heap.sweepgen, rt_load(&rt_heap.sweepgen) + 2);
	rt_store(&cursor, 0);
	rt_store(&rt_gc.pages_swept, 0);
	uint64_t live = rt_load(&rt_gc.heap_live), trigger = rt_load(&rt_gc.trigger);
	// Done with 1 MiB to spare, as Go.
	uint64_t room = trigger > live + (1 << 20) ? trigger - live - (1 << 20) : RT_PAGE_SIZE;
	rt_gc.sweep_ratio = (double)rt_load(&rt_heap.pagesinuse) / (double)room;
	rt_store(&rt_gc.pages_per_byte, rt_gc.sweep_ratio);
	rt_gc.sweep_live_basis = live;
	rt_store(&rt_gc.sweepdone, false);
}

void
rt_sweep_for(size_t bytes)
{
	if (rt_load(&rt_gc.sweepdone))
		return;
	uint64_t live = rt_load(&rt_gc.heap_live) + bytes;
	if (live <= rt_gc.sweep_live_basis)
		return;
	double want = (double)(live - rt_gc.sweep_live_basis) * rt_load(&rt_gc.pages_per_byte);
	while ((double)rt_load(&rt_gc.pages_swept) < want)
		if (!rt_sweepone()) {
			rt_store(&rt_gc.pages_per_byte, 0); // nothing left
			return;
		}
}

// ---- the background sweeper ----

static void
bgsweeper(void *arg)
{
	rt_enter();
	for (;;) {
		for (unsigned n = 1; rt_sweepone(); n++)
			if (n % 16 == 0)
				rt_gosched();
		if (!rt_load(&rt_gc.sweepdone)) {
			if (atomic_load(&rt_gc.nsweeping) == 0)
				sweep_done();
			rt_gosched();
			continue;
		}
		rt_lock(&bgsweep.lock);
		bgsweep.parked = true;
		bgsweep.g = rt_getg();
		rt_park(&bgsweep.lock, WAIT_GC_SWEEP);
	}
}

void
rt_sweep_init(void)
{
	rt_store(&rt_gc.sweepdone, true);
}

void
rt_sweep_wake(void)
{
	rt_lock(&bgsweep.lock);
	struct g *gp = bgsweep.parked ? bgsweep.g : NULL;
	bool first = !bgsweep.started;
	bgsweep.started = true;
	bgsweep.parked = false;
	rt_unlock(&bgsweep.lock);
	if (first)
		rt_newproc_system(bgsweeper, NULL);
	else if (gp)
		rt_ready(gp);
}
