// SPDX-License-Identifier: BSD-3-Clause
// Unwind rows: .eh_frame boiled down, outside any handler, to one word of rule a code range. A row
// says how to find the caller from (pc, sp, fp): which register the frame hangs on, and where the
// caller's frame pointer was saved. What the word cannot say is RTP_RULE_NONE, and the walker then
// tries the frame pointer.
//
// A rule has 30 bits, so that rule and pc share one atomic word in the walker's cache:
//   bits 0-2 kind   3-8 where fp was saved   9-29 frame offset in words (biased for DEREF)
#pragma once

#include <link.h>

#include "base/base.h"

enum rtp_rule_kind {
	RTP_RULE_NONE,  // nothing known
	RTP_RULE_SP,    // cfa = sp + off
	RTP_RULE_FP,    // cfa = fp + off
	RTP_RULE_DEREF, // cfa = *(fp + off), caller's fp at *fp: a realigned frame
	RTP_RULE_PLT,   // a lazy-binding stub
	RTP_RULE_SIG,   // a signal trampoline: the registers lie at sp
	RTP_RULE_END,   // outermost: no caller
};
#define RTP_RULE_FP_SAME 0u
#define RTP_RULE_FP_LOST 63u // saved where the word cannot say; k in between: at cfa - 8k
#define RTP_RULE_OFF_BIAS (1 << 20)

RT_INLINE uint32_t
rtp_rule(enum rtp_rule_kind kind, uint32_t fp, uint32_t off)
{
	return (uint32_t)kind | fp << 3 | off << 9;
}

struct rtp_row {
	uint32_t off; // from the module's base; valid up to the next row
	uint32_t rule;
};

struct rtp_rows {
	struct rtp_row *row; // ascending
	uint32_t n;
	size_t cap;          // bytes mapped
	// The object's own search table: (function, entry) pairs relative to hdr, ascending.
	uintptr_t hdr;
	const int32_t (*table)[2];
	uint32_t ntable;
};

// An object's mapped bytes, for checking every pointer that its tables contain.
struct rtp_image {
	uintptr_t base;   // rows count from here: the lowest mapped address
	uintptr_t lo, hi; // readable [lo, hi)
};

// Fills rows from the .eh_frame_hdr at hdr. False (rows empty) when there is none that it
// understands. Allocates with mmap. The object must stay loaded meanwhile.
bool rtp_rows_parse(struct rtp_rows *rows, const struct rtp_image *img, uintptr_t hdr, size_t len);
void rtp_rows_free(struct rtp_rows *rows);

// Where the function (or detached part of one) that holds pc begins; 0 unknown. The object must be
// loaded. Async-signal-safe.
uintptr_t rtp_rows_function(const struct rtp_rows *rows, uintptr_t pc);

// The rule at pc (not a return address: subtract 1 before). Async-signal-safe.
uint32_t rtp_rows_find(const struct rtp_rows *rows, uint32_t off);
