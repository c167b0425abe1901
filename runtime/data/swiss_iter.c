// SPDX-License-Identifier: BSD-3-Clause
// The open-addressing map's iteration; layout: swiss.h.
//
// The walk goes over prefixes of the hash, table by table, from a random one round to it again. Tables
// only ever split, so the end of one is always where another begins, whatever happens to the directory
// meanwhile; and an entry never leaves its prefix.
//
// An iteration whose table has been replaced goes on in the old one (swiss_grow.c) and asks the map for each
// key (visit): what was deleted is passed over, what was changed is seen as it is. A clear ends it.
#include "data/swiss.h"

// A step takes 64 slots (or the table's, if it has fewer): who visits their entries mispredicts the end of
// the step only, and the rest is worth a call. Steps and slots go round from a random one, too.
#define SPAN 64u
#define MAX_PREFETCH 2048

// Never the map's: 32 bits that start at 0.
#define NO_VERSION UINT32_MAX

void
rt_swiss_iterate(struct gort_map *map, struct gort_map_iter *it)
{
	smap *m = (smap *)map;
	uint64_t r = rt_map_random();
	uint8_t depth = meta(tableof(m, r))->localdepth;
	it->t = m->t;
	it->h = map;
	it->start = it->pos = depth ? r >> (64 - depth) << (64 - depth) : 0;
	it->startspan = (uint32_t)rt_map_random();
	it->unitsize = m->t->unitsize;
	it->elemoff = m->t->elemoff;
	it->clearseq = m->clearseq;
	it->version_ = NO_VERSION;
}

static const struct meta *
itermeta(const struct gort_map_iter *it)
{
	return (const struct meta *)it->ctrl - 1;
}

// Where the table after the one that is being walked begins.
static uint64_t
nextpos(const struct gort_map_iter *it)
{
	uint8_t depth = itermeta(it)->localdepth;
	return it->pos + (depth ? (uint64_t)1 << (64 - depth) : 0);
}

static void
entertable(struct gort_map_iter *it, const smap *m)
{
	const table *tab = tableof(m, it->pos);
	uint32_t cap = meta(tab)->cap;
	if (cap && !rt_load(&meta(tab)->iterated))
		rt_store(&meta(tab)->iterated, 1);
	it->ctrl = tab->ctrl;
	it->slots = tab->slots;
	it->span = 0;
	it->nspans = rt_max(cap / SPAN, 1u);
	it->rotate_ = (uint8_t)(it->startspan >> 26 & (rt_max(rt_min(cap, SPAN), 1u) - 1));
}

// False when the walk has come round.
static bool
nexttable(struct gort_map_iter *it, const smap *m)
{
	if (it->ctrl) {
		it->pos = nextpos(it);
		if (it->pos == it->start)
			return false;
	}
	entertable(it, m);
	return true;
}

// Asks for the lines of a step's slots, so that they come while the one before is walked. (MapIterate1M:
// 4.5 ns an entry without; the CPU alone does not see far enough ahead.)
static void
prefetchspan(const struct gort_map_iter *it, const char *slots)
{
	size_t bytes = rt_min((size_t)SPAN * it->unitsize, (size_t)MAX_PREFETCH);
	for (size_t at = 0; at < bytes; at += RT_CACHE_LINE)
		__builtin_prefetch(slots + at);
}

static size_t
spanat(const struct gort_map_iter *it, uint32_t span)
{
	return ((span + it->startspan) & (it->nspans - 1)) * SPAN;
}

static void
enterspan(struct gort_map_iter *it)
{
	size_t at = spanat(it, it->span++);
	it->spanctrl = it->ctrl + at;
	it->spanslots = it->slots + at * it->unitsize;
	uint64_t full = 0;
	for (unsigned i = 0, cap = itermeta(it)->cap; i < SPAN && i < cap; i += GROUP)
		full |= (uint64_t)fullslots(it->spanctrl + i) << i;
	unsigned r = it->rotate_;
	it->mask_ = full >> r | full << (-r & 63);
	if (it->span < it->nspans) {
		prefetchspan(it, it->slots + spanat(it, it->span) * it->unitsize);
	} else {
		const table *next = tableof((const smap *)it->h, nextpos(it));
		__builtin_prefetch((const struct meta *)next->ctrl - 1);
		__builtin_prefetch(next->ctrl + spanat(it, 0));
		prefetchspan(it, next->slots + spanat(it, 0) * it->unitsize);
	}
}

// Makes slot i of the span the current entry. In a table that has been replaced: what the map says
// of its key now; a key that is equal to nothing cannot have been deleted or changed.
static bool
visit(struct gort_map_iter *it, unsigned i, bool stale)
{
	const struct gort_maptype *t = it->t;
	char *slot = it->spanslots + i * it->unitsize;
	struct map_entry e = {keyof(t, slot), elemof(t, slot)};
	if (stale && (t->reflexivekey || t->equal(t, e.key, e.key)))
		e = rt_swiss_access(it->h, e.key);
	it->key = e.key;
	it->value = e.elem;
	return e.key != NULL;
}

static bool
enditeration(struct gort_map_iter *it)
{
	it->key = it->value = NULL;
	it->t = NULL;
	it->mask_ = 0;
	return false;
}

bool
rt_swiss_next(struct gort_map_iter *it)
{
	const smap *m = (const smap *)it->h;
	const struct gort_maptype *t = it->t;
	if (rt_unlikely(rt_load(&m->state) & GORT_MAP_WRITING_))
		rt_fatal("concurrent map iteration and map write");
	if (it->clearseq != m->clearseq)
		return enditeration(it);
	bool stale = it->ctrl && it->ctrl != tableof(m, it->pos)->ctrl;
	for (;;) {
		// gort_map_next itself goes on as long as nothing is replaced.
		it->version_ = stale || t->indirectkey || t->indirectelem ? NO_VERSION : m->version;
		while (it->mask_) {
			unsigned i = ((unsigned)__builtin_ctzll(it->mask_) + it->rotate_) % SPAN;
			it->mask_ &= it->mask_ - 1;
			if (it->spanctrl[i] & FULL && visit(it, i, stale))
				return true;
		}
		if (!it->ctrl || it->span == it->nspans) {
			if (!nexttable(it, m))
				return enditeration(it);
			stale = false;
		}
		enterspan(it);
	}
}
