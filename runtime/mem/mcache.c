// SPDX-License-Identifier: BSD-3-Clause
#include "mem/mcache.h"

#include "base/rand.h"
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

// Points the slot at the next run of free slots of its span from index i on; false: none left.
static bool
take_run(struct mcache_slot *sl, uint32_t i)
{
	struct mspan *s = sl->span;
	uint32_t lo = next_bit(s, i, false);
	uint32_t hi = next_bit(s, lo, true);
	sl->next = s->base + lo * s->elemsize;
	sl->limit = s->base + hi * s->elemsize;
	return lo < hi;
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
	uint32_t next = (uint32_t)((sl->next - s->base) / s->elemsize);
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
	*sl = (struct mcache_slot){0};
	rt_mcentral_uncachespan(s);
}

bool
rt_mcache_refill(struct mcache *c, unsigned spc)
{
	struct mcache_slot *sl = &c->slot[spc];
	struct mspan *s = sl->span;
	if (s && take_run(sl, (uint32_t)((sl->limit - s->base) / s->elemsize)))
		return true;
	release(c, sl);
	s = rt_mcentral_cachespan(spc);
	if (!s)
		return false;
	sl->span = s;
	sl->elemsize = (uint32_t)s->elemsize;
	sl->needzero = s->needzero;
	s->needzero = true; // from now on slots get dirty
	c->nslots = rt_max(c->nslots, spc + 1);
	rt_gc_heap_live_add((int64_t)((s->nelems - s->alloccount) * s->elemsize));
	rt_gc_span_cached(s);
	if (!take_run(sl, s->freeindex))
		rt_throw("mcache: span without a free slot");
	return true;
}

void
rt_mcache_flush(struct mcache *c)
{
	for (uint32_t i = 0; i < c->nslots; i++)
		release(c, &c->slot[i]);
	c->nslots = 0;
	c->tiny = 0;
	c->tinyoffset = 0;
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
