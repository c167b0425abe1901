// SPDX-License-Identifier: BSD-3-Clause
#include "sources/capture.h"

#include "unwind/modules.h"

static _Atomic bool learned;

static int
walk(struct rtp_region *r, const struct rtp_regs *regs, uintptr_t *pcs, int max, int skip)
{
	struct rtp_stack_ctx ctx = { 0 };
	struct rtp_walk w = { .r = *regs, .exact = true, .stack_of = rtp_stack_of, .arg = &ctx };
	if (!rtp_stack_of(regs->sp, &w.lo, &w.hi, &ctx)) {
		ctx.thread = rtp_thread_self();
		rtp_stack_of(regs->sp, &w.lo, &w.hi, &ctx);
	}
	int n = rtp_unwind(&w, pcs, max, skip);
	if (w.truncated)
		rtp_add(&r->truncated, 1);
	return n;
}

int
rtp_capture(struct rtp_region *r, const struct rtp_regs *regs, uintptr_t *pcs, int max, int skip)
{
	if (!rt_load(&learned)) {
		rt_store(&learned, true);
		rtp_modules_refresh(r);
	}
	int n = walk(r, regs, pcs, max, skip);
	if (rt_load(&rtp_modules_stale)) {
		rtp_modules_refresh(r);
		n = walk(r, regs, pcs, max, skip);
	}
	return n;
}
