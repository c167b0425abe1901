// SPDX-License-Identifier: BSD-3-Clause
// Interfaces: gort_any, which holds a value of any type, and interfaces with methods.
//
//	gort_any a = gort_box(int, 42);			// any(42)
//	int x = gort_unbox(int, a);			// a.(int), panics with Go's text
//	bool is = gort_is(int, a);			// _, is := a.(int)
//
//	#define SHAPE(M) M(double, area) M(void, scale, double)	// result, name, parameters
//	GORT_INTERFACE(shape, SHAPE)			// type shape interface { area() float64; ... }
//	double square_area(struct square *s);
//	void square_scale(struct square *s, double k);
//	GORT_IMPLEMENTS(shape, SHAPE, struct square, square)
//
//	shape s = gort_iface(shape, square, &sq);	// var s shape = &sq
//	gort_call(s, scale, 2.0);			// s.scale(2)
//	struct square *q = gort_assert(struct square *, s);	// s.(*square)
//
// Types are told apart by their spelling, in all source files alike, as Go tells int and int64 apart
// although both have 64 bits: what was boxed as int64_t is no long, and a typedef is a type of its own.
// Spaces and the order of words do not matter ("unsigned long", "long unsigned int"). Two files that
// mean different structs by one spelling must give them different sizes or names.
//
// Both kinds of interface are values of two words, copied by assignment: the dynamic type and the value.
// Values of up to 8 bytes lie in the second word itself, larger ones in a collected object that nobody
// changes any more. The zero value is nil: no type, no value. An interface that holds a null pointer is
// not nil, because it has a type (gort_is_nil).
//
// Equality: same dynamic type and equal values; the types' equality is that of map keys (gort/map.h):
// numbers and pointers by value, strings by content, structs by GORT_KEY or their bytes. Slices are not
// comparable, nor structs whose GORT_KEY lists one: comparing them panics, hashing too.
//
// A store of one into a collected object needs gort_set_value (gort/mem.h). Functions that allocate may
// run a step of the collector; nothing here blocks or may be called from a signal handler. All of it is
// safe in any number of goroutines at once, as far as they do not write one variable.
#pragma once

#include <string.h>

#include <gort/base.h>
#include <gort/type.h>

GORT_BEGIN_DECLS

// Go: any, interface{}; runtime.eface.
typedef struct gort_any {
	const gort_type *type; // dynamic type (its ident); NULL: nil
	void *value;           // the value itself up to 8 bytes, else where it lies
} gort_any;

// ---- what an interface type is made of ----

struct gort_method_ {
	const char *name, *type; // "scale", "void(double)"
};

struct gort_interface_ {
	const char *name;
	const struct gort_method_ *methods;
	uint32_t nmethods;
};

// The method table of one type for one interface; the functions follow, in the interface's order. Made
// once for each pair, in a global table, never freed. Go: runtime.itab.
struct gort_itab {
	const gort_type *inter; // the interface
	const gort_type *type;  // a pointer type
	uint32_t hash;          // of type
	int32_t missing;        // the method that type lacks; -1: none
};

// Any interface with methods: the layout of what GORT_INTERFACE makes. Go: runtime.iface.
struct gort_iface_ {
	const struct gort_itab *tab; // NULL: nil
	void *data;                  // the pointer it holds
};

GORT_API gort_any gort_box_(const gort_type *t, const void *value);
GORT_API void gort_assert_(const gort_type *t, gort_any from, void *to, const char *inter);
GORT_API bool gort_assert_ok_(const gort_type *t, gort_any from, void *to);
GORT_API bool gort_implements_(const gort_type *inter, const gort_type *type);
GORT_API const struct gort_itab *gort_itab_add_(const struct gort_itab **cache,
						const gort_type *inter, const gort_type *type,
						void (*const *methods)(void));

// a == b. Panics "runtime error: comparing uncomparable type T" where both hold a T that has no
// equality. Go: a == b of two interface values.
GORT_API bool gort_any_equal(gort_any a, gort_any b);

