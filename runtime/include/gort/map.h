// SPDX-License-Identifier: BSD-3-Clause
// Maps: Go's map[K]V.
//
//	gort_map *m = gort_make_map(uint64_t, double, 100);	// make(map[uint64]float64, 100)
//	*gort_map_put(uint64_t, double, m, 7) = 1.5;		// m[7] = 1.5
//	double *p = gort_map_get(uint64_t, double, m, 7);	// NULL if absent
//	gort_map_iter it = gort_map_iterate(m);
//	while (gort_map_next(&it))
//		use(*(uint64_t *)it.key, *(double *)it.value);
//
// Keys: integers, pointers, floats (NaN is equal to nothing, +0 to -0), gort_string and gort_any by
// value (an any that holds a slice panics "hash of unhashable type"); interfaces by what they hold; a
// struct, array or union by its bytes, padding included, or by its fields where GORT_KEY declares
// them; or as gort_make_map_with is told. Types with an alignment above 16 are not supported.
//
// A NULL map is Go's nil map: empty for every reader, and a put panics "assignment to entry in nil
// map". Pointers into a map are valid until the next call that changes it.
//
// One goroutine may write, or any number read. Where several meet, the map notices more often than
// not and ends the program: "concurrent map writes", "concurrent map read and map write", "concurrent
// map iteration and map write". Only the call itself is inside that check, so a store through the
// pointer that gort_map_put returned is not.
//
// Order: iteration starts at a random place. An entry that exists all the time is visited exactly
// once; one that is deleted before its turn is not; one that is put meanwhile may be.
//
// Calls that change a map may allocate and run a step of the collector. Nothing blocks. Hash and
// equality functions of the user's are called as any function is. Not async-signal-safe.
//
// The macros evaluate each argument once. K and V must be those the map was made with; other sizes
// panic.
#pragma once

#include <gort/base.h>
#include <gort/string.h>
#include <gort/type.h>

GORT_BEGIN_DECLS

typedef struct gort_map gort_map;
struct gort_maptype;

// How a key is hashed; what the macros find out when they are compiled.
enum gort_key_class {
	GORT_KEY_OTHER,  // by descriptor
	GORT_KEY_32,     // an integer or pointer of 4 bytes
	GORT_KEY_64,     // of 8
	GORT_KEY_STRING, // gort_string
};

// A field that takes part in equality; the layout of struct gort_field.
struct gort_key_field {
	size_t offset, size;
	uint8_t kind; // enum gort_kind, of the elements if it is an array
	uint32_t elem; // bytes of an element; size if it is none
};

// One iteration. key and value point into the map; all else is the library's. It may lie anywhere
// the collector looks (the stack, usually) and must not be copied while in use.
typedef struct gort_map_iter {
	void *key;   // of the entry that gort_map_next found
	void *value; // its value, which may be changed (collected pointers by gort_set)
	const struct gort_maptype *t;
	gort_map *h;
	union {
		__extension__ struct { // buckets
			void *buckets; // those of the start
			void *bptr;    // the current one
			void *overflow, *oldoverflow; // keep overflow buckets alive
			size_t startbucket, bucket, checkbucket;
			uint8_t offset; // within each bucket
			bool wrapped;
			uint8_t B, i;
		};
		__extension__ struct { // groups
			const uint16_t *ctrl; // of the table
			char *slots;
			const uint16_t *spanctrl; // of the slots in mask_
			char *spanslots;
			uint64_t start, pos; // prefixes of hashes: of the first table, of this one
			uint32_t span, nspans, startspan;
			uint32_t unitsize, elemoff;
			uint32_t clearseq;
		};
	};
	uint64_t mask_;    // slots of the span not yet visited, rotated by rotate_
	uint32_t version_; // of the map for which what is in mask_ holds
	uint8_t rotate_;
} gort_map_iter;

// User functions of a map, normalised by gort_make_map_with.
struct gort_map_funcs {
	void (*hash)(void);
	void (*equal)(void);
	uint8_t hash_form, equal_form; // which of the accepted prototypes
};

