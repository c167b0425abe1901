// SPDX-License-Identifier: BSD-3-Clause
// Finalizers, and the goroutine that runs them and cleanups, one after another at depth 0.
//
// Of objects that point to each other the outermost is finalized first, in a cycle none: what an object
// with a finalizer points to is marked, the object is not (special.h).
// Go: runtime/mfinal.go.
#include <gort/mem.h>

#include "debug/throw.h"
#include "gc/special.h"
#include "sched/proc.h"

// Under rt_attached_lock.
static struct g *fing; // the goroutine while it is parked
static bool started;

// ---- the goroutine ----

void
rt_fin_wake(void)
{
	rt_lock(&rt_attached_lock);
	struct g *gp = rt_attached_waiting_locked() ? fing : NULL;
	if (gp)
		fing = NULL;
	rt_unlock(&rt_attached_lock);
	if (gp)
		rt_ready(gp);
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

static void
call(const struct attached *a)
{
	if (a->sp.kind == SPECIAL_FINALIZER)
		((void (*)(void *, void *))a->fn)(a->obj, a->ref);
	else
		((void (*)(void *))a->fn)(a->ref);
}

// release: who sees that one has run sees that it was queued.
static void
count_run(const struct attached *a)
{
	_Atomic uint64_t *n = a->sp.kind == SPECIAL_FINALIZER ? &rt_attached_counts.finalizers_run
							      : &rt_attached_counts.cleanups_run;
	rt_store_release(n, rt_load(n) + 1);
}

// Runs the first of the queue; false: there is none, and rt_attached_lock is held.
RT_NOINLINE static bool
run_one(void)
{
	struct attached a;
	rt_lock(&rt_attached_lock);
	if (!rt_attached_take_locked(&a))
		return false;
	rt_unlock(&rt_attached_lock);
	show(true);
	rt_leave();
	call(&a);
	rt_enter();
	show(false);
	count_run(&a);
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
		rt_park(&rt_attached_lock, WAIT_FINALIZER);
	}
}

void
rt_fin_start(void)
{
	rt_lock(&rt_attached_lock);
	bool first = !started;
	started = true;
	rt_unlock(&rt_attached_lock);
	if (first)
		rt_newproc_system(finalizers, NULL);
}

bool
rt_fin_idle(void)
{
	rt_lock(&rt_attached_lock);
	bool idle = !rt_attached_waiting_locked() && (fing || !started);
	rt_unlock(&rt_attached_lock);
	return idle;
}

// ---- setting and clearing ----

static void
clear(struct mspan *s, void *obj)
{
	rt_lock(&rt_attached_lock);
	struct attached *a = rt_attached_find_locked(s, SPECIAL_FINALIZER, obj);
	if (a)
		rt_attached_remove_locked(s, a);
	rt_unlock(&rt_attached_lock);
}

static void
set(struct mspan *s, void *obj, void (*fn)(void *, void *), void *arg)
{
	rt_lock(&rt_attached_lock);
	bool twice = rt_attached_find_locked(s, SPECIAL_FINALIZER, obj) != NULL;
	if (!twice)
		rt_attached_add_locked(s, SPECIAL_FINALIZER, obj, arg)->fn = (void (*)(void))fn;
	rt_unlock(&rt_attached_lock);
	if (twice)
		rt_fatal("runtime.SetFinalizer: finalizer already set");
	rt_fin_start();
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
	// Go: the same for what its linker has placed; such an object never dies.
	if (!s && !rt_is_global(obj))
		rt_fatal("runtime.SetFinalizer: pointer not in heap");
	if (s && !begins_object(s, (uintptr_t)obj))
		rt_fatal("runtime.SetFinalizer: pointer not at beginning of allocated block");
	if (s && fn)
		set(s, obj, fn, arg);
	else if (s)
		clear(s, obj);
	rt_leave();
}
