// SPDX-License-Identifier: BSD-3-Clause
// Gives a profile's addresses their functions, files, lines and inlined frames.
#pragma once

#include "profile_io.h"

// Every mapping that has a file and no functions yet. What could not be done stands in the profile's
// comments.
void profile_symbolize(pprof_profile *p);

// heap and allocs: frames of the allocator itself are not shown (Go: leading runtime.* frames).
void profile_hide_allocator(pprof_profile *p);
