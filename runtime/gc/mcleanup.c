// SPDX-License-Identifier: BSD-3-Clause
// Cleanups: functions to be called after an object is gone. A cleanup is known to the program by its entry
// and its number: entries are recycled as entries only, so a stale one is recognised.
// Go: runtime/mcleanup.go.
#include <gort/mem.h>

#include "debug/throw.h"
#include "gc/special.h"
#include "sched/proc.h"

static uint64_t lastid; // under rt_attached_lock

static bool
same_object(const struct mspan *s, const void *a, const void *b)
{
	return s == rt_spanof((uintptr_t)b) && s->spanclass != RT_SPANCLASS(RT_TINY_CLASS, true) &&
	       rt_span_index(s, (uintptr_t)a) == rt_span_index(s, (uintptr_t)b);
}

static void
check(const struct mspan *s, const void *ptr, const void *arg)
{
	if (!s && !rt_is_global(ptr))
		rt_panic("runtime.AddCleanup: ptr not in allocated block");
	if (ptr == arg)
		rt_panic("runtime.AddCleanup: ptr is equal to arg, cleanup will never run");
	if (s && same_object(s, ptr, arg))
		rt_panic("runtime.AddCleanup: ptr is within arg, cleanup will never run");
}

gort_cleanup
gort_add_cleanup(const void *ptr, void (*fn)(void *arg), void *arg)
{
	gort_cleanup c = {NULL, 0};
	if (!ptr)
		rt_panic("runtime.AddCleanup: ptr is nil");
	rt_enter();
	struct mspan *s = rt_spanof((uintptr_t)ptr);
	check(s, ptr, arg);
	if (s) { // what is global never dies
		rt_lock(&rt_attached_lock);
		struct attached *a = rt_attached_add_locked(s, SPECIAL_CLEANUP, (void *)ptr, arg);
		a->fn = (void (*)(void))fn;
		a->n = ++lastid;
		c = (gort_cleanup){a, a->n};
		rt_unlock(&rt_attached_lock);
		rt_fin_start();
	}
	rt_leave();
	return c;
}

void
gort_cleanup_stop(gort_cleanup c)
{
	struct attached *a = c.entry;
	if (!a)
		return;
	rt_enter();
	rt_lock(&rt_attached_lock);
	// One that is not queued has its span yet: the sweeper needs the lock before it can free that.
	if (a->n == c.id && a->sp.kind == SPECIAL_CLEANUP && !a->queued)
		rt_attached_remove_locked(rt_spanof((uintptr_t)a->obj), a);
	rt_unlock(&rt_attached_lock);
	rt_leave();
}
