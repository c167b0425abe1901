// SPDX-License-Identifier: BSD-3-Clause
// The sharded map. A key's shard follows from a hash with a seed of the whole map's, so that inside a
// shard, where maps hash with seeds of their own, keys are spread as if there were no shards.
//
// Each shard has a cache line to itself. Its lock is a gort_mutex: sections are short, and a read lock
// would write the line just as well.
#include <gort/shardedmap.h>

#include <string.h>

#include <gort/mem.h>
#include <gort/sched.h>

#include "data/map.h"
#include "debug/throw.h"

#define LINE 64u
#define MAX_SHARDS (1 << 16)

struct shard {
	gort_mutex mu;
	gort_map *m; // not NULL; under mu
	char pad[LINE - sizeof(gort_mutex) - sizeof(gort_map *)];
};
static_assert(sizeof(struct shard) == LINE, "a shard is one line");

struct gort_sharded_map {
	const struct gort_maptype *t;
	struct shard *shards; // nshards of them, on a line's border
	uint64_t seed;
	uint32_t nshards;
};

static const gort_type sharded_type = {
	.size = sizeof(struct gort_sharded_map),
	.align = 8,
	.kind = GORT_KIND_STRUCT,
	.flags = GORT_TYPE_PRECISE,
	.nptrs = 1,
	.ptrs = (const uint32_t[]){offsetof(struct gort_sharded_map, shards)},
	.name = "sharded map"};

gort_sharded_map *
gort_make_sharded_map_(const struct gort_maptype **cache, const gort_type *key,
		       const gort_type *elem, int keyclass, ptrdiff_t shards)
{
	if (shards <= 0)
		shards = 4 * gort_maxprocs(0);
	gort_sharded_map *m = rt_map_new(sizeof(*m), &sharded_type);
	m->nshards = (uint32_t)rt_min(shards, (ptrdiff_t)MAX_SHARDS);
	m->seed = rt_map_random();
	// Scanned word by word: where the pointers are depends on how the block is aligned.
	char *block = rt_map_new((size_t)m->nshards * LINE + LINE - 1, NULL);
	m->shards = (struct shard *)rt_round_up((uintptr_t)block, (uintptr_t)LINE);
	for (uint32_t i = 0; i < m->nshards; i++)
		m->shards[i].m = gort_make_map_(cache, key, elem, keyclass, 0);
	m->t = *cache;
	return m;
}

static struct shard *
lock_shard(gort_sharded_map *m, const void *key, size_t keysize)
{
	if (rt_unlikely(keysize != m->t->key->size))
		rt_panic("gort: key of %zu bytes for a sharded map of %s to %s", keysize,
			 m->t->key->name, m->t->elem->name);
	uint64_t hash = rt_map_hash(m->t, m->t->keyclass, key, m->seed);
	struct shard *s = &m->shards[(hash >> 32) * m->nshards >> 32];
	gort_mutex_lock(&s->mu);
	return s;
}

bool
gort_sharded_map_load_(gort_sharded_map *m, const void *key, size_t keysize, void *value,
		       size_t elemsize)
{
	if (!m)
		return false;
	struct shard *s = lock_shard(m, key, keysize);
	const void *v = gort_map_get_(s->m, key, keysize, elemsize);
	if (v)
		gort_copy_objects_(m->t->elem, value, v, 1);
	gort_mutex_unlock(&s->mu);
	return v != NULL;
}

void
gort_sharded_map_store_(gort_sharded_map *m, const void *key, size_t keysize, const void *value,
			size_t elemsize)
{
	if (rt_unlikely(!m))
		rt_panic("assignment to entry in nil map");
	struct shard *s = lock_shard(m, key, keysize);
	gort_copy_objects_(m->t->elem, gort_map_put_(s->m, key, keysize, elemsize), value, 1);
	gort_mutex_unlock(&s->mu);
}

bool
gort_sharded_map_delete_(gort_sharded_map *m, const void *key, size_t keysize)
{
	if (!m)
		return false;
	struct shard *s = lock_shard(m, key, keysize);
	bool was = gort_map_delete_(s->m, key, keysize);
	gort_mutex_unlock(&s->mu);
	return was;
}

void
gort_sharded_map_update_(gort_sharded_map *m, const void *key, size_t keysize, size_t elemsize,
			 void (*fn)(void *value, bool present, void *arg), void *arg)
{
	if (rt_unlikely(!m))
		rt_panic("assignment to entry in nil map");
	struct shard *s = lock_shard(m, key, keysize);
	ptrdiff_t before = gort_map_len(s->m);
	void *v = gort_map_put_(s->m, key, keysize, elemsize);
	fn(v, gort_map_len(s->m) == before, arg);
	gort_mutex_unlock(&s->mu);
}

ptrdiff_t
gort_sharded_map_len(gort_sharded_map *m)
{
	ptrdiff_t n = 0;
	for (uint32_t i = 0; m && i < m->nshards; i++) {
		gort_mutex_lock(&m->shards[i].mu);
		n += gort_map_len(m->shards[i].m);
		gort_mutex_unlock(&m->shards[i].mu);
	}
	return n;
}

// Copies of a shard's entries.
struct snapshot {
	char *keys, *values;
	ptrdiff_t n;
};

static struct snapshot
take(const struct gort_maptype *t, struct shard *s)
{
	struct snapshot snap = {0};
	ptrdiff_t i = 0;
	gort_mutex_lock(&s->mu);
	snap.n = gort_map_len(s->m);
	if (snap.n > 0) {
		snap.keys = gort_new_array_(t->key, snap.n);
		snap.values = gort_new_array_(t->elem, snap.n);
		gort_map_iter it = gort_map_iterate(s->m);
		for (; i < snap.n && gort_map_next(&it); i++) {
			memcpy(snap.keys + (size_t)i * t->key->size, it.key, t->key->size);
			memcpy(snap.values + (size_t)i * t->elem->size, it.value, t->elem->size);
		}
	}
	gort_mutex_unlock(&s->mu);
	return snap;
}

void
gort_sharded_map_range(gort_sharded_map *m, bool (*fn)(const void *key, void *value, void *arg),
		       void *arg)
{
	for (uint32_t i = 0; m && i < m->nshards; i++) {
		const struct gort_maptype *t = m->t;
		struct snapshot snap = take(t, &m->shards[i]);
		for (ptrdiff_t k = 0; k < snap.n; k++)
			if (!fn(snap.keys + (size_t)k * t->key->size,
				snap.values + (size_t)k * t->elem->size, arg))
				return;
	}
}

void
gort_sharded_map_clear(gort_sharded_map *m)
{
	for (uint32_t i = 0; m && i < m->nshards; i++) {
		gort_mutex_lock(&m->shards[i].mu);
		gort_map_clear(m->shards[i].m);
		gort_mutex_unlock(&m->shards[i].mu);
	}
}
