// SPDX-License-Identifier: BSD-3-Clause
// The open-addressing map: groups of 16 slots, whose 16 control words are compared at a time, in tables
// of at most 1024 slots under an extendible directory. What its files share: swiss.c (lookup, put, delete,
// make, clear), swiss_grow.c (tables and how they split), swiss_iter.c (iteration), swiss_check.c.
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
// In its group an entry takes the first free slot from its home on, four slots that follow from the hash (of
// 16-byte entries a cache line), so a lookup can ask for the entry and the control words at once. That is a
// hint: an entry may lie anywhere in its group.
//
// Invariants, outside a call (rt_check_map asserts them):
//   - meta.growthleft = 7/8 of cap - full - DELETED
//   - a group with an EMPTY slot has no DELETED one: only where there is no EMPTY does a deletion need it
//   - a table of local depth d is in 2^(globaldepth - d) consecutive directory entries, those of its
//     d-bit prefix; its entries' hashes have that prefix
//   - all tables have as many groups, which groupmask tells: one table of any size, or several of 1024
//     slots. Only a map with functions of the user's (key class OTHER) may have larger tables, when its
//     hashes do not tell keys apart; lookups there ask the table for its size.
//   - a slot that is not full holds no collected pointer
//
// Measured with control bytes of 7 hash bits (16-byte entries, 1e3 to 1e7 of them, EPYC of family 26):
// groups of 8 with their control bytes beside them, and 7 slots with control bytes in 128 aligned bytes:
// hits the same within noise, misses 1.7 and 4 times slower at 1e6. Tables from 512 to 65536 slots: no
// difference. With control words (Zen 3, 1e6): slots filled from the front of each group, also by splits,
// and the first line of them prefetched: hits took 0.78 of the time without, with a home 0.64. Misses take
// 1.4 to 1.9 times as long for the prefetch. In the inlined lookup, slot indices of 32 bits: hits 10 %
// slower at 1e6 and 1e7.
//
// Go: internal/runtime/maps since 1.24. Differences: 16 slots a group, control words apart from slots,
// directory entries that point at control words and slots without a table object between.
#pragma once

#include <string.h>

#include "data/map.h"
#include "debug/throw.h"

#define GROUP 16u
#define GROUP_BYTES (GROUP * sizeof(uint16_t))
#define MAX_TABLE 1024u
#define MIN_TABLE 8u
#define ALL_SLOTS ((1u << GROUP) - 1)

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

// ---- tables and slots ----

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

// Makes the slots of a group EMPTY whose control word is c. Halves, as above.
RT_INLINE void
emptyslots(uint16_t *group, uint16_t c)
{
	typedef short v8 __attribute__((vector_size(16), may_alias));
	v8 *half = (v8 *)group, want = {0};
	want = want + (short)c;
	half[0] &= half[0] != want;
	half[1] &= half[1] != want;
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

// Slot i of that group.
static inline char *
slotin(const smap *m, table tab, uint64_t hash, unsigned i)
{
	return tab.slots + (groupoffset(m, hash) / (uint32_t)sizeof(uint16_t) + i) * m->slotsize;
}

// Of a set of slots of a group the first one from the hash's home on.
static inline unsigned
nearhome(unsigned set, uint64_t hash)
{
	unsigned home = gort_map_home_(hash);
	return (home + (unsigned)__builtin_ctz((set | set << GROUP) >> home)) % GROUP;
}

static inline bool
athome(unsigned i, uint64_t hash)
{
	return i / 4 == gort_map_home_(hash) / 4;
}

// Asks for hash's home before the control words are there: most searches that find something end in this
// line, and two cache misses become one.
RT_INLINE void
prefetchhome(const smap *m, table tab, uint64_t hash)
{
	__builtin_prefetch(slotin(m, tab, hash, gort_map_home_(hash)));
}

RT_INLINE size_t
maskof(const smap *m, const table *tab, int class)
{
	return class == GORT_KEY_OTHER ? groupmask(meta(tab)->cap) : m->groupmask / GROUP_BYTES;
}

// ---- searches ----

// The first EMPTY slot on hash's way; there is one.
static inline size_t
emptyslot(const table *tab, size_t mask, uint64_t hash)
{
	size_t g = (hash >> TAGBITS) & mask;
	for (size_t step = 1;; g = (g + step++) & mask) {
		unsigned m = gort_group_match_(tab->ctrl + g * GROUP, EMPTY);
		if (m)
			return g * GROUP + nearhome(m, hash);
	}
}

#define ABSENT SIZE_MAX

// The index of key's slot in its table.
RT_INLINE size_t
find(const struct gort_maptype *t, const table *tab, size_t mask, uint64_t hash, const void *key,
     int class)
{
	size_t g = (hash >> TAGBITS) & mask;
	__builtin_prefetch(slotat(t, tab, g * GROUP + gort_map_home_(hash)));
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

// ---- swiss_grow.c ----

// Makes room where a key of that hash goes: a larger table, or two, or one without DELETED slots. There may
// be none still, when all entries went to the same half.
void rt_swiss_grow(const struct gort_maptype *t, smap *m, uint64_t hash);
// Tables for hint entries at once, in a new map.
void rt_swiss_presize(const struct gort_maptype *t, smap *m, ptrdiff_t hint);
