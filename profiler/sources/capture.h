// SPDX-License-Identifier: BSD-3-Clause
// The stack of whoever calls, for sources that are told of an event by a call.
#pragma once

#include "core/thread.h"
#include "regs.h"
#include "unwind/unwind.h"

// From registers of a frame on the current stack. skip: frames to leave out. Does not allocate but for
// the thread's slot; learns of libraries loaded since.
int rtp_capture(struct rtp_region *r, const struct rtp_regs *regs, uintptr_t *pcs, int max, int skip);

// A lock event on the current stack.
struct rtp_event {
	enum rtp_kind kind;
	int skip;
	uint64_t aux;
	uintptr_t stack_hi; // what lies between sp and it stays mapped while such a stack is in use; 0: unknown
	uint64_t count_fix16, ticks;
};

// Counts it. A thread remembers the last stacks it met by where their return addresses lie: when all of
// them hold what they held then, from the same instruction and stack pointer, it is the same stack, and the
// walk is saved.
void rtp_capture_count(struct rtp_region *r, const struct rtp_event *e, const struct rtp_regs *regs);
