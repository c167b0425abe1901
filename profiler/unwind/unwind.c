// SPDX-License-Identifier: BSD-3-Clause
#include "unwind/unwind.h"

#include "unwind/modules.h"

// Rules by pc: a direct-mapped cache shared by all threads. An entry is one word, tag << 30 | rule, so
// it is either right or somebody else's; the index and the tag are the two halves of an invertible
// hash of the 48-bit pc. A rule is never 0 here, so neither is an entry in use.
#define CACHE_BITS 14
#define TAG_BITS (48 - CACHE_BITS)
static _Atomic uint64_t cache[1 << CACHE_BITS];

#define MAX_STACK_SWITCHES 4

static uint32_t
rule_at(const struct rtp_modules *t, uintptr_t pc)
{
	uint64_t h = (pc * 0x9e3779b97f4a7c15ull) & ((1ull << 48) - 1);
	_Atomic uint64_t *slot = &cache[h >> TAG_BITS];
	uint64_t tag = h & ((1ull << TAG_BITS) - 1), e = rt_load(slot);
	if (e >> 30 == tag && (e & 0x3fffffff))
		return e & 0x3fffffff;
	const struct rtp_module *m = rtp_module_of(t, pc);
	if (!m) {
		rt_store(&rtp_modules_stale, true);
		return RTP_RULE_NONE;
	}
	uint32_t rule = rtp_rows_find(&m->rows, (uint32_t)(pc - m->base));
	if (rule != RTP_RULE_NONE)
		rt_store(slot, tag << 30 | rule);
	return rule;
}

void
rtp_rules_forget(void)
{
	for (size_t i = 0; i < rt_nelem(cache); i++)
		rt_store(&cache[i], 0);
}

__attribute__((no_sanitize("address", "thread"))) static bool
load(const struct rtp_walk *w, uintptr_t at, uintptr_t *v)
{
	if (at % 8 != 0 || at < w->lo || at > w->hi - 8 || w->hi - w->lo < 8)
		return false;
	if (w->read)
		return w->read(at, v, sizeof(*v), w->arg);
	*v = *(const volatile uintptr_t *)at;
	return true;
}

// Makes sure that [at, at + n) can be read, asking for the bounds of another stack if need be.
static bool
reach(struct rtp_walk *w, uintptr_t at, size_t n, int *switches)
{
	if (at >= w->lo && at < w->hi && w->hi - at >= n)
		return true;
	uintptr_t lo, hi;
	if (!w->stack_of || *switches == MAX_STACK_SWITCHES || !w->stack_of(at, &lo, &hi, w->arg))
		return false;
	++*switches;
	w->lo = lo;
	w->hi = hi;
	return at >= lo && at < hi && hi - at >= n;
}

// The caller through a cfa: return address below it, sp at it.
static bool
step_cfa(struct rtp_walk *w, uintptr_t cfa, uint32_t fp_rule, int *switches)
{
	struct rtp_regs *r = &w->r;
	bool inside = cfa > w->lo && cfa <= w->hi;
	if (inside && cfa <= r->sp && r->sp >= w->lo && r->sp < w->hi)
		return false; // stacks grow down
	uintptr_t pc, fp = r->fp;
	if (!reach(w, cfa - 8, 8, switches) || !load(w, cfa - 8, &pc))
		return false;
	if (fp_rule == RTP_RULE_FP_LOST)
		fp = 0;
	else if (fp_rule != RTP_RULE_FP_SAME && !load(w, cfa - 8 * fp_rule, &fp))
		fp = 0;
	if (fp_rule != RTP_RULE_FP_SAME)
		w->no_fp = false; // known from here on, or lost for good
	*r = (struct rtp_regs){ pc, cfa, fp };
	w->exact = false;
	return true;
}

static bool
step_deref(struct rtp_walk *w, uint32_t off, int *switches)
{
	uintptr_t cfa, saved, at = w->r.fp + ((intptr_t)off - RTP_RULE_OFF_BIAS) * 8;
	if (!reach(w, w->r.fp, 8, switches) || !load(w, w->r.fp, &saved) || !load(w, at, &cfa))
		return false;
	if (!step_cfa(w, cfa, RTP_RULE_FP_SAME, switches))
		return false;
	w->r.fp = saved;
	return true;
}