// The spelling of the dynamic type, "nil" of nil. Alive until the process ends. Go: %T.
static inline const char *
gort_any_type_name(gort_any a)
{
	return a.type ? a.type->name : "nil";
}

// Where the value lies, for reading; NULL of nil. A value of up to 8 bytes lies in *a itself.
static inline const void *
gort_any_data(const gort_any *a)
{
	return !a->type ? 0 : a->type->size <= sizeof(void *) ? (const void *)&a->value : a->value;
}

#ifndef __cplusplus

static inline __attribute__((always_inline)) gort_any
gort_box_inline_(const gort_type *t, const void *value, size_t size)
{
	if (size > sizeof(void *))
		return gort_box_(t, value);
	gort_any a = {t->ident, 0};
	// The minimum is for compilers that do not follow the test above and warn of what is never done.
	memcpy(&a.value, value, size < sizeof(a.value) ? size : sizeof(a.value));
	return a;
}

static inline gort_any
gort_any_of_any_(const void *p)
{
	return *(const gort_any *)p;
}

static inline gort_any
gort_any_of_iface_(const void *p)
{
	const struct gort_iface_ *i = (const struct gort_iface_ *)p;
	return (gort_any){i->tab ? i->tab->type : 0, i->data};
}

// What a failed assertion calls the interface.
static inline const char *
gort_name_of_any_(const void *p)
{
	(void)p;
	return "interface {}";
}

static inline const char *
gort_name_of_iface_(const void *p)
{
	const struct gort_iface_ *i = (const struct gort_iface_ *)p;
	return i->tab ? i->tab->inter->name : "interface";
}

static inline __attribute__((always_inline)) bool
gort_is_(const gort_type *t, gort_any a)
{
	return a.type == t->ident ||
	       (__builtin_expect(t->flags & GORT_TYPE_INTERFACE, 0) && gort_implements_(t, a.type));
}

static inline __attribute__((always_inline)) bool
gort_assert_inline_(const gort_type *t, gort_any from, void *to, size_t size)
{
	if (__builtin_expect(from.type != t->ident, 0))
		return false;
	const void *value = &from.value;
	if (size > sizeof(void *)) {
		value = from.value;
		// What type it points to is known only at run time: a compiler that sees more must not warn.
		__asm__("" : "+r"(value));
	}
	memcpy(to, value, size);
	return true;
}

// gort_any gort_as_any(i): the same value as an any; i is a gort_any or an interface. Go: any(i).
#define gort_as_any(i)                                                                             \
	__extension__({                                                                            \
		__typeof__(i) gort_i_ = (i);                                                       \
		_Static_assert(sizeof(gort_i_) == sizeof(gort_any), "not an interface value");     \
		_Generic(gort_i_, gort_any: gort_any_of_any_, default: gort_any_of_iface_)(        \
			&gort_i_);                                                                 \
	})

// gort_any gort_box(T, T value): an any that holds value. Allocates above 8 bytes. A T that is an
// interface or gort_any passes its dynamic value on, and nil stays nil. Go: any(value).
#define gort_box(T, v)                                                                             \
	__extension__({                                                                            \
		__typeof__(T) gort_v_ = (v);                                                       \
		gort_box_inline_(gort_type_of(T), &gort_v_, sizeof(T));                            \
	})

// bool gort_is(T, i): does i, a gort_any or an interface, hold a T? With an interface for T: does what
// it holds implement T? False of nil. Go: _, ok := i.(T).
#define gort_is(T, i) gort_is_(gort_type_of(T), gort_as_any(i))

