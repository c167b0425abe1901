// SPDX-License-Identifier: BSD-3-Clause
// Locks and meeting points of goroutines. Go: package sync.
//
//	static gort_mutex mu;			// zero: ready for use
//	gort_mutex_lock(&mu);
//	counter++;
//	gort_mutex_unlock(&mu);
//
//	gort_waitgroup wg = {0};
//	for (int i = 0; i < 8; i++)
//		gort_waitgroup_go(&wg, work, i);
//	gort_waitgroup_wait(&wg);
//
// All of these block the goroutine, not its thread; may be embedded anywhere (also in collected memory
// and on stacks that outlive their users) but not copied or moved after first use; are zero-initialised;
// and need no destruction. What a goroutine did before an unlock or done is seen by the one whose lock
// or wait returns because of it. None is async-signal-safe. Misuse ends the process with Go's text.
#pragma once

#include <gort/base.h>
#include <gort/sched.h>

GORT_BEGIN_DECLS

// ---- Mutex ----

// A lock for one goroutine at a time. Not recursive; not bound to its goroutine: another one may unlock
// it. In normal operation an unlock wakes the longest waiter, which competes with newcomers; when a
// waiter has been waiting for more than a millisecond, the lock goes from hand to hand in the order of
// arrival until the queue is short again (starvation mode). 8 bytes. Go: sync.Mutex.
typedef struct gort_mutex {
	// Bits: 1 locked, 2 a waiter was woken, 4 starving, 8 and 16 contended; from bit 5 on: waiters.
	int32_t state;
	uint32_t sema; // what they wait on
} gort_mutex;

GORT_API void gort_mutex_lock_slow_(gort_mutex *m);
GORT_API bool gort_mutex_try_lock_slow_(gort_mutex *m);

// gort_mutex_lock locks m, blocking until that is possible. Go: (*Mutex).Lock.
static inline void
gort_mutex_lock(gort_mutex *m)
{
	int32_t free = 0;
	// Acquire: pairs with the release of whoever unlocked.
	if (__builtin_expect(!__atomic_compare_exchange_n(&m->state, &free, 1, false,
							  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
			     0))
		gort_mutex_lock_slow_(m);
}

// gort_mutex_try_lock locks m if nobody holds it (and nobody is about to be handed it), and tells
// whether it did. Go: (*Mutex).TryLock.
static inline bool
gort_mutex_try_lock(gort_mutex *m)
{
	int32_t free = 0;
	return __atomic_compare_exchange_n(&m->state, &free, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED) ||
	       gort_mutex_try_lock_slow_(m);
}

// gort_mutex_unlock unlocks m. Fatal with "sync: unlock of unlocked mutex". Does not touch m once it is
// free: whoever locks it next may unlock it and free its memory. Go: (*Mutex).Unlock.
GORT_API void gort_mutex_unlock(gort_mutex *m);

// ---- WaitGroup ----

// Waits for a number of things to be done. The counter is in the upper half of state, the waiting
// goroutines are counted in the lower half. 16 bytes. Go: sync.WaitGroup.
typedef struct gort_waitgroup {
	uint64_t state;
	uint32_t sema;
} gort_waitgroup;

GORT_API void gort_waitgroup_add_slow_(gort_waitgroup *wg, int32_t n, uint64_t state);
GORT_API void gort_waitgroup_wait_slow_(gort_waitgroup *wg);

// gort_waitgroup_add adds n, which may be negative, to the counter; at zero it releases those who wait.
// A positive n on a counter of zero must happen before the wait that it concerns. Panics with "sync:
// negative WaitGroup counter", and where it notices an add that races with a wait with "sync: WaitGroup
// misuse: Add called concurrently with Wait". Go: (*WaitGroup).Add.
static inline void
gort_waitgroup_add(gort_waitgroup *wg, int n)
{
	// Acquire and release: the last one to arrive passes on what all others did.
	uint64_t state = __atomic_add_fetch(&wg->state, (uint64_t)(int64_t)n << 32,
					    __ATOMIC_ACQ_REL);
	// Counter negative, or somebody waits: worth a closer look.
	if (__builtin_expect((int64_t)state < 0 || (uint32_t)state != 0, 0))
		gort_waitgroup_add_slow_(wg, n, state);
}

// gort_waitgroup_done is gort_waitgroup_add(wg, -1). Go: (*WaitGroup).Done.
static inline void
gort_waitgroup_done(gort_waitgroup *wg)
{
	gort_waitgroup_add(wg, -1);
}

// gort_waitgroup_wait blocks until the counter is zero. Any number of goroutines may wait. A group may
// be used again when all its waits have returned; panics with "sync: WaitGroup is reused before previous
// Wait has returned" where that is violated and noticed. Go: (*WaitGroup).Wait.
static inline void
gort_waitgroup_wait(gort_waitgroup *wg)
{
	if ((__atomic_load_n(&wg->state, __ATOMIC_ACQUIRE) >> 32) != 0)
		gort_waitgroup_wait_slow_(wg);
}

// gort_waitgroup_go(wg, fn, ...) adds one, starts fn(...) as gort_go does, and has done called when that
// goroutine has ended, by return or by gort_goexit, after its gort_on_exit functions.
// Go: (*WaitGroup).Go, with arguments.
#define gort_waitgroup_go(wg, fn, ...)                                                             \
	__extension__({                                                                            \
		gort_waitgroup *gort_wg_ = (wg);                                                   \
		__typeof__(&*(fn)) gort_fn_ = (fn);                                                \
		__typeof__(gort_fn_) gort_stub_;                                                   \
		_Static_assert(GORT_NARGS_(__VA_ARGS__) <= 6,                                      \
			       "gort_waitgroup_go takes up to 6 arguments");                       \
		GORT_CHECK_ARGS_(__VA_ARGS__)                                                      \
		_Static_assert(sizeof(__typeof__(gort_fn_(__VA_ARGS__))) <= 16,                    \
			       "gort_waitgroup_go: a function that returns a large struct");       \
		/* hides from the compiler that the stub has another type */                       \
		__asm__("" : "=r"(gort_stub_) : "0"(gort_go_stub_));                               \
		(void)gort_stub_(__VA_ARGS__);                                                     \
		gort_waitgroup_start_(gort_wg_, (void (*)(void))gort_fn_);                         \
	})
GORT_API void gort_waitgroup_start_(gort_waitgroup *wg, void (*fn)(void));

GORT_END_DECLS
