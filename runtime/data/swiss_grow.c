// SPDX-License-Identifier: BSD-3-Clause
// The open-addressing map's tables: made, filled, replaced, split. Layout and invariants: swiss.h.
//
// A full table doubles, or at 1024 slots gives half of its entries to another one, so no write moves more
// than 896 entries. A table that an iterator has entered is replaced by two instead. Replaced tables stay as
// they were: an iterator that is on one goes on with its order and looks each key up in the map. The
// collector finds their contents when they are logged (setdir).
//
// At every moment the collector can find every entry: it lies in its old place until it lies in the new one,
// and what is cleared or dropped has been logged in the same cycle.
#include "data/swiss.h"

static const gort_type dirtype = {.size = sizeof(table),
				  .align = 8,
				  .kind = GORT_KIND_STRUCT,
				  .flags = GORT_TYPE_PRECISE,
				  .nptrs = 2,
				  .ptrs = (const uint32_t[]){offsetof(table, ctrl),
							     offsetof(table, slots)},
				  .name = "map directory"};

// ---- one table ----

static table
newtable(const struct gort_maptype *t, uint32_t cap, uint8_t localdepth)
{
	size_t slots = (size_t)cap * t->unitsize;
	size_t head = rt_round_up(sizeof(struct meta) + rt_max(cap, GROUP) * sizeof(uint16_t),
				  (size_t)RT_CACHE_LINE);
	table tab;
	rt_enter();
	size_t bytes = t->noscan ? head + slots : head;
	char *p = rt_mallocgc_noscan_raw(bytes, bytes);
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

static inline void
copyslot(char *dst, const char *src, size_t n)
{
	if (n == 16)
		memcpy(dst, src, 16);
	else
		memcpy(dst, src, n);
}

// The slots taken in each group of a table that is being filled. (Its control words tell as well, but those
// written just now would have to get from the store buffer into a longer load.) A table of 8 is never filled
// so: the first one begins empty.
struct fill {
	uint16_t taken[MAX_TABLE / GROUP];
};

// The first EMPTY slot on hash's way in such a table. Larger ones have no sets.
static inline size_t
nextslot(struct fill *fill, const table *tab, size_t mask, uint64_t hash)
{
	if (rt_unlikely(mask >= MAX_TABLE / GROUP))
		return emptyslot(tab, mask, hash);
	size_t g = (hash >> TAGBITS) & mask;
	for (size_t step = 1; rt_unlikely(fill->taken[g] == ALL_SLOTS); step++)
		g = (g + step) & mask;
	unsigned i = nearhome(fill->taken[g] ^ ALL_SLOTS, hash);
	fill->taken[g] |= (uint16_t)(1u << i);
	return g * GROUP + i;
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

// ---- the directory ----

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

// ---- splitting in place ----

// Entries that leave one table for another.
struct exodus {
	table *to;
	struct fill fill; // of to
	uint64_t bit;     // theirs in the hash
	unsigned naway;
	uint16_t away[MAX_TABLE]; // slots of those that stay, but not in the group where they belong
};

// Makes an entry's slot EMPTY that is elsewhere now; its group has been logged.
static inline void
vacate(const struct gort_maptype *t, uint16_t *group, char *slots, unsigned i)
{
	group[i] = EMPTY;
	if (!t->noscan)
		memset(slots + i * t->unitsize, 0, t->unitsize);
}

// Moves the leaving entries of a group, and those that found their home full into what these leave of it.
// Inside, as what is cleared must have been logged in the same cycle.
RT_INLINE void
leavegroup(const struct gort_maptype *t, const smap *m, table *from, size_t g, struct exodus *x, int class)
{
	uint64_t hash[GROUP];
	unsigned leave = 0, strays = 0, left;
	size_t mask = groupmask(meta(from)->cap);
	char *slots = slotat(t, from, g * GROUP);
	uint16_t *group = ctrl(from, g * GROUP);
	for (unsigned full = fullslots(group); full; full &= full - 1) {
		unsigned i = (unsigned)__builtin_ctz(full);
		hash[i] = hashof(m, class, slots + i * t->unitsize);
		bool leaves = (hash[i] & x->bit) != 0;
		leave |= (unsigned)leaves << i;
		if (rt_unlikely((hash[i] >> TAGBITS & mask) != g)) {
			if (!leaves)
				x->away[x->naway++] = (uint16_t)(g * GROUP + i);
		} else {
			strays |= (unsigned)(!leaves & !athome(i, hash[i])) << i;
		}
	}
	left = leave;
	rt_enter();
	if (!t->noscan)
		rt_barrier_before(t->unit, slots, (size_t)GROUP * t->unitsize);
	for (; leave; leave &= leave - 1) {
		unsigned i = (unsigned)__builtin_ctz(leave);
		addentry(t, x->to, &x->fill, hash[i], slots + i * t->unitsize);
		vacate(t, group, slots, i);
	}
	for (; left && strays; strays &= strays - 1) {
		unsigned i = (unsigned)__builtin_ctz(strays), at = nearhome(left, hash[i]);
		if (!athome(at, hash[i]))
			continue;
		group[at] = group[i];
		copyslot(slots + at * t->unitsize, slots + i * t->unitsize, t->unitsize);
		vacate(t, group, slots, i);
		left ^= 1u << at | 1u << i;
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

// ---- growth ----

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

void
rt_swiss_grow(const struct gort_maptype *t, smap *m, uint64_t hash)
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

static size_t
nextpow2(size_t n)
{
	return n <= 1 ? 1 : (size_t)1 << (64 - __builtin_clzl(n - 1));
}

void
rt_swiss_presize(const struct gort_maptype *t, smap *m, ptrdiff_t hint)
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
