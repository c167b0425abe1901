// SPDX-License-Identifier: BSD-3-Clause
// The lists behind finalizers, cleanups, weak pointers and pins. special.h says what is where when.
// Go: the specials of runtime/mheap.go.
#include "gc/special.h"

#include <link.h>

#include "debug/throw.h"
#include "gc/barrier.h"
#include "gc/gc.h"

// Everything under rt_attached_lock, apart from looks at cursor as a hint.
struct rt_mutex rt_attached_lock;
struct rt_attached_counts rt_attached_counts;
static struct fixalloc alloc;
static struct attached all = {.next = &all, .prev = &all};
static _Atomic(struct attached *) cursor; // the next to be scanned, NULL none
static struct special *queue, **queue_end = &queue;
bool rt_attached_strong; // world stopped throughout

static struct attached *
attached(struct special *sp)
{
	return (struct attached *)sp;
}

// ---- all ----

static void
unlink_locked(struct attached *a)
{
	if (rt_load(&cursor) == a)
		rt_store(&cursor, a->next == &all ? NULL : a->next);
	a->prev->next = a->next;
	a->next->prev = a->prev;
	if (!rt_barrier_on())
		return;
	rt_shade(a->ref);
	if (a->sp.kind == SPECIAL_FINALIZER || a->sp.kind == SPECIAL_PIN)
		rt_shade(a->obj);
}

static void
link_locked(struct attached *a)
{
	a->next = all.next; // before the cursor's place: not scanned in this cycle
	a->prev = &all;
	a->next->prev = a;
	all.next = a;
}

// ---- a span's list ----

static bool
is_for(const struct special *sp, enum special_kind kind, const void *obj)
{
	return sp->kind == kind && ((const struct attached *)sp)->obj == obj;
}

// Where the entry of that kind for obj is linked, or where it would be.
static struct special **
place_locked(struct mspan *s, enum special_kind kind, const void *obj)
{
	uint32_t index = rt_span_index(s, (uintptr_t)obj);
	struct special **at = &s->specials;
	for (; *at && (*at)->index <= index; at = &(*at)->next)
		if (is_for(*at, kind, obj))
			break;
	return at;
}

struct attached *
rt_attached_add_locked(struct mspan *s, enum special_kind kind, void *obj, void *ref)
{
	if (alloc.size == 0)
		rt_fixalloc_init(&alloc, sizeof(struct attached), &rt_sys_stats.other);
	struct attached *a = rt_fixalloc_alloc(&alloc);
	a->sp.kind = kind;
	a->sp.index = rt_span_index(s, (uintptr_t)obj);
	a->obj = obj;
	a->ref = ref;
	rt_lock(&s->speciallock);
	struct special **at = place_locked(s, kind, obj);
	a->sp.next = *at;
	rt_special_link(at, &a->sp);
	rt_unlock(&s->speciallock);
	link_locked(a);
	return a;
}

struct attached *
rt_attached_find_locked(struct mspan *s, enum special_kind kind, void *obj)
{
	rt_lock(&s->speciallock);
	struct special *sp = *place_locked(s, kind, obj);
	rt_unlock(&s->speciallock);
	return sp && is_for(sp, kind, obj) ? attached(sp) : NULL;
}

static void
free_locked(struct attached *a)
{
	a->n = 0; // a cleanup's number must not be found any more
	rt_fixalloc_free(&alloc, a);
}

void
rt_attached_remove_locked(struct mspan *s, struct attached *a)
{
	rt_lock(&s->speciallock);
	struct special **at = &s->specials;
	while (*at && *at != &a->sp)
		at = &(*at)->next;
	bool found = *at != NULL;
	if (found)
		rt_special_link(at, a->sp.next);
	rt_unlock(&s->speciallock);
	if (found) {
		unlink_locked(a);
		free_locked(a);
	}
}

// ---- dead objects ----

static void
queue_locked(struct attached *a)
{
	a->queued = true;
	a->sp.next = NULL;
	*queue_end = &a->sp;
	queue_end = &a->sp.next;
	RT_BUMP(a->sp.kind == SPECIAL_FINALIZER ? &rt_attached_counts.finalizers_queued
						: &rt_attached_counts.cleanups_queued,
		1);
}

void
rt_attached_died(struct special *list)
{
	if (!list)
		return;
	rt_lock(&rt_attached_lock);
	for (struct special *next; list; list = next) {
		next = list->next;
		switch (list->kind) {
		case SPECIAL_FINALIZER:
		case SPECIAL_CLEANUP:
			queue_locked(attached(list));
			break;
		case SPECIAL_WEAK:
			unlink_locked(attached(list));
			free_locked(attached(list));
			break;
		default:
			rt_throw("a pinned object died");
		}
	}
	rt_unlock(&rt_attached_lock);
	rt_fin_wake();
}

bool
rt_attached_waiting_locked(void)
{
	return queue != NULL;
}

bool
rt_attached_take_locked(struct attached *copy)
{
	struct attached *a = attached(queue);
	if (!a)
		return false;
	queue = a->sp.next;
	if (!queue)
		queue_end = &queue;
	unlink_locked(a);
	*copy = *a;
	free_locked(a);
	return true;
}

// ---- marking ----

void
rt_attached_t0(void)
{
	rt_store(&cursor, all.next == &all ? NULL : all.next);
}

bool
rt_attached_left(void)
{
	return rt_load(&cursor) != NULL;
}

static void
scan(struct gcwork *w, const struct attached *a)
{
	uintptr_t obj = (uintptr_t)a->obj;
	rt_mark_pointer(w, (uintptr_t)a->ref);
	if (a->sp.kind == SPECIAL_PIN || (a->sp.kind == SPECIAL_WEAK && rt_attached_strong) ||
	    (a->sp.kind == SPECIAL_FINALIZER && a->queued))
		rt_mark_pointer(w, obj);
	if (a->sp.kind == SPECIAL_FINALIZER) {
		struct mspan *s = rt_spanof(obj);
		rt_mark_fields(w, s, s->base + rt_span_index(s, obj) * s->elemsize);
	}
}

bool
rt_attached_scan_some(struct gcwork *w)
{
	enum { BATCH = 16 };
	struct attached batch[BATCH];
	int n = 0;
	if (!rt_attached_left())
		return false;
	rt_lock(&rt_attached_lock);
	struct attached *a = rt_load(&cursor);
	for (; a && n < BATCH; a = a->next == &all ? NULL : a->next)
		batch[n++] = *a;
	rt_store(&cursor, a);
	rt_unlock(&rt_attached_lock);
	for (int i = 0; i < n; i++)
		scan(w, &batch[i]);
	return true;
}

// ---- memory outside of the heap ----

static int
find_in_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t p = *(uintptr_t *)arg;
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		if (ph->p_type == PT_LOAD && p - (info->dlpi_addr + ph->p_vaddr) < ph->p_memsz)
			return 1;
	}
	return 0;
}

bool
rt_is_global(const void *obj)
{
	uintptr_t p = (uintptr_t)obj;
	return dl_iterate_phdr(find_in_module, &p) != 0;
}
