// SPDX-License-Identifier: BSD-3-Clause
// Mutex: what gort/sync.h does not inline. state is one word:
//
//   bit 0  locked      somebody holds it
//   bit 1  woken       somebody is awake and after it: an unlock need not wake anybody
//   bit 2  starving    an unlock hands the lock to the first waiter; nobody else takes it
//   bit 3  watched     a goroutine that wants to wait has said so
//   bit 4  contended   ... and nobody unlocks by a plain store any more
//   5...   waiters     goroutines that sleep on sema, or are about to
//
// Normal mode: an unlock takes one off waiters, sets woken, and releases one unit of sema. The waiter
// it wakes competes with those that run already, and they mostly win: they are on a CPU. When it loses
// it goes to the front of the queue. Starving mode begins when a waiter has waited over a millisecond
// and loses again: the unlock leaves locked clear, but starving forbids everybody to take it, and the
// unit of sema goes to the first waiter directly (handoff), which sets locked itself. The mode ends with
// a waiter that is the last one or has waited less than a millisecond.
//
// Legal: woken with nobody awake (never arises), waiters higher than the number asleep for a moment.
// Illegal: unlocked, waiters > 0, nobody woken, not starving, and no unlock under way: a lost wakeup.
// Each unlock that leaves waiters looks at the whole word after it has cleared locked, and whoever takes
// locked will unlock later, so one of them wakes somebody.
//
// An uncontended unlock is a plain store (watch.h): waiters, woken and starving are only ever set in words
// that have contended. Where there are no restartable sequences, watched and contended are never set.
//
// Go: internal/sync/mutex.go. The first three bits and the thresholds are Go's.
#define GORT_UNLOCK_BY_CALL_ 1 // here is what is called
#include <gort/sync.h>

#include "debug/throw.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sync/sema.h"
#include "sync/spin.h"
#include "sync/watch.h"

enum { LOCKED = 1, WOKEN = 2, STARVING = 4, WATCHED = 8, CONTENDED = 16, WAITER = 32 };
#define WAITER_SHIFT 5
#define STARVATION_NS INT64_C(1000000)

