// SPDX-License-Identifier: BSD-3-Clause
// The loaded objects and their unwind rows: one immutable table, replaced as a whole when libraries
// come or go, read without a lock from handlers.
//
// Whoever reads brackets it with rtp_modules_enter/leave. The writer publishes the new table, waits
// until nobody is inside the old one, and only then frees what was in it.
#pragma once

#include "core/region.h"
#include "unwind/rows.h"

struct rtp_module {
	uintptr_t lo, hi; // code: from the first to the last executable byte
	uintptr_t base;   // rows count from here
	struct rtp_rows rows;
	struct rtp_mapping *mapping; // of its first executable segment
};

struct rtp_modules {
	uint32_t n;
	size_t bytes; // mapped for this table
	struct rtp_region *owner; // of the mappings
	struct rtp_module m[]; // ascending, disjoint
};

// Brings the table up to date; cheap when nothing was loaded or unloaded. Takes the loader's lock
// while it reads, allocates by mmap; never from a handler or with the world stopped. Mappings are
// recorded in region r.
void rtp_modules_refresh(struct rtp_region *r);

// Async-signal-safe. The returned table is valid until leave; NULL before the first refresh.
const struct rtp_modules *rtp_modules_enter(unsigned *token);
void rtp_modules_leave(unsigned token);
const struct rtp_module *rtp_module_of(const struct rtp_modules *t, uintptr_t pc);

// Set (by walkers) when a pc lay in no known object; cleared by a refresh.
extern _Atomic bool rtp_modules_stale;

// In a forked child: forget readers that do not exist here. r: the child's own region, into which the
// list of mappings is copied; NULL when it has none yet.
void rtp_modules_forked(struct rtp_region *r);
