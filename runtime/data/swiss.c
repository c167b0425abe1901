// SPDX-License-Identifier: BSD-3-Clause
// The open-addressing map: groups of 16 slots, whose 16 control words are compared at a time, in tables
// of at most 1024 slots under an extendible directory.
//
//	map      dir -> {ctrl, slots} of the table for each prefix of the hash
//	table    meta | ctrl[cap]     and slots[cap] = {key, value}; in one block when pointer-free
//	hash     upper bits: table (dir[hash >> shift]); bits 15 up: first group; low 15 bits: control word
//
// Control words: EMPTY ends a search; DELETED does not; INVALID stands where a table of 8 has no slot;
// 0x8000 | 15 hash bits is a full slot: so many that hardly ever another key's is taken for it, which a
// CPU would notice only when the slot has come from memory, to begin all later lookups anew. A search
// goes from group to group by 1, 2, 3, ... until it meets an EMPTY; every table keeps at least an eighth
// of its slots EMPTY, so it ends.
//
// Invariants, outside a call:
//   - meta.growthleft = 7/8 of cap - full - DELETED
//   - a group with an EMPTY slot has no DELETED one: only where there is no EMPTY does a deletion need it
//   - a table of local depth d is in 2^(globaldepth - d) consecutive directory entries, those of its
//     d-bit prefix; its entries' hashes have that prefix
//   - all tables have as many groups, which groupmask tells: one table of any size, or several of 1024
//     slots. Only a map with functions of the user's (key class OTHER) may have larger tables, when its
//     hashes do not tell keys apart; lookups there ask the table for its size.
//   - a slot that is not full holds no collected pointer
//
// Growth: a full table doubles, or at 1024 slots gives half of its entries to another one, so no write
// moves more than 896 entries. A table that an iterator has entered is replaced by two instead. Replaced
// tables stay as they were: an iterator that is on one goes on with its order and looks each key up in
// the map. The collector finds their contents when they are logged (setdir).
//
// Measured with control bytes of 7 hash bits (16-byte entries, 1e3 to 1e7 of them, EPYC of family 26):
// groups of 8 with their control bytes beside them, and 7 slots with control bytes in 128 aligned bytes:
// hits the same within noise, misses 1.7 and 4 times slower at 1e6. Tables from 512 to 65536 slots: no
// difference. An entry at a slot of its group that follows from the hash, prefetched beside the control
// bytes: hits 4 % faster at 1e7, the same at 1e6, 9 % slower at 1e3; misses 10 to 35 % slower.
//
// Go: internal/runtime/maps since 1.24. Differences: 16 slots a group, control words apart from slots,
// directory entries that point at control words and slots without a table object between.
#include <string.h>

#include "data/map.h"
#include "debug/throw.h"

#define GROUP 16u
#define GROUP_BYTES (GROUP * sizeof(uint16_t))
#define MAX_TABLE 1024u
#define MIN_TABLE 8u

enum { EMPTY = 0, DELETED = 1, INVALID = 2, FULL = 0x8000, TAGBITS = 15 };

// In front of the control words.
struct meta {
	uint32_t growthleft; // EMPTY slots that may still be filled
	uint32_t deleted;    // DELETED slots
	uint32_t cap;
	uint8_t localdepth;
	_Atomic uint8_t iterated; // an iterator has been here, and may be still; concurrent readers set it
	uint64_t pad[2];
};

typedef struct gort_map_ smap;
typedef struct gort_map_table_ table;

static_assert(GROUP_BYTES == 1 << 5, "groupoffset");
static_assert(sizeof(struct meta) == GROUP * sizeof(uint16_t), "control words are aligned");
static_assert(offsetof(smap, t) == offsetof(struct map_head, t), "map_head");

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
static const gort_type dirtype = {.size = sizeof(table),
				  .align = 8,
				  .kind = GORT_KIND_STRUCT,
				  .flags = GORT_TYPE_PRECISE,
				  .nptrs = 2,
				  .ptrs = (const uint32_t[]){offsetof(table, ctrl),
							     offsetof(table, slots)},
				  .name = "map directory"};

// What an empty map has: a search ends in it, a put finds no room. Never written.
static const struct {
	struct meta meta;
	uint16_t ctrl[GROUP];
} none RT_ALIGNED(32);

