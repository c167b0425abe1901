// SPDX-License-Identifier: BSD-3-Clause
// Maps: the public entry points, map types, and what both engines share.
#include "data/map.h"

#include <string.h>

#include "base/lock.h"
#include "base/rand.h"
#include "debug/throw.h"
#include "os/os.h"

int rt_map_engine = MAP_SWISS;

// ---- shared pieces ----

void *
rt_map_new(size_t size, const gort_type *t)
{
	rt_enter();
	void *p = rt_mallocgc(size, t);
	rt_leave();
	return p;
}

uint64_t
rt_map_random(void)
{
	rt_enter();
	uint64_t r = rt_fastrand64();
	rt_leave();
	return r;
}

void
rt_map_setptr(void *slot, void *value)
{
	rt_enter();
	rt_barrier_before(NULL, slot, sizeof(void *));
	*(void **)slot = value;
	rt_leave();
}

void
rt_map_clear_memory(const gort_type *t, void *p, size_t n)
{
	if (t && (t->flags & GORT_TYPE_NOSCAN)) {
		memset(p, 0, n);
		return;
	}
	rt_enter();
	rt_barrier_before(t, p, n);
	memset(p, 0, n);
	rt_leave();
}

// Over a key that is equal already: the old one's pointers are logged.
void
rt_map_store_key(const struct gort_maptype *t, void *slot, const void *key)
{
	rt_enter();
	rt_barrier_before(t->key, slot, t->key->size);
	memcpy(slot, key, t->key->size);
	rt_leave();
}

// ---- map types ----

static uint64_t
hash_by_type(const struct gort_maptype *t, const void *key, uint64_t seed)
{
	return rt_type_hash(t->key, key, seed);
}

static bool
equal_by_type(const struct gort_maptype *t, const void *a, const void *b)
{
	return rt_type_equal(t->key, a, b);
}

static uint64_t
hash_by_user(const struct gort_maptype *t, const void *key, uint64_t seed)
{
	void (*f)(void) = t->funcs.hash;
	uint64_t h = 0;
	switch (t->funcs.hash_form) {
	case GORT_HASH_SEEDED64:
		h = ((uint64_t(*)(const void *, uint64_t))f)(key, seed);
		break;
	case GORT_HASH_PLAIN64:
		h = ((uint64_t(*)(const void *))f)(key);
		break;
	case GORT_HASH_SEEDED32:
		h = ((uint32_t(*)(const void *, uint64_t))f)(key, seed);
		break;
	case GORT_HASH_PLAIN32:
		h = ((uint32_t(*)(const void *))f)(key);
		break;
	}
	// A user's hash may have little in its upper bits, which the tables look at as well.
	return rt_hash64(h, seed);
}

static bool
equal_by_user(const struct gort_maptype *t, const void *a, const void *b)
{
	void (*f)(void) = t->funcs.equal;
	if (t->funcs.equal_form == GORT_EQUAL_INT)
		return ((int (*)(const void *, const void *))f)(a, b) != 0;
	return ((bool (*)(const void *, const void *))f)(a, b);
}

static const gort_type pointertype = {.size = sizeof(void *),
				      .align = sizeof(void *),
				      .kind = GORT_KIND_POINTER,
				      .flags = GORT_TYPE_PRECISE,
				      .nptrs = 1,
				      .ptrs = (const uint32_t[]){0},
				      .name = "pointer"};

// The type of what lies in a key's or value's place.
static const gort_type *
stored(const gort_type *t)
{
	return t->size > MAP_MAX_DIRECT ? &pointertype : t;
}

static bool
exact(const gort_type *t)
{
	return t->flags & (GORT_TYPE_NOSCAN | GORT_TYPE_PRECISE);
}

static void
add_pointers(uint32_t *ptrs, uint32_t *n, const gort_type *t, uint32_t offset)
{
	if (t->flags & GORT_TYPE_NOSCAN)
		return;
	for (uint32_t i = 0; i < t->nptrs; i++)
		ptrs[(*n)++] = offset + t->ptrs[i];
}

static uint32_t
pointers_in(const gort_type *t)
{
	return t->flags & GORT_TYPE_NOSCAN ? 0 : t->nptrs;
}

