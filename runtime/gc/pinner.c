// SPDX-License-Identifier: BSD-3-Clause
// Pins: an object stays while foreign code has it. Objects never move here, so to pin is to keep.
// Go: runtime/pinner.go.
#include <gort/mem.h>

#include "debug/throw.h"
#include "gc/special.h"
#include "sched/proc.h"

static void *
object_of(const struct mspan *s, const void *p)
{
	return (void *)(s->base + rt_span_index(s, (uintptr_t)p) * s->elemsize);
}

void
gort_pin(const void *p)
{
	if (!p)
		rt_panic("runtime error: runtime.Pinner: argument is nil");
	rt_enter();
	struct mspan *s = rt_spanof((uintptr_t)p);
	if (s) { // other memory stays by itself
		void *obj = object_of(s, p);
		rt_lock(&rt_attached_lock);
		struct attached *a = rt_attached_find_locked(s, SPECIAL_PIN, obj);
		if (!a)
			a = rt_attached_add_locked(s, SPECIAL_PIN, obj, NULL);
		a->n++;
		rt_unlock(&rt_attached_lock);
	}
	rt_leave();
}

static bool
unpin(struct mspan *s, void *obj)
{
	rt_lock(&rt_attached_lock);
	struct attached *a = rt_attached_find_locked(s, SPECIAL_PIN, obj);
	if (a && --a->n == 0)
		rt_attached_remove_locked(s, a);
	rt_unlock(&rt_attached_lock);
	return a != NULL;
}

void
gort_unpin(const void *p)
{
	rt_enter();
	struct mspan *s = rt_spanof((uintptr_t)p);
	if (s && !unpin(s, object_of(s, p)))
		rt_fatal("runtime.Pinner: object already unpinned");
	rt_leave();
}
