// SPDX-License-Identifier: BSD-3-Clause
// x86-64: the registers an unwinder follows, where they lie in a signal frame, and a system call that
// leaves errno alone.
#pragma once

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "base/base.h"

// Where a frame is. pc is exact for an interrupted instruction, a return address for a caller.
struct rtp_regs {
	uintptr_t pc, sp, fp;
};

RT_INLINE void
rtp_regs_from_uc(struct rtp_regs *r, const void *ucontext)
{
	const ucontext_t *uc = ucontext;
	r->pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	r->sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
	r->fp = (uintptr_t)uc->uc_mcontext.gregs[REG_RBP];
}

// The place of the call itself. A macro body in asm, so that pc, sp and fp belong to one instruction.
RT_INLINE void
rtp_regs_here(struct rtp_regs *r)
{
	__asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2"
			 : "=&r"(r->pc), "=&r"(r->sp), "=&r"(r->fp));
}

// What the kernel pushed for a handler: at the sp of the trampoline lies the ucontext.
#define RTP_SIGFRAME_SIZE sizeof(ucontext_t)
RT_INLINE void
rtp_regs_from_sigframe(struct rtp_regs *r, uintptr_t sp)
{
	rtp_regs_from_uc(r, (const void *)sp);
}

// DWARF register numbers.
enum { RTP_DW_FP = 6, RTP_DW_SP = 7, RTP_DW_RA = 16, RTP_DW_NREGS = 17 };

// The lazy-binding stubs: rsp+8, and 8 more from the second instruction on.
RT_INLINE uintptr_t
rtp_plt_cfa(uintptr_t pc, uintptr_t sp)
{
	return sp + 8 + ((pc & 15) >= 11 ? 8 : 0);
}

// Thread pointer: glibc lays a thread's stack below it.
RT_INLINE uintptr_t
rtp_thread_pointer(void)
{
	uintptr_t tp;
	__asm__ volatile("mov %%fs:0, %0" : "=r"(tp));
	return tp;
}

// Returns a negative errno value, never sets errno: for code that shares the host's memory and
// thread pointer without being one of its threads.
RT_INLINE long
rtp_syscall(long n, long a, long b, long c, long d, long e)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}
