// SPDX-License-Identifier: BSD-3-Clause
// The slow halves of stores into collected memory. Only the old value is shaded (docs/gc.md says why
// that is enough): before it disappears from where it was.
#include "gc/barrier.h"

#include <string.h>

#include <gort/mem.h>

#include "gc/gc.h"
#include "sched/tls.h"

uint32_t gort_write_barrier_on;

void
rt_shade(const void *obj)
{
	rt_shade_pointer((uintptr_t)obj);
}

__attribute__((no_sanitize("address", "thread"))) void
rt_shade_words(const void *p, size_t n)
{
	const volatile uintptr_t *w = p;
	for (size_t i = 0; i < n / sizeof *w; i++)
		rt_shade_pointer(w[i]);
}

void
gort_set_slow_(void *slot, void *value)
{
	_Atomic(void *) *s = slot;
	rt_enter();
	// Inside, where no stop falls between the two: the flag is looked at again.
	if (rt_barrier_on())
		rt_shade(rt_load(s));
	// relaxed: a pointer store is one store, as Go's; ordering is the program's affair.
	rt_store(s, value);
	rt_leave();
}

// Bulk copies leave the runtime between chunks, so that a stop does not wait for megabytes.
#define CHUNK ((size_t)64 << 10)

static void
shade_before(const gort_type *t, void *p, size_t n)
{
	rt_barrier_before(t, p, n);
}

static void
move_chunk(const gort_type *t, char *dst, const char *src, size_t n)
{
	rt_enter();
	shade_before(t, dst, n);
	if (src)
		memmove(dst, src, n);
	else
		memset(dst, 0, n);
	rt_leave();
}

void
gort_copy_objects_(const gort_type *t, void *dst, const void *src, ptrdiff_t n)
{
	if (n <= 0 || dst == src)
		return;
	size_t left = (size_t)n * t->size;
	bool down = (uintptr_t)dst - (uintptr_t)src < left; // overlapping, dst above: from the end
	for (size_t done = 0; done < left;) {
		size_t k = rt_min(CHUNK, left - done);
		size_t at = down ? left - done - k : done;
		// A pointer word must not be split between chunks: CHUNK is a multiple of 8, and counting
		// from the end the rest is too when the size is.
		move_chunk(t, (char *)dst + at, (const char *)src + at, k);
		done += k;
	}
}

void
gort_clear_objects_(const gort_type *t, void *dst, ptrdiff_t n)
{
	size_t left = n > 0 ? (size_t)n * t->size : 0;
	for (size_t done = 0; done < left;) {
		size_t k = rt_min(CHUNK, left - done);
		move_chunk(t, (char *)dst + done, NULL, k);
		done += k;
	}
}
