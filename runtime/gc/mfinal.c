// SPDX-License-Identifier: BSD-3-Clause
// Finalizers. A finalizer is a special of its object's span and one of the list `all`.
//
//   set      in specials and all
//   queued   in all and the queue: the sweeper found the object unmarked, took the finalizer off the span
//            and marked the object, so it lives on for its finalizer
//   gone     cleared, or taken by the finalizer goroutine, which then calls it
//
// What a finalizer can see outlives the cycle: while marking runs, the words of each object that has one
// are scanned, but the object itself is not marked by that, and what arg points to is marked; a queued
// one's object is marked too. When they are scanned does not matter: an object that nothing reached at t0
// is not written until its finalizer runs, and sweeping is over before the next t0. So they are handed out
// from a cursor, as goroutines are. One that was set after t0 needs no scan: object and arg came from
// where the collector has looked. One that leaves the list has obj and arg shaded first, as everything
// that is dropped while marking runs.
//
// It follows that of objects that point to each other the outermost is finalized first, in a cycle none.
// Lock order: mspan.speciallock, then lock; never the other way.
// Go: runtime/mfinal.go.
#include <link.h>

#include <gort/mem.h>

#include "debug/throw.h"
#include "gc/barrier.h"
#include "gc/gc.h"
#include "mem/mheap.h"
#include "sched/proc.h"

struct finalizer {
	struct special sp; // first; sp.next links the queue, too
	struct finalizer *next, *prev; // in all
	void *obj, *arg;
	void (*fn)(void *obj, void *arg);
	bool queued;
};

// Everything under lock, apart from looks at cursor as a hint.
static struct rt_mutex lock;
static struct fixalloc alloc;
static struct finalizer all = {.next = &all, .prev = &all};
static _Atomic(struct finalizer *) cursor; // the next to be scanned, NULL none
static struct special *queue, **queue_end = &queue;
static struct g *fing; // the finalizer goroutine while it is parked
static bool started;

static void
unlink_locked(struct finalizer *f)
{
	if (rt_load(&cursor) == f)
		rt_store(&cursor, f->next == &all ? NULL : f->next);
	f->prev->next = f->next;
	f->next->prev = f->prev;
	if (rt_barrier_on()) {
		rt_shade(f->obj);
		rt_shade(f->arg);
	}
}

static void
link_locked(struct finalizer *f)
{
	f->next = all.next; // before the cursor's place: not scanned in this cycle
	f->prev = &all;
	f->next->prev = f;
	all.next = f;
}

// ---- marking ----

void
rt_fin_t0(void)
{
	rt_store(&cursor, all.next == &all ? NULL : all.next);
}

bool
rt_fin_left(void)
{
	return rt_load(&cursor) != NULL;
}

static void
scan(struct gcwork *w, const struct finalizer *f)
{
	struct mspan *s = rt_spanof((uintptr_t)f->obj);
	rt_mark_pointer(w, (uintptr_t)f->arg);
	if (f->queued)
		rt_mark_pointer(w, (uintptr_t)f->obj);
	rt_mark_fields(w, s, s->base + rt_span_index(s, (uintptr_t)f->obj) * s->elemsize);
}

bool
rt_fin_scan_some(struct gcwork *w)
{
	enum { BATCH = 16 };
	struct finalizer batch[BATCH];
	int n = 0;
	if (!rt_fin_left())
		return false;
	rt_lock(&lock);
	struct finalizer *f = rt_load(&cursor);
	for (; f && n < BATCH; f = f->next == &all ? NULL : f->next)
		batch[n++] = *f;
	rt_store(&cursor, f);
	rt_unlock(&lock);
	for (int i = 0; i < n; i++)
		scan(w, &batch[i]);
	return true;
}

// ---- the goroutine ----

static void
wake(void)
{
	rt_lock(&lock);
	struct g *gp = queue ? fing : NULL;
	if (gp)
		fing = NULL;
	rt_unlock(&lock);
	if (gp)
		rt_ready(gp);
}

void
rt_fin_queue(struct special *list)
{
	rt_lock(&lock);
	*queue_end = list;
	for (struct special *sp = list; sp; sp = sp->next) {
		((struct finalizer *)sp)->queued = true;
		queue_end = &sp->next;
	}
	rt_unlock(&lock);
	wake();
}

// Others see this goroutine while it runs the program's code, and only then.
static void
show(bool shown)
{
	rt_getg()->is_system = !shown;
	if (shown)
		RT_BUMP(&rt_getp()->ngborn, 1);
	else
		RT_BUMP(&rt_getp()->ngdied, 1);
}

// Runs the first of the queue; false: there is none, and lock is held.
RT_NOINLINE static bool
run_one(void)
{
	rt_lock(&lock);
	struct finalizer *f = (struct finalizer *)queue;
	if (!f)
		return false;
	queue = f->sp.next;
	if (!queue)
		queue_end = &queue;
	unlink_locked(f);
	void *obj = f->obj, *arg = f->arg;
	void (*fn)(void *, void *) = f->fn;
	rt_fixalloc_free(&alloc, f);
	rt_unlock(&lock);
	show(true);
	rt_leave();
	fn(obj, arg);
	rt_enter();
	show(false);
	return true;
}