// ---- small pieces ----

static inline struct meta *
meta(const table *tab)
{
	return (struct meta *)(uintptr_t)tab->ctrl - 1;
}

static inline uint16_t *
ctrl(const table *tab, size_t i)
{
	return (uint16_t *)(uintptr_t)(tab->ctrl + i);
}

static inline uint32_t
groupmask(uint32_t cap)
{
	return cap <= GROUP ? 0 : cap / GROUP - 1;
}

static inline uint32_t
maxload(uint32_t cap)
{
	return cap - cap / 8;
}

// Entries.
static inline uint32_t
used(const struct meta *mt)
{
	return maxload(mt->cap) - mt->growthleft - mt->deleted;
}

static inline char *
slotat(const struct gort_maptype *t, const table *tab, size_t i)
{
	return tab->slots + i * t->unitsize;
}

static inline void *
keyof(const struct gort_maptype *t, char *slot)
{
	return t->indirectkey ? *(void **)slot : slot;
}

// The same where the class is known: only keys of class OTHER can be indirect.
RT_INLINE void *
keyof_class(const struct gort_maptype *t, char *slot, int class)
{
	return class == GORT_KEY_OTHER ? keyof(t, slot) : slot;
}

static inline void *
elemof(const struct gort_maptype *t, char *slot)
{
	char *e = slot + t->elemoff;
	return t->indirectelem ? *(void **)e : e;
}

// Bit i: slot i of the group is full.
static inline unsigned
fullslots(const uint16_t *group)
{
	unsigned m = 0;
#ifdef __SSE2__
	typedef short v8 __attribute__((vector_size(16), may_alias));
	const v8 *half = (const v8 *)group;
	m = (unsigned)__builtin_ia32_pmovmskb128(__builtin_ia32_packsswb128(half[0], half[1]));
#else
	for (unsigned i = 0; i < GROUP; i++)
		m |= (unsigned)(group[i] >> 15) << i;
#endif
	return m;
}

// Sets the control word of a group's slot i by rewriting half the group: the next search loads halves,
// and a CPU forwards one from its store buffer only if one store wrote all of it. Else a put right after
// a delete waits until everything before it, the delete's cache misses too, has retired.
RT_INLINE void
setctrl(uint16_t *group, unsigned i, uint16_t c)
{
	typedef short v8 __attribute__((vector_size(16), may_alias));
	static const v8 words[] = {{-1},
				   {0, -1},
				   {0, 0, -1},
				   {0, 0, 0, -1},
				   {0, 0, 0, 0, -1},
				   {0, 0, 0, 0, 0, -1},
				   {0, 0, 0, 0, 0, 0, -1},
				   {0, 0, 0, 0, 0, 0, 0, -1}};
	const v8 at = words[i % 8];
	v8 *half = (v8 *)(group + (i & 8));
	*half = (*half & ~at) | (at & (short)c);
}

RT_INLINE uint64_t
hashof(const smap *m, int class, const void *key)
{
	uint32_t k32;
	uint64_t k64;
	switch (class) {
	case GORT_KEY_32:
		memcpy(&k32, key, 4);
		return gort_map_hash64_(k32, m->seed, m->mul);
	case GORT_KEY_64:
		memcpy(&k64, key, 8);
		return gort_map_hash64_(k64, m->seed, m->mul);
	default:
		return rt_map_hash(m->t, class, key, m->seed);
	}
}

static inline table *
tableof(const smap *m, uint64_t hash)
{
	return &m->dir[hash >> m->shift];
}

// Of the group where the search for a hash begins in a table of the usual size, in bytes.
static inline uint32_t
groupoffset(const smap *m, uint64_t hash)
{
	return (uint32_t)(hash >> (TAGBITS - 5)) & m->groupmask;
}

// The group where the search for a hash begins in a table of the usual size.
static inline uint16_t *
firstgroup(const smap *m, table tab, uint64_t hash)
{
	return (uint16_t *)((uintptr_t)tab.ctrl + groupoffset(m, hash));
}

// The slot of that group that the lowest bit of a match stands for.
static inline char *
slotin(const smap *m, table tab, uint64_t hash, unsigned match)
{
	uint32_t i = groupoffset(m, hash) / (uint32_t)sizeof(uint16_t) + (uint32_t)__builtin_ctz(match);
	return tab.slots + i * m->slotsize;
}

