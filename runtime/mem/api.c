// SPDX-License-Identifier: BSD-3-Clause
// The public allocation calls: into the runtime, allocate, out.
#include <gort/mem.h>

#include "base/base.h"
#include "debug/throw.h"
#include "mem/malloc.h"
#include "sched/tls.h"

void *
gort_new_(const gort_type *t)
{
	rt_enter();
	void *p = rt_mallocgc(t->size, t);
	rt_leave();
	return p;
}

void *
gort_new_array_(const gort_type *t, ptrdiff_t n)
{
	size_t bytes;
	if (!rt_array_size(t->size, n, &bytes))
		rt_panic("runtime error: makeslice: len out of range");
	rt_enter();
	void *p = rt_mallocgc(bytes, t);
	rt_leave();
	return p;
}

void *
gort_new_bytes(size_t n)
{
	if (n > PTRDIFF_MAX || n > (size_t)1 << 47)
		rt_panic("runtime error: makeslice: len out of range");
	rt_enter();
	void *p = rt_mallocgc_noscan(n);
	rt_leave();
	return p;
}

RT_NOINLINE void
gort_keep_alive(const void *p)
{
	__asm__ volatile("" ::"r"(p) : "memory");
}
