// SPDX-License-Identifier: BSD-3-Clause
// What must hold of an open-addressing map outside a call (swiss.h), for tests; its capacity; how many of its
// entries are where lookups ask for them.
#include "data/swiss.h"

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

size_t
rt_swiss_athome(const struct gort_map *map)
{
	const smap *m = (const smap *)map;
	size_t n_athome = 0;
	for (size_t i = 0, n; i < (size_t)1 << m->globaldepth; i += n) {
		const table *tab = &m->dir[i];
		n = (size_t)1 << (m->globaldepth - meta(tab)->localdepth);
		for (uint32_t j = 0; j < meta(tab)->cap; j++) {
			if (!(tab->ctrl[j] & FULL))
				continue;
			uint64_t hash = hashof(m, m->t->keyclass, keyof(m->t, slotat(m->t, tab, j)));
			size_t g = hash >> TAGBITS & groupmask(meta(tab)->cap);
			n_athome += j / GROUP == g && athome(j % GROUP, hash);
		}
	}
	return n_athome;
}
