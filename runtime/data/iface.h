// SPDX-License-Identifier: BSD-3-Clause
// Interfaces as the rest of the runtime uses them.
#pragma once

#include <gort/iface.h>

#include "base/base.h"

// Up to one word the value lies in the interface itself.
RT_INLINE const void *
rt_any_data(const gort_any *a)
{
	return a->type->size <= sizeof(void *) ? (const void *)&a->value : a->value;
}

// Hash of type and value; panics "hash of unhashable type". User functions are never involved.
uint64_t rt_any_hash(gort_any a, uint64_t seed);

bool rt_any_equal_slow(gort_any a, gort_any b);

// gort_any_equal without a call where one word decides.
RT_INLINE bool
rt_any_equal(gort_any a, gort_any b)
{
	if (a.type != b.type)
		return false;
	if (!a.type || a.type->kind == GORT_KIND_POINTER ||
	    (a.type->kind == GORT_KIND_INT && a.type->size <= sizeof(void *)))
		return a.value == b.value;
	return rt_any_equal_slow(a, b);
}
