// SPDX-License-Identifier: BSD-3-Clause
// Slices: make, growth, append, copy, and the texts of failed bounds checks.
//
// Growth. An append that does not fit asks for the larger of what it needs and a step: double below
// 256 elements, then from 2x towards 1.25x. What the allocator would round those bytes up to becomes
// the capacity, so no byte of a size class is wasted.
//
// Barriers. A new array has nothing to log. Elements that lie behind len in an array with room may be
// collected pointers (a slice that was cut back): append logs what it overwrites, as copy does. Both
// then write at depth > 0, so no stop falls between the log and the store.
//
// Go: runtime/slice.go, runtime/panic.go (the texts).
#include "data/slice.h"

#include <string.h>

#include "arch/arch.h"
#include "debug/throw.h"
#include "gc/barrier.h"
#include "mem/malloc.h"
#include "sched/proc.h"

#define GROW_THRESHOLD 256

static bool
isnoscan(const gort_type *t)
{
	return t->flags & GORT_TYPE_NOSCAN;
}

gort_slice
gort_make_slice_(const gort_type *t, ptrdiff_t len, ptrdiff_t cap)
{
	size_t bytes, lenbytes;
	if (rt_unlikely(len < 0 || !rt_array_size(t->size, len, &lenbytes)))
		rt_panic("runtime error: makeslice: len out of range");
	if (rt_unlikely(cap < len || !rt_array_size(t->size, cap, &bytes)))
		rt_panic("runtime error: makeslice: cap out of range");
	rt_enter();
	void *p = rt_mallocgc(bytes, t);
	rt_leave();
	return (gort_slice){p, len, cap};
}

// The capacity to ask for when newlen > oldcap, before rounding.
static ptrdiff_t
nextslicecap(ptrdiff_t newlen, ptrdiff_t oldcap)
{
	if (newlen - oldcap > oldcap)
		return newlen;
	if (oldcap < GROW_THRESHOLD)
		return oldcap * 2;
	ptrdiff_t cap = oldcap;
	while (cap < newlen) {
		if (__builtin_add_overflow(cap, (cap + 3 * GROW_THRESHOLD) >> 2, &cap))
			return newlen;
	}
	return cap;
}

ptrdiff_t
rt_grown_cap(const gort_type *t, ptrdiff_t newlen, ptrdiff_t oldcap, size_t *bytes)
{
	if (rt_unlikely(!rt_array_size(t->size, nextslicecap(newlen, oldcap), bytes)))
		return -1;
	*bytes = rt_round_size(*bytes, isnoscan(t));
	return (ptrdiff_t)(*bytes / t->size);
}

struct copy {
	void *dst;
	const void *src;
	size_t n;
};

static void
copy_away(void *arg)
{
	const struct copy *c = arg;
	rt_copy_away(c->dst, c->src, c->n);
}

// A new array for newlen elements with s's in front. Elements from newlen on read as zero; those
// between s.len and newlen are the caller's to write at once, before anything can park. Where no pointers
// are, only what nobody writes is cleared: for most arrays a fifth.
static gort_slice
growslice(const gort_type *t, gort_slice s, ptrdiff_t newlen)
{
	size_t bytes;
	if (t->size == 0)
		return (gort_slice){rt_mallocgc(0, t), newlen, newlen};
	ptrdiff_t cap = rt_grown_cap(t, newlen, s.cap, &bytes);
	if (rt_unlikely(cap < 0))
		rt_panic("runtime error: growslice: len out of range");
	void *p = isnoscan(t) ? rt_mallocgc_noscan_raw(bytes, (size_t)newlen * t->size) : rt_mallocgc(bytes, t);
	struct copy c = {p, s.array, (size_t)s.len * t->size};
	if (isnoscan(t) && c.n >= RT_COPY_AWAY)
		rt_safely(copy_away, &c); // holds up no stop: no collector looks at what is copied
	else if (c.n > 0)
		memcpy(c.dst, c.src, c.n);
	if (rt_barrier_on())
		rt_shade(s.array); // the caller drops it: gort_store_slice_
	return (gort_slice){p, newlen, cap};
}

gort_slice
gort_append_(const gort_type *t, gort_slice s, const void *values, ptrdiff_t n)
{
	ptrdiff_t newlen;
	if (n == 0)
		return s;
	if (rt_unlikely(__builtin_add_overflow(s.len, n, &newlen)))
		rt_panic("runtime error: growslice: len out of range");
	size_t at = (size_t)s.len * t->size, bytes = (size_t)n * t->size;
	rt_enter();
	if (newlen > s.cap)
		s = growslice(t, s, newlen);
	else
		rt_barrier_before(t, (char *)s.array + at, bytes);
	memmove((char *)s.array + at, values, bytes);
	rt_leave();
	s.len = newlen;
	return s;
}

ptrdiff_t
gort_copy_(const gort_type *t, gort_slice dst, gort_slice src)
{
	ptrdiff_t n = rt_min(dst.len, src.len);
	size_t bytes = (size_t)n * t->size;
	if (bytes == 0 || dst.array == src.array)
		return n;
	if (isnoscan(t)) {
		memmove(dst.array, src.array, bytes);
		return n;
	}
	rt_enter();
	rt_barrier_before(t, dst.array, bytes);
	memmove(dst.array, src.array, bytes);
	rt_leave();
	return n;
}

// ---- Go's texts ----

_Noreturn void
gort_panic_index_(ptrdiff_t i, ptrdiff_t len)
{
	if (i < 0)
		rt_panic("runtime error: index out of range [%td]", i);
	rt_panic("runtime error: index out of range [%td] with length %td", i, len);
}

_Noreturn void
gort_panic_slice_(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t cap)
{
	if (hi < 0)
		rt_panic("runtime error: slice bounds out of range [:%td]", hi);
	if (hi > cap)
		rt_panic("runtime error: slice bounds out of range [:%td] with capacity %td", hi,
			 cap);
	if (lo < 0)
		rt_panic("runtime error: slice bounds out of range [%td:]", lo);
	rt_panic("runtime error: slice bounds out of range [%td:%td]", lo, hi);
}

_Noreturn void
gort_panic_slice3_(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t max, ptrdiff_t cap)
{
	if (max < 0)
		rt_panic("runtime error: slice bounds out of range [::%td]", max);
	if (max > cap)
		rt_panic("runtime error: slice bounds out of range [::%td] with capacity %td", max,
			 cap);
	if (hi < 0)
		rt_panic("runtime error: slice bounds out of range [:%td:]", hi);
	if (hi > max)
		rt_panic("runtime error: slice bounds out of range [:%td:%td]", hi, max);
	if (lo < 0)
		rt_panic("runtime error: slice bounds out of range [%td::]", lo);
	rt_panic("runtime error: slice bounds out of range [%td:%td:]", lo, hi);
}