// T gort_assert(T, i), T gort_unbox(T, gort_any a): the T in i. With an interface for T: what i holds
// as a T. Panics "interface conversion: interface {} is string, not int", "... is nil, not int",
// "interface conversion: square * is not shape: missing method area". Go: i.(T).
#define gort_assert(T, i)                                                                          \
	__extension__({                                                                            \
		__typeof__(i) gort_from_ = (i);                                                    \
		const gort_type *gort_to_ = gort_type_of(T);                                       \
		gort_any gort_a_ = gort_as_any(gort_from_);                                        \
		__typeof__(T) gort_r_;                                                             \
		if (!gort_assert_inline_(gort_to_, gort_a_, &gort_r_, sizeof(T)))                  \
			gort_assert_(gort_to_, gort_a_, &gort_r_,                                  \
				     _Generic(gort_from_, gort_any: gort_name_of_any_,             \
					      default: gort_name_of_iface_)(&gort_from_));         \
		gort_r_;                                                                           \
	})
#define gort_unbox(T, a) gort_assert(T, a)

// bool gort_assert_ok(T, i, T *out): true and *out = the T in i; or false and *out zeroed.
// Go: out, ok = i.(T).
#define gort_assert_ok(T, i, out)                                                                  \
	__extension__({                                                                            \
		const gort_type *gort_to_ = gort_type_of(T);                                       \
		gort_any gort_a_ = gort_as_any(i);                                                 \
		__typeof__(T) *gort_out_ = (out);                                                  \
		gort_assert_inline_(gort_to_, gort_a_, gort_out_, sizeof(T)) ||                    \
			gort_assert_ok_(gort_to_, gort_a_, gort_out_);                             \
	})

// bool gort_is_nil(i): i has no type. False of an interface that holds a null pointer.
// Go: i == nil.
#define gort_is_nil(i) (!gort_as_any(i).type)

// bool gort_iface_equal(i, j): gort_any_equal of any two interface values, also of different kinds.
// Go: i == j.
#define gort_iface_equal(i, j) gort_any_equal(gort_as_any(i), gort_as_any(j))

// int gort_type_switch(i, T, ...): the index of the first of up to 16 types (interfaces too) that i
// holds, -1 if none or nil. Go: switch i.(type).
//	switch (gort_type_switch(a, int, gort_string)) {
//	case 0: use(gort_unbox(int, a)); break;
//	case 1: ...
#define gort_type_switch(i, ...)                                                                   \
	__extension__({                                                                            \
		gort_any gort_sw_ = gort_as_any(i);                                                \
		GORT_SWITCH_COUNT_(__VA_ARGS__)(0, __VA_ARGS__);                                   \
	})
#define GORT_SWITCH_PICK_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, N, ...)                  \
	GORT_CAT(GORT_SWITCH_, N)
#define GORT_SWITCH_COUNT_(...)                                                                    \
	GORT_SWITCH_PICK_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
#define GORT_SWITCH_1(x, T) (gort_is_(gort_type_of(T), gort_sw_) ? (x) : -1)
#define GORT_SWITCH_2(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_1((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_3(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_2((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_4(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_3((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_5(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_4((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_6(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_5((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_7(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_6((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_8(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_7((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_9(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_8((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_10(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_9((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_11(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_10((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_12(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_11((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_13(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_12((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_14(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_13((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_15(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_14((x) + 1, __VA_ARGS__))
#define GORT_SWITCH_16(x, T, ...)                                                                  \
	(gort_is_(gort_type_of(T), gort_sw_) ? (x) : GORT_SWITCH_15((x) + 1, __VA_ARGS__))

// ---- interfaces with methods ----

