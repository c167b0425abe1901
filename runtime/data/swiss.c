// SPDX-License-Identifier: BSD-3-Clause
// The open-addressing map's lookup, put, delete, make and clear; layout and invariants: swiss.h.
//
// Each operation is there twice. The general code takes any map and goes on from group to group. What the
// macros call for short strings and for keys of 4 and 8 bytes looks at one group, calls nothing, and leaves
// what it cannot finish, unchanged, to the general code.
//
// A write holds GORT_MAP_WRITING_ in the map's state from after the hash (which may be the user's function)
// to its end; who finds it set, or at the end finds it gone, has met another one. The code for integer keys does
// not look at its end: that cost 4 % (MapInsert1K), and two writes that meet often are found by the look at the
// beginning.
#include "data/swiss.h"

static const gort_type maptype_ = {
	.size = sizeof(smap),
	.align = 8,
	.kind = GORT_KIND_STRUCT,
	.flags = GORT_TYPE_PRECISE,
	.nptrs = 5,
	.ptrs = (const uint32_t[]){offsetof(smap, dir), offsetof(smap, one[0].ctrl),
				   offsetof(smap, one[0].slots), offsetof(smap, one[1].ctrl),
				   offsetof(smap, one[1].slots)},
	.name = "map"};

// What an empty map has: a search ends in it, a put finds no room. Never written. Its slots are there to be
// asked for (prefetchhome).
static const struct {
	struct meta meta;
	uint16_t ctrl[GROUP];
} none RT_ALIGNED(32);

// ---- concurrent use ----

_Noreturn static RT_COLD void
concurrent_writes(void)
{
	rt_fatal("concurrent map writes");
}

static inline void
beginwrite(smap *m)
{
	uint32_t state = rt_load(&m->state);
	if (rt_unlikely(state & GORT_MAP_WRITING_))
		concurrent_writes();
	rt_store(&m->state, state | GORT_MAP_WRITING_);
}

static inline void
endwrite(smap *m)
{
	uint32_t state = rt_load(&m->state);
	if (rt_unlikely(!(state & GORT_MAP_WRITING_)))
		concurrent_writes();
	rt_store(&m->state, state & ~GORT_MAP_WRITING_);
}

// ---- access ----

RT_INLINE struct map_entry
access_by(const struct gort_maptype *t, const smap *m, const void *key, int class)
{
	uint64_t hash = hashof(m, class, key);
	const table *tab = tableof(m, hash);
	size_t i = find(t, tab, maskof(m, tab, class), hash, key, class);
	if (i == ABSENT)
		return (struct map_entry){NULL, NULL};
	char *slot = slotat(t, tab, i);
	return (struct map_entry){keyof(t, slot), elemof(t, slot)};
}

struct map_entry
rt_swiss_access(struct gort_map *map, const void *key)
{
	const smap *m = (const smap *)map;
	const struct gort_maptype *t = m->t;
	if (rt_unlikely(rt_load(&m->state) & GORT_MAP_WRITING_))
		rt_fatal("concurrent map read and map write");
#define call(class) access_by(t, m, key, class)
	return RT_MAP_BY_CLASS(t, call);
#undef call
}

// ---- put ----

// What lies in a pointer-free slot is arbitrary; in another it is zero.
RT_INLINE void
fillslot(const struct gort_maptype *t, char *slot, const void *key, int class)
{
	char *k = slot, *e = slot + t->elemoff;
	if (t->indirectkey)
		k = *(void **)slot = rt_map_new(t->key->size, t->key);
	if (class == GORT_KEY_64)
		memcpy(k, key, 8);
	else if (class == GORT_KEY_32)
		memcpy(k, key, 4);
	else
		memcpy(k, key, t->key->size);
	if (t->indirectelem)
		*(void **)e = rt_map_new(t->elem->size, t->elem);
	else if (t->elemsize == 8)
		memset(e, 0, 8);
	else
		memset(e, 0, t->elemsize);
}

