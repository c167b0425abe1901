// SPDX-License-Identifier: BSD-3-Clause
// What the runtime needs of the CPU: the contract. runtime/arch/<cpu>/ defines it (meson's cpu_family
// names); nothing else in the tree has an #ifdef for a CPU.
#pragma once

#include <signal.h>

#include "base/base.h"

// A stack that is not running: everything else of it (callee-saved registers, return address) lies on
// the stack itself, from sp upwards, in the order struct rt_switch_frame gives.
struct gobuf {
	uintptr_t sp;
};

// Parks the caller in *from and continues *to. The only way to leave a stack. Returns when somebody
// switches back, maybe on another thread.
void rt_switch(struct gobuf *from, const struct gobuf *to);

// Prepares a stack whose top is hi so that the first switch to it calls rt_goroutine_begin, the
// function with its arguments, rt_goroutine_end (sched/go.c). regs: as gort_go's stub saved them.
struct gort_go_regs;
void rt_gobuf_init(struct gobuf *b, uintptr_t hi, const struct gort_go_regs *regs);
// Afterwards, and before the first switch to it: the function that regs are the arguments of.
void rt_gobuf_set_fn(struct gobuf *b, void *fn);
const struct gort_go_regs *rt_gobuf_regs(const struct gobuf *b);
// The same for a call fn(arg).
void rt_gobuf_init_call(struct gobuf *b, uintptr_t hi, void (*fn)(void *), void *arg);

// The same for a scheduling stack: the first switch to it calls fn, which never returns.
void rt_gobuf_init_raw(struct gobuf *b, uintptr_t hi, void (*fn)(void));

// Of the words from *lo to hi, both aligned, those that lie in [base, base + n], in their order: puts at most
// RT_FOUND of them into found, and into *lo where to go on (hi: all were looked at). Returns how many. n < 2^63.
enum { RT_FOUND = 64 };
size_t rt_find_words(uintptr_t *lo, uintptr_t hi, uintptr_t base, uintptr_t n, uintptr_t found[RT_FOUND]);

// memcpy for memory of which the copied part is not used soon: from RT_COPY_AWAY bytes on it leaves the caches to
// others.
#define RT_COPY_AWAY ((size_t)512 << 10)
void rt_copy_away(void *dst, const void *src, size_t n);

// Runs fn(arg) on the stack whose top is sp, on the same thread, and returns. Unwinders cross it.
void rt_call_on(uintptr_t sp, void (*fn)(void *), void *arg);
// As above, after storing the caller's stack pointer in *from with its callee-saved registers pushed
// below the caller's frame: whoever scans from->sp upwards sees them.
void rt_call_on_saving(struct gobuf *from, uintptr_t sp, void (*fn)(void *), void *arg);

// Calls fn(arg) on the current stack with the callee-saved registers pushed as by rt_switch and their
// address stored in *from: to others the caller looks parked.
void rt_call_saving(struct gobuf *from, void (*fn)(void *), void *arg);

// What rt_switch pushed at sp of a parked stack: for unwinders and the collector.
struct rt_parked_regs {
	uintptr_t pc, sp;   // where the goroutine continues, its sp there
	uintptr_t fp;       // frame pointer
	uintptr_t saved[8]; // other callee-saved registers
};
void rt_parked_regs(const struct gobuf *b, struct rt_parked_regs *r);
// The code of a goroutine's outermost frame.
extern char rt_gostart_end[];
void rt_gostart(void);

// The interrupted state in a signal handler's ucontext.
uintptr_t rt_uc_pc(const void *uc);
uintptr_t rt_uc_sp(const void *uc);
uintptr_t rt_uc_fp(const void *uc);
void rt_uc_callee_saved(const void *uc, uintptr_t saved[8]);

// The general registers, in any order. RT_UC_REGS: how many (arch_inline.h).
void rt_uc_regs(const void *uc, uintptr_t *regs);

// Every general and vector register of the interrupted code lies in [*lo, *hi) of the signal frame.
void rt_uc_bounds(const void *uc, uintptr_t *lo, uintptr_t *hi);

// RT_RSEQ_STORE_IF(off, p, old, new, failed): *p = new if *p == old, as a restartable sequence of plain
// instructions (a load, a release store); else, or when it was interrupted, goes to the label failed with
// *p untouched. Between its load and its store another thread's atomic operation on *p may be lost: such
// a thread must call rt_os_rseq_fence afterwards and look again. p: int32_t *. off: rt_rseq_offset, not 0.
// RT_RSEQ_ADD_IF(off, p, mask, masked, cells, ncpu, least, delta, failed): adds delta to n of this CPU's cell
// if (*p & mask) == masked, the cell's owner is p, and n is at least `least`. Nobody else writes a cell of
// which that may be true. A load-acquire of *p, a store-release of n. When *p or the owner has been changed,
// n is final after an rt_os_rseq_fence. cells: an array of struct rt_cell (64 bytes), one for each CPU.
// RT_RSEQ_TAKE(off, set, id, x, failed): x, a pointer, = what the current P's place in set holds, and the
// place = NULL. RT_RSEQ_GIVE(off, set, id, x, failed): the place = x, where it was NULL. At depth 0 only;
// goes to `failed` when it held nothing (or something), set has another number than id, or the thread has no
// P. set: {id, 64 bits; n, 32 bits; places of 64 bytes each, a pointer}, changed only with the world
// stopped; id apart.
// Pairs of words, 16 bytes and so aligned, as one: rt_load16; RT_CAS16_UNLESS(flag, p, old0, old1, new0,
// new1, stopped, failed), which falls through when it has changed *p. Both sequentially consistent.

#include "arch_inline.h" // of the CPU: rt_cpu_relax, rt_cputicks, rt_getsp, the TLS accessors
