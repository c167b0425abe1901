// SPDX-License-Identifier: BSD-3-Clause
// What both units of the C++ program have: the linker keeps one of each function that is not inlined.
#pragma once

#include <gort.h>

struct counter {
	gort_mutex mu = {};
	gort_rwmutex rw = {};
	int n = 0;
	virtual ~counter() = default;
	virtual int
	add()
	{
		gort_mutex_lock(&mu);
		n++;
		gort_mutex_unlock(&mu);
		gort_rwmutex_rlock(&rw);
		int now = n;
		gort_rwmutex_runlock(&rw);
		return now;
	}
};

counter *new_counter();
