// SPDX-License-Identifier: BSD-3-Clause
// Timers: a 4-ary heap a P, ordered by when. Expired ones are run by the P's own M in schedule(), or
// by a thief. A timer's function runs on g0 at depth 1 and must be short.
#pragma once

#include "base/base.h"

struct rt_timer {
	int64_t when; // rt_nanotime; 0: in no heap
	void (*fn)(struct rt_timer *t);
	void *arg;
};