#define GORT_MAP_WRITING_ (1u << 27)

// ---- the inlined lookup of the default engine; layouts: runtime/data/swiss.h ----

#ifdef __cplusplus
typedef volatile uint32_t gort_map_state_; // C++ has no _Atomic, and only reads it, in gort_map_next
#else
typedef _Atomic uint32_t gort_map_state_;
#endif

struct gort_map_table_ {
	const uint16_t *ctrl; // a word a slot: 0 empty, 0x8000 | 15 bits of the hash when full
	char *slots;
};

struct gort_map_ {
	ptrdiff_t used;     // entries
	uint64_t seed, mul; // of the hash; mul is odd
	struct gort_map_table_ *dir; // tables by the upper bits of the hash
	gort_map_state_ state; // gort_map_shape_ of the types, or 0: not for inlining; GORT_MAP_WRITING_
	uint32_t groupmask; // bytes of control words in each table, less those of a group
	uint8_t shift;      // a hash's table is dir[hash >> shift]
	uint8_t globaldepth;
	bool noscan;        // of the type
	uint8_t elemoff;    // of the type, as slotsize
	uint16_t slotsize, reserved;
	const struct gort_maptype *t;
	uint32_t version;   // changes when entries move
	uint32_t clearseq;  // changes when the map is cleared
	struct gort_map_table_ one[2]; // dir of a small map
};

// Bit i: word i of the 16 at p, aligned to 16 bytes, is w. (The only vector code of the headers; the
// plain form is for CPUs without SSE2.)
static inline __attribute__((always_inline)) unsigned
gort_group_match_(const uint16_t *p, uint16_t w)
{
#ifdef __SSE2__
	typedef short v8 __attribute__((vector_size(16), may_alias));
	const v8 *half = (const v8 *)(const void *)p;
	v8 want = {0};
	want = want + (short)w;
	return (unsigned)__builtin_ia32_pmovmskb128(
		__builtin_ia32_packsswb128(half[0] == want, half[1] == want));
#else
	unsigned m = 0;
	for (unsigned i = 0; i < 16; i++)
		m |= (unsigned)(p[i] == w) << i;
	return m;
#endif
}

// The same from memory: what one match loaded is not kept for another that is hardly ever made.
static inline __attribute__((always_inline)) unsigned
gort_group_match_again_(const uint16_t *p, uint16_t w)
{
	__asm__("" : "+r"(p));
	return gort_group_match_(p, w);
}

// A constant of K and V that a map made for them has in shape; 0 when the macros leave the lookup to
// the library.
#define gort_map_shape_(class, keysize, elemsize)                                                  \
	((class) != GORT_KEY_OTHER && (elemsize) <= 128                                            \
		 ? 1u << 31 | (uint32_t)(class) << 28 | (uint32_t)(elemsize) << 8 |                \
			   (uint32_t)(keysize)                                                     \
		 : 0u)

// The halves of a product, folded: each bit depends on all of a and b. (gcc takes a 128-bit product's halves
// apart in memory; hence the instruction itself.)
static inline __attribute__((always_inline)) uint64_t
gort_map_fold_(uint64_t a, uint64_t b)
{
#if defined(__x86_64__) && !defined(__clang__)
	uint64_t lo, hi;
	__asm__("mulq %3" : "=a"(lo), "=d"(hi) : "%0"(a), "rm"(b) : "cc");
	return lo ^ hi;
#else
	__extension__ unsigned __int128 p = (unsigned __int128)a * b;
	return (uint64_t)(p >> 64) ^ (uint64_t)p;
#endif
}

static inline __attribute__((always_inline)) uint64_t
gort_map_hash64_(uint64_t k, uint64_t seed, uint64_t mul)
{
	return gort_map_fold_(gort_map_fold_(k ^ seed, mul), 0x9e3779b97f4a7c15u);
}

GORT_API gort_map *gort_make_map_(const struct gort_maptype **cache, const gort_type *key,
				  const gort_type *elem, int keyclass, ptrdiff_t hint);
