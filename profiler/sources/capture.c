// SPDX-License-Identifier: BSD-3-Clause
#include "sources/capture.h"

#include "core/rtlink.h"
#include "unwind/modules.h"

static _Atomic bool learned;

// w->slots, if any, are the caller's.
static int
walk(struct rtp_region *r, struct rtp_walk *w, const struct rtp_regs *regs, uintptr_t *pcs, int max, int skip)
{
	struct rtp_stack_ctx ctx = { 0 };
	w->r = *regs;
	w->exact = true;
	w->lo = w->hi = 0;
	w->stack_of = rtp_stack_of;
	w->arg = &ctx;
	if (!rtp_stack_of(regs->sp, &w->lo, &w->hi, &ctx)) {
		ctx.thread = rtp_thread_self();
		rtp_stack_of(regs->sp, &w->lo, &w->hi, &ctx);
	}
	int n = rtp_unwind(w, pcs, max, skip);
	if (w->truncated)
		rtp_add(&r->truncated, 1);
	return n;
}

static int
learn_and_walk(struct rtp_region *r, struct rtp_walk *w, const struct rtp_regs *regs, uintptr_t *pcs, int max,
	       int skip)
{
	if (!rt_load(&learned)) {
		rt_store(&learned, true);
		rtp_modules_refresh(r);
	}
	int n = walk(r, w, regs, pcs, max, skip);
	if (rt_load(&rtp_modules_stale)) {
		rtp_modules_refresh(r);
		n = walk(r, w, regs, pcs, max, skip);
	}
	return n;
}

int
rtp_capture(struct rtp_region *r, const struct rtp_regs *regs, uintptr_t *pcs, int max, int skip)
{
	struct rtp_walk w = { 0 };
	return learn_and_walk(r, &w, regs, pcs, max, skip);
}

// ---- stacks met before ----

#define SEEN_STACKS 32
#define SEEN_SLOTS 24 // a multiple of 4

struct rtp_seen {
	struct rtp_cell *cell; // this thread's, of that stack's bucket; NULL: free
	uintptr_t sp, pc, hi; // hi of the stack: all slots lie below
	uint64_t aux;
	uint32_t kind_skip;
	uint32_t n; // slots; a multiple of 4, the last ones repeated
	struct seen_slot {
		const volatile uintptr_t *at;
		uintptr_t value;
	} slot[SEEN_SLOTS];
};

static struct rtp_seen *
place_for(struct rtp_region *r, struct rtp_thread *t, uintptr_t sp)
{
	struct rtp_seen *all = (struct rtp_seen *)((char *)r + t->seen);
	return &all[(sp * 0x9e3779b97f4a7c15ull) >> 59];
}

// Four at a time without a branch: nearly always all are the same.
RT_INLINE __attribute__((no_sanitize("address", "thread"))) bool
same_slots(const struct rtp_seen *s)
{
	for (const struct seen_slot *p = s->slot, *end = p + s->n; p < end; p += 4)
		if (((*p[0].at ^ p[0].value) | (*p[1].at ^ p[1].value) | (*p[2].at ^ p[2].value) |
		     (*p[3].at ^ p[3].value)) != 0)
			return false;
	return true;
}

static uint32_t
kind_skip(const struct rtp_event *e)
{
	return (uint32_t)e->kind << 16 | (uint32_t)e->skip;
}

__attribute__((no_sanitize("address", "thread"))) static void
remember(struct rtp_seen *s, struct rtp_cell *cell, const struct rtp_regs *regs, const struct rtp_event *e,
	 const struct rtp_walk *w)
{
	if (w->truncated || w->nslots < 1)
		return;
	int n = rt_round_up(w->nslots, 4);
	for (int i = 0; i < n; i++) {
		uintptr_t at = w->slots[rt_min(i, w->nslots - 1)];
		if (at >= e->stack_hi)
			return;
		s->slot[i].at = (const volatile uintptr_t *)at;
		s->slot[i].value = *s->slot[i].at;
	}
	s->n = (uint32_t)n;
	s->sp = regs->sp;
	s->pc = regs->pc;
	s->hi = e->stack_hi;
	s->aux = e->aux;
	s->kind_skip = kind_skip(e);
	s->cell = cell;
}

RT_INLINE void
add_to_cell(struct rtp_cell *c, uint64_t count_fix16, uint64_t ticks)
{
	rt_store(&c->v[RTP_LOCK_COUNT_FIX16], rt_load(&c->v[RTP_LOCK_COUNT_FIX16]) + count_fix16);
	rt_store(&c->v[RTP_LOCK_TICKS], rt_load(&c->v[RTP_LOCK_TICKS]) + ticks);
}

RT_NOINLINE static void
walk_and_count(struct rtp_region *r, const struct rtp_event *e, const struct rtp_regs *regs)
{
	uintptr_t pcs[RTP_MAX_FRAMES], slots[SEEN_SLOTS];
	struct rtp_walk w = { .slots = slots, .max_slots = SEEN_SLOTS };
	struct rtp_thread *t = rtp_thread_self();
	if (t && !t->seen)
		t->seen = rtp_off(r, rtp_alloc(r, SEEN_STACKS * sizeof(struct rtp_seen)));
	struct rtp_seen *s = t && t->seen && e->stack_hi ? place_for(r, t, regs->sp) : NULL;
	if (s)
		s->cell = NULL;
	int n = learn_and_walk(r, &w, regs, pcs, RTP_MAX_FRAMES, e->skip);
	struct rtp_bucket *b = rtp_bucket(r, e->kind, e->aux, pcs, n);
	if (!b)
		return;
	struct rtp_cell *cell = s ? rtp_cell(r, b, rtp_off(r, t)) : NULL;
	if (cell) {
		add_to_cell(cell, e->count_fix16, e->ticks);
		remember(s, cell, regs, e, &w);
	} else {
		rtp_add(&b->v[RTP_LOCK_COUNT_FIX16], e->count_fix16);
		rtp_add(&b->v[RTP_LOCK_TICKS], e->ticks);
	}
}

void
rtp_capture_count(struct rtp_region *r, const struct rtp_event *e, const struct rtp_regs *regs)
{
	struct rtp_thread *t = rtp_thread_self_peek();
	if (rt_likely(t && t->seen)) {
		const struct rtp_seen *s = place_for(r, t, regs->sp);
		if (rt_likely(s->cell && s->sp == regs->sp && s->pc == regs->pc && s->hi == e->stack_hi &&
			      s->aux == e->aux && s->kind_skip == kind_skip(e) && same_slots(s))) {
			add_to_cell(s->cell, e->count_fix16, e->ticks);
			return;
		}
	}
	walk_and_count(r, e, regs);
}
