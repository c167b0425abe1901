// SPDX-License-Identifier: BSD-3-Clause
// Nothing of yours: the restartable sequence (rseq(2)) by which the inline halves of gort/sync.h unlock without
// a locked instruction. What it is good for, and why it is safe: runtime/sync/watch.h.
#pragma once

#include <gort/base.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
#define GORT_UNLOCK_BY_CALL_ 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GORT_UNLOCK_BY_CALL_ 1
#endif
#endif

#if defined(__x86_64__)

GORT_BEGIN_DECLS

// From the thread pointer to the kernel's area; 0: no sequences here.
extern GORT_API ptrdiff_t gort_rseq_offset_;

GORT_END_DECLS

// A sequence: GORT_RSEQ_BEGIN_, GORT_RSEQ_ARM_, instructions of which the last one stores, the label 2. Operand off:
// where the kernel's area is. Writes rax.
//
// The kernel fails a sequence when the thread is preempted, moved or interrupted by a signal, or another
// asks for it by membarrier(2), before its store: it then goes on at 4, behind the signature that the kernel
// asks for there. That is the operand of an instruction which also runs on the way in: so all of it is
// straight code of one function, and a sequence that was failed (single-stepped in a debugger, say) is not
// tried again: rax holds an address then. The kernel's area: 4 cpu_id, negative on a thread that is not
// registered; 8 the sequence in force, a pointer that the kernel forgets when it finds the thread elsewhere. (The
// section's `?`: a function that the linker drops takes its descriptor with it.)
#define GORT_RSEQ_BEGIN_(failed)                                                                   \
	".pushsection __rseq_cs,\"aw?\"\n\t"                                                       \
	".balign 32\n"                                                                             \
	"0:\t.long 0, 0\n\t"                                                                      \
	".quad 1f, 2f - 1f, 4f\n\t"                                                               \
	".popsection\n\t"                                                                         \
	"movl $0x53053053, %%eax\n"                                                               \
	"4:\tcmpl $0x53053053, %%eax\n\t"                                                         \
	"jne %l[" #failed "]\n\t"
#define GORT_RSEQ_REGISTERED_(failed)                                                              \
	"cmpl $0, %%fs:4(%[off])\n\t"                                                             \
	"js %l[" #failed "]\n\t"
#define GORT_RSEQ_ARM_                                                                             \
	"leaq 0b(%%rip), %%rax\n\t"                                                               \
	"movq %%rax, %%fs:8(%[off])\n"                                                            \
	"1:\t"

// *p = new_value if *p == old, in plain instructions; else, or when interrupted, goes to the label failed. What
// was armed is taken back at once, for it points into the caller's object, which may be unloaded.
#define GORT_RSEQ_STORE_IF_(area, p, old, new_value, failed)                                       \
	__asm__ volatile goto(GORT_RSEQ_BEGIN_(failed) GORT_RSEQ_REGISTERED_(failed) GORT_RSEQ_ARM_ \
			      "cmpl %2, (%1)\n\t"                                                 \
			      "jne 3f\n\t"                                                        \
			      "movl %3, (%1)\n"                                                   \
			      "2:\n"                                                              \
			      "3:\tmovq $0, %%fs:8(%[off])\n\t" /* leaves the flags alone */      \
			      "jne %l[" #failed "]"                                                \
			      :                                                                    \
			      : [off] "r"((area)), "r"(p), "ri"((int32_t)(old)),                   \
				"ri"((int32_t)(new_value))                                         \
			      : "rax", "cc", "memory"                                              \
			      : failed)

#endif
