// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>
#include <time.h>

#include "core/goroutine.h"
#include "core/labels.h"
#include "core/rtlink.h"
#include "core/thread.h"
#include "sources/sources.h"
#include "unwind/modules.h"
#include "unwind/unwind.h"

#define SNAPSHOT_SIZE ((size_t)256 << 20)

// A region that borrows the list of mappings of the main one.
static struct rtp_region *
new_snapshot(void)
{
	struct rtp_region *main = rtp_main();
	struct rtp_region *r = main ? rtp_region_new(SNAPSHOT_SIZE) : NULL;
	if (!r)
		return NULL;
	rtp_modules_refresh(main);
	r->mappings_of = main;
	r->entry_lo = main->entry_lo;
	r->entry_hi = main->entry_hi;
	return r;
}

// A start function that ended in a tail call has left the stack; it is shown all the same, since it
// says what the goroutine is.
static int
add_start(uintptr_t startpc, uint64_t entry_lo, uint64_t entry_hi, uintptr_t *pcs, int n)
{
	unsigned token;
	int k = n;
	while (k > 0 && pcs[k - 1] >= entry_lo && pcs[k - 1] < entry_hi)
		k--;
	if (startpc && k == 0) { // has not run yet
		pcs[0] = startpc;
		return 1;
	}
	if (!startpc || k == RTP_MAX_FRAMES || pcs[k - 1] == RTP_PC_TRUNCATED)
		return n;
	const struct rtp_modules *t = rtp_modules_enter(&token);
	const struct rtp_module *m = rtp_module_of(t, pcs[k - 1]);
	bool there = !m || rtp_rows_function(&m->rows, pcs[k - 1]) == startpc;
	rtp_modules_leave(token);
	if (!there)
		pcs[k++] = startpc;
	return there ? n : k;
}

struct snapshot {
	struct rtp_region *r;
	enum rtp_kind kind;
	bool each; // one record a goroutine, not one bucket a stack
	int64_t credit; // wall profile: ns for each; 0 none
	const char *state; // of the credit before, and its label set for goroutines without labels
	const struct rtp_labels *state_set;
	int64_t now;
	// Of the goroutine captured last.
	struct rt_goroutine_info gi;
	uintptr_t pcs[RTP_MAX_FRAMES];
	int n;
};

static void
count(struct snapshot *s)
{
	uint64_t labels = rtp_labels_off(s->r->mappings_of, s->gi.labels);
	struct rtp_bucket *b = rtp_bucket(s->r, s->kind, labels, s->pcs, s->n);
	if (b)
		rtp_add(&b->v[RTP_COUNT], 1);
}

static void
record(struct snapshot *s)
{
	const struct rt_goroutine_info *gi = &s->gi;
	struct rtp_goroutine *g = rtp_alloc(s->r, sizeof(*g) + (size_t)s->n * 8);
	if (!g) {
		rtp_add(&s->r->no_memory[RTP_GOROUTINE], 1);
		return;
	}
	*g = (struct rtp_goroutine){ .next = rt_load(&s->r->goroutines), .goid = gi->goid,
				     .parent = gi->parentgoid, .state = gi->state,
				     .waited_ns = gi->waitreason && gi->waitsince ? s->now - gi->waitsince : 0,
				     .gopc = gi->gopc, .locked = gi->locked, .self = gi->self,
				     .npc = (uint32_t)s->n };
	memcpy(g->pcs, s->pcs, (size_t)s->n * 8);
	rt_store(&s->r->goroutines, rtp_off(s->r, g));
}

// The goroutine's labels and its state; most goroutines of a program share a few sets.
static uint64_t
labels_with_state(struct snapshot *s)
{
	struct rtp_region *main = s->r->mappings_of;
	const struct rtp_labels *own = rtp_labels_at(main, rtp_labels_off(main, s->gi.labels));
	if (own || s->gi.state != s->state) {
		struct rtp_label l = { "state", s->gi.state };
		const struct rtp_labels *set = rtp_labels_with(main, own, &l, 1);
		if (own)
			return rtp_off(main, set);
		s->state = s->gi.state;
		s->state_set = set;
	}
	return rtp_off(main, s->state_set);
}

static void
credit(struct snapshot *s)
{
	struct rtp_bucket *b = rtp_bucket(s->r, RTP_WALL, labels_with_state(s), s->pcs, s->n);
	if (!b)
		return;
	rtp_add(&b->v[RTP_CPU_COUNT], 1);
	rtp_add(&b->v[RTP_CPU_NS], (uint64_t)s->credit);
}

// No malloc, no lock, no output; the stack may change while it is read.
static void
capture(const struct rt_goroutine_info *gi, void *arg)
{
	struct snapshot *s = arg;
	s->gi = *gi;
	if (gi->system)
		return;
	struct rtp_stack_ctx ctx = { NULL, NULL };
	struct rtp_walk w = { .exact = gi->uc != NULL, .lo = gi->stack_lo, .hi = gi->stack_hi,
			      .stack_of = rtp_stack_of, .arg = &ctx };
	if (gi->uc)
		rtp_regs_from_uc(&w.r, gi->uc);
	else
		w.r = (struct rtp_regs){ gi->pc, gi->sp, gi->fp };
	s->n = rtp_unwind(&w, s->pcs, RTP_MAX_FRAMES, 0);
	if (!gi->is_main)
		s->n = add_start(gi->startpc, s->r->entry_lo, s->r->entry_hi, s->pcs, s->n);
}

static void
commit(void *arg)
{
	struct snapshot *s = arg;
	if (s->gi.system)
		return;
	if (s->credit)
		credit(s);
	else if (s->each)
		record(s);
	else if (s->kind == RTP_GOROUTINE || s->gi.leaked)
		count(s);
}

static void
walk(void *arg)
{
	const struct snapshot *s = arg;
	if (s->kind == RTP_GOROUTINELEAK)
		rtp_runtime()->find_leaked();
	rtp_runtime()->for_each_goroutine(capture, commit, arg);
}

struct rtp_region *
rtp_goroutine_snapshot(enum rtp_kind kind, bool each)
{
	const struct rt_introspect *rt = rtp_runtime();
	struct snapshot s = { .r = rt && rt->started() ? new_snapshot() : NULL, .kind = kind, .each = each };
	struct timespec ts;
	if (!s.r)
		return NULL;
	clock_gettime(CLOCK_MONOTONIC, &ts); // the clock of rt_nanotime
	s.now = ts.tv_sec * 1000000000ll + ts.tv_nsec;
	rt->visit(walk, &s);
	return s.r;
}

struct rtp_region *
rtp_goroutine_region(void)
{
	return new_snapshot();
}

void
rtp_goroutine_credit(struct rtp_region *r, int64_t ns)
{
	struct snapshot s = { .r = r, .credit = rt_max(ns, (int64_t)1) };
	rtp_runtime()->visit(walk, &s);
}

struct rtp_region *
rtp_threadcreate_snapshot(void)
{
	const struct rt_introspect *rt = rtp_runtime();
	struct rtp_region *r = new_snapshot();
	if (!r)
		return NULL;
	struct rtp_bucket *b = rtp_bucket(r, RTP_THREADCREATE, 0, NULL, 0);
	if (b)
		rtp_add(&b->v[RTP_COUNT], (uint64_t)(rt && rt->started() ? rt->num_threads() : 1));
	return r;
}
