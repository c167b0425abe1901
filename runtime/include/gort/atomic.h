// SPDX-License-Identifier: BSD-3-Clause
// Atomic variables. Go: package sync/atomic, its types.
//
//	static gort_atomic_int64 hits;			// zero: ready for use
//	gort_atomic_int64_add(&hits, 1);
//	if (gort_atomic_int64_load(&hits) > 1000) ...
//
// All operations are sequentially consistent, as in Go: together they happen in one order that every
// goroutine agrees on, and what was done before one of them is seen by whoever sees its effect. All are
// async-signal-safe except those of pointers, and may be used on any thread, before gort_run too. None
// blocks. The variables may be embedded anywhere; do not copy or access them otherwise while they are
// shared.
#pragma once

#include <gort/base.h>

GORT_BEGIN_DECLS

// ---- integers ----
//
// For X one of int32, int64, uint32, uint64, with T the C type int32_t and so on:
//
//	T    gort_atomic_X_load(const gort_atomic_X *a)		the value		Go: Load
//	void gort_atomic_X_store(gort_atomic_X *a, T v)		a = v			Go: Store
//	T    gort_atomic_X_add(gort_atomic_X *a, T d)		a += d; the new value	Go: Add
//	T    gort_atomic_X_swap(gort_atomic_X *a, T v)		a = v; the old value	Go: Swap
//	bool gort_atomic_X_cas(gort_atomic_X *a, T old, T new_value)
//			if a == old, a = new_value; whether it was		Go: CompareAndSwap
//	T    gort_atomic_X_and(gort_atomic_X *a, T mask)	a &= mask; the old value	Go: And
//	T    gort_atomic_X_or(gort_atomic_X *a, T mask)		a |= mask; the old value	Go: Or
//
// Sums wrap around, signed ones too.
#define GORT_ATOMIC_INTEGER_(X, T)                                                                 \
	typedef struct gort_atomic_##X {                                                           \
		T v;                                                                               \
	} gort_atomic_##X;                                                                         \
	static inline T gort_atomic_##X##_load(const gort_atomic_##X *a)                           \
	{                                                                                          \
		return __atomic_load_n(&a->v, __ATOMIC_SEQ_CST);                                   \
	}                                                                                          \
	static inline void gort_atomic_##X##_store(gort_atomic_##X *a, T v)                        \
	{                                                                                          \
		__atomic_store_n(&a->v, v, __ATOMIC_SEQ_CST);                                      \
	}                                                                                          \
	static inline T gort_atomic_##X##_add(gort_atomic_##X *a, T d)                             \
	{                                                                                          \
		return __atomic_add_fetch(&a->v, d, __ATOMIC_SEQ_CST);                             \
	}                                                                                          \
	static inline T gort_atomic_##X##_swap(gort_atomic_##X *a, T v)                            \
	{                                                                                          \
		return __atomic_exchange_n(&a->v, v, __ATOMIC_SEQ_CST);                            \
	}                                                                                          \
	static inline bool gort_atomic_##X##_cas(gort_atomic_##X *a, T old, T new_value)           \
	{                                                                                          \
		return __atomic_compare_exchange_n(&a->v, &old, new_value, false,                  \
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);            \
	}                                                                                          \
	static inline T gort_atomic_##X##_and(gort_atomic_##X *a, T mask)                          \
	{                                                                                          \
		return __atomic_fetch_and(&a->v, mask, __ATOMIC_SEQ_CST);                          \
	}                                                                                          \
	static inline T gort_atomic_##X##_or(gort_atomic_##X *a, T mask)                           \
	{                                                                                          \
		return __atomic_fetch_or(&a->v, mask, __ATOMIC_SEQ_CST);                           \
	}

GORT_ATOMIC_INTEGER_(int32, int32_t)
GORT_ATOMIC_INTEGER_(int64, int64_t)
GORT_ATOMIC_INTEGER_(uint32, uint32_t)
GORT_ATOMIC_INTEGER_(uint64, uint64_t)

// ---- bool ----

// Go: atomic.Bool.
typedef struct gort_atomic_bool {
	bool v;
} gort_atomic_bool;

// gort_atomic_bool_load returns the value. Go: Load.
static inline bool
gort_atomic_bool_load(const gort_atomic_bool *a)
{
	return __atomic_load_n(&a->v, __ATOMIC_SEQ_CST);
}

// gort_atomic_bool_store makes v the value. Go: Store.
static inline void
gort_atomic_bool_store(gort_atomic_bool *a, bool v)
{
	__atomic_store_n(&a->v, v, __ATOMIC_SEQ_CST);
}

// gort_atomic_bool_swap makes v the value and returns the old one. Go: Swap.
static inline bool
gort_atomic_bool_swap(gort_atomic_bool *a, bool v)
{
	return __atomic_exchange_n(&a->v, v, __ATOMIC_SEQ_CST);
}