// Words that run_one left below: the parked goroutine's frames could keep an object for them.
RT_NOINLINE static void
forget(void)
{
	volatile uintptr_t words[256];
	for (size_t i = 0; i < rt_nelem(words); i++)
		words[i] = 0;
}

static void
finalizers(void *arg)
{
	(void)arg;
	rt_enter();
	for (;;) {
		while (run_one())
			;
		forget();
		fing = rt_getg();
		rt_park(&lock, WAIT_FINALIZER);
	}
}

static void
start(void)
{
	rt_lock(&lock);
	bool first = !started;
	started = true;
	rt_unlock(&lock);
	if (first)
		rt_newproc_system(finalizers, NULL);
}

// The goroutine is parked and has nothing to do (or does not exist, and has not).
bool
rt_fin_idle(void)
{
	rt_lock(&lock);
	bool idle = !queue && (fing || !started);
	rt_unlock(&lock);
	return idle;
}

// ---- setting and clearing ----

// Where obj's finalizer is linked, or where it would be.
static struct special **
find_locked(struct mspan *s, void *obj, uint32_t index)
{
	struct special **at = &s->specials;
	for (; *at && (*at)->index <= index; at = &(*at)->next)
		if ((*at)->kind == SPECIAL_FINALIZER && ((struct finalizer *)*at)->obj == obj)
			break;
	return at;
}

static bool
is_set(struct special *const *at, void *obj)
{
	return *at && (*at)->kind == SPECIAL_FINALIZER && ((struct finalizer *)*at)->obj == obj;
}

static void
clear(struct mspan *s, void *obj)
{
	rt_lock(&s->speciallock);
	struct special **at = find_locked(s, obj, rt_span_index(s, (uintptr_t)obj));
	struct finalizer *f = is_set(at, obj) ? (struct finalizer *)*at : NULL;
	if (f)
		rt_special_link(at, f->sp.next);
	rt_unlock(&s->speciallock);
	if (!f)
		return;
	rt_lock(&lock);
	unlink_locked(f);
	rt_fixalloc_free(&alloc, f);
	rt_unlock(&lock);
}

static struct finalizer *
new_finalizer(void *obj, void (*fn)(void *, void *), void *arg, uint32_t index)
{
	rt_lock(&lock);
	if (alloc.size == 0)
		rt_fixalloc_init(&alloc, sizeof(struct finalizer), &rt_sys_stats.other);
	struct finalizer *f = rt_fixalloc_alloc(&alloc);
	rt_unlock(&lock);
	f->sp.index = index;
	f->sp.kind = SPECIAL_FINALIZER;
	f->obj = obj;
	f->fn = fn;
	f->arg = arg;
	return f;
}

static void
set(struct mspan *s, void *obj, void (*fn)(void *, void *), void *arg)
{
	uint32_t index = rt_span_index(s, (uintptr_t)obj);
	struct finalizer *f = new_finalizer(obj, fn, arg, index);
	rt_lock(&s->speciallock);
	struct special **at = find_locked(s, obj, index);
	bool twice = is_set(at, obj);
	if (!twice) {
		f->sp.next = *at;
		rt_special_link(at, &f->sp);
	}
	rt_unlock(&s->speciallock);
	if (twice)
		rt_fatal("runtime.SetFinalizer: finalizer already set");
	rt_lock(&lock);
	link_locked(f);
	rt_unlock(&lock);
	start();
}

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

// Go: the same for what its linker has placed; such an object never dies.
static bool
is_global(void *obj)
{
	uintptr_t p = (uintptr_t)obj;
	return dl_iterate_phdr(find_in_module, &p) != 0;
}

// Objects without pointers below 16 bytes share a slot: any byte of it may be one's first.
static bool
begins_object(const struct mspan *s, uintptr_t p)
{
	return s->spanclass == RT_SPANCLASS(RT_TINY_CLASS, true) ||
	       (p - s->base) % s->elemsize == 0;
}

void
gort_set_finalizer(void *obj, void (*fn)(void *obj, void *arg), void *arg)
{
	if (!obj)
		rt_fatal("runtime.SetFinalizer: first argument is nil");
	rt_enter();
	struct mspan *s = rt_spanof((uintptr_t)obj);
	if (!s && !is_global(obj))
		rt_fatal("runtime.SetFinalizer: pointer not in heap");
	if (s && !begins_object(s, (uintptr_t)obj))
		rt_fatal("runtime.SetFinalizer: pointer not at beginning of allocated block");
	if (s && fn)
		set(s, obj, fn, arg);
	else if (s)
		clear(s, obj);
	rt_leave();
}
