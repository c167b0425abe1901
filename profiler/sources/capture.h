// SPDX-License-Identifier: BSD-3-Clause
// The stack of whoever calls, for sources that are told of an event by a call.
#pragma once

#include "core/thread.h"
#include "regs.h"
#include "unwind/unwind.h"

// From registers of a frame on the current stack. skip: frames to leave out. Does not allocate but for
// the thread's slot; learns of libraries loaded since.
int rtp_capture(struct rtp_region *r, const struct rtp_regs *regs, uintptr_t *pcs, int max, int skip);