GORT_API gort_map *gort_make_map_with_(const gort_type *key, const gort_type *elem, ptrdiff_t hint,
				       struct gort_map_funcs funcs);
GORT_API void *gort_map_get_(gort_map *m, const void *key, size_t keysize, size_t elemsize);
GORT_API void *gort_map_put_(gort_map *m, const void *key, size_t keysize, size_t elemsize);
GORT_API bool gort_map_delete_(gort_map *m, const void *key, size_t keysize);
GORT_API bool gort_map_next_(gort_map_iter *it);
// For maps of that shape; others are passed on.
GORT_API void *gort_map_get_string_(gort_map *m, const char *str, ptrdiff_t len, uint32_t shape);
GORT_API void *gort_map_get32_(gort_map *m, uint32_t k, uint32_t shape);
GORT_API void *gort_map_get64_(gort_map *m, uint64_t k, uint32_t shape);
GORT_API void *gort_map_put_string_(gort_map *m, const char *str, ptrdiff_t len, uint32_t shape);
GORT_API void *gort_map_put32_(gort_map *m, uint32_t k, uint32_t shape);
GORT_API void *gort_map_put64_(gort_map *m, uint64_t k, uint32_t shape);
GORT_API bool gort_map_delete32_(gort_map *m, uint32_t k);
GORT_API bool gort_map_delete64_(gort_map *m, uint64_t k);

// Where in its group an entry most likely is: at this slot or soon after it.
#define gort_map_home_(hash) ((unsigned)(hash) % 4 * 4)

// What a lookup finds in the first group of a map of that shape that nobody writes to. The rest is called:
// loops in every caller would cost more instructions than they save, and how many lookups a CPU overlaps
// is how many fit into its window.
static inline __attribute__((always_inline)) void *
gort_map_get_int_(gort_map *map, uint64_t k, size_t keysize, uint32_t shape, size_t elemoff,
		  size_t slotsize)
{
	const struct gort_map_ *m = (const struct gort_map_ *)map;
	if (__builtin_expect(m && m->state == shape, 1)) {
		uint64_t hash = gort_map_hash64_(k, m->seed, m->mul), have = 0;
		const struct gort_map_table_ *table = &m->dir[hash >> m->shift];
		size_t at = hash >> 10 & m->groupmask; // 32 bytes a group
		const uint16_t *group = (const uint16_t *)(const void *)((const char *)table->ctrl + at);
		char *slots = table->slots + at * slotsize / 2;
		__builtin_prefetch(slots + gort_map_home_(hash) * slotsize);
		unsigned match = gort_group_match_(group, (uint16_t)(hash | 0x8000));
		if (__builtin_expect(match != 0, 1)) {
			char *slot = slots + (unsigned)__builtin_ctzll(match) * slotsize;
			__builtin_memcpy(&have, slot, keysize);
			if (__builtin_expect(have == k, 1))
				return slot + elemoff;
		} else if (__builtin_expect(gort_group_match_again_(group, 0) != 0, 1)) {
			return 0;
		}
	}
	return keysize == 8 ? gort_map_get64_(map, k, shape)
			    : gort_map_get32_(map, (uint32_t)k, shape);
}

static inline __attribute__((always_inline)) void *
gort_map_get_inline_(gort_map *map, const void *key, size_t keysize, size_t elemsize, uint32_t shape,
		     size_t elemoff, size_t slotsize)
{
	if (shape && keysize == sizeof(gort_string)) {
		const gort_string *s = (const gort_string *)key;
		return gort_map_get_string_(map, s->str, s->len, shape);
	}
	if (shape && keysize == 8) {
		uint64_t k;
		__builtin_memcpy(&k, key, 8);
		return gort_map_get_int_(map, k, 8, shape, elemoff, slotsize);
	}
	if (shape && keysize == 4) {
		uint32_t k;
		__builtin_memcpy(&k, key, 4);
		return gort_map_get_int_(map, k, 4, shape, elemoff, slotsize);
	}
	return gort_map_get_(map, key, keysize, elemsize);
}

