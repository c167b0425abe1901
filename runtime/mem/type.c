// SPDX-License-Identifier: BSD-3-Clause
// Type descriptors: made from what a source file declares, interned for ever.
//
// A library that declares types may be unloaded while objects of them live, so nothing here points into
// its memory: name and pointer map are copied. Two files that declare the same spelling with the same
// map share a descriptor; different maps make different ones.
#include <string.h>

#include <gort/mem.h>

#include "base/base.h"
#include "base/lock.h"
#include "debug/throw.h"
#include "mem/mheap.h"
#include "os/os.h"
#include "sched/proc.h"

#define BUCKETS 256u

struct interned {
	struct interned *next;
	gort_type type;
};

// Under lock.
static struct rt_mutex lock;
static struct interned *buckets[BUCKETS];

// ---- pointer maps ----

// The pointer words of one field, ascending; ptrs NULL: only counts.
static uint32_t
field_words(const struct gort_field *f, uint32_t *ptrs)
{
	size_t lo = rt_round_up(f->offset, sizeof(void *));
	size_t hi = rt_round_down(f->offset + f->size, sizeof(void *));
	if (f->kind == GORT_KIND_STRING || f->kind == GORT_KIND_SLICE)
		hi = rt_min(hi, lo + sizeof(void *)); // {pointer, len} and {pointer, len, cap}
	uint32_t n = 0;
	for (size_t o = lo; o < hi; o += sizeof(void *), n++)
		if (ptrs)
			ptrs[n] = (uint32_t)o;
	return n;
}

static uint32_t
sort_unique(uint32_t *a, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		for (uint32_t j = i; j > 0 && a[j - 1] > a[j]; j--) {
			uint32_t t = a[j];
			a[j] = a[j - 1];
			a[j - 1] = t;
		}
	uint32_t m = 0;
	for (uint32_t i = 0; i < n; i++)
		if (m == 0 || a[m - 1] != a[i])
			a[m++] = a[i];
	return m;
}

static void
set_map(gort_type *t, const struct gort_type_decl *d)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < d->nfields; i++)
		n += field_words(&d->fields[i], NULL);
	if (n == 0) {
		t->flags |= GORT_TYPE_NOSCAN;
		return;
	}
	uint32_t *ptrs = rt_persistent_alloc(n * sizeof *ptrs, 4, &rt_sys_stats.other);
	uint32_t at = 0;
	for (uint32_t i = 0; i < d->nfields; i++)
		at += field_words(&d->fields[i], ptrs + at);
	t->nptrs = sort_unique(ptrs, at);
	t->ptrs = ptrs;
	// A map of every word is what scanning word by word does, and that needs no spans of its own.
	if (t->nptrs < t->size / sizeof(void *))
		t->flags |= GORT_TYPE_PRECISE;
}

// ---- interning ----

static uint32_t
hash_name(const char *s)
{
	uint32_t h = 2166136261u;
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static const struct gort_type_decl *
find_decl(const struct gort_type_decl *d, const char *name, bool is_key)
{
	while (d && (d->is_key != is_key || strcmp(d->name, name) != 0))
		d = d->next;
	return d;
}

// Whether t is what decl (NULL: none) describes.
static bool
same_fields(const gort_type *t, const struct gort_type_decl *d)
{
	if (!d)
		return t->nptrs == 0 && (t->kind < GORT_KIND_POINTER) == !!(t->flags & GORT_TYPE_NOSCAN);
	uint32_t want[1024], n = 0, words = 0;
	for (uint32_t i = 0; i < d->nfields; i++)
		words += field_words(&d->fields[i], NULL);
	if (words > rt_nelem(want))
		return false; // huge map: a descriptor a declaration
	for (uint32_t i = 0; i < d->nfields; i++)
		n += field_words(&d->fields[i], want + n);
	n = sort_unique(want, n);
	return n ? t->nptrs == n && !memcmp(t->ptrs, want, n * sizeof *want)
		 : t->nptrs == 0 && (t->flags & GORT_TYPE_NOSCAN);
}

// ---- keys ----

// The fields of a GORT_KEY; gort/map.h gives struct gort_key_field the layout of struct gort_field.
static void
set_key(gort_type *t, const struct gort_type_decl *key)
{
	size_t n = key->nfields * sizeof(struct gort_field);
	void *copy = rt_persistent_alloc(rt_max(n, (size_t)1), 8, &rt_sys_stats.other);
	memcpy(copy, key->fields, n);
	t->keys = copy;
	t->nkeys = key->nfields;
	t->flags |= GORT_TYPE_KEY;
}

static bool
same_key(const gort_type *t, const struct gort_type_decl *key)
{
	if (!key)
		return !(t->flags & GORT_TYPE_KEY);
	const struct gort_field *have = (const void *)t->keys;
	if (!(t->flags & GORT_TYPE_KEY) || t->nkeys != key->nfields)
		return false;
	for (uint32_t i = 0; i < t->nkeys; i++)
		if (have[i].offset != key->fields[i].offset || have[i].size != key->fields[i].size ||
		    have[i].kind != key->fields[i].kind)
			return false;
	return true;
}

static const gort_type *
intern(const char *name, size_t size, size_t align, int kind, int flags,
       const struct gort_type_decl *d, const struct gort_type_decl *key)
{
	struct interned **b = &buckets[hash_name(name) % BUCKETS];
	for (struct interned *i = *b; i; i = i->next)
		if (i->type.size == size && i->type.kind == kind && !strcmp(i->type.name, name) &&
		    (i->type.flags & GORT_TYPE_SIGNED) == (flags & GORT_TYPE_SIGNED) &&
		    same_key(&i->type, key) && same_fields(&i->type, d))
			return &i->type;
	size_t len = strlen(name) + 1;
	struct interned *i = rt_persistent_alloc(sizeof *i + len, 16, &rt_sys_stats.other);
	char *copy = (char *)(i + 1);
	memcpy(copy, name, len);
	gort_type *t = &i->type;
	*t = (gort_type){.size = size, .align = (uint32_t)align, .kind = (uint8_t)kind,
			 .flags = (uint8_t)flags, .name = copy};
	if (d)
		set_map(t, d);
	else if (kind == GORT_KIND_INT || kind == GORT_KIND_FLOAT || kind == GORT_KIND_COMPLEX)
		t->flags |= GORT_TYPE_NOSCAN;
	if (key)
		set_key(t, key);
	if (size > 0 && size <= RT_MAX_SMALL_SIZE)
		t->spanclass = (uint16_t)rt_spanclass_for(t, rt_sizeclass(size));
	i->next = *b;
	*b = i;
	return t;
}

const gort_type *
gort_type_find_(const gort_type **cache, const char *name, size_t size, size_t align, int kind,
		int flags, const struct gort_type_decl *decls)
{
	const struct gort_type_decl *d = find_decl(decls, name, false);
	const struct gort_type_decl *key = find_decl(decls, name, true);
	bool in = rt_enter_if_started(); // a constructor may ask for a type, too
	rt_lock(&lock);
	rt_sizeclass_init();
	const gort_type *t = intern(name, size, align, kind, flags, d, key);
	rt_unlock(&lock);
	rt_leave_if(in);
	__atomic_store_n(cache, t, __ATOMIC_RELEASE); // pairs with gort_type_of's acquire
	return t;
}
