// SPDX-License-Identifier: BSD-3-Clause
// The three ways to fail for good. All print, with a traceback of the current goroutine (all with
// GORT_TRACEBACK=all), and end the process with status 2. Callable at any depth; never return.
#pragma once

#include "base/base.h"

// The program's fault, recoverable in Go: "panic: <text>".
_Noreturn void rt_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
// The program's fault, not recoverable in Go: "fatal error: <text>".
_Noreturn void rt_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
// gort's own fault: "fatal error: <text>" and a request to report it.
_Noreturn void rt_throw(const char *text);

#define rt_assert(cond)                                                                            \
	do {                                                                                       \
		if (rt_unlikely(!(cond)))                                                          \
			rt_throw("assertion failed: " #cond);                                      \
	} while (0)
