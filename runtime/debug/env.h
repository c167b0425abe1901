// SPDX-License-Identifier: BSD-3-Clause
// The environment, read once at start. GORT_X wins over Go's X. A malformed value is reported in one
// line on stderr that names the variable, the value and what is accepted; then the default holds.
#pragma once

#include "base/base.h"

// GORT_DEBUG=name=value,... (GODEBUG works too). One int32 a knob.
extern struct rt_debug_vars {
	int32_t gctrace, gcpacertrace, scavtrace, scvg, schedtrace, scheddetail, inittrace;
	int32_t gccheckmark, gcstoptheworld, clobberfree, asyncpreemptoff, madvdontneed;
	int32_t gcstress; // collect at every allocation slow path
} rt_debug;

enum { RT_TRACEBACK_NONE, RT_TRACEBACK_SINGLE, RT_TRACEBACK_ALL, RT_TRACEBACK_SYSTEM, RT_TRACEBACK_CRASH };
extern int rt_traceback_level;

void rt_env_init(void);
enum { RT_MAX_PROCS = 1024 };
int32_t rt_env_maxprocs(void); // GORT_MAXPROCS / GOMAXPROCS or the default
int32_t rt_env_gcpercent(void); // GOGC; -1 off
int64_t rt_env_memlimit(void); // GOMEMLIMIT; INT64_MAX none
bool rt_env_barrier_dirty(void); // GORT_BARRIER=dirty
size_t rt_env_stack(void);     // GORT_STACK in bytes, 0 when unset