// Makes slot i of the table, which is not full, key's.
RT_INLINE char *
occupy(const struct gort_maptype *t, smap *m, table *tab, size_t i, uint64_t hash, const void *key,
       int class)
{
	struct meta *mt = meta(tab);
	char *slot = slotat(t, tab, i);
	fillslot(t, slot, key, class);
	if (*ctrl(tab, i) == DELETED)
		mt->deleted--;
	else
		mt->growthleft--;
	setctrl(ctrl(tab, i & ~(size_t)(GROUP - 1)), i % GROUP, (uint16_t)(FULL | hash));
	m->used++;
	return slot;
}

// A new key in a table without room: one with room takes its place, or two do.
static RT_NOINLINE char *
growinsert(const struct gort_maptype *t, smap *m, uint64_t hash, const void *key)
{
	table *tab;
	do {
		rt_swiss_grow(t, m, hash);
		tab = tableof(m, hash);
	} while (meta(tab)->growthleft == 0);
	// A new table has no DELETED slots.
	return occupy(t, m, tab, emptyslot(tab, groupmask(meta(tab)->cap), hash), hash, key,
		      GORT_KEY_OTHER);
}

// key's slot; a new one if it has none: the first DELETED or EMPTY one of its search.
RT_INLINE char *
findorinsert(const struct gort_maptype *t, smap *m, uint64_t hash, const void *key, int class,
	     bool *found)
{
	table *tab = tableof(m, hash);
	size_t mask = maskof(m, tab, class), g = (hash >> TAGBITS) & mask, reuse = ABSENT;
	__builtin_prefetch(slotat(t, tab, g * GROUP + gort_map_home_(hash)));
	for (size_t step = 1;; g = (g + step++) & mask) {
		const uint16_t *group = tab->ctrl + g * GROUP;
		unsigned match = gort_group_match_(group, (uint16_t)(FULL | hash));
		for (; match; match &= match - 1) {
			char *slot = slotat(t, tab, g * GROUP + (size_t)__builtin_ctz(match));
			if (rt_likely(rt_map_equal(t, class, key, keyof_class(t, slot, class)))) {
				*found = true;
				return slot;
			}
		}
		unsigned empty = gort_group_match_(group, EMPTY);
		if (rt_unlikely(!empty)) {
			unsigned deleted = gort_group_match_(group, DELETED);
			if (deleted && reuse == ABSENT)
				reuse = g * GROUP + nearhome(deleted, hash);
			continue;
		}
		*found = false;
		if (reuse == ABSENT) {
			if (rt_unlikely(meta(tab)->growthleft == 0)) // also the table of no slots
				return growinsert(t, m, hash, key);
			reuse = g * GROUP + nearhome(empty, hash);
		}
		return occupy(t, m, tab, reuse, hash, key, class);
	}
}

RT_INLINE void *
assign_by(const struct gort_maptype *t, smap *m, const void *key, int class)
{
	// Before the write begins: a hash function that panics is no write.
	uint64_t hash = hashof(m, class, key);
	bool found;
	beginwrite(m);
	char *slot = findorinsert(t, m, hash, key, class, &found);
	if (found && class != GORT_KEY_64 && class != GORT_KEY_32 && t->needkeyupdate)
		rt_map_store_key(t, keyof(t, slot), key);
	endwrite(m);
	return elemof(t, slot);
}

void *
rt_swiss_assign(struct gort_map *map, const void *key)
{
	smap *m = (smap *)map;
	const struct gort_maptype *t = m->t;
#define call(class) assign_by(t, m, key, class)
	return RT_MAP_BY_CLASS(t, call);
#undef call
}

// ---- by shape, from the macros ----

// Of that shape, and nobody writes to it?
static inline bool
hasshape(const gort_map *m, uint32_t shape)
{
	return rt_likely(m && rt_load(&((const smap *)m)->state) == shape);
}

static inline size_t
shapeelem(uint32_t shape)
{
	return shape >> 8 & 0xff;
}

static RT_NOINLINE void *
get_string_slow(gort_map *map, const char *str, ptrdiff_t len, uint32_t shape)
{
	const smap *m = (const smap *)map;
	gort_string key = {str, len};
	if (!hasshape(map, shape))
		return gort_map_get_(map, &key, sizeof(key), shapeelem(shape));
	return access_by(m->t, m, &key, GORT_KEY_STRING).elem;
}

