// SPDX-License-Identifier: BSD-3-Clause
// Slices: a window {array, len, cap} on an array that the collector owns (or on any other memory, see
// gort_slice_of). A value: copied by assignment, 24 bytes, two copies share the elements. The zero
// value is Go's nil slice, ready for use.
//
//	gort_slice s = gort_make_slice(int, 0, 8);	// make([]int, 0, 8)
//	gort_append(int, &s, 42);			// s = append(s, 42)
//	*gort_at(int, s, 0) += 1;			// s[0] += 1
//
// The element type is not stored: each call names it, and it must be the same one each time. T is any
// type name. Arguments are evaluated once, the values before the place. Lengths and indices are
// ptrdiff_t, so that a negative one gets Go's text. No call here blocks; those that allocate may run
// a step of the collector. None is async-signal-safe, and two goroutines that use one slice at the
// same time need a lock, as in Go.
//
// A store through gort_at of a collected pointer needs gort_set (gort/mem.h); append and copy do it
// themselves.
#pragma once

#include <string.h>

#include <gort/base.h>
#include <gort/mem.h>
#include <gort/type.h>

GORT_BEGIN_DECLS

typedef struct gort_slice {
	void *array;   // first element; NULL in the nil slice
	ptrdiff_t len; // elements in use
	ptrdiff_t cap; // elements from array on that may be used
} gort_slice;

// ---- what the macros call; their arguments are the macros' ----

GORT_API gort_slice gort_make_slice_(const gort_type *t, ptrdiff_t len, ptrdiff_t cap);
GORT_API gort_slice gort_append_(const gort_type *t, gort_slice s, const void *values, ptrdiff_t n);
GORT_API ptrdiff_t gort_copy_(const gort_type *t, gort_slice dst, gort_slice src);
GORT_API GORT_NORETURN void gort_panic_index_(ptrdiff_t i, ptrdiff_t len);
GORT_API GORT_NORETURN void gort_panic_slice_(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t cap);
GORT_API GORT_NORETURN void gort_panic_slice3_(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t max,
					       ptrdiff_t cap);

static inline __attribute__((always_inline)) void *
gort_at_(gort_slice s, ptrdiff_t i, size_t size)
{
	if (__builtin_expect((size_t)i >= (size_t)s.len, 0))
		gort_panic_index_(i, s.len);
	return (char *)s.array + (size_t)i * size;
}

static inline __attribute__((always_inline)) gort_slice
gort_subslice_(gort_slice s, ptrdiff_t lo, ptrdiff_t hi, size_t size)
{
	if (__builtin_expect((size_t)hi > (size_t)s.cap || (size_t)lo > (size_t)hi, 0))
		gort_panic_slice_(lo, hi, s.cap);
	// With nothing left the pointer stays where it is: it must not step behind the array and keep
	// the neighbour alive.
	size_t skip = s.cap > lo ? (size_t)lo * size : 0;
	return __extension__(gort_slice){(char *)s.array + skip, hi - lo, s.cap - lo};
}

static inline __attribute__((always_inline)) gort_slice
gort_subslice3_(gort_slice s, ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t max, size_t size)
{
	if (__builtin_expect((size_t)max > (size_t)s.cap || (size_t)hi > (size_t)max ||
				     (size_t)lo > (size_t)hi,
			     0))
		gort_panic_slice3_(lo, hi, max, s.cap);
	size_t skip = max > lo ? (size_t)lo * size : 0;
	return __extension__(gort_slice){(char *)s.array + skip, hi - lo, max - lo};
}

#ifndef __cplusplus

// *s = append(*s), where s may lie in a collected object. The array that is dropped needs no barrier
// around the store: gort_append_ has shaded it if marking was on, and if marking begins between there
// and the store, it is found where this holds it, in a register or on the stack, until it is dropped.
// (Taking s's address for a barrier would force every local slice into memory.)
#define gort_store_slice_(s, call)                                                                 \
	__extension__({                                                                            \
		void *gort_old_ = (s)->array;                                                      \
		*(s) = (call);                                                                     \
		__asm__ volatile("" : : "r"(gort_old_) : "memory");                                \
	})

// *s as an argument. Field by field, or clang passes s's own memory and keeps a local slice there.
#define gort_slice_value_(s) ((gort_slice){(s)->array, (s)->len, (s)->cap})

// Arithmetic types hold no collected pointer: what overwrites one needs no barrier. A constant.
#define gort_plain_(T)                                                                             \
	(gort_kind_of_(T) == GORT_KIND_INT || gort_kind_of_(T) == GORT_KIND_FLOAT ||               \
	 gort_kind_of_(T) == GORT_KIND_COMPLEX)

// The pointer in the size bytes at p.
static inline __attribute__((always_inline)) void *
gort_pointer_at_(const char *p, size_t size)
{
	void *v = 0;
	memcpy(&v, p, size < sizeof(v) ? size : sizeof(v));
	return v;
}

