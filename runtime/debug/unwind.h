// SPDX-License-Identifier: BSD-3-Clause
// Walks a stack by the call frame information that every x86-64 and aarch64 object carries
// (.eh_frame). No lock, no allocation, no system call: usable in a signal handler and on a program
// that is about to die. glibc's _dl_find_object finds the tables.
#pragma once

#include "arch/arch.h"
#include "arch_unwind.h"
#include "base/base.h"

struct rt_unwind {
	uintptr_t reg[RT_DW_REGS];
	uint32_t known;     // bit r: reg[r] is the value in this frame
	bool exact;         // reg[PC] is an instruction about to run, not a return address
	uintptr_t lo, hi;   // memory that may be read as stack; changes with the stack
};

// Begin at an interrupted context, at a parked goroutine's registers, or at the caller.
void rt_unwind_from_uc(struct rt_unwind *u, const void *uc);
void rt_unwind_from_regs(struct rt_unwind *u, const struct rt_parked_regs *regs);

// The stack that may be read: of a goroutine, an M, or around sp.
void rt_unwind_bounds(struct rt_unwind *u, uintptr_t lo, uintptr_t hi);

// To the caller's frame; false at the outermost one or where the tables end.
bool rt_unwind_step(struct rt_unwind *u);
