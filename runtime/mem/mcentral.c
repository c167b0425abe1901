// SPDX-License-Identifier: BSD-3-Clause
// The central sets: per span class, the spans that no P's cache holds.
//
// Four sets a class: partial (a slot is free) and full, each swept and unswept. Which of a pair is
// which follows from heap.sweepgen: the pair's roles change when a cycle ends, so all spans become
// unswept at once without being touched. Whoever takes a span out of an unswept set owns it and sweeps
// it; nobody else can meet it meanwhile. Spans of more than 32 KiB objects live in the full sets of
// classes 0 and 1.
#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/mheap.h"

// How many spans a refill sweeps in search of a free slot before it takes a new span. More would make
// one allocation slow; fewer would grow the heap beside reusable memory.
#define SWEEP_BUDGET 100

static unsigned
swept_set(void)
{
	return rt_load(&rt_heap.sweepgen) / 2 % 2; // changes with the world stopped only
}

static void
push(struct span_list *l, struct mspan *s)
{
	s->prev = l->tail;
	s->next = NULL;
	if (l->tail)
		l->tail->next = s;
	else
		__atomic_store_n(&l->head, s, __ATOMIC_RELAXED);
	l->tail = s;
	l->n++;
}

static struct mspan *
pop(struct span_list *l)
{
	struct mspan *s = l->head;
	if (!s)
		return NULL;
	__atomic_store_n(&l->head, s->next, __ATOMIC_RELAXED);
	if (l->head)
		l->head->prev = NULL;
	else
		l->tail = NULL;
	l->n--;
	s->next = s->prev = NULL;
	return s;
}

static struct mspan *
take(struct mcentral *c, struct span_list *l)
{
	// Unlocked look first: a stale answer costs a new span or a useless lock, nothing else.
	if (!__atomic_load_n(&l->head, __ATOMIC_RELAXED))
		return NULL;
	rt_lock(&c->lock);
	struct mspan *s = pop(l);
	rt_unlock(&c->lock);
	return s;
}

void
rt_mcentral_put(struct mspan *s)
{
	struct mcentral *c = &rt_heap.central[s->spanclass];
	unsigned swept = swept_set();
	rt_lock(&c->lock);
	push(s->alloccount < s->nelems ? &c->partial[swept] : &c->full[swept], s);
	rt_unlock(&c->lock);
}

struct mspan *
rt_mcentral_take_unswept(unsigned spc)
{
	struct mcentral *c = &rt_heap.central[spc];
	unsigned unswept = 1 - swept_set();
	struct mspan *s = take(c, &c->full[unswept]);
	return s ? s : take(c, &c->partial[unswept]);
}

// A span that after sweeping has room, from the unswept sets; NULL when none was found in the budget.
static struct mspan *
sweep_for_room(struct mcentral *c)
{
	unsigned swept = swept_set();
	for (int budget = SWEEP_BUDGET; budget > 0; budget--) {
		struct mspan *s = take(c, &c->partial[1 - swept]);
		if (!s)
			s = take(c, &c->full[1 - swept]);
		if (!s)
			return NULL;
		rt_sweep_span(s, true);
		if (s->alloccount < s->nelems)
			return s;
		rt_mcentral_put(s);
	}
	return NULL;
}

struct mspan *
rt_mcentral_cachespan(unsigned spc)
{
	struct mcentral *c = &rt_heap.central[spc];
	struct mspan *s = take(c, &c->partial[swept_set()]);
	if (!s && !rt_load(&rt_gc.sweepdone)) {
		rt_sweep_begin();
		s = sweep_for_room(c);
		rt_sweep_end();
	}
	if (!s)
		s = rt_mheap_alloc(rt_spanclasses[spc].npages, spc, SIZE_MAX);
	if (s)
		s->cached = true;
	return s;
}

void
rt_mcentral_uncachespan(struct mspan *s)
{
	if (!s->cached)
		rt_throw("mcentral: span is not cached");
	s->cached = false;
	rt_mcentral_put(s);
}