// Keys of up to 16 bytes stay in a register all the way, and nothing is called.
void *
gort_map_get_string_(gort_map *map, const char *str, ptrdiff_t len, uint32_t shape)
{
	const smap *m = (const smap *)map;
	if (!hasshape(map, shape) || rt_unlikely((size_t)len > 16))
		return get_string_slow(map, str, len, shape);
	rt_arch_short key = rt_arch_load_short(str, (size_t)len);
	uint64_t hash = rt_arch_aeshash_short(key, (size_t)len, m->seed, rt_hashkey);
	const table *tab = tableof(m, hash);
	prefetchhome(m, *tab, hash);
	const uint16_t *group = firstgroup(m, *tab, hash);
	unsigned match = gort_group_match_(group, (uint16_t)(FULL | hash));
	if (rt_likely(match != 0)) {
		char *slot = slotin(m, *tab, hash, (unsigned)__builtin_ctz(match));
		const gort_string *have = (const gort_string *)slot;
		if (rt_likely(have->len == len &&
			      rt_arch_short_equal(rt_arch_load_short(have->str, (size_t)len), key)))
			return slot + m->elemoff;
	} else if (rt_likely(gort_group_match_again_(group, EMPTY) != 0)) {
		return NULL;
	}
	return get_string_slow(map, str, len, shape);
}

void *
gort_map_get32_(gort_map *m, uint32_t k, uint32_t shape)
{
	if (!hasshape(m, shape))
		return gort_map_get_(m, &k, sizeof(k), shapeelem(shape));
	return access_by(((smap *)m)->t, (smap *)m, &k, GORT_KEY_32).elem;
}

void *
gort_map_get64_(gort_map *m, uint64_t k, uint32_t shape)
{
	if (!hasshape(m, shape))
		return gort_map_get_(m, &k, sizeof(k), shapeelem(shape));
	return access_by(((smap *)m)->t, (smap *)m, &k, GORT_KEY_64).elem;
}

void *
gort_map_put_string_(gort_map *m, const char *str, ptrdiff_t len, uint32_t shape)
{
	gort_string key = {str, len};
	if (!hasshape(m, shape))
		return gort_map_put_(m, &key, sizeof(key), shapeelem(shape));
	return assign_by(((smap *)m)->t, (smap *)m, &key, GORT_KEY_STRING);
}

// ---- keys of 4 and 8 bytes ----
//
// What puts and deletes come to nearly always is done within one group by functions that call nothing;
// the rest begins anew in the general code. In a large map the time is that of cache misses, and as many
// of them overlap as calls fit into the CPU's window: half the instructions are half the time.

RT_INLINE bool
haskey(const char *slot, uint64_t k, size_t keysize)
{
	uint64_t have = 0;
	memcpy(&have, slot, keysize);
	return have == k;
}

// A new entry in the first of a group's EMPTY slots. Slots are padded to the key's size.
RT_INLINE char *
occupy_int(smap *m, table tab, uint64_t hash, uint16_t *group, unsigned empty, uint64_t k, size_t keysize)
{
	unsigned i = nearhome(empty, hash);
	char *slot = slotin(m, tab, hash, i);
	memcpy(slot, &k, keysize);
	if (rt_likely(m->slotsize > keysize))
		memset(slot + keysize, 0, keysize);
	for (size_t at = 2 * keysize; rt_unlikely(at < m->slotsize); at += keysize) {
		memset(slot + at, 0, keysize);
		__asm__ volatile(""); // else the compiler calls memset for all
	}
	meta(&tab)->growthleft--;
	setctrl(group, i, (uint16_t)(FULL | hash));
	m->used++;
	return slot;
}

// NULL when it needs the general code; nothing has changed then.
RT_INLINE void *
put_int(smap *m, uint64_t k, size_t keysize, uint32_t shape)
{
	char *slot;
	rt_store(&m->state, shape | GORT_MAP_WRITING_);
	uint64_t hash = gort_map_hash64_(k, m->seed, m->mul);
	const table tab = *tableof(m, hash);
	prefetchhome(m, tab, hash);
	uint16_t *group = firstgroup(m, tab, hash);
	unsigned match = gort_group_match_(group, (uint16_t)(FULL | hash));
	if (match) {
		slot = slotin(m, tab, hash, (unsigned)__builtin_ctz(match));
		if (rt_unlikely(!haskey(slot, k, keysize)))
			slot = NULL;
	} else {
		unsigned empty = gort_group_match_(group, EMPTY);
		if (rt_unlikely(!empty || meta(&tab)->growthleft == 0))
			slot = NULL;
		else
			slot = occupy_int(m, tab, hash, group, empty, k, keysize);
	}
	rt_store(&m->state, shape);
	return rt_likely(slot != NULL) ? slot + m->elemoff : NULL;
}

