// SPDX-License-Identifier: BSD-3-Clause
// Interfaces: boxing, assertion, comparison, and the global table of itabs.
//
// The itab of a pair (interface, type) is the type's functions in the interface's order. It is made
// from what GORT_IMPLEMENTS declared of the type: at the declaration for its own interface, and at the
// first assertion for any other, method by method from all declarations of the type. That a type lacks
// a method is remembered in an itab too (missing >= 0), until a library that is loaded declares more.
//
// The table is open addressing by (interface, type), a power of two, at most three quarters full.
// Readers take no lock: an entry is published by a release store, a larger table by another, and the
// old one stays for who still reads it. Writers hold itablock.
//
// Go: runtime/iface.go (getitab, itabAdd, typeAssert), runtime/alg.go (efaceeq, nilinterhash).
#include "data/iface.h"

#include <string.h>

#include "base/lock.h"
#include "data/alg.h"
#include "debug/throw.h"
#include "mem/malloc.h"
#include "mem/mheap.h"
#include "os/os.h"
#include "sched/tls.h"

typedef void (*method)(void);

// ---- boxing ----

static const void *
dataof(const gort_any *a)
{
	return rt_any_data(a);
}

static gort_any
any_of_iface(const void *p)
{
	const struct gort_iface_ *i = p;
	return (gort_any){i->tab ? i->tab->type : NULL, i->data};
}

gort_any
gort_box_(const gort_type *t, const void *value)
{
	gort_any a = {t->ident, NULL};
	if (t->flags & GORT_TYPE_INTERFACE)
		return any_of_iface(value);
	if (t->kind == GORT_KIND_ANY)
		return *(const gort_any *)value;
	if (t->size <= sizeof(void *)) {
		memcpy(&a.value, value, t->size);
		return a;
	}
	rt_enter();
	void *p = rt_mallocgc(t->size, t);
	memcpy(p, value, t->size);
	rt_leave();
	a.value = p;
	return a;
}

// ---- the table of itabs ----

#define ITAB_INIT 512u // as Go's

struct itabtable {
	size_t size, count;
	_Atomic(struct gort_itab *) entries[];
};

// What GORT_IMPLEMENTS said: the functions of type for the methods of inter.
struct methodset {
	struct methodset *next;
	const gort_type *type;
	const struct gort_interface_ *inter;
	const method *fun;
};

static struct rt_mutex itablock;
static _Atomic(struct itabtable *) itabs;
static struct methodset *methodsets; // under itablock

static inline method *
funs(struct gort_itab *tab)
{
	return (method *)(tab + 1);
}

static void *
persistent(size_t n)
{
	return rt_persistent_alloc(n, 16, &rt_sys_stats.other);
}

static inline size_t
itabhash(const gort_type *inter, const gort_type *type)
{
	return rt_fold((uint64_t)inter->hash << 32 | type->hash, 0x9e3779b97f4a7c15u);
}

// The entry of (inter, type), or the free one where it belongs: there always is one.
static _Atomic(struct gort_itab *) *
itabslot(struct itabtable *t, const gort_type *inter, const gort_type *type)
{
	size_t mask = t->size - 1, h = itabhash(inter, type) & mask;
	for (size_t i = 1;; h = (h + i++) & mask) {
		// acquire: pairs with the release of additab and remakemissing; *tab is complete.
		struct gort_itab *tab = rt_load_acquire(&t->entries[h]);
		if (!tab || (tab->inter == inter && tab->type == type))
			return &t->entries[h];
	}
}

static struct gort_itab *
finditab(const gort_type *inter, const gort_type *type)
{
	struct itabtable *t = rt_load_acquire(&itabs); // pairs with growtable's release
	return t ? rt_load_acquire(itabslot(t, inter, type)) : NULL;
}

static struct itabtable *
growtable(struct itabtable *old)
{
	size_t size = old ? 2 * old->size : ITAB_INIT;
	struct itabtable *t = persistent(sizeof(*t) + size * sizeof(t->entries[0]));
	t->size = size;
	for (size_t i = 0; old && i < old->size; i++) {
		struct gort_itab *tab = rt_load(&old->entries[i]);
		if (!tab)
			continue;
		rt_store(itabslot(t, tab->inter, tab->type), tab);
		t->count++;
	}
	rt_store_release(&itabs, t);
	return t;
}

static void
additab(struct gort_itab *tab)
{
	struct itabtable *t = rt_load(&itabs);
	if (!t || 4 * (t->count + 1) > 3 * t->size)
		t = growtable(t);
	_Atomic(struct gort_itab *) *slot = itabslot(t, tab->inter, tab->type);
	t->count += rt_load(slot) == NULL;
	rt_store_release(slot, tab);
}

// The function of type with that name and type of method.
static method
findmethod(const gort_type *type, const struct gort_method_ *m)
{
	for (const struct methodset *s = methodsets; s; s = s->next) {
		if (s->type != type)
			continue;
		for (uint32_t i = 0; i < s->inter->nmethods; i++)
			if (!strcmp(s->inter->methods[i].name, m->name) &&
			    !strcmp(s->inter->methods[i].type, m->type))
				return s->fun[i];
	}
	return NULL;
}

