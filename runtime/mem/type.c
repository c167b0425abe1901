// SPDX-License-Identifier: BSD-3-Clause
// Type descriptors: made from what a source file declares, interned for ever.
//
// A library that declares types may be unloaded while objects of them live, so nothing here points into
// its memory: name and pointer map are copied. Two files that declare the same spelling with the same
// map share a descriptor; different maps make different ones, which gort_any does not tell apart (ident).
#include <string.h>

#include <gort/iface.h>
#include <gort/mem.h>

#include "base/base.h"
#include "base/lock.h"
#include "debug/throw.h"
#include "mem/mcache.h"
#include "mem/typename.h"
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

// ---- interfaces ----

struct interface {
	struct interface *next;
	struct gort_interface_ inter;
};
static struct interface *interfaces; // under lock

static bool
same_methods(const struct gort_method_ *a, const struct gort_method_ *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(a[i].name, b[i].name) != 0 || strcmp(a[i].type, b[i].type) != 0)
			return false;
	return true;
}

static const char *
copy_text(const char *s)
{
	size_t n = strlen(s) + 1;
	return memcpy(rt_persistent_alloc(n, 1, &rt_sys_stats.other), s, n);
}

// The one descriptor of an interface with this name and these methods.
static const struct gort_interface_ *
find_interface(const struct gort_interface_ *decl)
{
	for (struct interface *i = interfaces; i; i = i->next)
		if (i->inter.nmethods == decl->nmethods && !strcmp(i->inter.name, decl->name) &&
		    same_methods(i->inter.methods, decl->methods, decl->nmethods))
			return &i->inter;
	struct interface *i = rt_persistent_alloc(sizeof *i, 16, &rt_sys_stats.other);
	struct gort_method_ *m = rt_persistent_alloc((decl->nmethods + 1) * sizeof *m, 8,
						     &rt_sys_stats.other);
	for (uint32_t k = 0; k < decl->nmethods; k++)
		m[k] = (struct gort_method_){copy_text(decl->methods[k].name),
					     copy_text(decl->methods[k].type)};
	i->inter = (struct gort_interface_){copy_text(decl->name), m, decl->nmethods};
	i->next = interfaces;
	interfaces = i;
	return &i->inter;
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
find_decl(const struct gort_type_decl *d, const char *name, uint32_t what)
{
	while (d && (d->what != what || strcmp(d->name, name) != 0))
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
		    have[i].kind != key->fields[i].kind ||
		    have[i].elem != key->fields[i].elem)
			return false;
	return true;
}

// The first descriptor of those that a gort_any does not tell apart.
static const gort_type *
identity(const struct interned *i, const gort_type *t, const struct gort_type_decl *key)
{
	for (; i; i = i->next)
		if (i->type.size == t->size && i->type.kind == t->kind &&
		    i->type.hash == t->hash && !strcmp(i->type.name, t->name) &&
		    ((i->type.flags ^ t->flags) & GORT_TYPE_SIGNED) == 0 &&
		    i->type.inter == t->inter && same_key(&i->type, key))
			return i->type.ident;
	return t;
}

// What the source file that asks has declared of the type; each may be NULL.
struct decls {
	const struct gort_type_decl *map, *key;
};

// An interface's first word points at its itab, outside of the heap.
static void
set_interface(gort_type *t)
{
	static const uint32_t second = sizeof(void *);
	t->flags |= GORT_TYPE_PRECISE;
	t->nptrs = 1;
	t->ptrs = &second;
}

static const gort_type *
find_interned(const struct interned *i, const gort_type *like, const struct decls *d)
{
	for (; i; i = i->next)
		if (i->type.size == like->size && i->type.kind == like->kind &&
		    i->type.hash == like->hash && !strcmp(i->type.name, like->name) &&
		    (i->type.flags & GORT_TYPE_SIGNED) == (like->flags & GORT_TYPE_SIGNED) &&
		    same_key(&i->type, d->key) && i->type.inter == like->inter &&
		    (like->inter || same_fields(&i->type, d->map)))
			return &i->type;
	return NULL;
}

static const gort_type *
intern(const gort_type *like, const struct decls *d)
{
	struct interned **b = &buckets[like->hash % BUCKETS];
	const gort_type *found = find_interned(*b, like, d);
	if (found)
		return found;
	size_t len = strlen(like->name) + 1;
	struct interned *i = rt_persistent_alloc(sizeof *i + len, 16, &rt_sys_stats.other);
	gort_type *t = &i->type;
	*t = *like;
	t->name = memcpy(i + 1, like->name, len);
	if (t->inter)
		set_interface(t);
	else if (d->map)
		set_map(t, d->map);
	else if (t->kind == GORT_KIND_INT || t->kind == GORT_KIND_FLOAT ||
		 t->kind == GORT_KIND_COMPLEX)
		t->flags |= GORT_TYPE_NOSCAN;
	if (d->key)
		set_key(t, d->key);
	if ((t->flags & GORT_TYPE_NOSCAN) && t->size < RT_TINY_SIZE)
		t->spanclass = t->size ? RT_TINY_SPANCLASS : 0;
	else if (t->size > 0 && t->size <= RT_MAX_SMALL_SIZE)
		t->spanclass = (uint16_t)rt_spanclass_for(t, rt_sizeclass(t->size));
	t->ident = identity(*b, t, d->key);
	i->next = *b;
	*b = i;
	return t;
}

const gort_type *
gort_type_find_(const gort_type **cache, const char *name, size_t size, size_t align, int kind,
		int flags, const struct gort_type_decl *decls)
{
	struct decls d = {find_decl(decls, name, GORT_DECL_TYPE),
			  find_decl(decls, name, GORT_DECL_KEY)};
	const struct gort_type_decl *inter = find_decl(decls, name, GORT_DECL_INTERFACE);
	char buf[512];
	if (rt_type_spelling(buf, sizeof buf, name))
		name = buf;
	gort_type like = {.size = size, .align = (uint32_t)align, .kind = (uint8_t)kind,
				.flags = (uint8_t)flags, .name = name, .hash = hash_name(name)};
	bool in = rt_enter_if_started(); // a constructor may ask for a type, too
	rt_lock(&lock);
	rt_sizeclass_init();
	if (inter) {
		like.flags |= GORT_TYPE_INTERFACE;
		like.inter = find_interface(inter->inter);
	}
	const gort_type *t = intern(&like, &d);
	rt_unlock(&lock);
	rt_leave_if(in);
	__atomic_store_n(cache, t, __ATOMIC_RELEASE); // pairs with gort_type_of's acquire
	return t;
}
