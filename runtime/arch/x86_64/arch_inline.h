// SPDX-License-Identifier: BSD-3-Clause
// x86-64: the pieces of arch.h that must be inline. Included by arch/arch.h and sched/tls.h only.
#pragma once

#include "base/base.h"

#define RT_UC_REGS 15 // what rt_uc_regs gives: all but rsp and rip

RT_INLINE void
rt_cpu_relax(void)
{
	__builtin_ia32_pause();
}

RT_INLINE uint64_t
rt_cputicks(void)
{
	return __builtin_ia32_rdtsc();
}

RT_INLINE uintptr_t
rt_getsp(void)
{
	uintptr_t sp;
	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	return sp;
}

// Reads of rt_tls (sched/tls.h) go through volatile asm in the initial-exec form: a compiler keeps
// the address of a thread-local variable over calls, and a goroutine may come back from a call on
// another thread (docs/HACKING.md, "Thread-local words").
#define RT_TLS_READ(off)                                                                           \
	({                                                                                         \
		uintptr_t rt_v_;                                                                   \
		__asm__ volatile("mov rt_tls@gottpoff(%%rip), %0\n\tmov %%fs:%c1(%0), %0"          \
				 : "=r"(rt_v_)                                                     \
				 : "i"(off));                                                      \
		rt_v_;                                                                             \
	})
#define RT_TLS_WRITE(off, val)                                                                     \
	({                                                                                         \
		uintptr_t rt_a_;                                                                   \
		__asm__ volatile("mov rt_tls@gottpoff(%%rip), %0\n\tmov %1, %%fs:%c2(%0)"          \
				 : "=&r"(rt_a_)                                                    \
				 : "r"((uintptr_t)(val)), "i"(off)                                 \
				 : "memory");                                                      \
	})
// One instruction each on the word itself, so a signal on this thread sees it before or after, never
// between. Both report whether the result is negative (the pending bit is set).
#define RT_TLS_INC32_NEGATIVE(off)                                                                 \
	({                                                                                         \
		uintptr_t rt_a_;                                                                   \
		bool rt_neg_;                                                                      \
		__asm__ volatile("mov rt_tls@gottpoff(%%rip), %0\n\tincl %%fs:%c2(%0)"             \
				 : "=&r"(rt_a_), "=@ccs"(rt_neg_)                                  \
				 : "i"(off)                                                        \
				 : "memory");                                                      \
		rt_neg_;                                                                           \
	})
#define RT_TLS_DEC32_NEGATIVE(off)                                                                 \
	({                                                                                         \
		uintptr_t rt_a_;                                                                   \
		bool rt_neg_;                                                                      \
		__asm__ volatile("mov rt_tls@gottpoff(%%rip), %0\n\tdecl %%fs:%c2(%0)"             \
				 : "=&r"(rt_a_), "=@ccs"(rt_neg_)                                  \
				 : "i"(off)                                                        \
				 : "memory");                                                      \
		rt_neg_;                                                                           \
	})
#define RT_TLS_WRITE32(off, val)                                                                   \
	({                                                                                         \
		uintptr_t rt_a_;                                                                   \
		__asm__ volatile("mov rt_tls@gottpoff(%%rip), %0\n\tmovl %1, %%fs:%c2(%0)"         \
				 : "=&r"(rt_a_)                                                    \
				 : "ri"((int32_t)(val)), "i"(off)                                  \
				 : "memory");                                                      \
	})
#define RT_TLS_OR32(off, val)                                                                      \
	({                                                                                         \
		uintptr_t rt_a_;                                                                   \
		__asm__ volatile("mov rt_tls@gottpoff(%%rip), %0\n\torl %1, %%fs:%c2(%0)"          \
				 : "=&r"(rt_a_)                                                    \
				 : "ri"((int32_t)(val)), "i"(off)                                  \
				 : "memory", "cc");                                                \
	})
