// SPDX-License-Identifier: BSD-3-Clause
// GORT_DEBUG=gccheckmark=1: when marking says that it is complete, looks with the world stopped whether
// it is, and names what a forgotten barrier has lost.
//
// At mark termination every object a program can reach is marked. So no marked object, no global and no
// registered root may hold a pointer to one that is allocated and not marked. Each such pointer is
// reported: the lost object, and who holds it where. Stacks are not taken as evidence: a frame has
// words that nobody will read again, left by what ran there before (gccheckmark=2 reports those, too,
// without ending the program).
// Go: gccheckmark in runtime/mcheckmark.go, which marks again from the roots.
#include <string.h>

#include "base/print.h"
#include "debug/env.h"
#include "debug/hooks.h"
#include "debug/throw.h"
#include "debug/traceback.h"
#include "gc/gc.h"
#include "mem/mheap.h"
#include "sched/proc.h"

#define MAX_REPORTS 20
#define MAX_CALLERS 8

struct check {
	int lost;
	// Who holds the words under test.
	const char *what;  // "object", "global", "root", "stack of goroutine"
	uintptr_t holder;  // its first byte
	size_t size;
	const gort_type *type;
	uint64_t goid;
};

static bool
marked(const struct mspan *s, uint32_t i)
{
	return rt_load(&s->mark[i / 64]) >> (i % 64) & 1;
}

static const gort_type *
type_of(const struct mspan *s)
{
	return s->divmul ? rt_spanclasses[s->spanclass].type : s->type;
}

// Name of an object's type as far as the heap knows it.
static const char *
type_name(const struct mspan *s)
{
	if (rt_spanclasses[s->spanclass].noscan)
		return "pointer-free";
	const gort_type *t = type_of(s);
	return t ? t->name : "no declared type";
}

// "	allocated by mk+0x1f < build+0x33 < app+0x50", when the heap profile has sampled the object.
static void
report_site(const struct mspan *s, uint32_t i)
{
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	const struct special *sp = s->specials;
	while (sp && (sp->index != i || sp->kind != SPECIAL_PROFILE))
		sp = sp->next;
	if (!sp || !h || !h->sample_stack)
		return;
	// From the function that called gort_new, or a relative of it, to the goroutine's first.
	const uintptr_t *pcs;
	int n = h->sample_stack(sp->token, &pcs), shown = 0;
	bool entered = false;
	for (int k = 0; k < n && shown < MAX_CALLERS; k++) {
		uintptr_t start = 0;
		const char *module, *name = rt_symbol(pcs[k] - 1, &start, &module);
		bool ours = name && (strncmp(name, "gort_", 5) == 0 || strncmp(name, "rt_", 3) == 0);
		entered = entered || ours;
		if (shown > 0 && ours)
			break;
		if (!entered || ours)
			continue;
		rt_printf("%s %s+0x%lx", shown++ ? " <" : "\tallocated by", name ? name : "?", pcs[k] - start);
	}
	if (shown > 0)
		rt_printf("\n");
}

static void
report(struct check *c, const struct mspan *s, uint32_t i, uintptr_t at)
{
	if (c->lost++ >= MAX_REPORTS)
		return;
	rt_printf("checkmark: lost object 0x%lx (%s, %zu bytes), held by %s", s->base + i * s->elemsize,
		  type_name(s), s->elemsize, c->what);
	if (c->goid)
		rt_printf(" %lu at 0x%lx\n", c->goid, at);
	else if (c->size)
		rt_printf(" 0x%lx (%s, %zu bytes) at offset %zu\n", c->holder,
			  c->type ? c->type->name : "no declared type", c->size, at - c->holder);
	else
		rt_printf(" at 0x%lx\n", at);
	if (!c->goid) // the program ends: names may be looked up
		report_site(s, i);
}

__attribute__((no_sanitize("address", "thread"))) static void
check_word(struct check *c, uintptr_t at)
{
	uintptr_t p = *(const volatile uintptr_t *)at;
	const struct mspan *s = rt_spanof(p);
	if (!s)
		return;
	uint32_t i = rt_span_index(s, p);
	if (i < s->nelems && rt_span_allocated(s, i) && !marked(s, i))
		report(c, s, i, at);
}

__attribute__((no_sanitize("address", "thread"))) static void
check_range(struct check *c, uintptr_t lo, uintptr_t hi)
{
	for (lo = rt_round_up(lo, sizeof(void *)); lo + sizeof(void *) <= hi; lo += sizeof(void *))
		check_word(c, lo);
}

static void
check_object(struct check *c, const struct mspan *s, uintptr_t obj)
{
	const gort_type *t = type_of(s);
	c->holder = obj;
	c->size = s->elemsize;
	c->type = t;
	if (!t) {
		check_range(c, obj, obj + s->elemsize);
		return;
	}
	for (uintptr_t p = obj; p + t->size <= obj + s->elemsize; p += t->size)
		for (uint32_t k = 0; k < t->nptrs; k++)
			check_word(c, p + t->ptrs[k]);
}

static void
check_heap(struct check *c)
{
	c->what = "object";
	for (uint32_t page = 0; page < rt_load(&rt_heap.grown) >> RT_PAGE_SHIFT;) {
		const struct pageinfo *pi = &rt_heap.info[page];
		if (!pi->inuse || pi->base != page) {
			page++;
			continue;
		}
		const struct mspan *s = pi->span;
		page += s->npages;
		if (rt_spanclasses[s->spanclass].noscan)
			continue;
		for (uint32_t i = 0; i < s->nelems; i++)
			if (rt_span_allocated(s, i) && marked(s, i))
				check_object(c, s, s->base + i * s->elemsize);
	}
	c->size = 0;
}

static void
check_root(const char *what, uintptr_t lo, uintptr_t hi, void *arg)
{
	struct check *c = arg;
	c->what = what;
	check_range(c, lo, hi);
}

static void
check_stack(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg)
{
	struct check *c = arg;
	c->what = "stack of goroutine";
	c->goid = gp->goid;
	check_range(c, lo, hi);
	c->goid = 0;
}

void
rt_checkmark(void)
{
	struct check c = {0};
	check_heap(&c);
	rt_roots_each_range(check_root, &c);
	int lost = c.lost;
	if (rt_debug.gccheckmark > 1)
		rt_for_each_stack(check_stack, &c);
	if (lost == 0)
		return;
	rt_printf("checkmark: %d pointers to lost objects in cycle %u\n", lost,
		  rt_load(&rt_gc.ncycles) + 1);
	rt_throw("checkmark found unmarked objects");
}
