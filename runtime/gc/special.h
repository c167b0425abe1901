// SPDX-License-Identifier: BSD-3-Clause
// What a program ties to an object: finalizers, cleanups, weak handles, pins. Each is a special of the
// object's span (mem/mheap.h) and, besides, one of the list `all`, from which marking reads what it keeps:
//
//   kind       one per      what it keeps while it is there     when the sweeper finds the object unmarked
//   finalizer  pointer      arg, and what the object points to  taken off, queued; the object is marked
//   cleanup    call         arg                                 queued; the object is freed
//   weak       pointer      the handle                          its handle is cleared; gone
//   pin        object       the object                          cannot be
//
// An object with a finalizer is unmarked once more later: then its cleanups are queued. Weak handles of an
// object that is only finalized are cleared before its finalizer is queued, as Go documents.
//
//   set      in specials and all
//   queued   in all and the queue; whether it is still in specials is over
//   gone     in neither
//
// When `all` is scanned does not matter: an object that nothing reached at t0 is not written until its
// finalizer runs, and sweeping is over before the next t0. So entries are handed out from a cursor, as
// goroutines are. One that was set after t0 needs no scan: what it keeps came from where the collector has
// looked. One that leaves the list has that shaded first, as everything that is dropped while marking runs.
//
// Lock order: rt_attached_lock, then mspan.speciallock.
#pragma once

#include "mem/mheap.h"

struct gcwork;

struct attached {
	struct special sp; // first; sp.next links the queue, too
	struct attached *next, *prev; // in all
	void *obj;      // as the program gave it
	void *ref;      // finalizer, cleanup: arg; weak: the handle
	void (*fn)(void); // finalizer, cleanup: to be called, by its own type
	uint64_t n;     // cleanup: its number, never 0; pin: how often
	bool queued;
};

// Protects all, the queue and the entries. Whoever holds it and sees a weak handle that is not cleared knows
// that the handle's object has not been freed: the sweeper comes for the entry between the two.
extern struct rt_mutex rt_attached_lock;

// All under rt_attached_lock.
// A new entry in both lists. The caller holds a pointer to obj's object, in s.
struct attached *rt_attached_add_locked(struct mspan *s, enum special_kind kind, void *obj, void *ref);
// The entry of that kind for obj, NULL none.
struct attached *rt_attached_find_locked(struct mspan *s, enum special_kind kind, void *obj);
// Takes a off both lists and frees it; does nothing when it is on its way into the queue.
void rt_attached_remove_locked(struct mspan *s, struct attached *a);
// The first of the queue is taken off, copied and freed; false: there is none.
bool rt_attached_take_locked(struct attached *copy);
bool rt_attached_waiting_locked(void); // the queue has some

// The sweeper's, under the span's speciallock: the weak handle is cleared.
void rt_weak_clear(struct special *sp);
// The sweeper's, of specials it took off a span: queues finalizers and cleanups, frees handles' entries.
void rt_attached_died(struct special *list);

// Whether p points into a global of a loaded module. At any depth; takes the loader's lock.
bool rt_is_global(const void *p);

// ---- marking, called by roots.c ----

// World stopped: all wait to be scanned.
void rt_attached_t0(void);
bool rt_attached_left(void);
// While leaks are looked for: a weak handle keeps its object, since who has the handle can still use it.
extern bool rt_attached_strong;
// Scans a few; false when none is left to hand out.
bool rt_attached_scan_some(struct gcwork *w);

// ---- the goroutine, mfinal.c ----

// Starts it when it has not been.
void rt_fin_start(void);
// The queue has something.
void rt_fin_wake(void);
// It is parked and has nothing to do (or does not exist, and has not).
bool rt_fin_idle(void);

// Since the start.
extern struct rt_attached_counts {
	_Atomic uint64_t finalizers_queued, finalizers_run, cleanups_queued, cleanups_run;
} rt_attached_counts;