RT_INLINE bool
cas(gort_mutex *m, int32_t *old, int32_t new)
{
	// Acquire for those that take the lock; an unlock has released it before it comes here.
	return __atomic_compare_exchange_n(&m->state, old, new, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

// What one goroutine's attempt to lock knows of itself.
struct attempt {
	int64_t since; // rt_nanotime at the first sleep; 0: has not slept
	int spins;
	bool awoke;    // the woken bit is ours
	bool starving; // waited too long
};

// One round of active waiting, if that is sensible. Sets the woken bit, so that the unlock we wait for
// does not wake another one for nothing.
static bool
spin(gort_mutex *m, int32_t *old, struct attempt *a)
{
	if ((*old & (LOCKED | STARVING)) != LOCKED || !rt_can_spin(a->spins))
		return false;
	if (!a->awoke && !(*old & WOKEN) && *old >> WAITER_SHIFT != 0 && cas(m, old, *old | WOKEN))
		a->awoke = true;
	rt_spin(a->spins);
	a->spins++;
	*old = __atomic_load_n(&m->state, __ATOMIC_RELAXED);
	return true;
}

// The word that this attempt would like to write in the place of old.
static int32_t
wanted(int32_t old, const struct attempt *a)
{
	int32_t new = old;
	if (!(old & STARVING))
		new |= LOCKED; // taken already: no change, and we queue
	if (old & (LOCKED | STARVING))
		new += WAITER;
	if (a->starving && old & LOCKED)
		new |= STARVING;
	if (a->awoke)
		new &= ~WOKEN; // we sleep, or have what we woke up for
	return new;
}

// Woken in starving mode: the lock is ours, but the word does not say so yet.
static void
take_over(gort_mutex *m, int32_t old, const struct attempt *a)
{
	if (old & (LOCKED | WOKEN) || old >> WAITER_SHIFT == 0)
		rt_throw("sync: inconsistent mutex state");
	int32_t delta = LOCKED - WAITER;
	if (!a->starving || old >> WAITER_SHIFT == 1)
		delta -= STARVING;
	__atomic_fetch_add(&m->state, delta, __ATOMIC_ACQUIRE);
}

RT_INLINE void
lock_slow(gort_mutex *m)
{
	struct attempt a = {0};
	int32_t old = __atomic_load_n(&m->state, __ATOMIC_RELAXED);

	for (;;) {
		if (spin(m, &old, &a))
			continue;
		if (a.awoke && !(old & WOKEN))
			rt_throw("sync: inconsistent mutex state");
		if (old & LOCKED && !(old & CONTENDED) && rt_rseq_offset != 0) {
			rt_watch(&m->state, LOCKED, WATCHED, CONTENDED);
			old = __atomic_load_n(&m->state, __ATOMIC_RELAXED);
			continue;
		}
		if (!cas(m, &old, wanted(old, &a)))
			continue;
		if (!(old & (LOCKED | STARVING)))
			return;
		bool first = a.since == 0;
		if (first)
			a.since = rt_nanotime();
		rt_semacquire(&m->sema, !first, RT_SEMA_BLOCK_PROFILE | RT_SEMA_MUTEX_PROFILE,
			      WAIT_MUTEX_LOCK);
		a.starving = a.starving || rt_nanotime() - a.since > STARVATION_NS;
		old = __atomic_load_n(&m->state, __ATOMIC_RELAXED);
		if (old & STARVING) {
			take_over(m, old, &a);
			return;
		}
		a.awoke = true;
		a.spins = 0;
	}
}

// Two CPUs that do nothing but lock and unlock fall into one of two steps: one has the line for many turns
// while the other waits (14 ns a turn), or they take turns, the line going over each time (38 ns). A few
// cycles decide, so where the linker puts these two functions does. On cache lines of their own it was the first
// with gcc 12 (docs/sync.md).
#define ON_A_LINE __attribute__((aligned(64)))

ON_A_LINE void
gort_mutex_lock_slow_(gort_mutex *m)
{
	rt_enter();
	lock_slow(m);
	rt_leave();
}

// state: the word as our unlock left it, locked cleared. A frame of its own, which mutex profiles hide.
static RT_NOINLINE void
unlock_slow(gort_mutex *m, int32_t state)
{
	if (rt_unlikely(!((state + LOCKED) & LOCKED)))
		rt_fatal("sync: unlock of unlocked mutex");
	if (state & STARVING) {
		rt_semrelease(&m->sema, true, 1);
		RT_KEEP_FRAME();
		return;
	}
	// Nobody to wake, or somebody is awake, or has it already and will come by here.
	while (state >> WAITER_SHIFT != 0 && !(state & (LOCKED | WOKEN | STARVING))) {
		if (cas(m, &state, (state - WAITER) | WOKEN)) {
			rt_semrelease(&m->sema, false, 1);
			// We go on running, maybe to take the lock again, so the waiter must run
			// elsewhere if it can: that it starves it notices only when it runs.
			rt_wakep();
			return;
		}
	}
}

ON_A_LINE void
gort_mutex_unlock(gort_mutex *m)
{
	ptrdiff_t off = rt_rseq_offset;
	if (off != 0 && __atomic_load_n(&m->state, __ATOMIC_RELAXED) == LOCKED) {
		RT_RSEQ_STORE_IF(off, &m->state, LOCKED, 0, atomically);
		return;
	}
atomically:
	if (rt_time_to_calm_down() && rt_calm_down(&m->state, LOCKED | WATCHED | CONTENDED))
		return;
	int32_t state = __atomic_sub_fetch(&m->state, LOCKED, __ATOMIC_RELEASE);
	if (rt_likely(!(state & ~(WATCHED | CONTENDED))) ||
	    (state & (LOCKED | WOKEN | STARVING)) == WOKEN)
		return; // nobody waits, or somebody is awake
	rt_enter();
	unlock_slow(m, state);
	rt_leave();
}

void (*const gort_mutex_unlock_called_)(gort_mutex *m) = gort_mutex_unlock;