// noinline: handlers, which need no copy, run on small stacks.
RT_NOINLINE static bool
regs_from_copy(struct rtp_walk *w)
{
	char copy[RTP_SIGFRAME_SIZE] RT_ALIGNED(16);
	if (!w->read(w->r.sp, copy, sizeof(copy), w->arg))
		return false;
	rtp_regs_from_sigframe(&w->r, (uintptr_t)copy);
	return true;
}

__attribute__((no_sanitize("address", "thread"))) static bool
step_signal(struct rtp_walk *w, int *switches)
{
	if (!reach(w, w->r.sp, RTP_SIGFRAME_SIZE, switches))
		return false;
	if (w->read) {
		if (!regs_from_copy(w))
			return false;
	} else {
		rtp_regs_from_sigframe(&w->r, w->r.sp);
	}
	w->exact = true;
	w->no_fp = false;
	return true;
}

// Without a rule: a frame pointer that points up into this stack at a return address into known code.
static bool
step_fp(struct rtp_walk *w, const struct rtp_modules *t)
{
	uintptr_t fp = w->r.fp, next, pc;
	if (w->no_fp || fp < w->r.sp || !load(w, fp, &next) || !load(w, fp + 8, &pc))
		return false;
	if (t && !rtp_module_of(t, pc - 1))
		return false;
	w->r = (struct rtp_regs){ pc, fp + 16, next };
	w->exact = false;
	return true;
}

// A call to an address that holds no code (a bad function pointer): its return address is on top.
static bool
step_bad_call(struct rtp_walk *w, const struct rtp_modules *t)
{
	uintptr_t pc;
	if (!w->exact || !load(w, w->r.sp, &pc) || !t || !rtp_module_of(t, pc - 1))
		return false;
	w->r.pc = pc;
	w->r.sp += 8;
	w->exact = false;
	return true;
}

static bool
step(struct rtp_walk *w, const struct rtp_modules *t, int *switches)
{
	struct rtp_regs *r = &w->r;
	uint32_t rule = w->no_rows ? RTP_RULE_NONE : rule_at(t, w->exact ? r->pc : r->pc - 1);
	uint32_t off = rule >> 9, fp = rule >> 3 & 63;
	if (rt_unlikely(w->no_fp) && (rule & 7) == RTP_RULE_FP && !rtp_find_fp(w, t))
		return false;
	switch ((enum rtp_rule_kind)(rule & 7)) {
	case RTP_RULE_SP:
		return step_cfa(w, r->sp + off * 8ul, fp, switches);
	case RTP_RULE_FP:
		return step_cfa(w, r->fp + off * 8ul, fp, switches);
	case RTP_RULE_DEREF:
		return !w->no_fp && step_deref(w, off, switches);
	case RTP_RULE_PLT:
		return step_cfa(w, rtp_plt_cfa(r->pc, r->sp), RTP_RULE_FP_SAME, switches);
	case RTP_RULE_SIG:
		return step_signal(w, switches);
	case RTP_RULE_END:
		w->complete = true;
		return false;
	case RTP_RULE_NONE:
		break;
	}
	if (!reach(w, r->sp, 8, switches))
		return false;
	if (t && !rtp_module_of(t, w->exact ? r->pc : r->pc - 1) && step_bad_call(w, t))
		return true;
	return step_fp(w, t);
}

// Every kind of step but that over a signal frame leaves sp just above the return address.
static void
note_slot(struct rtp_walk *w)
{
	if (w->exact || w->nslots == w->max_slots)
		w->nslots = -1;
	if (w->nslots >= 0)
		w->slots[w->nslots++] = w->r.sp - 8;
}

int
rtp_unwind(struct rtp_walk *w, uintptr_t *pcs, int max, int skip)
{
	unsigned token;
	const struct rtp_modules *t = rtp_modules_enter(&token);
	int n = 0, switches = 0;
	w->truncated = w->complete = false;
	w->nslots = 0;
	for (;;) {
		// A caller's address is shown inside its call instruction.
		uintptr_t pc = w->exact ? w->r.pc : w->r.pc - 1;
		if (!w->exact && w->r.pc < 4096) { // the zero word that ends a chain
			w->complete = true;
			break;
		}
		if (skip > 0) {
			skip--;
		} else if (n == max) {
			pcs[max - 1] = RTP_PC_TRUNCATED;
			w->truncated = true;
			break;
		} else {
			pcs[n++] = pc;
		}
		if (!step(w, t, &switches))
			break;
		if (w->slots)
			note_slot(w);
	}
	rtp_modules_leave(token);
	return n;
}
