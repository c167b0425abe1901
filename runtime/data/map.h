// SPDX-License-Identifier: BSD-3-Clause
// What the two map engines share: the map type and the entry points map.c dispatches to.
//
// Depth: all of this runs at depth 0, since hash and equality functions are the user's and run there.
// What allocates or overwrites a collected pointer of the map goes inside for just that long. A map is
// always in a state the collector can read: nothing is freed by hand, and an entry that moves lies in
// its old place until it lies in the new one.
#pragma once

#include <gort/map.h>

#include "base/base.h"
#include "data/alg.h"
#include "gc/barrier.h"
#include "mem/malloc.h"
#include "sched/tls.h"

// Keys and values above these sizes lie in objects of their own. Go: abi.MapMaxKeyBytes.
#define MAP_MAX_DIRECT 128

enum map_engine { MAP_BUCKETS, MAP_SWISS, MAP_ENGINES };
// What gort_make_map makes; tests change it.
extern int rt_map_engine;

// One a combination of key type, value type, functions and engine; interned, never freed.
struct gort_maptype {
	const gort_type *key, *elem;
	uint8_t engine;      // enum map_engine
	uint8_t keyclass;    // enum gort_key_class; GORT_KEY_OTHER whenever functions were given
	bool indirectkey;    // the slot holds a pointer to the key
	bool indirectelem;
	bool reflexivekey;   // k == k for every key
	bool needkeyupdate;  // overwriting an entry must overwrite its key
	bool hashmightpanic; // any
	bool noscan;         // neither keys nor values (as stored) hold collected pointers
	// Sizes and offsets in bytes, as stored. Bucket: tophash, 8 keys, 8 values, overflow pointer.
	// Group: see swiss.h. elemoff is from the start of the bucket, or of the slot.
	uint32_t keysize, elemsize;
	uint32_t keyoff, elemoff, overflowoff;
	uint32_t unitsize;   // of a bucket, or of a slot
	const gort_type *unit;   // of a bucket or slot: noscan, precise, or conservative
	uint64_t (*hash)(const struct gort_maptype *t, const void *key, uint64_t seed);
	bool (*equal)(const struct gort_maptype *t, const void *a, const void *b);
	// gort_make_map_with.
	struct gort_map_funcs funcs;
	struct gort_maptype *next;
};

// The part of both engines' maps that map.c reads.
struct map_head {
	ptrdiff_t count;
	uint64_t own[5];
	const struct gort_maptype *t; // Go's compiler passes it to every call; here the map knows it
};

struct map_entry {
	void *key, *elem; // NULL: absent
};

struct gort_map *rt_hmap_make(const struct gort_maptype *t, ptrdiff_t hint);
struct map_entry rt_hmap_access(struct gort_map *m, const void *key);
void *rt_hmap_assign(struct gort_map *m, const void *key);
bool rt_hmap_delete(struct gort_map *m, const void *key);
void rt_hmap_clear(struct gort_map *m);
void rt_hmap_iterate(struct gort_map *m, struct gort_map_iter *it);
bool rt_hmap_next(struct gort_map_iter *it);
void rt_hmap_check(const struct gort_map *m);
size_t rt_hmap_capacity(const struct gort_map *m);

struct gort_map *rt_swiss_make(const struct gort_maptype *t, ptrdiff_t hint);
struct map_entry rt_swiss_access(struct gort_map *m, const void *key);
void *rt_swiss_assign(struct gort_map *m, const void *key);
bool rt_swiss_delete(struct gort_map *m, const void *key);
void rt_swiss_clear(struct gort_map *m);
void rt_swiss_iterate(struct gort_map *m, struct gort_map_iter *it);
bool rt_swiss_next(struct gort_map_iter *it);
void rt_swiss_check(const struct gort_map *m);
size_t rt_swiss_capacity(const struct gort_map *m);
size_t rt_swiss_athome(const struct gort_map *m); // entries in the four slots that a lookup asks for at once

// For tests: walks everything and throws when an invariant does not hold; slots that exist.
void rt_check_map(const struct gort_map *m);
size_t rt_map_capacity(const struct gort_map *m);

// ---- for the engines ----

RT_INLINE uint64_t
rt_map_hash(const struct gort_maptype *t, int class, const void *key, uint64_t seed)
{
	uint32_t k32;
	uint64_t k64;
	switch (class) {
	case GORT_KEY_32:
		memcpy(&k32, key, 4);
		return rt_hash64(k32, seed);
	case GORT_KEY_64:
		memcpy(&k64, key, 8);
		return rt_hash64(k64, seed);
	case GORT_KEY_STRING:
		return rt_memhash(((const gort_string *)key)->str,
				  (size_t)((const gort_string *)key)->len, seed);
	default:
		return t->hash(t, key, seed);
	}
}

RT_INLINE bool
rt_map_equal(const struct gort_maptype *t, int class, const void *a, const void *b)
{
	switch (class) {
	case GORT_KEY_32:
		return memcmp(a, b, 4) == 0;
	case GORT_KEY_64:
		return memcmp(a, b, 8) == 0;
	case GORT_KEY_STRING:
		return rt_string_equal(*(const gort_string *)a, *(const gort_string *)b);
	default:
		return t->equal(t, a, b);
	}
}

// Runs the body with the class a constant for the compiler.
#define RT_MAP_BY_CLASS(t, call)                                                                   \
	((t)->keyclass == GORT_KEY_64       ? call(GORT_KEY_64)                                    \
	 : (t)->keyclass == GORT_KEY_32     ? call(GORT_KEY_32)                                    \
	 : (t)->keyclass == GORT_KEY_STRING ? call(GORT_KEY_STRING)                                \
					    : call(GORT_KEY_OTHER))

void *rt_map_new(size_t size, const gort_type *t);    // rt_mallocgc from depth 0
uint64_t rt_map_random(void);                         // rt_fastrand64 from depth 0
void rt_map_setptr(void *slot, void *value);          // overwrites a collected pointer, logged
// Clears n bytes that may hold collected pointers (t as in rt_barrier_before), logged.
void rt_map_clear_memory(const gort_type *t, void *p, size_t n);
void rt_map_store_key(const struct gort_maptype *t, void *slot, const void *key);
