// SPDX-License-Identifier: BSD-3-Clause
// errno for code that may resume on another thread (gort.h).
#include <errno.h>

#include <gort/sched.h>

// Not inlined, and the address laundered: no compiler may remember it over a call, within a function
// or across functions (docs/HACKING.md, "Thread-local words").
__attribute__((noinline)) int *
gort_errno_(void)
{
	int *e = &errno;
	__asm__ volatile("" : "+r"(e) : : "memory");
	return e;
}
