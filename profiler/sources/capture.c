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
#define SEEN_SLOTS 24

struct rtp_seen {
	struct rtp_bucket *b; // NULL: free
	struct rtp_regs regs;
	uint64_t aux;
	uintptr_t hi; // of the stack: all slots lie below
	int kind, skip, n;
	uintptr_t at[SEEN_SLOTS], value[SEEN_SLOTS];
};

// The runtime's stacks only: their bounds are cheap to ask for, and what is below hi is mapped.
static bool
stack_top(uintptr_t sp, uintptr_t *hi)
{
	uintptr_t lo;
	const struct rt_introspect *rt = rtp_runtime();
	return rt && rt->stack_bounds(sp, &lo, hi);
}

static struct rtp_seen *
place_for(struct rtp_region *r, const struct rtp_regs *regs)
{
	struct rtp_thread *t = rtp_thread_self();
	if (!t)
		return NULL;
	if (!t->seen)
		t->seen = rtp_off(r, rtp_alloc(r, SEEN_STACKS * sizeof(struct rtp_seen)));
	struct rtp_seen *all = rtp_at(r, t->seen);
	return all ? &all[(regs->sp * 0x9e3779b97f4a7c15ull) >> 59] : NULL;
}

__attribute__((no_sanitize("address", "thread"))) static bool
same_slots(const struct rtp_seen *s)
{
	for (int i = 0; i < s->n; i++)
		if (*(const volatile uintptr_t *)s->at[i] != s->value[i])
			return false;
	return true;
}

static bool
is_seen(const struct rtp_seen *s, enum rtp_kind kind, uint64_t aux, const struct rtp_regs *regs, int skip,
	uintptr_t hi)
{
	return s->b && s->regs.sp == regs->sp && s->regs.pc == regs->pc && s->kind == (int)kind && s->aux == aux &&
	       s->skip == skip && s->hi == hi && same_slots(s);
}

__attribute__((no_sanitize("address", "thread"))) static void
remember(struct rtp_seen *s, const struct rtp_walk *w, uintptr_t hi)
{
	s->n = w->nslots;
	s->hi = hi;
	for (int i = 0; i < s->n; i++) {
		s->value[i] = *(const volatile uintptr_t *)s->at[i];
		if (s->at[i] >= hi)
			s->n = -1;
	}
	if (s->n < 1 || w->truncated)
		s->b = NULL;
}

struct rtp_bucket *
rtp_capture_bucket(struct rtp_region *r, enum rtp_kind kind, uint64_t aux, const struct rtp_regs *regs, int skip)
{
	uintptr_t pcs[RTP_MAX_FRAMES], hi = 0;
	struct rtp_seen *s = stack_top(regs->sp, &hi) ? place_for(r, regs) : NULL;
	if (s && is_seen(s, kind, aux, regs, skip, hi))
		return s->b;
	struct rtp_walk w = { .slots = s ? s->at : NULL, .max_slots = SEEN_SLOTS };
	if (s)
		s->b = NULL;
	int n = learn_and_walk(r, &w, regs, pcs, RTP_MAX_FRAMES, skip);
	struct rtp_bucket *b = rtp_bucket(r, kind, aux, pcs, n);
	if (s && b) {
		s->b = b;
		s->regs = *regs;
		s->aux = aux;
		s->kind = (int)kind;
		s->skip = skip;
		remember(s, &w, hi);
	}
	return b;
}
