// SPDX-License-Identifier: BSD-3-Clause
#include "mem/mcache.h"

#include <string.h>

#include "base/rand.h"
#include "debug/hooks.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/malloc.h"
#include "os/os.h"

struct mcache *
rt_mcache_alloc(void)
{
	rt_lock(&rt_heap.lock);
	struct mcache *c = rt_fixalloc_alloc(&rt_heap.cachealloc);
	rt_unlock(&rt_heap.lock);
	c->rate = -1; // none that can be set: follow_rate
	rt_random_bytes(&c->randstate, sizeof c->randstate);
	return c;
}

// The first index >= i whose alloc bit is `set`, or nelems.
static uint32_t
next_bit(const struct mspan *s, uint32_t i, bool set)
{
	while (i < s->nelems) {
		uint64_t w = s->alloc[i / 64];
		w = (set ? w : ~w) >> (i % 64);
		if (w)
			return rt_min(i + (uint32_t)__builtin_ctzll(w), s->nelems);
		i = rt_round_down(i, 64) + 64;
	}
	return s->nelems;
}

// ---- heap profile sampling ----

static void
draw_next_sample(struct mcache *c, struct mcache_slot *sl)
{
	sl->nextsample = c->rate > 0 ? rt_sample_distance(&c->randstate, c->rate) : INT64_MAX;
}

// Whether the next n bytes of sl have the sample; if not they are behind it. Each slot has a distance of its
// own: a common one would be reached by whichever class takes its next run first, not by who allocates.
static bool
sample_within(struct mcache *c, struct mcache_slot *sl, size_t n)
{
	if (sl->nextsample < 0)
		draw_next_sample(c, sl);
	if (sl->nextsample < (int64_t)n)
		return true;
	sl->nextsample -= (int64_t)n;
	return false;
}

static void
follow_rate(struct mcache *c)
{
	int64_t rate = rt_load(&rt_mem_profile_rate);
	if (rt_likely(c->rate == rate))
		return;
	c->rate = rate;
	for (unsigned i = 0; i < RT_MAX_SPANCLASSES; i++)
		c->slot[i].nextsample = -1;
}

bool
rt_mcache_sample_large(struct mcache *c, size_t n)
{
	follow_rate(c);
	bool sample = sample_within(c, &c->slot[0], n);
	if (sample)
		draw_next_sample(c, &c->slot[0]);
	return sample;
}

// ---- runs ----

// Shortens the free slots [lo, *hi) to those before a sample, or to the sample alone: then true.
static bool
cut_at_sample(struct mcache *c, struct mcache_slot *sl, uint32_t lo, uint32_t *hi)
{
	if (rt_likely(!sample_within(c, sl, (size_t)(*hi - lo) * sl->elemsize)))
		return false;
	uint32_t before = (uint32_t)(sl->nextsample / sl->elemsize);
	if (before) {
		*hi = lo + before;
		sl->nextsample -= (int64_t)before * sl->elemsize;
		return false;
	}
	*hi = lo + 1;
	draw_next_sample(c, sl);
	return true;
}

// Points the slot at the next run of free slots of its span from index i on.
static enum refill
take_run(struct mcache *c, struct mcache_slot *sl, uint32_t i)
{
	struct mspan *s = sl->span;
	uint32_t lo = next_bit(s, i, false);
	uint32_t hi = next_bit(s, lo, true);
	if (lo == hi)
		return REFILL_NONE;
	if (sl->clearahead)
		hi = rt_min(hi, lo + RT_CLEAR_AHEAD / sl->elemsize);
	bool sample = cut_at_sample(c, sl, lo, &hi);
	sl->next = s->base + lo * s->elemsize;
	sl->limit = s->base + hi * s->elemsize;
	if (sl->clearahead)
		memset((void *)sl->next, 0, sl->limit - sl->next);
	return sample ? REFILL_SAMPLE : REFILL_RUN;
}

