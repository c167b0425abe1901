// SPDX-License-Identifier: BSD-3-Clause
// x86-64: the parts of arch.h that are C.
#include "arch/arch.h"

#include <string.h>
#include <ucontext.h>

#include "go_regs.h"

// What rt_switch pops, lowest address first.
struct switch_frame {
	uintptr_t r15, r14, r13, r12, rbx, rbp, pc;
};

void
rt_gobuf_init(struct gobuf *b, uintptr_t hi, const struct gort_go_regs *regs)
{
	hi = rt_round_down(hi, (uintptr_t)16);
	struct gort_go_regs *r = (struct gort_go_regs *)(hi - sizeof *r);
	*r = *regs;
	struct switch_frame *f = (struct switch_frame *)r - 1;
	*f = (struct switch_frame){.pc = (uintptr_t)rt_gostart + 1};
	b->sp = (uintptr_t)f;
}

void
rt_gobuf_set_fn(struct gobuf *b, void *fn)
{
	struct gort_go_regs *r = (struct gort_go_regs *)(b->sp + sizeof(struct switch_frame));
	r->fn = (uint64_t)(uintptr_t)fn;
}

const struct gort_go_regs *
rt_gobuf_regs(const struct gobuf *b)
{
	return (const struct gort_go_regs *)(b->sp + sizeof(struct switch_frame));
}

void
rt_gobuf_init_call(struct gobuf *b, uintptr_t hi, void (*fn)(void *), void *arg)
{
	struct gort_go_regs regs = {.fn = (uint64_t)(uintptr_t)fn};
	regs.gpr[0] = (uint64_t)(uintptr_t)arg;
	rt_gobuf_init(b, hi, &regs);
}

void
rt_gobuf_init_raw(struct gobuf *b, uintptr_t hi, void (*fn)(void))
{
	uintptr_t *top = (uintptr_t *)rt_round_down(hi, (uintptr_t)16) - 1;
	*top = 0; // where a return address would be: 8 below a multiple of 16, as behind a call
	struct switch_frame *f = (struct switch_frame *)top - 1;
	*f = (struct switch_frame){.pc = (uintptr_t)fn};
	b->sp = (uintptr_t)f;
}

void
rt_parked_regs(const struct gobuf *b, struct rt_parked_regs *r)
{
	const struct switch_frame *f = (const struct switch_frame *)b->sp;
	*r = (struct rt_parked_regs){.pc = f->pc, .sp = b->sp + sizeof *f, .fp = f->rbp};
	r->saved[0] = f->rbx;
	r->saved[1] = f->r12;
	r->saved[2] = f->r13;
	r->saved[3] = f->r14;
	r->saved[4] = f->r15;
}

uintptr_t
rt_uc_pc(const void *uc)
{
	return (uintptr_t)((const ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];
}

uintptr_t
rt_uc_sp(const void *uc)
{
	return (uintptr_t)((const ucontext_t *)uc)->uc_mcontext.gregs[REG_RSP];
}

uintptr_t
rt_uc_fp(const void *uc)
{
	return (uintptr_t)((const ucontext_t *)uc)->uc_mcontext.gregs[REG_RBP];
}

void
rt_uc_callee_saved(const void *uc, uintptr_t saved[8])
{
	static const int regs[] = {REG_RBX, REG_R12, REG_R13, REG_R14, REG_R15};
	for (size_t i = 0; i < rt_nelem(regs); i++)
		saved[i] = (uintptr_t)((const ucontext_t *)uc)->uc_mcontext.gregs[regs[i]];
}

void
rt_uc_regs(const void *uc, uintptr_t *regs)
{
	static const int gpr[RT_UC_REGS] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI,
					    REG_RDI, REG_RBP, REG_R8,  REG_R9,  REG_R10,
					    REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
	for (unsigned i = 0; i < RT_UC_REGS; i++)
		regs[i] = (uintptr_t)((const ucontext_t *)uc)->uc_mcontext.gregs[gpr[i]];
}

// The kernel puts the extended state (x87, SSE, AVX) above the ucontext; its size stands in the
// software-reserved bytes of the legacy area (magic FP_XSTATE_MAGIC1).
void
rt_uc_bounds(const void *uc, uintptr_t *lo, uintptr_t *hi)
{
	const ucontext_t *u = uc;
	*lo = (uintptr_t)u;
	*hi = (uintptr_t)(u + 1);
	const char *fp = (const char *)u->uc_mcontext.fpregs;
	if (!fp)
		return;
	uint32_t magic, size = 512;
	memcpy(&magic, fp + 464, sizeof magic);
	if (magic == 0x46505853u)
		memcpy(&size, fp + 468, sizeof size);
	*lo = rt_min(*lo, (uintptr_t)fp);
	*hi = rt_max(*hi, (uintptr_t)fp + size);
}