static inline __attribute__((always_inline)) void *
gort_map_put_inline_(gort_map *m, const void *key, size_t keysize, size_t elemsize, uint32_t shape)
{
	if (shape && keysize == sizeof(gort_string)) {
		const gort_string *s = (const gort_string *)key;
		return gort_map_put_string_(m, s->str, s->len, shape);
	}
	if (shape && keysize == 8) {
		uint64_t k;
		__builtin_memcpy(&k, key, 8);
		return gort_map_put64_(m, k, shape);
	}
	if (shape && keysize == 4) {
		uint32_t k;
		__builtin_memcpy(&k, key, 4);
		return gort_map_put32_(m, k, shape);
	}
	return gort_map_put_(m, key, keysize, elemsize);
}

static inline __attribute__((always_inline)) bool
gort_map_delete_inline_(gort_map *m, const void *key, size_t keysize, int keyclass)
{
	if (keyclass == GORT_KEY_64) {
		uint64_t k;
		__builtin_memcpy(&k, key, 8);
		return gort_map_delete64_(m, k);
	}
	if (keyclass == GORT_KEY_32) {
		uint32_t k;
		__builtin_memcpy(&k, key, 4);
		return gort_map_delete32_(m, k);
	}
	return gort_map_delete_(m, key, keysize);
}

#ifndef __cplusplus

#define gort_key_class_(K)                                                                         \
	(gort_kind_of_(K) == GORT_KIND_STRING ? GORT_KEY_STRING                                    \
	 : gort_kind_of_(K) != GORT_KIND_INT && gort_kind_of_(K) != GORT_KIND_POINTER              \
		 ? GORT_KEY_OTHER                                                                  \
	 : sizeof(K) == 8 ? GORT_KEY_64                                                            \
	 : sizeof(K) == 4 ? GORT_KEY_32                                                            \
			  : GORT_KEY_OTHER)

// gort_map *gort_make_map(K, V, ptrdiff_t hint): an empty map with room for about hint entries.
// Go: make(map[K]V, hint).
#define gort_make_map(K, V, hint)                                                                  \
	__extension__({                                                                            \
		_Static_assert(gort_kind_of_(K) != GORT_KIND_SLICE,                                \
			       "invalid map key type: slices are not comparable");                 \
		static const struct gort_maptype *gort_maptype_;                                   \
		gort_make_map_(&gort_maptype_, gort_type_of(K), gort_type_of(V),                   \
			       gort_key_class_(K), (hint));                                        \
	})

// gort_map *gort_make_map_with(K, V, ptrdiff_t hint, hash, equal): a map with a hash and an equality
// of the user's:
//	uint64_t hash(const K *key, uint64_t seed);	// or without seed
//	bool equal(const K *a, const K *b);		// or int
// where K may be void, and the hash's result uint64_t, unsigned long long or uint32_t. Equal keys must
// have equal hashes for the same seed; use the seed, or somebody may choose keys that collide. On
// overwriting, the key that is there stays. The functions must not use the map.
#define gort_make_map_with(K, V, hint, hash, equal)                                                \
	__extension__({                                                                            \
		const struct gort_map_funcs gort_funcs_ = {                                        \
			(void (*)(void))(hash), (void (*)(void))(equal),                           \
			gort_hash_form_(K, hash), gort_equal_form_(K, equal)};                     \
		gort_make_map_with_(gort_type_of(K), gort_type_of(V), (hint), gort_funcs_);        \
	})