// gort_atomic_bool_cas makes new_value the value if it is old, and tells whether it was.
// Go: CompareAndSwap.
static inline bool
gort_atomic_bool_cas(gort_atomic_bool *a, bool old, bool new_value)
{
	return __atomic_compare_exchange_n(&a->v, &old, new_value, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

// ---- pointers ----
//
// These have the collector's write barrier in them (gort_set), so both the variable and what it points
// to may be collected memory. While marking runs they go through the runtime: then, and then only, they
// must not be used in a signal handler.

// Go: atomic.Pointer.
typedef struct gort_atomic_ptr {
	void *v;
} gort_atomic_ptr;

// A pointer and a version that grows with every change, in one word pair: a compare-and-swap on it
// cannot mistake a pointer that went away and came back for one that never left (the ABA problem of
// lock-free stacks and queues). 16 bytes, 16-byte aligned. Zero: NULL, version 0. Go has no counterpart;
// there the collector keeps an address from coming back while somebody still looks at it.
typedef struct gort_tagged_ptr {
	void *ptr;
	uint64_t version;
} __attribute__((aligned(16))) gort_tagged_ptr;

extern GORT_API uint32_t gort_write_barrier_on;
GORT_API void *gort_atomic_ptr_swap_(gort_atomic_ptr *a, void *v);
GORT_API bool gort_atomic_ptr_cas_(gort_atomic_ptr *a, void *old, void *new_value);
GORT_API bool gort_tagged_ptr_cas_(gort_tagged_ptr *a, gort_tagged_ptr old, void *new_ptr);

#if !defined(__x86_64__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GORT_ATOMIC_BY_CALL_ 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GORT_ATOMIC_BY_CALL_ 1
#endif
#endif

// gort_atomic_ptr_load returns the pointer. Async-signal-safe. Go: Load.
static inline void *
gort_atomic_ptr_load(const gort_atomic_ptr *a)
{
	return __atomic_load_n(&a->v, __ATOMIC_SEQ_CST);
}

// gort_atomic_ptr_swap makes v the pointer and returns the old one. Go: Swap.
//
// Test of the barrier and exchange are one statement that holds the variable's address in a register:
// see gort_set_ in gort/mem.h.
static inline void *
gort_atomic_ptr_swap(gort_atomic_ptr *a, void *v)
{
#ifndef GORT_ATOMIC_BY_CALL_
	void *old = v;
	__asm__ volatile goto("cmpl $0, %2\n\tjne %l[marking]\n\txchgq %0, (%1)"
		     : "+r"(old)
		     : "r"(&a->v), "m"(gort_write_barrier_on)
		     : "cc", "memory"
		     : marking);
	return old;
marking:
#endif
	return gort_atomic_ptr_swap_(a, v);
}

// gort_atomic_ptr_store makes v the pointer. Go: Store.
static inline void
gort_atomic_ptr_store(gort_atomic_ptr *a, void *v)
{
	(void)gort_atomic_ptr_swap(a, v);
}

// gort_atomic_ptr_cas makes new_value the pointer if it is old, and tells whether it was. It compares
// addresses: see gort_tagged_ptr for what that may miss. Go: CompareAndSwap.
static inline bool
gort_atomic_ptr_cas(gort_atomic_ptr *a, void *old, void *new_value)
{
#ifndef GORT_ATOMIC_BY_CALL_
	void *expected = old;
	__asm__ volatile goto("cmpl $0, %2\n\tjne %l[marking]\n\tlock cmpxchgq %3, (%1)\n\tjne %l[failed]"
		     : "+a"(expected)
		     : "r"(&a->v), "m"(gort_write_barrier_on), "r"(new_value)
		     : "cc", "memory"
		     : marking, failed);
	return true;
failed:
	return false;
marking:
#endif
	return gort_atomic_ptr_cas_(a, old, new_value);
}

// gort_tagged_ptr_load returns pointer and version, which belong together. Async-signal-safe.
//
// The version changes with each change of the pointer and never comes back: when it is the same before
// and after, the pointer that was read in between is its own. Does not write the variable.
static inline gort_tagged_ptr
gort_tagged_ptr_load(const gort_tagged_ptr *a)
{
	gort_tagged_ptr t;
	uint64_t again;
	do {
		t.version = __atomic_load_n(&a->version, __ATOMIC_SEQ_CST);
		t.ptr = __atomic_load_n(&a->ptr, __ATOMIC_SEQ_CST);
		again = __atomic_load_n(&a->version, __ATOMIC_SEQ_CST);
	} while (__builtin_expect(again != t.version, 0));
	return t;
}

// gort_tagged_ptr_cas makes new_ptr the pointer, with the next version, if *a is old, pointer and
// version, and tells whether it was. old comes from gort_tagged_ptr_load.
static inline bool
gort_tagged_ptr_cas(gort_tagged_ptr *a, gort_tagged_ptr old, void *new_ptr)
{
#ifndef GORT_ATOMIC_BY_CALL_
	void *ptr = old.ptr;
	uint64_t version = old.version;
	__asm__ volatile goto("cmpl $0, %3\n\tjne %l[marking]\n\tlock cmpxchg16b (%2)\n\tjne %l[failed]"
		     : "+a"(ptr), "+d"(version)
		     : "r"(a), "m"(gort_write_barrier_on), "b"(new_ptr), "c"(old.version + 1)
		     : "cc", "memory"
		     : marking, failed);
	return true;
failed:
	return false;
marking:
#endif
	return gort_tagged_ptr_cas_(a, old, new_ptr);
}

GORT_END_DECLS
