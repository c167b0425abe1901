// SPDX-License-Identifier: BSD-3-Clause
// The write barrier as the rest of the runtime uses it. Deletion half only (docs/gc.md): before a
// collected pointer in heap memory is overwritten while marking runs, the old value is shaded.
#pragma once

#include <gort/type.h>

#include "base/base.h"

// Exported data: user code tests it inline (gort_set). Non-zero while marking runs.
extern __attribute__((visibility("default"))) uint32_t gort_write_barrier_on;

RT_INLINE bool
rt_barrier_on(void)
{
	return rt_unlikely(*(volatile uint32_t *)&gort_write_barrier_on);
}

// Shades each word in [p, p + n) that points into the heap: before the bytes there are overwritten or
// dropped. Conservative; n a multiple of 8, p 8-aligned.
void rt_shade_words(const void *p, size_t n);
// Shades one object (any interior pointer); NULL and foreign pointers are fine.
void rt_shade(const void *obj);

// What is about to be overwritten: elements of type t (NULL: unknown) at p. Nothing for noscan types.
RT_INLINE void
rt_barrier_before(const gort_type *t, const void *p, size_t n)
{
	if (rt_barrier_on() && !(t && (t->flags & GORT_TYPE_NOSCAN)))
		rt_shade_words((const void *)((uintptr_t)p & ~(uintptr_t)7),
			       (n + ((uintptr_t)p & 7)) & ~(size_t)7);
}