enum { GORT_HASH_SEEDED64, GORT_HASH_PLAIN64, GORT_HASH_SEEDED32, GORT_HASH_PLAIN32 };
enum { GORT_EQUAL_BOOL, GORT_EQUAL_INT };
#define gort_hash_form_(K, f)                                                                      \
	_Generic((f), unsigned long (*)(const void *, uint64_t): GORT_HASH_SEEDED64,               \
		 unsigned long (*)(const __typeof__(K) *, uint64_t): GORT_HASH_SEEDED64,                       \
		 unsigned long long (*)(const void *, uint64_t): GORT_HASH_SEEDED64,               \
		 unsigned long long (*)(const __typeof__(K) *, uint64_t): GORT_HASH_SEEDED64,                  \
		 unsigned (*)(const void *, uint64_t): GORT_HASH_SEEDED32,                         \
		 unsigned (*)(const __typeof__(K) *, uint64_t): GORT_HASH_SEEDED32,                            \
		 unsigned long (*)(const void *): GORT_HASH_PLAIN64,                               \
		 unsigned long (*)(const __typeof__(K) *): GORT_HASH_PLAIN64,                                  \
		 unsigned long long (*)(const void *): GORT_HASH_PLAIN64,                          \
		 unsigned long long (*)(const __typeof__(K) *): GORT_HASH_PLAIN64,                             \
		 unsigned (*)(const void *): GORT_HASH_PLAIN32,                                    \
		 unsigned (*)(const __typeof__(K) *): GORT_HASH_PLAIN32)
#define gort_equal_form_(K, f)                                                                     \
	_Generic((f), bool (*)(const void *, const void *): GORT_EQUAL_BOOL,                       \
		 bool (*)(const __typeof__(K) *, const __typeof__(K) *): GORT_EQUAL_BOOL,                                  \
		 int (*)(const void *, const void *): GORT_EQUAL_INT,                              \
		 int (*)(const __typeof__(K) *, const __typeof__(K) *): GORT_EQUAL_INT)

// V *gort_map_get(K, V, gort_map *m, K key): where key's value is, NULL when there is none.
// Go: v, ok := m[key].
#define gort_map_get(K, V, m, k)                                                                   \
	__extension__({                                                                            \
		struct gort_slot_ {                                                                \
			__typeof__(K) key;                                                         \
			__typeof__(V) value;                                                       \
		};                                                                                 \
		__typeof__(K) gort_k_ = (k);                                                       \
		(__typeof__(V) *)gort_map_get_inline_(                                             \
			(m), &gort_k_, sizeof(K), sizeof(V),                                       \
			gort_map_shape_(gort_key_class_(K), sizeof(K), sizeof(V)),                 \
			offsetof(struct gort_slot_, value), sizeof(struct gort_slot_));            \
	})

// V *gort_map_put(K, V, gort_map *m, K key): where key's value is, zero if key was not there: made
// now. Assign through it at once: *gort_map_put(K, V, m, k) = v (collected pointers by gort_set).
// Panics "assignment to entry in nil map". Go: m[key] = v.
#define gort_map_put(K, V, m, k)                                                                   \
	__extension__({                                                                            \
		__typeof__(K) gort_k_ = (k);                                                       \
		(__typeof__(V) *)gort_map_put_inline_(                                             \
			(m), &gort_k_, sizeof(K), sizeof(V),                                       \
			gort_map_shape_(gort_key_class_(K), sizeof(K), sizeof(V)));                \
	})

// bool gort_map_delete(K, gort_map *m, K key): was it there? Go: delete(m, key).
#define gort_map_delete(K, m, k)                                                                   \
	__extension__({                                                                            \
		__typeof__(K) gort_k_ = (k);                                                       \
		gort_map_delete_inline_((m), &gort_k_, sizeof(K), gort_key_class_(K));             \
	})

// GORT_KEY(T, field, ...): at file scope, after the struct T: keys of type T are equal when these
// fields are (up to 16; paths as inner.id too). Fields that are strings, floats, anys or arrays of
// them compare as those do, structs by their bytes. Found by T's spelling in the source files that saw the
// declaration: declare it beside T.
#define GORT_KEY(T, ...) GORT_KEY_(T, GORT_CAT(gort_key_, __COUNTER__), __VA_ARGS__)
#define GORT_KEY_(T, id, ...)                                                                      \
	static const struct gort_field GORT_CAT(id, _fields)[] = {                                 \
		GORT_KEY_EACH_(T, __VA_ARGS__)};                                                   \
	static struct gort_type_decl id = {0, #T, sizeof(T), GORT_CAT(id, _fields),                \
					   sizeof(GORT_CAT(id, _fields)) / sizeof(struct gort_field), \
					   GORT_DECL_KEY, 0};                                                  \
	static __attribute__((constructor)) void GORT_CAT(id, _declare)(void)                      \
	{                                                                                          \
		id.next = gort_file_types_;                                                        \
		gort_file_types_ = &id;                                                            \
	}                                                                                          \
	_Static_assert(sizeof(T) > 0, "a key type of no size")