static uint32_t
count_alloc_from(const struct mspan *s, uint32_t i)
{
	uint32_t n = 0;
	for (uint32_t w = i / 64; w < s->nwords; w++) {
		uint64_t bits = s->alloc[w];
		if (w == i / 64)
			bits &= ~0ull << (i % 64);
		n += __builtin_popcountll(bits);
	}
	return n;
}

// Stores in the span what its use in the cache changed, and in the counts.
static void
settle(struct mcache *c, struct mcache_slot *sl)
{
	struct mspan *s = sl->span;
	// Rounded up: what is left of a tiny block is lost.
	uint32_t next = rt_span_index(s, sl->next + s->elemsize - 1);
	uint32_t count = next + count_alloc_from(s, next);
	c->nmalloc[rt_spanclasses[s->spanclass].sizeclass] += count - s->alloccount;
	__atomic_store_n(&s->freeindex, next, __ATOMIC_RELAXED); // see rt_span_allocated
	s->alloccount = count;
}

static void
release(struct mcache *c, struct mcache_slot *sl)
{
	struct mspan *s = sl->span;
	if (!s)
		return;
	settle(c, sl);
	// heap_live was raised by all free slots when the span was taken.
	rt_gc_heap_live_add(-(int64_t)((s->nelems - s->alloccount) * s->elemsize));
	int64_t nextsample = sl->nextsample < 0 ? -1 : sl->nextsample + (int64_t)(sl->limit - sl->next);
	*sl = (struct mcache_slot){.nextsample = nextsample};
	rt_mcentral_uncachespan(s);
}

enum refill
rt_mcache_next_run(struct mcache *c, unsigned spc)
{
	struct mcache_slot *sl = &c->slot[spc];
	follow_rate(c);
	return sl->span ? take_run(c, sl, rt_span_index(sl->span, sl->limit)) : REFILL_NONE;
}

enum refill
rt_mcache_new_span(struct mcache *c, unsigned spc)
{
	struct mcache_slot *sl = &c->slot[spc];
	release(c, sl);
	struct mspan *s = rt_mcentral_cachespan(spc == RT_TINY_SPANCLASS ? RT_SPANCLASS(RT_TINY_CLASS, true) : spc);
	if (!s)
		return REFILL_NONE;
	sl->span = s;
	sl->next = sl->limit = s->base;
	sl->elemsize = (uint32_t)s->elemsize;
	sl->clearahead = s->needzero && s->elemsize <= RT_CLEAR_AHEAD_SIZE;
	sl->needzero = s->needzero && !sl->clearahead;
	s->needzero = true; // from now on slots get dirty
	c->nslots = rt_max(c->nslots, spc + 1);
	rt_gc_heap_live_add((int64_t)((s->nelems - s->alloccount) * s->elemsize));
	rt_gc_span_cached(s);
	enum refill r = take_run(c, sl, s->freeindex);
	if (r == REFILL_NONE)
		rt_throw("mcache: span without a free slot");
	return r;
}

void
rt_mcache_flush(struct mcache *c)
{
	for (uint32_t i = 1; i < c->nslots; i++)
		release(c, &c->slot[i]);
	c->nslots = 0;
}

// -ln of a uniform number in (0, 1], to about 1e-9: halvings by the exponent, the rest by the series
// of artanh. Not libm's log: the runtime does not link it.
static double
neg_ln(uint64_t bits)
{
	union {
		double d;
		uint64_t u;
	} x = {.d = (double)((bits >> 11) + 1) * 0x1p-53};
	int e = (int)(x.u >> 52) - 1022; // x = m * 2^e with m in [0.5, 1)
	x.u = (x.u & ((1ull << 52) - 1)) | 1022ull << 52;
	double t = (x.d - 1) / (x.d + 1), t2 = t * t, sum = 0;
	for (int k = 19; k >= 1; k -= 2)
		sum = sum * t2 + 1.0 / k;
	return -(2 * t * sum + e * 0.69314718055994530942);
}

int64_t
rt_sample_distance(uint64_t *randstate, int64_t mean)
{
	if (mean <= 1)
		return 0;
	return (int64_t)(neg_ln(rt_rand_next(randstate)) * (double)mean);
}
