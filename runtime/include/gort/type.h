// SPDX-License-Identifier: BSD-3-Clause
// Type descriptors: what a collector and a map must know of a C type. Users never name them; the
// macros of the other headers make one per spelling and call site.
//
// gort_type_of(T) finds T's descriptor by its spelling among the GORT_TYPE declarations that this
// source file has seen; without one, arithmetic types are pointer-free, pointers are one pointer word
// and everything else is scanned word by word. The result is cached at the call.
#pragma once

#include <gort/base.h>

GORT_BEGIN_DECLS

enum gort_kind {
	GORT_KIND_INT,     // integer, bool, char, enum
	GORT_KIND_FLOAT,   // float, double, long double
	GORT_KIND_COMPLEX,
	GORT_KIND_POINTER,
	GORT_KIND_STRUCT,  // struct or array
	GORT_KIND_UNION,
	GORT_KIND_STRING,  // gort_string
	GORT_KIND_SLICE,   // gort_slice
	GORT_KIND_ANY,     // gort_any
};

enum {
	GORT_TYPE_NOSCAN = 1,  // holds no collected pointer
	GORT_TYPE_PRECISE = 2, // ptrs lists every word that may hold one
	GORT_TYPE_KEY = 4,     // key_fields describes equality (GORT_KEY)
	GORT_TYPE_SIGNED = 8,  // integer kinds
	GORT_TYPE_INTERFACE = 16, // inter describes it (GORT_INTERFACE)
};

struct gort_key_field; // GORT_KEY; gort/map.h
struct gort_interface_; // GORT_INTERFACE; gort/iface.h

// Interned by libgort, immutable afterwards, alive until the process ends.
typedef struct gort_type {
	size_t size;    // bytes
	uint32_t align;
	uint8_t kind;   // enum gort_kind
	uint8_t flags;  // GORT_TYPE_*
	uint16_t spanclass;        // libgort's: where one object of this type is allocated
	uint32_t nptrs;            // with PRECISE: entries of ptrs
	uint32_t nkeys;            // with KEY: entries of keys
	const uint32_t *ptrs;      // byte offsets of pointer words, ascending
	const struct gort_key_field *keys;
	const char *name;          // the spelling, "struct node", with spaces as in "struct node **"
	// What a gort_any names a value's type by: one descriptor for all that have this spelling, size,
	// kind and equality, whichever source file declares which pointer map.
	const struct gort_type *ident;
	const struct gort_interface_ *inter; // with INTERFACE: its methods
	uint32_t hash;             // of the name
} gort_type;

enum { GORT_DECL_TYPE, GORT_DECL_KEY, GORT_DECL_INTERFACE };

// One GORT_TYPE, GORT_KEY or GORT_INTERFACE declaration of a source file; linked into the file's list
// by a constructor, looked up by spelling.
struct gort_type_decl {
	struct gort_type_decl *next;
	const char *name;
	size_t size;
	const struct gort_field *fields; // offsets and sizes that may hold pointers
	uint32_t nfields;
	uint32_t what;                   // GORT_DECL_*; with KEY the fields describe equality
	const struct gort_interface_ *inter; // with INTERFACE
};

// A declared field: [offset, offset + size) counts whole. kind: of the field's type; with KEY of its
// elements, elem bytes each, if it is an array.
struct gort_field {
	size_t offset, size;
	uint8_t kind; // enum gort_kind
	uint32_t elem;
};

static struct gort_type_decl *gort_file_types_ __attribute__((unused));

// The slow half of gort_type_of: interns and caches. Thread-safe, async-signal-unsafe.
GORT_API const gort_type *gort_type_find_(const gort_type **cache, const char *name, size_t size,
					  size_t align, int kind, int flags,
					  const struct gort_type_decl *decls);

#ifndef __cplusplus
struct gort_string;
struct gort_slice;
struct gort_any;

// The kind of a type, by the compiler. An array counts as a struct (decayed it would pass for a
// pointer), unless its elements are arithmetic: then it is of their kind.
#define gort_kind_of_(T) gort_kind_of_expr_(*(__typeof__(T) *)0)
// The same of an lvalue; not evaluated.
#define gort_kind_of_expr_(e)                                                                      \
	_Generic(&(e), struct gort_string *: GORT_KIND_STRING,                                     \
		 struct gort_slice *: GORT_KIND_SLICE, struct gort_any *: GORT_KIND_ANY,           \
		 float *: GORT_KIND_FLOAT, double *: GORT_KIND_FLOAT,                              \
		 long double *: GORT_KIND_FLOAT,                                                   \
		 default: gort_is_array_(e)                                                        \
		 ? gort_kind_of_array_(gort_kind_by_class_(                                        \
			 __builtin_classify_type(*gort_decayed_(e))))                              \
		 : gort_kind_by_class_(__builtin_classify_type(e)))
#define gort_is_array_(e)                                                                          \
	(!__builtin_types_compatible_p(__typeof__(e), __typeof__(((void)0, (e)))))
#define gort_decayed_(e) __builtin_choose_expr(gort_is_array_(e), (e), (char *)0)
#define gort_kind_of_array_(k)                                                                     \
	((k) == GORT_KIND_INT || (k) == GORT_KIND_FLOAT || (k) == GORT_KIND_COMPLEX                \
		 ? (k)                                                                             \
		 : GORT_KIND_STRUCT)
#define gort_kind_by_class_(c)                                                                     \
	((c) == 5 || (c) == 14 ? GORT_KIND_POINTER                                                 \
	 : (c) == 8            ? GORT_KIND_FLOAT                                                   \
	 : (c) == 9            ? GORT_KIND_COMPLEX                                                 \
	 : (c) == 12           ? GORT_KIND_STRUCT                                                  \
	 : (c) == 13           ? GORT_KIND_UNION                                                   \
			       : GORT_KIND_INT)
// Whether an integer type is signed; 0 for all that is no integer.
#define gort_sign_flag_(T)                                                                         \
	_Generic((__typeof__(T) *)0, signed char *: GORT_TYPE_SIGNED, short *: GORT_TYPE_SIGNED,   \
		 int *: GORT_TYPE_SIGNED, long *: GORT_TYPE_SIGNED, long long *: GORT_TYPE_SIGNED, \
		 char *: (char)-1 < 0 ? GORT_TYPE_SIGNED : 0, default: 0)

// T is written out once only: each time a struct without a name is written, it is another type.
#define gort_type_of(T)                                                                            \
	__extension__({                                                                            \
		typedef __typeof__(T) gort_T_;                                                     \
		static const gort_type *gort_t_;                                                   \
		const gort_type *gort_u_ = __atomic_load_n(&gort_t_, __ATOMIC_ACQUIRE);            \
		if (__builtin_expect(!gort_u_, 0))                                                 \
			gort_u_ = gort_type_find_(&gort_t_, #T, sizeof(gort_T_),                   \
						  _Alignof(gort_T_), gort_kind_of_(gort_T_),       \
						  gort_sign_flag_(gort_T_), gort_file_types_);     \
		gort_u_;                                                                           \
	})
#endif

GORT_END_DECLS
