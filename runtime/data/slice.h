// SPDX-License-Identifier: BSD-3-Clause
// Slices as tests see them.
#pragma once

#include <gort/slice.h>

// The capacity that an append gives a slice of capacity oldcap < newlen which needs room for newlen
// elements of t, and its bytes; -1 when that is impossible. t->size > 0. Allocates nothing.
ptrdiff_t rt_grown_cap(const gort_type *t, ptrdiff_t newlen, ptrdiff_t oldcap, size_t *bytes);
