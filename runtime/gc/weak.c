// SPDX-License-Identifier: BSD-3-Clause
// Weak pointers. A handle is a pointer-free object of its own that holds the address; the object's special
// keeps it, so that there is one for as long as the object lives.
//
//   alive     handle.ptr is the address
//   cleared   NULL, for ever: by the sweeper, which found the object unmarked, before it takes finalizers
//             or frees anything
//
// Making one strong takes no lock but while spans are being swept. It happens at depth > 0, where no stop
// falls in between, so the phase is one throughout:
//   marking    all spans are swept: a pointer that is there is to a live object, or to one that nothing but
//              the handle reached at t0. It is shaded: from then on the object is grey, what it leads to is
//              as it was at t0, and the snapshot holds for it, too.
//   sweeping   the object's span may not be swept. Whether the object is dead is then in its mark bit.
//   else       a pointer that is there is to a live object.
//
// Go: runtime/mheap.go, internal_weak_runtime_*, which sweeps the span.
#include <gort/mem.h>

#include "debug/throw.h"
#include "gc/barrier.h"
#include "gc/gc.h"
#include "gc/special.h"
#include "mem/malloc.h"
#include "os/os.h"
#include "sched/proc.h"

struct gort_weak {
	_Atomic(void *) ptr;
	struct gort_weak *next; // immortal ones: in their bucket
};
_Static_assert(sizeof(struct gort_weak) >= RT_TINY_SIZE, "a tiny object would share its block's life");

// ---- handles of what never dies ----

enum { NBUCKETS = 256 };
static struct gort_weak *immortals[NBUCKETS]; // under rt_attached_lock

static gort_weak *
immortal(void *ptr)
{
	size_t bucket = (uintptr_t)ptr * 0x9e3779b97f4a7c15ull >> 56;
	rt_lock(&rt_attached_lock);
	struct gort_weak *w = immortals[bucket % NBUCKETS];
	while (w && rt_load(&w->ptr) != ptr)
		w = w->next;
	if (!w) {
		w = rt_persistent_alloc(sizeof *w, sizeof(void *), &rt_sys_stats.other);
		rt_store(&w->ptr, ptr);
		w->next = immortals[bucket % NBUCKETS];
		immortals[bucket % NBUCKETS] = w;
	}
	rt_unlock(&rt_attached_lock);
	return w;
}

// ---- making ----

// The handle of ptr; where there is none, fresh becomes it (which may be NULL).
static gort_weak *
find_or_add(struct mspan *s, void *ptr, gort_weak *fresh)
{
	rt_lock(&rt_attached_lock);
	const struct attached *a = rt_attached_find_locked(s, SPECIAL_WEAK, ptr);
	if (!a && fresh)
		a = rt_attached_add_locked(s, SPECIAL_WEAK, ptr, fresh);
	gort_weak *w = a ? a->ref : NULL;
	rt_unlock(&rt_attached_lock);
	return w;
}

static gort_weak *
make(struct mspan *s, void *ptr)
{
	gort_weak *w = find_or_add(s, ptr, NULL);
	if (w)
		return w;
	w = rt_mallocgc_noscan(sizeof *w); // may collect: not under the lock
	rt_store(&w->ptr, ptr);
	return find_or_add(s, ptr, w);
}

gort_weak *
gort_weak_make(const void *p)
{
	void *ptr = (void *)p;
	if (!ptr)
		return NULL;
	rt_enter();
	struct mspan *s = rt_spanof((uintptr_t)ptr);
	if (!s && !rt_is_global(ptr))
		rt_fatal("getWeakHandle on invalid pointer");
	gort_weak *w = s ? make(s, ptr) : immortal(ptr);
	rt_leave();
	return w;
}

// ---- making strong ----

enum verdict { DEAD, ALIVE, ASK_AGAIN };

// Of an object in s, which cannot be freed meanwhile.
static enum verdict
judge(const struct mspan *s, const void *ptr)
{
	// acquire: pairs with the sweeper's release of a swept span.
	uint32_t swept = rt_load(&rt_heap.sweepgen), gen = rt_load_acquire(&s->sweepgen);
	if (gen == swept)
		return ALIVE; // or it would have been cleared
	uint32_t i = rt_span_index(s, (uintptr_t)ptr);
	bool marked = rt_load(&s->mark[i / 64]) >> (i % 64) & 1;
	// A sequence lock: a sweeper that has changed the bit is seen to have begun.
	atomic_thread_fence(memory_order_acquire);
	if (gen == swept - 1 || rt_load(&s->sweepgen) != gen)
		return ASK_AGAIN;
	return marked ? ALIVE : DEAD;
}

// While spans are being swept.
static void *
value_slow(const gort_weak *w)
{
	for (;;) {
		rt_lock(&rt_attached_lock);
		// While the lock is held, an object whose handle is not cleared is not freed (special.h).
		void *p = rt_load(&w->ptr);
		const struct mspan *s = rt_spanof((uintptr_t)p);
		enum verdict v = s ? judge(s, p) : ALIVE; // NULL, or a global
		rt_unlock(&rt_attached_lock);
		if (v == ALIVE && rt_load(&w->ptr) == p)
			return p;
		if (v == DEAD)
			return NULL;
		rt_os_yield(); // its sweeper is inside the runtime: it comes out soon
	}
}

void *
gort_weak_value(const gort_weak *w)
{
	if (!w)
		return NULL;
	rt_enter();
	// acquire: who sees that all is swept sees what was cleared.
	bool swept = rt_load_acquire(&rt_gc.sweepdone);
	void *p = swept ? rt_load(&w->ptr) : value_slow(w);
	if (rt_barrier_on())
		rt_shade(p);
	rt_leave();
	return p;
}

void
rt_weak_clear(struct special *sp)
{
	gort_weak *w = ((struct attached *)sp)->ref;
	rt_store(&w->ptr, NULL); // before the span's sweepgen and the entry's end, which are released
}