// Which method a panic names: of those that are missing the first by name, as Go's are sorted.
static struct gort_itab *
makeitab(const gort_type *inter, const gort_type *type)
{
	const struct gort_interface_ *in = inter->inter;
	struct gort_itab *tab = persistent(sizeof(*tab) + in->nmethods * sizeof(method));
	*tab = (struct gort_itab){inter, type, type->hash, -1};
	for (uint32_t i = 0; i < in->nmethods; i++) {
		funs(tab)[i] = findmethod(type, &in->methods[i]);
		if (!funs(tab)[i] &&
		    (tab->missing < 0 ||
		     strcmp(in->methods[i].name, in->methods[tab->missing].name) < 0))
			tab->missing = (int32_t)i;
	}
	return tab;
}

// A type has got methods: itabs that lacked some are made anew. Those that were complete stay.
static void
remakemissing(const gort_type *type)
{
	struct itabtable *t = rt_load(&itabs);
	for (size_t i = 0; t && i < t->size; i++) {
		struct gort_itab *tab = rt_load(&t->entries[i]);
		if (tab && tab->type == type && tab->missing >= 0)
			rt_store_release(&t->entries[i], makeitab(tab->inter, type));
	}
}

// The itab of a pair, complete or not; inter is the interface's ident.
static struct gort_itab *
getitab(const gort_type *inter, const gort_type *type)
{
	struct gort_itab *tab = finditab(inter, type);
	if (rt_likely(tab))
		return tab;
	bool in = rt_enter_if_started();
	rt_lock(&itablock);
	tab = finditab(inter, type);
	if (!tab) {
		tab = makeitab(inter, type);
		additab(tab);
	}
	rt_unlock(&itablock);
	rt_leave_if(in);
	return tab;
}

static void
addmethods(const gort_type *inter, const gort_type *type, const method *fun)
{
	size_t n = inter->inter->nmethods * sizeof(method);
	struct methodset *s = persistent(sizeof(*s));
	// Copied: the library that declares may be unloaded, and its table then is gone.
	*s = (struct methodset){methodsets, type, inter->inter,
				memcpy(persistent(n + 1), fun, n)};
	methodsets = s;
	remakemissing(type);
}

const struct gort_itab *
gort_itab_add_(const struct gort_itab **cache, const gort_type *inter, const gort_type *type,
	       method const *fun)
{
	inter = inter->ident;
	type = type->ident;
	struct gort_itab *tab = finditab(inter, type);
	if (!tab || tab->missing >= 0) {
		bool in = rt_enter_if_started();
		rt_lock(&itablock);
		addmethods(inter, type, fun);
		rt_unlock(&itablock);
		rt_leave_if(in);
		tab = getitab(inter, type);
	}
	__atomic_store_n(cache, tab, __ATOMIC_RELEASE); // pairs with GORT_IMPLEMENTS' acquire
	return tab;
}

// ---- assertion ----

bool
gort_implements_(const gort_type *inter, const gort_type *type)
{
	return type && getitab(inter->ident, type)->missing < 0;
}

bool
gort_assert_ok_(const gort_type *t, gort_any from, void *to)
{
	memset(to, 0, t->size);
	if (t->flags & GORT_TYPE_INTERFACE) {
		if (!gort_implements_(t, from.type))
			return false;
		*(struct gort_iface_ *)to =
			(struct gort_iface_){getitab(t->ident, from.type), from.value};
		return true;
	}
	if (t->kind == GORT_KIND_ANY) {
		*(gort_any *)to = from;
		return from.type;
	}
	if (from.type != t->ident)
		return false;
	memcpy(to, dataof(&from), t->size);
	return true;
}

_Noreturn static RT_COLD void
failed(const gort_type *t, const gort_type *have, const char *inter)
{
	const char *other = "";
	if (!have)
		rt_panic("interface conversion: %s is nil, not %s",
			 t->flags & GORT_TYPE_INTERFACE || t->kind == GORT_KIND_ANY ? "interface"
										    : inter,
			 t->name);
	if (t->flags & GORT_TYPE_INTERFACE) {
		const struct gort_itab *tab = getitab(t->ident, have);
		rt_panic("interface conversion: %s is not %s: missing method %s", have->name,
			 t->name, t->inter->methods[tab->missing].name);
	}
	if (!strcmp(have->name, t->name))
		other = " (types from different scopes)";
	rt_panic("interface conversion: %s is %s, not %s%s", inter, have->name, t->name, other);
}

void
gort_assert_(const gort_type *t, gort_any from, void *to, const char *inter)
{
	if (!gort_assert_ok_(t, from, to))
		failed(t, from.type, inter);
}

// ---- equality and hash ----

bool
rt_any_equal_slow(gort_any a, gort_any b)
{
	if (a.type != b.type)
		return false;
	if (!a.type)
		return true;
	if (!rt_type_hashable(a.type))
		rt_panic("runtime error: comparing uncomparable type %s", a.type->name);
	return rt_type_equal(a.type, dataof(&a), dataof(&b));
}

bool
gort_any_equal(gort_any a, gort_any b)
{
	return rt_any_equal(a, b);
}

uint64_t
rt_any_hash(gort_any a, uint64_t seed)
{
	if (!a.type)
		return rt_fold(seed ^ rt_hashkey[2], rt_hashkey[3]);
	if (!rt_type_hashable(a.type))
		rt_panic("runtime error: hash of unhashable type %s", a.type->name);
	seed ^= a.type->hash; // 1 and 1.0, or any(int) and any(int64_t), do not collide
	if (a.type->kind == GORT_KIND_POINTER ||
	    (a.type->kind == GORT_KIND_INT && a.type->size <= sizeof(void *)))
		return rt_hash64((uint64_t)(uintptr_t)a.value, seed);
	return rt_type_hash(a.type, dataof(&a), seed);
}
