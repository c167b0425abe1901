// SPDX-License-Identifier: BSD-3-Clause
// What the collector calls of sync.Pool, with the world stopped, at the start of marking.
#pragma once

#include "base/base.h"

// Drops what was there at the last collection and nobody has asked for since; before roots are read.
void rt_pool_cleanup(void);
// Every range of memory outside of the heap in which pools hold items.
void rt_pool_for_each_range(void (*fn)(uintptr_t lo, uintptr_t hi, void *arg), void *arg);
