// SPDX-License-Identifier: BSD-3-Clause
// Files and lines for tracebacks, from the profiler's symbolizer (gort-symbolize lines), a process that is
// started at the first question. A process that dies does not depend on it: no libc malloc, no lock, no
// atfork handler, a few seconds at most in all; where it is missing, fails or is too slow, there are
// names and module paths only. One thread at a time: the one that fails.
#pragma once

#include "base/base.h"

#define RT_MAX_LINES 16 // inlined functions of one address

struct rt_line {
	const char *name;  // of the function
	const char *place; // FILE:LINE
};

// The frames at a file address of an object, innermost inlined first, the physical one last; how many, 0:
// unknown. Strings live until the next call. GORT_SYMBOLIZE=none turns it off.
int rt_lines_of(const char *path, uintptr_t vaddr, struct rt_line line[RT_MAX_LINES]);