static RT_NOINLINE void *
put32_slow(gort_map *m, uint32_t k, uint32_t shape)
{
	if (!hasshape(m, shape))
		return gort_map_put_(m, &k, sizeof(k), shapeelem(shape));
	return assign_by(((smap *)m)->t, (smap *)m, &k, GORT_KEY_32);
}

static RT_NOINLINE void *
put64_slow(gort_map *m, uint64_t k, uint32_t shape)
{
	if (!hasshape(m, shape))
		return gort_map_put_(m, &k, sizeof(k), shapeelem(shape));
	return assign_by(((smap *)m)->t, (smap *)m, &k, GORT_KEY_64);
}

void *
gort_map_put32_(gort_map *m, uint32_t k, uint32_t shape)
{
	void *elem = hasshape(m, shape) ? put_int((smap *)m, k, sizeof(k), shape) : NULL;
	return rt_likely(elem != NULL) ? elem : put32_slow(m, k, shape);
}

void *
gort_map_put64_(gort_map *m, uint64_t k, uint32_t shape)
{
	void *elem = hasshape(m, shape) ? put_int((smap *)m, k, sizeof(k), shape) : NULL;
	return rt_likely(elem != NULL) ? elem : put64_slow(m, k, shape);
}

// ---- delete ----

RT_INLINE bool
delete_by(const struct gort_maptype *t, smap *m, const void *key, int class)
{
	uint64_t hash = hashof(m, class, key);
	beginwrite(m);
	table *tab = tableof(m, hash);
	size_t i = find(t, tab, maskof(m, tab, class), hash, key, class);
	if (i != ABSENT) {
		struct meta *mt = meta(tab);
		if (!t->noscan)
			rt_map_clear_memory(t->unit, slotat(t, tab, i), t->unitsize);
		// A group with an EMPTY slot ends every search: another one changes nothing.
		uint16_t *group = ctrl(tab, i & ~(size_t)(GROUP - 1));
		bool ends = gort_group_match_(group, EMPTY);
		setctrl(group, i % GROUP, ends ? EMPTY : DELETED);
		if (ends)
			mt->growthleft++;
		else
			mt->deleted++;
		m->used--;
	}
	endwrite(m);
	return i != ABSENT;
}

bool
rt_swiss_delete(struct gort_map *map, const void *key)
{
	smap *m = (smap *)map;
	const struct gort_maptype *t = m->t;
#define call(class) delete_by(t, m, key, class)
	return RT_MAP_BY_CLASS(t, call);
#undef call
}

// From the macro, which knows the key only: a shape stands for keys that lie in their slots.
static inline bool
hasclass(const gort_map *m, uint32_t class)
{
	return rt_likely(m && (rt_load(&((const smap *)m)->state) & (15u << 28 | GORT_MAP_WRITING_)) ==
				      (8 | class) << 28);
}

static RT_NOINLINE bool
delete32_slow(gort_map *m, uint32_t k)
{
	if (!hasclass(m, GORT_KEY_32))
		return gort_map_delete_(m, &k, sizeof(k));
	return delete_by(((smap *)m)->t, (smap *)m, &k, GORT_KEY_32);
}

static RT_NOINLINE bool
delete64_slow(gort_map *m, uint64_t k)
{
	if (!hasclass(m, GORT_KEY_64))
		return gort_map_delete_(m, &k, sizeof(k));
	return delete_by(((smap *)m)->t, (smap *)m, &k, GORT_KEY_64);
}

enum deletion { ABSENT_KEY, WAS_THERE, NOT_SIMPLE };