RT_INLINE size_t
maskof(const smap *m, const table *tab, int class)
{
	return class == GORT_KEY_OTHER ? groupmask(meta(tab)->cap) : m->groupmask / GROUP_BYTES;
}

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

// ---- tables ----

static table
newtable(const struct gort_maptype *t, uint32_t cap, uint8_t localdepth)
{
	size_t head = sizeof(struct meta) + rt_max(cap, GROUP) * sizeof(uint16_t), slots = (size_t)cap * t->unitsize;
	table tab;
	rt_enter();
	char *p = rt_mallocgc_noscan_raw(t->noscan ? head + slots : head);
	tab.ctrl = (uint16_t *)(p + sizeof(struct meta));
	tab.slots = t->noscan ? p + head : rt_mallocgc(slots, t->unit);
	rt_leave();
	memset(p, EMPTY, head);
	for (uint32_t i = cap; i < GROUP; i++)
		*ctrl(&tab, i) = INVALID;
	*meta(&tab) = (struct meta){.growthleft = maxload(cap), .cap = cap, .localdepth = localdepth};
	return tab;
}

// Puts tab into n directory entries; what was there is logged.
static void
setdir(table *dir, size_t n, const table *tab)
{
	rt_enter();
	rt_barrier_before(NULL, dir, n * sizeof(*dir));
	for (size_t i = 0; i < n; i++)
		dir[i] = *tab;
	rt_leave();
}

// The first EMPTY slot on hash's way; there is one.
static inline size_t
emptyslot(const table *tab, size_t mask, uint64_t hash)
{
	size_t g = (hash >> TAGBITS) & mask;
	for (size_t step = 1;; g = (g + step++) & mask) {
		unsigned m = gort_group_match_(tab->ctrl + g * GROUP, EMPTY);
		if (m)
			return g * GROUP + (size_t)__builtin_ctz(m);
	}
}

static inline void
copyslot(char *dst, const char *src, size_t n)
{
	if (n == 16)
		memcpy(dst, src, 16);
	else
		memcpy(dst, src, n);
}

// Slots taken in each group of a table that is being filled. (Its control words tell as well, but those
// written just now would have to get from the store buffer into a longer load.)
struct fill {
	uint8_t n[MAX_TABLE / GROUP];
};

// The same for such a table. Larger ones have no counts.
static inline size_t
nextslot(struct fill *fill, const table *tab, size_t mask, uint64_t hash)
{
	if (rt_unlikely(mask >= MAX_TABLE / GROUP))
		return emptyslot(tab, mask, hash);
	size_t g = (hash >> TAGBITS) & mask;
	for (size_t step = 1; rt_unlikely(fill->n[g] == GROUP); step++)
		g = (g + step) & mask;
	return g * GROUP + fill->n[g]++;
}

RT_INLINE void
addentry(const struct gort_maptype *t, table *tab, struct fill *fill, uint64_t hash, const char *slot)
{
	size_t at = nextslot(fill, tab, groupmask(meta(tab)->cap), hash);
	*ctrl(tab, at) = (uint16_t)(FULL | hash);
	copyslot(slotat(t, tab, at), slot, t->unitsize);
	meta(tab)->growthleft--;
}

// Copies from's entries to to[0], or with a bit to to[0] and to[1] by that bit of their hashes.
RT_INLINE void
moveentries_by(const struct gort_maptype *t, const smap *m, const table *from, table *to,
	       uint64_t bit, int class)
{
	struct fill fill[2] = {0};
	for (size_t g = 0; g <= groupmask(meta(from)->cap); g++) {
		for (unsigned full = fullslots(ctrl(from, g * GROUP)); full; full &= full - 1) {
			char *slot = slotat(t, from, g * GROUP + (size_t)__builtin_ctz(full));
			uint64_t hash = hashof(m, class, keyof(t, slot));
			bool half = (hash & bit) != 0;
			addentry(t, &to[half], &fill[half], hash, slot);
		}
	}
}

// A key that is not equal to itself may hash to where its table is not: it stays in the table all the
// same, as nobody ever looks for it.
static void
moveentries(const struct gort_maptype *t, const smap *m, const table *from, table *to, uint64_t bit)
{
#define call(class) moveentries_by(t, m, from, to, bit, class)
	RT_MAP_BY_CLASS(t, call);
#undef call
}