#define GORT_KEY_1_(T, f)                                                                          \
	{                                                                                          \
		offsetof(T, f), sizeof(((T *)0)->f), gort_kind_of_expr_(gort_key_elem_(T, f)),     \
			sizeof(gort_key_elem_(T, f))                                               \
	}
// The field, or its elements if it is an array of up to three dimensions.
#define gort_key_elem_(T, f) gort_elem_(gort_elem_(gort_elem_(((T *)0)->f)))
#define gort_elem_(e) (*__builtin_choose_expr(gort_is_array_(e), (e), &(e)))
#define GORT_KEY_EACH_(T, ...)                                                                     \
	GORT_KEY_PICK_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)         \
	(T, __VA_ARGS__)
#define GORT_KEY_PICK_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, N, ...)                     \
	GORT_CAT(GORT_KEY_N_, N)
#define GORT_KEY_N_1(T, f) GORT_KEY_1_(T, f)
#define GORT_KEY_N_2(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_1(T, __VA_ARGS__)
#define GORT_KEY_N_3(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_2(T, __VA_ARGS__)
#define GORT_KEY_N_4(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_3(T, __VA_ARGS__)
#define GORT_KEY_N_5(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_4(T, __VA_ARGS__)
#define GORT_KEY_N_6(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_5(T, __VA_ARGS__)
#define GORT_KEY_N_7(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_6(T, __VA_ARGS__)
#define GORT_KEY_N_8(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_7(T, __VA_ARGS__)
#define GORT_KEY_N_9(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_8(T, __VA_ARGS__)
#define GORT_KEY_N_10(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_9(T, __VA_ARGS__)
#define GORT_KEY_N_11(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_10(T, __VA_ARGS__)
#define GORT_KEY_N_12(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_11(T, __VA_ARGS__)
#define GORT_KEY_N_13(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_12(T, __VA_ARGS__)
#define GORT_KEY_N_14(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_13(T, __VA_ARGS__)
#define GORT_KEY_N_15(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_14(T, __VA_ARGS__)
#define GORT_KEY_N_16(T, f, ...) GORT_KEY_1_(T, f), GORT_KEY_N_15(T, __VA_ARGS__)

#endif

// Entries. 0 for a NULL map. Go: len(m).
GORT_API ptrdiff_t gort_map_len(const gort_map *m);
// Removes every entry, those with NaN keys too; the memory stays for the next ones. Go: clear(m).
GORT_API void gort_map_clear(gort_map *m);

// Starts an iteration; gort_map_next goes to the first entry, then to the next, and is false at the
// end (key and value then are NULL). Put and delete are allowed meanwhile. Go: for k, v := range m.
GORT_API gort_map_iter gort_map_iterate(gort_map *m);
static inline bool
gort_map_next(gort_map_iter *it)
{
	if (it->mask_) {
		const struct gort_map_ *m = (const struct gort_map_ *)it->h;
		unsigned i = ((unsigned)__builtin_ctzll(it->mask_) + it->rotate_) & 63;
		if (__builtin_expect(m->version == it->version_ && !(m->state & GORT_MAP_WRITING_) &&
					     it->spanctrl[i] & 0x8000,
				     1)) {
			it->mask_ &= it->mask_ - 1;
			it->key = it->spanslots + (size_t)i * it->unitsize;
			it->value = (char *)it->key + it->elemoff;
			return true;
		}
	}
	return gort_map_next_(it);
}

GORT_END_DECLS