// Of a map without collected pointers: slots stay as they are. NOT_SIMPLE: nothing has changed.
RT_INLINE enum deletion
delete_int(smap *m, uint64_t k, size_t keysize)
{
	enum deletion done = NOT_SIMPLE;
	uint32_t state = rt_load(&m->state);
	rt_store(&m->state, state | GORT_MAP_WRITING_);
	uint64_t hash = gort_map_hash64_(k, m->seed, m->mul);
	const table tab = *tableof(m, hash);
	prefetchhome(m, tab, hash);
	uint16_t *group = firstgroup(m, tab, hash);
	unsigned match = gort_group_match_(group, (uint16_t)(FULL | hash));
	if (!match) {
		if (rt_likely(gort_group_match_again_(group, EMPTY) != 0))
			done = ABSENT_KEY;
	} else if (rt_likely((match & (match - 1)) == 0 &&
			     haskey(slotin(m, tab, hash, (unsigned)__builtin_ctz(match)), k, keysize) &&
			     gort_group_match_again_(group, EMPTY))) {
		emptyslots(group, (uint16_t)(FULL | hash));
		meta(&tab)->growthleft++;
		m->used--;
		done = WAS_THERE;
	}
	rt_store(&m->state, state);
	return done;
}

bool
gort_map_delete32_(gort_map *m, uint32_t k)
{
	enum deletion done = NOT_SIMPLE;
	if (hasclass(m, GORT_KEY_32) && ((smap *)m)->noscan)
		done = delete_int((smap *)m, k, sizeof(k));
	return rt_likely(done != NOT_SIMPLE) ? done == WAS_THERE : delete32_slow(m, k);
}

bool
gort_map_delete64_(gort_map *m, uint64_t k)
{
	enum deletion done = NOT_SIMPLE;
	if (hasclass(m, GORT_KEY_64) && ((smap *)m)->noscan)
		done = delete_int((smap *)m, k, sizeof(k));
	return rt_likely(done != NOT_SIMPLE) ? done == WAS_THERE : delete64_slow(m, k);
}

// ---- make, clear ----

static void
reseed(smap *m)
{
	m->seed = rt_map_random();
	m->mul = rt_map_random() | 1;
}

// The shape that the macros know the map by; none for strings where the CPU cannot hash them in a register.
static uint32_t
shapeof(const struct gort_maptype *t)
{
	if (t->keyclass == GORT_KEY_STRING && !rt_use_aeshash)
		return 0;
	return gort_map_shape_(t->keyclass, t->key->size, t->elem->size);
}

struct gort_map *
rt_swiss_make(const struct gort_maptype *t, ptrdiff_t hint)
{
	smap *m = rt_map_new(sizeof(*m), &maptype_);
	m->t = t;
	rt_store(&m->state, shapeof(t));
	m->dir = m->one;
	m->shift = 63;
	m->globaldepth = 1;
	m->noscan = t->noscan;
	m->elemoff = (uint8_t)t->elemoff;
	m->slotsize = (uint16_t)t->unitsize;
	m->one[0] = m->one[1] = (table){none.ctrl, (char *)(uintptr_t)none.ctrl};
	reseed(m);
	if (hint > 0 && hint < PTRDIFF_MAX / 2)
		rt_swiss_presize(t, m, hint);
	return (struct gort_map *)m;
}

// The tables stay. Iterators end when they see clearseq.
void
rt_swiss_clear(struct gort_map *map)
{
	smap *m = (smap *)map;
	const struct gort_maptype *t = m->t;
	beginwrite(m);
	m->version++;
	m->clearseq++;
	for (size_t i = 0, n; i < (size_t)1 << m->globaldepth; i += n) {
		table *tab = &m->dir[i];
		struct meta *mt = meta(tab);
		n = (size_t)1 << (m->globaldepth - mt->localdepth);
		if (mt->cap == 0)
			continue;
		if (!t->noscan)
			rt_map_clear_memory(t->unit, tab->slots, (size_t)mt->cap * t->unitsize);
		memset(ctrl(tab, 0), EMPTY, mt->cap * sizeof(uint16_t));
		mt->growthleft = maxload(mt->cap);
		mt->deleted = 0;
	}
	m->used = 0;
	reseed(m);
	endwrite(m);
}