// GORT_INTERFACE(name, METHODS): at file scope: the interface type name (also struct name). METHODS is
// the name of a macro that applies its argument to each method: M(result, method, parameter types...).
// Up to 32 methods; one interface includes another by naming its macro within its own. In all source
// files the same name must mean the same methods. Go: type name interface { ... }.
#define GORT_INTERFACE(I, METHODS)                                                                 \
	struct gort_itab_of_##I {                                                                  \
		struct gort_itab itab;                                                             \
		METHODS(GORT_METHOD_SLOT_)                                                         \
	};                                                                                         \
	typedef struct I {                                                                         \
		const struct gort_itab_of_##I *tab;                                                \
		void *data;                                                                        \
	} I;                                                                                       \
	static const struct gort_method_ gort_methods_of_##I[] = {                                 \
		METHODS(GORT_METHOD_NAME_){0, 0}};                                                 \
	static const struct gort_interface_ gort_interface_##I = {                                 \
		#I, gort_methods_of_##I,                                                           \
		sizeof(gort_methods_of_##I) / sizeof(struct gort_method_) - 1};                    \
	static struct gort_type_decl gort_interface_decl_##I = {                                   \
		0, #I, sizeof(I), 0, 0, GORT_DECL_INTERFACE, &gort_interface_##I};                 \
	__attribute__((constructor(101))) static void gort_interface_init_##I(void)                \
	{                                                                                          \
		gort_interface_decl_##I.next = gort_file_types_;                                   \
		gort_file_types_ = &gort_interface_decl_##I;                                       \
	}
#define GORT_METHOD_SLOT_(R, method, ...) R (*method)(void *, ##__VA_ARGS__);
#define GORT_METHOD_NAME_(R, method, ...) {#method, #R "(" #__VA_ARGS__ ")"},

// GORT_IMPLEMENTS(name, METHODS, T, prefix): at file scope, after the prototypes: pointers to T
// implement the interface by the functions prefix_method(T *self, ...), whose self may be const T *.
// Does not compile when one is missing (the compiler names it) or has another type. May stand in any
// number of files. Go: var _ name = (*T)(nil).
#define GORT_IMPLEMENTS(I, METHODS, T, prefix)                                                     \
	GORT_EACH_METHOD_(GORT_METHOD_CHECK_, (I, T, prefix), METHODS(GORT_METHOD_TUPLE_))         \
	__attribute__((unused)) static I gort_iface_##I##_##prefix(T *self)                        \
	{                                                                                          \
		static void (*const methods[])(void) = {GORT_EACH_METHOD_(                         \
			GORT_METHOD_ADDRESS_, (prefix), METHODS(GORT_METHOD_TUPLE_)) 0};           \
		static const struct gort_itab *cache;                                              \
		const struct gort_itab *tab = __atomic_load_n(&cache, __ATOMIC_ACQUIRE);           \
		if (__builtin_expect(!tab, 0))                                                     \
			tab = gort_itab_add_(&cache, gort_type_of(I), gort_type_of(T *), methods); \
		return (I){(const struct gort_itab_of_##I *)tab, self};                            \
	}                                                                                          \
	__attribute__((constructor)) static void gort_implements_##I##_##prefix(void)              \
	{                                                                                          \
		gort_iface_##I##_##prefix((T *)0);                                                 \
	}
#define GORT_METHOD_TUPLE_(...) (__VA_ARGS__),
#define GORT_METHOD_CHECK_(I, T, prefix, R, method, ...)                                           \
	_Static_assert(__builtin_types_compatible_p(__typeof__(&prefix##_##method),                \
						    R (*)(T *, ##__VA_ARGS__)) ||                  \
			       __builtin_types_compatible_p(__typeof__(&prefix##_##method),        \
							    R (*)(const T *, ##__VA_ARGS__)),      \
		       #prefix "_" #method " has another type than the method of " #I);
#define GORT_METHOD_ADDRESS_(prefix, R, method, ...) (void (*)(void))prefix##_##method,

// GORT_EACH_METHOD_(F, (context), (method), (method), ) is F(context, method) for each.
#define GORT_UNPACK_(...) __VA_ARGS__
#define GORT_APPLY_(F, ...) F(__VA_ARGS__)
#define GORT_EACH_METHOD_(F, c, ...)                                                               \
	GORT_CAT(GORT_METHODS_, GORT_METHOD_COUNT_(__VA_ARGS__, 32, 31, 30, 29, 28, 27, 26, 25,    \
						   24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, \
						   12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0))   \
	(F, c, __VA_ARGS__)
#define GORT_METHOD_COUNT_(_0, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15,   \
			   _16, _17, _18, _19, _20, _21, _22, _23, _24, _25, _26, _27, _28, _29,   \
			   _30, _31, _32, n, ...)                                                  \
	n
#define GORT_METHODS_0(F, c, ...)
#define GORT_METHODS_1(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m)
#define GORT_METHODS_2(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_1(F, c, __VA_ARGS__)
#define GORT_METHODS_3(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_2(F, c, __VA_ARGS__)
#define GORT_METHODS_4(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_3(F, c, __VA_ARGS__)
#define GORT_METHODS_5(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_4(F, c, __VA_ARGS__)
#define GORT_METHODS_6(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_5(F, c, __VA_ARGS__)
#define GORT_METHODS_7(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_6(F, c, __VA_ARGS__)
#define GORT_METHODS_8(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_7(F, c, __VA_ARGS__)
#define GORT_METHODS_9(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_8(F, c, __VA_ARGS__)
#define GORT_METHODS_10(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_9(F, c, __VA_ARGS__)
#define GORT_METHODS_11(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_10(F, c, __VA_ARGS__)
#define GORT_METHODS_12(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_11(F, c, __VA_ARGS__)
#define GORT_METHODS_13(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_12(F, c, __VA_ARGS__)
#define GORT_METHODS_14(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_13(F, c, __VA_ARGS__)
#define GORT_METHODS_15(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_14(F, c, __VA_ARGS__)
#define GORT_METHODS_16(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_15(F, c, __VA_ARGS__)
#define GORT_METHODS_17(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_16(F, c, __VA_ARGS__)
#define GORT_METHODS_18(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_17(F, c, __VA_ARGS__)
#define GORT_METHODS_19(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_18(F, c, __VA_ARGS__)
#define GORT_METHODS_20(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_19(F, c, __VA_ARGS__)
#define GORT_METHODS_21(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_20(F, c, __VA_ARGS__)
#define GORT_METHODS_22(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_21(F, c, __VA_ARGS__)
#define GORT_METHODS_23(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_22(F, c, __VA_ARGS__)
#define GORT_METHODS_24(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_23(F, c, __VA_ARGS__)
#define GORT_METHODS_25(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_24(F, c, __VA_ARGS__)
#define GORT_METHODS_26(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_25(F, c, __VA_ARGS__)
#define GORT_METHODS_27(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_26(F, c, __VA_ARGS__)
#define GORT_METHODS_28(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_27(F, c, __VA_ARGS__)
#define GORT_METHODS_29(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_28(F, c, __VA_ARGS__)
#define GORT_METHODS_30(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_29(F, c, __VA_ARGS__)
#define GORT_METHODS_31(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_30(F, c, __VA_ARGS__)
#define GORT_METHODS_32(F, c, m, ...) GORT_APPLY_(F, GORT_UNPACK_ c, GORT_UNPACK_ m) \
	GORT_METHODS_31(F, c, __VA_ARGS__)

// name gort_iface(name, prefix, T *p): p as that interface; p may be NULL, the interface is not nil all
// the same. Needs GORT_IMPLEMENTS before it in the file. Go: name(p).
#define gort_iface(I, prefix, p) GORT_CAT(gort_iface_, GORT_CAT(I, GORT_CAT(_, prefix)))(p)

// gort_call(i, method, arguments...): calls the method and has its result. A nil interface panics
// "invalid memory address or nil pointer dereference". Go: i.method(arguments...).
#define gort_call(i, method, ...)                                                                  \
	__extension__({                                                                            \
		__typeof__(i) gort_i_ = (i);                                                       \
		gort_i_.tab->method(gort_i_.data, ##__VA_ARGS__);                                  \
	})
#endif

GORT_END_DECLS
