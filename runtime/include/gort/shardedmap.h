// SPDX-License-Identifier: BSD-3-Clause
// A map for many goroutines at once: shards, each a gort_map behind a lock of its own. Comes with
// <gort/sync.h>.
//
//	gort_sharded_map *m = gort_make_sharded_map(uint64_t, int, 64);
//	gort_sharded_map_store(uint64_t, int, m, 7, 1);
//	int v;
//	if (gort_sharded_map_load(uint64_t, int, m, 7, &v))
//		use(v);
//
// Values go in and out by copy, so nothing points into the map while somebody else changes it; to read,
// change and write in one step, gort_sharded_map_update. Each call on one key is atomic; calls that see
// several keys (len, range, clear) look at shard after shard.
//
// Keys are as in gort/map.h. K and V must be those the map was made with; other sizes panic. The macros
// evaluate each argument once, values before places. Every call may park the goroutine on the shard's
// lock; those that change the map may allocate. None is async-signal-safe. Collected pointers in keys and
// values are looked after. A NULL map is empty for readers; a store panics "assignment to entry in nil map".
//
// Go: none in the library; there, a slice of struct { sync.Mutex; m map[K]V }. For keys of many types,
// or entries that are written once and read very often: gort_sync_map.
#pragma once

#include <gort/map.h>
#include <gort/sync.h>

GORT_BEGIN_DECLS

typedef struct gort_sharded_map gort_sharded_map;

GORT_API gort_sharded_map *gort_make_sharded_map_(const struct gort_maptype **cache,
						  const gort_type *key, const gort_type *elem,
						  int keyclass, ptrdiff_t shards);
GORT_API bool gort_sharded_map_load_(gort_sharded_map *m, const void *key, size_t keysize,
				     void *value, size_t elemsize);
GORT_API void gort_sharded_map_store_(gort_sharded_map *m, const void *key, size_t keysize,
				      const void *value, size_t elemsize);
GORT_API bool gort_sharded_map_delete_(gort_sharded_map *m, const void *key, size_t keysize);
GORT_API void gort_sharded_map_update_(gort_sharded_map *m, const void *key, size_t keysize,
				       size_t elemsize,
				       void (*fn)(void *value, bool present, void *arg), void *arg);

#ifndef __cplusplus

// gort_sharded_map *gort_make_sharded_map(K, V, ptrdiff_t shards): an empty map; shards <= 0: four for
// each processor. More shards than goroutines that use the map at once are of no use.
#define gort_make_sharded_map(K, V, shards)                                                        \
	__extension__({                                                                            \
		_Static_assert(gort_kind_of_(K) != GORT_KIND_SLICE,                                \
			       "invalid map key type: slices are not comparable");                 \
		static const struct gort_maptype *gort_maptype_;                                   \
		gort_make_sharded_map_(&gort_maptype_, gort_type_of(K), gort_type_of(V),           \
				       gort_key_class_(K), (shards));                              \
	})

// bool gort_sharded_map_load(K, V, m, K key, V *value): true and *value = a copy of what key has; or
// false, *value untouched.
#define gort_sharded_map_load(K, V, m, k, value)                                                   \
	__extension__({                                                                            \
		__typeof__(K) gort_k_ = (k);                                                       \
		__typeof__(V) *gort_v_ = (value);                                                  \
		gort_sharded_map_load_((m), &gort_k_, sizeof(K), gort_v_, sizeof(V));              \
	})

// void gort_sharded_map_store(K, V, m, K key, V value): m[key] = value.
#define gort_sharded_map_store(K, V, m, k, v)                                                      \
	__extension__({                                                                            \
		__typeof__(V) gort_v_ = (v);                                                       \
		__typeof__(K) gort_k_ = (k);                                                       \
		gort_sharded_map_store_((m), &gort_k_, sizeof(K), &gort_v_, sizeof(V));            \
	})

// bool gort_sharded_map_delete(K, m, K key): was it there?
#define gort_sharded_map_delete(K, m, k)                                                           \
	__extension__({                                                                            \
		__typeof__(K) gort_k_ = (k);                                                       \
		gort_sharded_map_delete_((m), &gort_k_, sizeof(K));                                \
	})

// void gort_sharded_map_update(K, V, m, K key, fn, void *arg): calls fn(value, present, arg) under the
// shard's lock; value points at key's V in the map, zeroed and put there now if present is false. fn
// changes it as it likes (collected pointers by gort_set), keeps no pointer to it and calls nothing of
// this map: its own shard's lock is not free. fn may park.
#define gort_sharded_map_update(K, V, m, k, fn, arg)                                               \
	__extension__({                                                                            \
		__typeof__(K) gort_k_ = (k);                                                       \
		gort_sharded_map_update_((m), &gort_k_, sizeof(K), sizeof(V), (fn), (arg));        \
	})

#endif

// Entries; while others write, a number that was right shard by shard. 0 for NULL.
GORT_API ptrdiff_t gort_sharded_map_len(gort_sharded_map *m);

// Calls fn with a copy of each key and value, in no order, until it returns false. No lock is held
// meanwhile, so fn may call anything; it sees each shard as it was at one moment.
GORT_API void gort_sharded_map_range(gort_sharded_map *m,
				     bool (*fn)(const void *key, void *value, void *arg), void *arg);

// Removes every entry, shard after shard.
GORT_API void gort_sharded_map_clear(gort_sharded_map *m);

GORT_END_DECLS