static void
doubledir(smap *m)
{
	size_t n = (size_t)1 << m->globaldepth;
	table *dir = rt_map_new(2 * n * sizeof(*dir), &dirtype);
	for (size_t i = 0; i < n; i++)
		dir[2 * i] = dir[2 * i + 1] = m->dir[i];
	if (m->dir == m->one)
		rt_map_clear_memory(&dirtype, m->one, sizeof(m->one));
	rt_map_setptr(&m->dir, dir);
	m->globaldepth++;
	m->shift--;
}

// The directory entries of a table: the first one, and how many.
static size_t
dirrange(const smap *m, const table *tab, uint64_t hash, size_t *n)
{
	uint8_t depth = meta(tab)->localdepth;
	*n = (size_t)1 << (m->globaldepth - depth);
	return (hash >> m->shift) & ~(*n - 1);
}

// Another table with the same entries in the old one's place, without its DELETED slots.
static void
replace(const struct gort_maptype *t, smap *m, uint64_t hash, uint32_t cap)
{
	size_t n, lo;
	table old = *tableof(m, hash), tab = newtable(t, cap, meta(&old)->localdepth);
	moveentries(t, m, &old, &tab, 0);
	lo = dirrange(m, &old, hash, &n);
	setdir(&m->dir[lo], n, &tab);
	if (n == (size_t)1 << m->globaldepth)
		m->groupmask = groupmask(cap) * GROUP_BYTES;
}

// Entries that leave one table for another.
struct exodus {
	table *to;
	struct fill fill; // of to
	uint64_t bit;     // theirs in the hash
	unsigned naway;
	uint16_t away[MAX_TABLE]; // slots of those that stay, but not in the group where they belong
};

// Moves the leaving entries of a group. Inside, as what is cleared must have been logged in the same cycle.
RT_INLINE void
leavegroup(const struct gort_maptype *t, const smap *m, table *from, size_t g, struct exodus *x, int class)
{
	uint64_t hash[GROUP];
	unsigned leave = 0;
	size_t mask = groupmask(meta(from)->cap);
	char *slots = slotat(t, from, g * GROUP);
	uint16_t *group = ctrl(from, g * GROUP);
	for (unsigned full = fullslots(group); full; full &= full - 1) {
		unsigned i = (unsigned)__builtin_ctz(full);
		hash[i] = hashof(m, class, slots + i * t->unitsize);
		bool leaves = (hash[i] & x->bit) != 0;
		leave |= (unsigned)leaves << i;
		if (rt_unlikely((hash[i] >> TAGBITS & mask) != g) && !leaves)
			x->away[x->naway++] = (uint16_t)(g * GROUP + i);
	}
	rt_enter();
	if (!t->noscan)
		rt_barrier_before(t->unit, slots, (size_t)GROUP * t->unitsize);
	for (; leave; leave &= leave - 1) {
		unsigned i = (unsigned)__builtin_ctz(leave);
		addentry(t, x->to, &x->fill, hash[i], slots + i * t->unitsize);
		group[i] = EMPTY;
		if (!t->noscan)
			memset(slots + i * t->unitsize, 0, t->unitsize);
	}
	rt_leave();
}

static void
dropdeleted(table *tab)
{
	struct meta *mt = meta(tab);
	for (uint32_t i = 0; mt->deleted && i < mt->cap; i++) {
		if (*ctrl(tab, i) == DELETED) {
			*ctrl(tab, i) = EMPTY;
			mt->deleted--;
			mt->growthleft++;
		}
	}
}

// Brings entries that stay to the first EMPTY slot of their search, until each of them is there: where
// one goes, another's search may end. Each step shortens a search.
RT_INLINE void
bringhome(const struct gort_maptype *t, const smap *m, table *tab, struct exodus *x, int class)
{
	for (bool moved = true; moved;) {
		moved = false;
		for (unsigned j = 0; j < x->naway; j++) {
			size_t i = x->away[j];
			char *slot = slotat(t, tab, i);
			uint64_t hash = hashof(m, class, slot);
			*ctrl(tab, i) = EMPTY;
			size_t at = emptyslot(tab, groupmask(meta(tab)->cap), hash);
			*ctrl(tab, at) = (uint16_t)(FULL | hash);
			if (at == i)
				continue;
			copyslot(slotat(t, tab, at), slot, t->unitsize);
			if (!t->noscan)
				rt_map_clear_memory(t->unit, slot, t->unitsize);
			x->away[j] = (uint16_t)at;
			moved = true;
		}
	}
}

