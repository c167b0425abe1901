// SPDX-License-Identifier: BSD-3-Clause
// Walks a stack from registers. Reads memory only inside stack bounds that were known beforehand, so
// corrupt frames end the walk, never the process. No lock, no allocation, no system call: fit for a
// signal handler. Rows first (unwind/rows.h), then validated frame pointers, else it stops.
//
// Another thread's stack may go away under the walk: then every read goes through a function that fails
// where nothing is mapped.
#pragma once

#include "core/region.h"
#include "regs.h"

struct rtp_walk {
	struct rtp_regs r;
	bool exact;         // r.pc is the interrupted instruction, not a return address
	uintptr_t lo, hi;   // readable stack around r.sp; lo == hi: unknown, the stack is its leaf
	// Bounds of the stack that holds sp, when the walk leaves [lo, hi) (signal stacks, system
	// stacks). NULL: it ends there.
	bool (*stack_of)(uintptr_t sp, uintptr_t *lo, uintptr_t *hi, void *arg);
	void *arg;
	// Reads memory that may vanish: n bytes at `at`, of stacks and of code. NULL: it is read directly.
	bool (*read)(uintptr_t at, void *to, size_t n, void *arg);
	bool no_fp;         // r.fp is not known: it is looked for where a frame hangs on it; needs read
	bool truncated;     // out: there was more
	bool complete;      // out: it ended at the outermost frame
	// Out, if not NULL: where the return addresses lie that the walk followed, at most max_slots;
	// nslots -1: more, or not all of the stack hangs on them (a signal frame).
	uintptr_t *slots;
	int max_slots, nslots;
	bool no_rows;       // frame pointers only (tests)
};

// Fills pcs, leaf first, as pprof wants addresses: the leaf's exact pc, then return addresses - 1.
// skip leaves out that many innermost frames. Returns how many, at most max; a stack cut short by max
// ends in RTP_PC_TRUNCATED.
int rtp_unwind(struct rtp_walk *w, uintptr_t *pcs, int max, int skip);

// A walk with no_fp at a frame that hangs on the frame pointer: finds the pointer (unwind/frame.c). False: it
// cannot be told.
struct rtp_modules;
bool rtp_find_fp(struct rtp_walk *w, const struct rtp_modules *t);

// Called when an object is gone: cached rules may be of its code.
void rtp_rules_forget(void);
