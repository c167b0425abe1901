// SPDX-License-Identifier: BSD-3-Clause
// x86-64: the registers an unwinder follows, where they lie in a signal frame, and a system call that
// leaves errno alone.
#pragma once

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
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

// Interrupted by our signal, a system call of those that never restart returned EINTR: makes it start
// again. Only where it did nothing yet and its number was loaded by the instruction before, as libc does.
RT_INLINE void
rtp_restart_call(void *ucontext)
{
	ucontext_t *uc = ucontext;
	const uint8_t *pc = (const uint8_t *)(uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	if (uc->uc_mcontext.gregs[REG_RAX] != -EINTR || pc[-2] != 0x0f || pc[-1] != 0x05 || pc[-7] != 0xb8)
		return;
	uint32_t nr;
	memcpy(&nr, pc - 6, sizeof(nr)); // mov $nr, %eax
	switch (nr) {
	case SYS_poll:
	case SYS_ppoll:
	case SYS_select:
	case SYS_pselect6:
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_msgrcv:
	case SYS_msgsnd:
	case SYS_rt_sigtimedwait:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_accept:
	case SYS_accept4:
		uc->uc_mcontext.gregs[REG_RIP] -= 7;
	}
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