// Moves the entries of tab whose hashes have the bit to another table, which is new.
RT_INLINE void
leavetable(const struct gort_maptype *t, const smap *m, table *tab, struct exodus *x, int class)
{
	for (size_t g = 0; g <= groupmask(meta(tab)->cap); g++)
		leavegroup(t, m, tab, g, x, class);
	meta(tab)->growthleft += used(meta(x->to));
	dropdeleted(tab);
	bringhome(t, m, tab, x, class);
}

static void
splitinplace(const struct gort_maptype *t, const smap *m, table *tab, table *upper, uint64_t bit)
{
	struct exodus x;
	x.to = upper;
	x.bit = bit;
	x.naway = 0;
	memset(&x.fill, 0, sizeof(x.fill));
	if (t->keyclass == GORT_KEY_64)
		leavetable(t, m, tab, &x, GORT_KEY_64);
	else if (t->keyclass == GORT_KEY_32)
		leavetable(t, m, tab, &x, GORT_KEY_32);
	else
		leavetable(t, m, tab, &x, GORT_KEY_STRING);
	meta(tab)->localdepth++;
}

// The table keeps the lower half, unless an iterator may be on it, or functions that can panic or not
// give a key the same hash again (NaN) are called: then both halves are new.
static void
split(const struct gort_maptype *t, smap *m, uint64_t hash)
{
	size_t n, lo;
	table old = *tableof(m, hash);
	uint8_t depth = meta(&old)->localdepth;
	uint64_t bit = (uint64_t)1 << (63 - depth);
	if (depth == m->globaldepth)
		doubledir(m);
	lo = dirrange(m, &old, hash, &n);
	table halves[2];
	halves[1] = newtable(t, meta(&old)->cap, depth + 1);
	if (t->keyclass != GORT_KEY_OTHER && !rt_load(&meta(&old)->iterated)) {
		splitinplace(t, m, &old, &halves[1], bit);
	} else {
		halves[0] = newtable(t, meta(&old)->cap, depth + 1);
		moveentries(t, m, &old, halves, bit);
		setdir(&m->dir[lo], n / 2, &halves[0]);
	}
	setdir(&m->dir[lo + n / 2], n / 2, &halves[1]);
}

// May the table split? Not where the hash function (the user's) has put far more into it than its
// share: that would go on for ever.
static bool
worthsplitting(const struct gort_maptype *t, const smap *m, const struct meta *mt)
{
	if (mt->cap != MAX_TABLE)
		return false;
	if (t->keyclass != GORT_KEY_OTHER)
		return true;
	return mt->localdepth < 6 || (size_t)m->used >> mt->localdepth > MAX_TABLE / 64;
}

static RT_NOINLINE void
grow(const struct gort_maptype *t, smap *m, uint64_t hash)
{
	const struct meta *mt = meta(tableof(m, hash));
	m->version++;
	if (mt->cap == 0)
		replace(t, m, hash, MIN_TABLE);
	else if (used(mt) <= maxload(mt->cap) / 4 * 3)
		replace(t, m, hash, mt->cap);
	else if (worthsplitting(t, m, mt))
		split(t, m, hash);
	else
		replace(t, m, hash, 2 * mt->cap);
}

// ---- access ----

#define ABSENT SIZE_MAX

