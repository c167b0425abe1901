// SPDX-License-Identifier: BSD-3-Clause
// One goroutine of a full dump (debug=2); a list in the snapshot's region.
#pragma once

#include "core/region.h"

struct rtp_goroutine {
	uint64_t next; // offset
	uint64_t goid, parent;
	const char *state; // the runtime's text
	int64_t waited_ns;
	uint64_t gopc; // return address of the go statement; 0 none
	bool locked, self;
	uint32_t npc;
	uint64_t pcs[]; // leaf first
};