// gort_slice gort_make_slice(T, ptrdiff_t len, ptrdiff_t cap): a slice of len zeroed elements with
// room for cap. Panics "makeslice: len out of range" or "makeslice: cap out of range".
// Go: make([]T, len, cap).
#define gort_make_slice(T, len, cap) gort_make_slice_(gort_type_of(T), (len), (cap))

// gort_slice gort_slice_of(T, T *array, ptrdiff_t n): a slice on memory that exists already, nothing
// copied; the memory is the caller's and must outlive the slice if it is not collected.
// Go: array[:].
#define gort_slice_of(T, array, n)                                                                 \
	__extension__({                                                                            \
		__typeof__(T) *gort_array_ = (array);                                              \
		ptrdiff_t gort_n_ = (n);                                                           \
		(gort_slice){gort_array_, gort_n_, gort_n_};                                       \
	})

// void gort_append(T, gort_slice *s, T value, ...): appends one value or several. When the room does
// not do, the elements move to a new array of Go's next capacity; slices that share the old one keep
// it. Panics "growslice: len out of range". Go: *s = append(*s, value, ...).
#define gort_append(T, s, ...)                                                                     \
	__extension__({                                                                            \
		__typeof__(T) gort_v_[] = {__VA_ARGS__};                                           \
		gort_slice *gort_s_ = (s);                                                         \
		const ptrdiff_t gort_n_ = sizeof(T) ? sizeof(gort_v_) / (sizeof(T) + !sizeof(T))   \
						    : 1;                                           \
		if (gort_plain_(T) && __builtin_expect(gort_s_->cap - gort_s_->len >= gort_n_, 1)) { \
			memcpy((__typeof__(T) *)gort_s_->array + gort_s_->len, gort_v_,            \
			       sizeof(gort_v_));                                                   \
			gort_s_->len += gort_n_;                                                   \
		} else if (gort_kind_of_(T) == GORT_KIND_POINTER && sizeof(T) == sizeof(void *) && \
			   __builtin_expect(gort_s_->cap - gort_s_->len >= gort_n_, 1)) {          \
			for (ptrdiff_t gort_i_ = 0; gort_i_ < gort_n_; gort_i_++)                  \
				gort_set_((void **)gort_s_->array + gort_s_->len + gort_i_,        \
					  gort_pointer_at_((const char *)gort_v_ +                 \
							   (size_t)gort_i_ * sizeof(T), sizeof(T))); \
			gort_s_->len += gort_n_;                                                   \
		} else {                                                                           \
			/* A copy, so that the values above may stay in registers. */              \
			__typeof__(T) gort_w_[sizeof(gort_v_) / (sizeof(T) + !sizeof(T))];         \
			memcpy(gort_w_, gort_v_, sizeof(gort_v_));                                 \
			gort_store_slice_(gort_s_, gort_append_(gort_type_of(T),                   \
								gort_slice_value_(gort_s_),        \
								gort_w_, gort_n_));                \
		}                                                                                  \
		(void)0;                                                                           \
	})

// void gort_append_slice(T, gort_slice *s, gort_slice more): appends more's elements; more may be a
// part of *s. Go: *s = append(*s, more...).
#define gort_append_slice(T, s, more)                                                              \
	__extension__({                                                                            \
		gort_slice gort_m_ = (more);                                                       \
		gort_slice *gort_s_ = (s);                                                         \
		gort_store_slice_(gort_s_,                                                         \
				  gort_append_(gort_type_of(T), gort_slice_value_(gort_s_),        \
					       gort_m_.array, gort_m_.len));                       \
		(void)0;                                                                           \
	})

// T *gort_at(T, gort_slice s, ptrdiff_t i): the address of element i.
// Panics "index out of range [i] with length len". Go: &s[i].
#define gort_at(T, s, i) ((__typeof__(T) *)gort_at_((s), (i), sizeof(T)))

// gort_slice gort_subslice(T, gort_slice s, ptrdiff_t lo, ptrdiff_t hi): elements lo to hi - 1, where
// hi may reach up to the capacity; shares the array. Panics "slice bounds out of range ...".
// Go: s[lo:hi].
#define gort_subslice(T, s, lo, hi) gort_subslice_((s), (lo), (hi), sizeof(T))

// As gort_subslice, and the result's capacity ends at max. Go: s[lo:hi:max].
#define gort_subslice3(T, s, lo, hi, max) gort_subslice3_((s), (lo), (hi), (max), sizeof(T))

// ptrdiff_t gort_copy(T, gort_slice dst, gort_slice src): copies the first elements of src over those
// of dst, as many as both have, and returns how many. They may overlap. Go: copy(dst, src).
#define gort_copy(T, dst, src) gort_copy_(gort_type_of(T), (dst), (src))

#endif

GORT_END_DECLS