// The index of key's slot in its table.
RT_INLINE size_t
find(const struct gort_maptype *t, const table *tab, size_t mask, uint64_t hash, const void *key,
     int class)
{
	size_t g = (hash >> TAGBITS) & mask;
	for (size_t step = 1;; g = (g + step++) & mask) {
		const uint16_t *group = tab->ctrl + g * GROUP;
		unsigned match = gort_group_match_(group, (uint16_t)(FULL | hash));
		for (; match; match &= match - 1) {
			size_t i = g * GROUP + (size_t)__builtin_ctz(match);
			if (rt_likely(rt_map_equal(t, class, key,
						   keyof_class(t, slotat(t, tab, i), class))))
				return i;
		}
		if (rt_likely(gort_group_match_(group, EMPTY)))
			return ABSENT;
	}
}

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
		grow(t, m, hash);
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
				reuse = g * GROUP + (size_t)__builtin_ctz(deleted);
			continue;
		}
		*found = false;
		if (reuse == ABSENT) {
			if (rt_unlikely(meta(tab)->growthleft == 0)) // also the table of no slots
				return growinsert(t, m, hash, key);
			reuse = g * GROUP + (size_t)__builtin_ctz(empty);
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
	const uint16_t *group = firstgroup(m, *tab, hash);
	unsigned match = gort_group_match_(group, (uint16_t)(FULL | hash));
	if (rt_likely(match != 0)) {
		char *slot = slotin(m, *tab, hash, match);
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
	char *slot = slotin(m, tab, hash, empty);
	memcpy(slot, &k, keysize);
	if (rt_likely(m->slotsize > keysize))
		memset(slot + keysize, 0, keysize);
	for (size_t at = 2 * keysize; rt_unlikely(at < m->slotsize); at += keysize) {
		memset(slot + at, 0, keysize);
		__asm__ volatile(""); // else the compiler calls memset for all
	}
	meta(&tab)->growthleft--;
	setctrl(group, (unsigned)__builtin_ctz(empty), (uint16_t)(FULL | hash));
	m->used++;
	return slot;
}

// NULL when it needs the general code; nothing has changed then. Concurrent writes are noticed by whoever
// begins while another is at it (hasshape sees the mark, the general code reports it); it does not look again
// at its end, as the general code does.
RT_INLINE void *
put_int(smap *m, uint64_t k, size_t keysize, uint32_t shape)
{
	char *slot;
	rt_store(&m->state, shape | GORT_MAP_WRITING_);
	uint64_t hash = gort_map_hash64_(k, m->seed, m->mul);
	const table tab = *tableof(m, hash);
	uint16_t *group = firstgroup(m, tab, hash);
	unsigned match = gort_group_match_(group, (uint16_t)(FULL | hash));
	if (match) {
		slot = slotin(m, tab, hash, match);
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
	uint16_t *group = firstgroup(m, tab, hash);
	unsigned match = gort_group_match_(group, (uint16_t)(FULL | hash));
	if (!match) {
		if (rt_likely(gort_group_match_again_(group, EMPTY) != 0))
			done = ABSENT_KEY;
	} else if (rt_likely(haskey(slotin(m, tab, hash, match), k, keysize) &&
			     gort_group_match_again_(group, EMPTY))) {
		setctrl(group, (unsigned)__builtin_ctz(match), EMPTY);
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

static size_t
nextpow2(size_t n)
{
	return n <= 1 ? 1 : (size_t)1 << (64 - __builtin_clzl(n - 1));
}

// Tables for hint entries at once.
static void
presize(const struct gort_maptype *t, smap *m, ptrdiff_t hint)
{
	size_t cap = nextpow2(rt_max((size_t)hint + ((size_t)hint + 6) / 7, (size_t)MIN_TABLE));
	size_t ntables = cap <= MAX_TABLE ? 1 : cap / MAX_TABLE, bytes;
	if (!rt_array_size(t->unitsize, (ptrdiff_t)cap, &bytes))
		return;
	uint8_t depth = (uint8_t)__builtin_ctzl(ntables);
	cap /= ntables;
	while (m->globaldepth < depth)
		doubledir(m);
	for (size_t i = 0, n = ((size_t)1 << m->globaldepth) / ntables; i < ntables; i++) {
		table tab = newtable(t, (uint32_t)cap, depth);
		setdir(&m->dir[i * n], n, &tab);
	}
	m->groupmask = groupmask((uint32_t)cap) * GROUP_BYTES;
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
	m->one[0] = m->one[1] = (table){none.ctrl, NULL};
	reseed(m);
	if (hint > 0 && hint < PTRDIFF_MAX / 2)
		presize(t, m, hint);
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

// ---- iteration ----
//
// The walk goes over prefixes of the hash, table by table, from a random one round to it again. Tables
// only ever split, so the end of one is always where another begins, whatever happens to the directory
// meanwhile; and an entry never leaves its prefix.

// A step takes 64 slots (or the table's, if it has fewer): who visits their entries mispredicts the end of
// the step only, and the rest is worth a call. Steps and slots go round from a random one, too.
#define SPAN 64u
#define MAX_PREFETCH 2048

// Never the map's: 32 bits that start at 0.
#define NO_VERSION UINT32_MAX

void
rt_swiss_iterate(struct gort_map *map, struct gort_map_iter *it)
{
	smap *m = (smap *)map;
	uint64_t r = rt_map_random();
	uint8_t depth = meta(tableof(m, r))->localdepth;
	it->t = m->t;
	it->h = map;
	it->start = it->pos = depth ? r >> (64 - depth) << (64 - depth) : 0;
	it->startspan = (uint32_t)rt_map_random();
	it->unitsize = m->t->unitsize;
	it->elemoff = m->t->elemoff;
	it->clearseq = m->clearseq;
	it->version_ = NO_VERSION;
}

static const struct meta *
itermeta(const struct gort_map_iter *it)
{
	return (const struct meta *)it->ctrl - 1;
}

// Where the table after the one that is being walked begins.
static uint64_t
nextpos(const struct gort_map_iter *it)
{
	uint8_t depth = itermeta(it)->localdepth;
	return it->pos + (depth ? (uint64_t)1 << (64 - depth) : 0);
}

static void
entertable(struct gort_map_iter *it, const smap *m)
{
	const table *tab = tableof(m, it->pos);
	uint32_t cap = meta(tab)->cap;
	if (cap && !rt_load(&meta(tab)->iterated))
		rt_store(&meta(tab)->iterated, 1);
	it->ctrl = tab->ctrl;
	it->slots = tab->slots;
	it->span = 0;
	it->nspans = rt_max(cap / SPAN, 1u);
	it->rotate_ = (uint8_t)(it->startspan >> 26 & (rt_max(rt_min(cap, SPAN), 1u) - 1));
}

// False when the walk has come round.
static bool
nexttable(struct gort_map_iter *it, const smap *m)
{
	if (it->ctrl) {
		it->pos = nextpos(it);
		if (it->pos == it->start)
			return false;
	}
	entertable(it, m);
	return true;
}

// Asks for the lines of a step's slots, so that they come while the one before is walked. (MapIterate1M:
// 4.5 ns an entry without; the CPU alone does not see far enough ahead.)
static void
prefetchspan(const struct gort_map_iter *it, const char *slots)
{
	size_t bytes = rt_min((size_t)SPAN * it->unitsize, (size_t)MAX_PREFETCH);
	for (size_t at = 0; at < bytes; at += RT_CACHE_LINE)
		__builtin_prefetch(slots + at);
}

static size_t
spanat(const struct gort_map_iter *it, uint32_t span)
{
	return ((span + it->startspan) & (it->nspans - 1)) * SPAN;
}

static void
enterspan(struct gort_map_iter *it)
{
	size_t at = spanat(it, it->span++);
	it->spanctrl = it->ctrl + at;
	it->spanslots = it->slots + at * it->unitsize;
	uint64_t full = 0;
	for (unsigned i = 0, cap = itermeta(it)->cap; i < SPAN && i < cap; i += GROUP)
		full |= (uint64_t)fullslots(it->spanctrl + i) << i;
	unsigned r = it->rotate_;
	it->mask_ = full >> r | full << (-r & 63);
	if (it->span < it->nspans) {
		prefetchspan(it, it->slots + spanat(it, it->span) * it->unitsize);
	} else {
		const table *next = tableof((const smap *)it->h, nextpos(it));
		__builtin_prefetch((const struct meta *)next->ctrl - 1);
		__builtin_prefetch(next->ctrl + spanat(it, 0));
		prefetchspan(it, next->slots + spanat(it, 0) * it->unitsize);
	}
}

// Makes slot i of the span the current entry. In a table that has been replaced: what the map says
// of its key now; a key that is equal to nothing cannot have been deleted or changed.
static bool
visit(struct gort_map_iter *it, unsigned i, bool stale)
{
	const struct gort_maptype *t = it->t;
	char *slot = it->spanslots + i * it->unitsize;
	struct map_entry e = {keyof(t, slot), elemof(t, slot)};
	if (stale && (t->reflexivekey || t->equal(t, e.key, e.key)))
		e = rt_swiss_access(it->h, e.key);
	it->key = e.key;
	it->value = e.elem;
	return e.key != NULL;
}

static bool
enditeration(struct gort_map_iter *it)
{
	it->key = it->value = NULL;
	it->t = NULL;
	it->mask_ = 0;
	return false;
}

bool
rt_swiss_next(struct gort_map_iter *it)
{
	const smap *m = (const smap *)it->h;
	const struct gort_maptype *t = it->t;
	if (rt_unlikely(rt_load(&m->state) & GORT_MAP_WRITING_))
		rt_fatal("concurrent map iteration and map write");
	if (it->clearseq != m->clearseq)
		return enditeration(it);
	bool stale = it->ctrl && it->ctrl != tableof(m, it->pos)->ctrl;
	for (;;) {
		// gort_map_next itself goes on as long as nothing is replaced.
		it->version_ = stale || t->indirectkey || t->indirectelem ? NO_VERSION : m->version;
		while (it->mask_) {
			unsigned i = ((unsigned)__builtin_ctzll(it->mask_) + it->rotate_) % SPAN;
			it->mask_ &= it->mask_ - 1;
			if (it->spanctrl[i] & FULL && visit(it, i, stale))
				return true;
		}
		if (!it->ctrl || it->span == it->nspans) {
			if (!nexttable(it, m))
				return enditeration(it);
			stale = false;
		}
		enterspan(it);
	}
}

// ---- audit ----

static void
check_table(const smap *m, size_t index)
{
	const struct gort_maptype *t = m->t;
	const table *tab = &m->dir[index];
	const struct meta *mt = meta(tab);
	uint32_t full = 0, deleted = 0;
	for (size_t g = 0; g <= groupmask(mt->cap); g++)
		if (gort_group_match_(tab->ctrl + g * GROUP, EMPTY) &&
		    gort_group_match_(tab->ctrl + g * GROUP, DELETED))
			rt_throw("map: DELETED beside EMPTY");
	for (uint32_t i = 0; i < mt->cap; i++) {
		char *slot = slotat(t, tab, i);
		deleted += tab->ctrl[i] == DELETED;
		if (!(tab->ctrl[i] & FULL))
			continue;
		full++;
		void *key = keyof(t, slot);
		if (!t->reflexivekey && !t->equal(t, key, key))
			continue;
		uint64_t hash = hashof(m, t->keyclass, key);
		if (tableof(m, hash)->ctrl != tab->ctrl)
			rt_throw("map: entry in a table that is not its own");
		if (find(t, tab, groupmask(mt->cap), hash, key, t->keyclass) != i)
			rt_throw("map: entry that is not found");
	}
	if (deleted != mt->deleted || (mt->cap && mt->growthleft != maxload(mt->cap) - full - deleted))
		rt_throw("map: counts of a table are wrong");
	if (t->keyclass != GORT_KEY_OTHER && groupmask(mt->cap) * GROUP_BYTES != m->groupmask)
		rt_throw("map: tables of different sizes");
}

void
rt_swiss_check(const struct gort_map *map)
{
	const smap *m = (const smap *)map;
	ptrdiff_t n_used = 0;
	if (m->shift != 64 - m->globaldepth)
		rt_throw("map: shift does not fit the directory");
	for (size_t i = 0, n; i < (size_t)1 << m->globaldepth; i += n) {
		n = (size_t)1 << (m->globaldepth - meta(&m->dir[i])->localdepth);
		if (i & (n - 1))
			rt_throw("map: table begins in the middle of its prefix");
		for (size_t j = 1; j < n; j++)
			if (m->dir[i + j].ctrl != m->dir[i].ctrl)
				rt_throw("map: directory entries of a table differ");
		check_table(m, i);
		n_used += used(meta(&m->dir[i]));
	}
	if (n_used != m->used)
		rt_throw("map: count is wrong");
}

size_t
rt_swiss_capacity(const struct gort_map *map)
{
	const smap *m = (const smap *)map;
	size_t cap = 0;
	for (size_t i = 0, n; i < (size_t)1 << m->globaldepth; i += n) {
		n = (size_t)1 << (m->globaldepth - meta(&m->dir[i])->localdepth);
		cap += meta(&m->dir[i])->cap;
	}
	return cap;
}
