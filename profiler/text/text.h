// SPDX-License-Identifier: BSD-3-Clause
// The text forms of profiles: debug=1 of every kind, debug=2 of goroutines (Go: runtime/pprof).
//
// Numbers are written here; what an address is called is filled in by whoever knows: with names, this
// process's symbol tables; without, the symbolizer, which finds marks (text/frames.h) for the stacks.
#pragma once

#include "encode/profile.h"

// debug 1 or more. 0 or a negative errno value.
int rtp_text_write(struct rtp_region *r, const struct rtp_profile_args *a, int debug, struct rtp_out *o);