// The descriptor of a bucket. Pointer-free ones are noscan although they have an overflow pointer:
// mapextra keeps overflow buckets alive.
static const gort_type *
bucket_type(const struct gort_maptype *t)
{
	const gort_type *k = stored(t->key), *e = stored(t->elem);
	gort_type *u = rt_persistent_alloc(sizeof(*u), 8, NULL);
	*u = (gort_type){.size = t->unitsize,
			 .align = 8,
			 .kind = GORT_KIND_STRUCT,
			 .name = "map bucket",
			 .flags = t->noscan ? GORT_TYPE_NOSCAN : 0};
	if (t->noscan || !exact(k) || !exact(e))
		return u;
	uint32_t n = 8 * (pointers_in(k) + pointers_in(e)) + 1, at = 0;
	uint32_t *ptrs = rt_persistent_alloc(n * sizeof(*ptrs), 8, NULL);
	for (uint32_t i = 0; i < 8; i++)
		add_pointers(ptrs, &at, k, t->keyoff + i * t->keysize);
	for (uint32_t i = 0; i < 8; i++)
		add_pointers(ptrs, &at, e, t->elemoff + i * t->elemsize);
	ptrs[at++] = t->overflowoff;
	u->flags = GORT_TYPE_PRECISE;
	u->nptrs = at;
	u->ptrs = ptrs;
	return u;
}

static void
layout_bucket(struct gort_maptype *t)
{
	const gort_type *k = stored(t->key), *e = stored(t->elem);
	uint32_t align = rt_max(rt_max(k->align, e->align), 8u);
	t->keyoff = rt_round_up(8u, k->align);
	t->elemoff = rt_round_up(t->keyoff + 8 * t->keysize, rt_max(e->align, 1u));
	t->overflowoff = rt_round_up(t->elemoff + 8 * t->elemsize, 8u);
	t->unitsize = rt_round_up(t->overflowoff + 8, align);
	t->unit = bucket_type(t);
}

static void
layout_slot(struct gort_maptype *t)
{
	const gort_type *k = stored(t->key), *e = stored(t->elem);
	uint32_t n = pointers_in(k) + pointers_in(e), at = 0;
	t->elemoff = rt_round_up(t->keysize, rt_max(e->align, 1u));
	t->unitsize = rt_round_up(t->elemoff + t->elemsize, rt_max(rt_max(k->align, e->align), 1u));
	gort_type *u = rt_persistent_alloc(sizeof(*u), 8, NULL);
	uint32_t *ptrs = rt_persistent_alloc((n + 1) * sizeof(*ptrs), 8, NULL);
	add_pointers(ptrs, &at, k, 0);
	add_pointers(ptrs, &at, e, t->elemoff);
	*u = (gort_type){.size = t->unitsize,
			 .align = 8,
			 .kind = GORT_KIND_STRUCT,
			 .name = "map slot",
			 .flags = t->noscan                ? GORT_TYPE_NOSCAN
				  : exact(k) && exact(e) ? GORT_TYPE_PRECISE
							   : 0,
			 .nptrs = at,
			 .ptrs = ptrs};
	t->unit = u;
}

static struct {
	struct rt_mutex lock;
	_Atomic(struct gort_maptype *) head;
} maptypes;

static struct gort_maptype *
find_maptype(const gort_type *key, const gort_type *elem, int engine,
	     const struct gort_map_funcs *funcs)
{
	for (struct gort_maptype *t = rt_load_acquire(&maptypes.head); t; t = t->next)
		if (t->key == key && t->elem == elem && t->engine == engine &&
		    t->funcs.hash == funcs->hash && t->funcs.equal == funcs->equal)
			return t;
	return NULL;
}

static struct gort_maptype *
new_maptype(const gort_type *key, const gort_type *elem, int engine, int keyclass,
	    const struct gort_map_funcs *funcs)
{
	struct gort_maptype *t = rt_persistent_alloc(sizeof(*t), 8, NULL);
	bool user = funcs->hash;
	*t = (struct gort_maptype){.key = key,
				   .elem = elem,
				   .engine = (uint8_t)engine,
				   .keyclass = (uint8_t)(user ? GORT_KEY_OTHER : keyclass),
				   .indirectkey = key->size > MAP_MAX_DIRECT,
				   .indirectelem = elem->size > MAP_MAX_DIRECT,
				   .reflexivekey = !user && rt_type_reflexive(key),
				   .needkeyupdate = !user && rt_type_needkeyupdate(key),
				   .hashmightpanic = !user && rt_type_hashmightpanic(key),
				   .hash = user ? hash_by_user : hash_by_type,
				   .equal = user ? equal_by_user : equal_by_type,
				   .funcs = *funcs};
	t->keysize = (uint32_t)stored(key)->size;
	t->elemsize = (uint32_t)stored(elem)->size;
	t->noscan = stored(key)->flags & stored(elem)->flags & GORT_TYPE_NOSCAN;
	if (engine == MAP_BUCKETS)
		layout_bucket(t);
	else
		layout_slot(t);
	return t;
}

static const struct gort_maptype *
maptype(const gort_type *key, const gort_type *elem, int engine, int keyclass,
	const struct gort_map_funcs *funcs)
{
	struct gort_maptype *t = find_maptype(key, elem, engine, funcs);
	if (t)
		return t;
	rt_enter();
	rt_lock(&maptypes.lock);
	t = find_maptype(key, elem, engine, funcs);
	if (!t) {
		t = new_maptype(key, elem, engine, keyclass, funcs);
		t->next = rt_load(&maptypes.head);
		rt_store_release(&maptypes.head, t); // publishes *t to find_maptype
	}
	rt_unlock(&maptypes.lock);
	rt_leave();
	return t;
}

