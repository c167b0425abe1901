// SPDX-License-Identifier: BSD-3-Clause
// x86-64: the pieces of arch.h that must be inline. Included by arch/arch.h and sched/tls.h only.
#pragma once

#include <gort/rseq.h>

#include "base/base.h"

#define RT_UC_BYTES 232 // how far into a context the general registers and sp reach
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

// The kernel's signature, and what happens when it fails a sequence: gort/rseq.h.
#define RT_RSEQ_STORE_IF GORT_RSEQ_STORE_IF_

// The same, for a cell of the CPU's own: cells has one of 64 bytes for each of ncpu CPUs, {owner, n}. cpu_id
// is read within the sequence: the thread has not left that CPU when it stores.
#define RT_RSEQ_ADD_IF(area, p, mask, masked, cells, ncpu, least, delta, failed)                   \
	__asm__ volatile goto(GORT_RSEQ_BEGIN_(failed) GORT_RSEQ_ARM_                              \
			      "movl %%fs:4(%[off]), %%ecx\n\t"                                    \
			      "cmpl %3, %%ecx\n\t" /* unsigned: nor a thread without a number */   \
			      "jae %l[" #failed "]\n\t"                                           \
			      "movl (%1), %%edx\n\t"                                              \
			      "andl %4, %%edx\n\t"                                                \
			      "cmpl %5, %%edx\n\t"                                                \
			      "jne %l[" #failed "]\n\t"                                           \
			      "shlq $6, %%rcx\n\t"                                                \
			      "cmpq %1, (%2, %%rcx)\n\t"                                          \
			      "jne %l[" #failed "]\n\t"                                           \
			      "movq 8(%2, %%rcx), %%rdx\n\t"                                      \
			      "cmpq %6, %%rdx\n\t"                                                \
			      "jl %l[" #failed "]\n\t"                                            \
			      "addq %7, %%rdx\n\t"                                                \
			      "movq %%rdx, 8(%2, %%rcx)\n"                                         \
			      "2:"                                                                 \
			      :                                                                    \
			      : [off] "r"((area)), "r"(p), "r"(cells), "r"((uint32_t)(ncpu)),      \
				"i"((int32_t)(mask)), "i"((int32_t)(masked)), "i"((int32_t)(least)), \
				"i"((int32_t)(delta))                                              \
			      : "rax", "rcx", "rdx", "cc", "memory"                                \
			      : failed)

// The same, for a word of the current P's own: see arch.h. The P is found within the sequence, and depth 0,
// where alone its holder changes by a signal.
#define RT_RSEQ_ON_P_(failed, act)                                                                 \
	GORT_RSEQ_BEGIN_(failed) GORT_RSEQ_REGISTERED_(failed) GORT_RSEQ_ARM_                      \
	"movq rt_tls@gottpoff(%%rip), %%rcx\n\t"                                                  \
	"cmpl $0, %%fs:%c[depth](%%rcx)\n\t"                                              \
	"jne %l[" #failed "]\n\t"                                                         \
	"movq %%fs:%c[m](%%rcx), %%rcx\n\t"                                               \
	"movq %c[p](%%rcx), %%rcx\n\t"                                                    \
	"testq %%rcx, %%rcx\n\t" /* in a system call */                                   \
	"jz %l[" #failed "]\n\t"                                                          \
	"movl %c[pid](%%rcx), %%ecx\n\t"                                                  \
	"cmpl 8(%[set]), %%ecx\n\t"                                                       \
	"jae %l[" #failed "]\n\t"                                                         \
	"cmpq %[id], (%[set])\n\t"                                                        \
	"jne %l[" #failed "]\n\t"                                                         \
	"shlq $6, %%rcx\n\t"                                                              \
	"addq 16(%[set]), %%rcx\n\t" act                                                  \
	"2:"
#define RT_RSEQ_ON_P_IN_(off_, set_, id_)                                                          \
	[off] "r"(off_), [set] "r"(set_), [id] "r"(id_), [depth] "i"(offsetof(struct rt_tls, depth)),      \
		[m] "i"(offsetof(struct rt_tls, m)), [p] "i"(offsetof(struct m, p)),               \
		[pid] "i"(offsetof(struct p, id))

#define RT_RSEQ_TAKE(off, set, id, x, failed)                                                      \
	__asm__ volatile goto(RT_RSEQ_ON_P_(failed, "movq (%%rcx), %[v]\n\t"                       \
						    "testq %[v], %[v]\n\t"                        \
						    "jz %l[" #failed "]\n\t"                       \
						    "movq $0, (%%rcx)\n")                         \
			      : [v] "=&r"(x)                                                       \
			      : RT_RSEQ_ON_P_IN_(off, set, id)                                     \
			      : "rax", "rcx", "cc", "memory"                                       \
			      : failed)
#define RT_RSEQ_GIVE(off, set, id, x, failed)                                                      \
	__asm__ volatile goto(RT_RSEQ_ON_P_(failed, "cmpq $0, (%%rcx)\n\t"                         \
						    "jne %l[" #failed "]\n\t"                      \
						    "movq %[v], (%%rcx)\n")                       \
			      :                                                                    \
			      : RT_RSEQ_ON_P_IN_(off, set, id), [v] "r"(x)                         \
			      : "rax", "rcx", "cc", "memory"                                       \
			      : failed)

// 16 bytes at once. Every CPU with AVX loads 16 aligned bytes as one (Intel and AMD say so); for others
// there is the compare-and-swap, which needs the memory to be writable.
RT_INLINE void
rt_load16(const void *p, uint64_t v[2], bool avx)
{
	if (rt_likely(avx)) {
		typedef long long v2 __attribute__((vector_size(16)));
		v2 x;
		__asm__ volatile("movdqa %1, %0" : "=x"(x) : "m"(*(const v2 *)p) : "memory");
		v[0] = (uint64_t)x[0];
		v[1] = (uint64_t)x[1];
		return;
	}
	v[0] = v[1] = 0;
	__asm__ volatile("lock cmpxchg16b (%2)"
			 : "+a"(v[0]), "+d"(v[1])
			 : "r"(p), "b"(0ull), "c"(0ull)
			 : "cc", "memory");
}

// *p = {new0, new1} if it is {old0, old1}; else goes to the label failed. Goes to the label stopped
// instead of either when *flag is not zero: test and change are one statement that has p in a register.
#define RT_CAS16_UNLESS(flag, p, old0, old1, new0, new1, stopped, failed)                          \
	do {                                                                                       \
		uint64_t rt_lo_ = (old0), rt_hi_ = (old1);                                         \
		__asm__ volatile goto("cmpl $0, %2\n\tjne %l[" #stopped "]\n\t"                      \
				      "lock cmpxchg16b (%3)\n\t"                                   \
				      "jne %l[" #failed "]"                                        \
				      : "+a"(rt_lo_), "+d"(rt_hi_)                                 \
				      : "m"(*(flag)), "r"(p), "b"((uint64_t)(new0)),               \
					"c"((uint64_t)(new1))                                      \
				      : "cc", "memory"                                             \
				      : stopped, failed);                                          \
	} while (0)

RT_INLINE bool
rt_cpu_has_avx(void)
{
	return __builtin_cpu_supports("avx");
}
