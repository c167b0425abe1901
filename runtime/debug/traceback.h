// SPDX-License-Identifier: BSD-3-Clause
// Tracebacks in Go's form, and the end of a program that failed.
#pragma once

#include "base/base.h"

struct g;

// Name and start of the function at pc, from the symbol tables; NULL when unknown. The string lives as
// long as the process. *module: path of the object. Async-signal-safe but slow (opens files).
const char *rt_symbol(uintptr_t pc, uintptr_t *start, const char **module);

// What it waits for, or its status, as it stands in brackets.
const char *rt_gstate_text(const struct g *gp);

// Prints the goroutine this thread runs; uc: from there instead of from the caller.
void rt_traceback_current(const void *uc);
// Prints all other goroutines.
void rt_traceback_others(void);

// Between the two the caller prints its message. begin: only the first thread that fails comes back,
// and nothing new is scheduled; end: tracebacks as GORT_TRACEBACK says, then exit status 2.
void rt_panic_begin(void);
_Noreturn void rt_panic_end(const void *uc);
// The same with all goroutines at every level but none.
_Noreturn void rt_dump_end(const void *uc);