// ---- the public interface ----

static const struct gort_maptype *
typeof_(const gort_map *m)
{
	return ((const struct map_head *)m)->t;
}

_Noreturn static RT_COLD void
wrong_size(const struct gort_maptype *t, size_t keysize, size_t elemsize)
{
	if (keysize != t->key->size)
		rt_panic("gort: key of %zu bytes for a map of %s to %s", keysize, t->key->name,
			 t->elem->name);
	rt_panic("gort: value of %zu bytes for a map of %s to %s", elemsize, t->key->name,
		 t->elem->name);
}

static gort_map *
makemap(const struct gort_maptype *t, ptrdiff_t hint)
{
	return t->engine == MAP_BUCKETS ? rt_hmap_make(t, hint) : rt_swiss_make(t, hint);
}

gort_map *
gort_make_map_(const struct gort_maptype **cache, const gort_type *key, const gort_type *elem,
	       int keyclass, ptrdiff_t hint)
{
	static const struct gort_map_funcs none;
	const struct gort_maptype *t = __atomic_load_n(cache, __ATOMIC_ACQUIRE);
	if (rt_unlikely(!t || t->engine != rt_map_engine)) {
		if (!rt_type_hashable(key))
			rt_panic("runtime error: hash of unhashable type %s", key->name);
		t = maptype(key, elem, rt_map_engine, keyclass, &none);
		__atomic_store_n(cache, t, __ATOMIC_RELEASE);
	}
	return makemap(t, hint);
}

gort_map *
gort_make_map_with_(const gort_type *key, const gort_type *elem, ptrdiff_t hint,
		    struct gort_map_funcs funcs)
{
	return makemap(maptype(key, elem, rt_map_engine, GORT_KEY_OTHER, &funcs), hint);
}

void *
gort_map_get_(gort_map *m, const void *key, size_t keysize, size_t elemsize)
{
	if (!m)
		return NULL;
	const struct gort_maptype *t = typeof_(m);
	if (rt_unlikely(keysize != t->key->size || elemsize != t->elem->size))
		wrong_size(t, keysize, elemsize);
	if (rt_likely(t->engine == MAP_SWISS))
		return rt_swiss_access(m, key).elem;
	return rt_hmap_access(m, key).elem;
}

void *
gort_map_put_(gort_map *m, const void *key, size_t keysize, size_t elemsize)
{
	if (rt_unlikely(!m))
		rt_panic("assignment to entry in nil map");
	const struct gort_maptype *t = typeof_(m);
	if (rt_unlikely(keysize != t->key->size || elemsize != t->elem->size))
		wrong_size(t, keysize, elemsize);
	if (rt_likely(t->engine == MAP_SWISS))
		return rt_swiss_assign(m, key);
	return rt_hmap_assign(m, key);
}

bool
gort_map_delete_(gort_map *m, const void *key, size_t keysize)
{
	if (!m)
		return false;
	const struct gort_maptype *t = typeof_(m);
	if (rt_unlikely(keysize != t->key->size))
		wrong_size(t, keysize, 0);
	if (rt_likely(t->engine == MAP_SWISS))
		return rt_swiss_delete(m, key);
	return rt_hmap_delete(m, key);
}

ptrdiff_t
gort_map_len(const gort_map *m)
{
	return m ? ((const struct map_head *)m)->count : 0;
}

void
gort_map_clear(gort_map *m)
{
	if (!m)
		return;
	if (typeof_(m)->engine == MAP_SWISS)
		rt_swiss_clear(m);
	else
		rt_hmap_clear(m);
}

gort_map_iter
gort_map_iterate(gort_map *m)
{
	gort_map_iter it = {0};
	if (gort_map_len(m) == 0)
		return it;
	if (typeof_(m)->engine == MAP_SWISS)
		rt_swiss_iterate(m, &it);
	else
		rt_hmap_iterate(m, &it);
	return it;
}

bool
gort_map_next_(gort_map_iter *it)
{
	if (!it->t)
		return false;
	return it->t->engine == MAP_SWISS ? rt_swiss_next(it) : rt_hmap_next(it);
}

void
rt_check_map(const gort_map *m)
{
	if (typeof_(m)->engine == MAP_SWISS)
		rt_swiss_check(m);
	else
		rt_hmap_check(m);
}

size_t
rt_map_capacity(const gort_map *m)
{
	return typeof_(m)->engine == MAP_SWISS ? rt_swiss_capacity(m) : rt_hmap_capacity(m);
}
