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
#include <gort/iface.h>
#include <gort/rseq.h>
#include <gort/sched.h>

GORT_BEGIN_DECLS

// Asks for p's cache line to be written to. A load alone would get it to share with the CPU that had it last,
// and the compare-and-swap after it would have to ask again.
static inline void
gort_prefetch_write_(const void *p)
{
#if defined(__x86_64__)
	// The compilers' builtin is this instruction only if they may assume that the CPU has it; one that
	// has not takes it as nothing.
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

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

// Sets locked in a word that is not, unless the lock is to be handed to a waiter (starving).
static inline bool
gort_mutex_try_(gort_mutex *m)
{
	gort_prefetch_write_(&m->state);
	int32_t free = __atomic_load_n(&m->state, __ATOMIC_RELAXED) & ~(1 | 4);
	// Acquire: pairs with the release of whoever unlocked.
	return __atomic_compare_exchange_n(&m->state, &free, free | 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

// gort_mutex_lock locks m, blocking until that is possible. Go: (*Mutex).Lock.
static inline void
gort_mutex_lock(gort_mutex *m)
{
	if (__builtin_expect(!gort_mutex_try_(m), 0))
		gort_mutex_lock_slow_(m);
}

// gort_mutex_try_lock locks m if nobody holds it (and nobody is about to be handed it), and tells
// whether it did. Go: (*Mutex).TryLock.
static inline bool
gort_mutex_try_lock(gort_mutex *m)
{
	return gort_mutex_try_(m);
}

// gort_mutex_unlock unlocks m. Fatal with "sync: unlock of unlocked mutex". Does not touch m once it is
// free: whoever locks it next may unlock it and free its memory. Go: (*Mutex).Unlock.
GORT_API void gort_mutex_unlock(gort_mutex *m);

// The library's, for what the inline one leaves. A pointer, since no compiler knows what it points to: clang does
// not inline a function that calls one of the same name.
extern GORT_API void (*const gort_mutex_unlock_called_)(gort_mutex *m);

#ifndef GORT_UNLOCK_BY_CALL_
GORT_INLINE_TOO_ void
gort_mutex_unlock(gort_mutex *m)
{
	ptrdiff_t off = gort_rseq_offset_;
	if (__builtin_expect(off != 0, 1)) {
		GORT_RSEQ_STORE_IF_(off, &m->state, 1, 0, failed); // locked, and nobody waits
		return;
	}
failed:
	gort_mutex_unlock_called_(m);
}
#endif

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
		GORT_CHECK_CALL_(gort_fn_ __VA_OPT__(, ) __VA_ARGS__)                              \
		/* hides from the compiler that the stub has another type */                       \
		__asm__("" : "=r"(gort_stub_) : "0"(gort_go_stub_));                               \
		(void)gort_stub_(__VA_ARGS__);                                                     \
		gort_waitgroup_start_(gort_wg_, (void (*)(void))gort_fn_);                         \
	})
GORT_API void gort_waitgroup_start_(gort_waitgroup *wg, void (*fn)(void));

// ---- RWMutex ----

// A lock for any number of readers or one writer. A writer that waits keeps new readers out, so it gets
// its turn; hence a reader must not lock again for reading what it holds. Not bound to goroutines.
// 24 bytes. Go: sync.RWMutex.
typedef struct gort_rwmutex {
	gort_mutex w;	      // held by the writer, or wanted by those that come after it
	uint32_t writer_sem;  // the writer waits here for readers to leave
	uint32_t reader_sem;  // readers wait here for the writer to leave
	int32_t reader_count; // readers; less 1 << 30 while there is a writer; bits 28, 29: contended, biased
	int32_t reader_wait;  // readers that the writer waits for
} gort_rwmutex;

GORT_API void gort_rwmutex_rlock_slow_(gort_rwmutex *rw);

// gort_rwmutex_rlock locks rw for reading, blocking while a writer has it or waits for it. Not to be
// nested: a writer that comes between two read locks of one goroutine makes a deadlock.
// Go: (*RWMutex).RLock.
static inline void
gort_rwmutex_rlock(gort_rwmutex *rw)
{
	// Acquire: pairs with the writer's release when it leaves.
	int32_t free = 0;
	if (__builtin_expect(__atomic_load_n(&rw->reader_count, __ATOMIC_RELAXED) != 0 ||
				     !__atomic_compare_exchange_n(&rw->reader_count, &free, 1, false,
								  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
			     0))
		gort_rwmutex_rlock_slow_(rw);
}

// gort_rwmutex_runlock undoes one read lock. Fatal with "sync: RUnlock of unlocked RWMutex".
// Go: (*RWMutex).RUnlock.
GORT_API void gort_rwmutex_runlock(gort_rwmutex *rw);

extern GORT_API void (*const gort_rwmutex_runlock_called_)(gort_rwmutex *rw);

#ifndef GORT_UNLOCK_BY_CALL_
GORT_INLINE_TOO_ void
gort_rwmutex_runlock(gort_rwmutex *rw)
{
	ptrdiff_t off = gort_rseq_offset_;
	if (__builtin_expect(off != 0 && __atomic_load_n(&rw->reader_count, __ATOMIC_RELAXED) == 1, 1)) {
		GORT_RSEQ_STORE_IF_(off, &rw->reader_count, 1, 0, failed); // one reader, no writer
		return;
	}
failed:
	gort_rwmutex_runlock_called_(rw);
}
#endif

// gort_rwmutex_try_rlock locks rw for reading unless a writer has it or waits for it, and tells whether
// it did. Go: (*RWMutex).TryRLock.
GORT_API bool gort_rwmutex_try_rlock(gort_rwmutex *rw);

// gort_rwmutex_lock locks rw for writing, blocking until readers and writers have left. Readers that
// come meanwhile wait until after the unlock. Go: (*RWMutex).Lock.
GORT_API void gort_rwmutex_lock(gort_rwmutex *rw);

// gort_rwmutex_unlock undoes a write lock and lets the readers in that wait. Fatal with "sync: Unlock of
// unlocked RWMutex". Go: (*RWMutex).Unlock.
GORT_API void gort_rwmutex_unlock(gort_rwmutex *rw);

// gort_rwmutex_try_lock locks rw for writing if nobody has it, and tells whether it did.
// Go: (*RWMutex).TryLock.
GORT_API bool gort_rwmutex_try_lock(gort_rwmutex *rw);

// ---- Once ----

// Does something exactly once. 12 bytes. Go: sync.Once.
typedef struct gort_once {
	uint32_t done;
	gort_mutex m;
} gort_once;

GORT_API void gort_once_do_slow_(gort_once *once, void (*fn)(void *arg), void *arg);

// gort_once_do calls fn(arg) if this is the first call for once; others, also those that come while fn
// runs, return when it has returned. It counts as done too when fn ends the goroutine. fn must not call
// gort_once_do for the same once: that is a deadlock. Go: (*Once).Do.
static inline void
gort_once_do(gort_once *once, void (*fn)(void *arg), void *arg)
{
	// Acquire: pairs with the release after fn; its effects are seen by all.
	if (__builtin_expect(!__atomic_load_n(&once->done, __ATOMIC_ACQUIRE), 0))
		gort_once_do_slow_(once, fn, arg);
}

// A value that is made at its first use. It must lie where the collector looks when the value is a
// collected pointer. Go: sync.OnceValue.
typedef struct gort_once_value {
	gort_once once;
	void *value;
} gort_once_value;

GORT_API void gort_once_value_slow_(gort_once_value *o, void *(*fn)(void *arg), void *arg);

// gort_once_value_get returns what fn(arg) returned when it was called, once, by the first of these
// calls; NULL when fn ended its goroutine.
static inline void *
gort_once_value_get(gort_once_value *o, void *(*fn)(void *arg), void *arg)
{
	if (__builtin_expect(!__atomic_load_n(&o->once.done, __ATOMIC_ACQUIRE), 0))
		gort_once_value_slow_(o, fn, arg);
	return o->value;
}

// Two values that are made together. Go: sync.OnceValues.
typedef struct gort_once_values {
	gort_once once;
	void *value[2];
} gort_once_values;

GORT_API void gort_once_values_slow_(gort_once_values *o, void (*fn)(void *arg, void **v1, void **v2),
				     void *arg);

// gort_once_values_get stores in *v1 and *v2 what fn(arg, ...) stored in its when it was called, once,
// by the first of these calls; what it left alone is NULL.
static inline void
gort_once_values_get(gort_once_values *o, void (*fn)(void *arg, void **v1, void **v2), void *arg,
		     void **v1, void **v2)
{
	if (__builtin_expect(!__atomic_load_n(&o->once.done, __ATOMIC_ACQUIRE), 0))
		gort_once_values_slow_(o, fn, arg);
	*v1 = o->value[0];
	*v2 = o->value[1];
}

// ---- Cond ----

// Lets goroutines wait for a change of what a mutex guards. Waiters are woken in the order in which they
// came. Must not be copied after its first use: panics with "sync.Cond is copied" where it notices.
// Go: sync.Cond.
typedef struct gort_cond {
	gort_mutex *L;	 // the lock of those that wait; held over gort_cond_wait's call and return
	uint32_t wait;	 // ticket of the next one to wait
	uint32_t notify; // ticket of the next one to be woken
	uint32_t lock;	 // guards notify and the list
	void *head, *tail;
	const void *self;
} gort_cond;

// gort_cond_init prepares *c for use with mutex. Go: sync.NewCond.
static inline void
gort_cond_init(gort_cond *c, gort_mutex *mutex)
{
	gort_cond zero = {mutex, 0, 0, 0, 0, 0, 0};
	*c = zero;
}

// gort_cond_wait unlocks c->L, waits to be woken by one of the two functions below, and locks c->L
// again. There are no spurious wakeups, but what one waits for may have changed again meanwhile, so call
// it in a loop that tests for it. Go: (*Cond).Wait.
GORT_API void gort_cond_wait(gort_cond *c);

// gort_cond_signal wakes the longest waiter, if there is one; gort_cond_broadcast wakes all. c->L need
// not be held. Go: (*Cond).Signal, Broadcast.
GORT_API void gort_cond_signal(gort_cond *c);
GORT_API void gort_cond_broadcast(gort_cond *c);

// ---- Pool ----

// A set of things that may be used again, to spare the allocator and the collector: what is put in may be
// got out again by anybody, or is dropped by the second collection after. Meant for things that come and
// go on many goroutines (buffers), not for those that have an owner. The collector keeps what is in it
// alive, wherever the gort_pool itself lies. It may go away at any time without being emptied.
//
//	static gort_pool buffers = {.new_fn = new_buffer};
//	struct buffer *b = gort_pool_get(&buffers);
//	...
//	gort_pool_put(&buffers, b);
//
// Go: sync.Pool.
typedef struct gort_pool {
	void *(*new_fn)(void); // makes one when there is none; NULL: gort_pool_get returns NULL then
	void *local;	       // the rest is private, and 0 at first
	uint64_t id;
} gort_pool;

// gort_pool_get takes some item out of p, or returns what new_fn returns. Not necessarily one that the
// caller has put in. Go: (*Pool).Get.
GORT_API void *gort_pool_get(gort_pool *p);

// gort_pool_put adds x; NULL is ignored. x must not be used any more. Go: (*Pool).Put.
GORT_API void gort_pool_put(gort_pool *p, void *x);

// ---- Map ----

// A map from any to any that many goroutines may use at once, meant for two cases: keys that are written
// once and read many times (caches that only grow), and goroutines that work on disjoint sets of keys.
// Elsewhere a gort_map with a lock, or a sharded map (gort/shardedmap.h), is mostly better.
//
// Two tables share their entries. `read` is never changed, only replaced, so loads, and stores to keys
// that it has, take no lock. `dirty`, if there is one, has all keys, also those stored since; it is used
// under mu. Once as many loads missed in read as dirty has keys, dirty becomes read.
//
// Loads see the latest store that happened before them; each operation takes effect at one moment between
// its call and its return. Keys are compared as gort_any_equal does; keys of a type that has no equality
// panic with "runtime error: hash of unhashable type T". The map must lie where the collector looks (on a
// goroutine's stack, in collected memory, a global variable, or a root); it must not be copied.
// Go: sync.Map.
typedef struct gort_sync_map {
	gort_mutex mu;
	void *read;  // what loads look at first
	void *dirty; // under mu
} gort_sync_map;

// gort_sync_map_load tells whether m has key, and if so stores what it maps to in *value (NULL: not
// wanted). Otherwise *value is nil. Go: Load.
GORT_API bool gort_sync_map_load(gort_sync_map *m, gort_any key, gort_any *value);

// gort_sync_map_store makes key map to value. Go: Store.
GORT_API void gort_sync_map_store(gort_sync_map *m, gort_any key, gort_any value);

// gort_sync_map_load_or_store stores value if key is absent. Returns whether it was present; *actual is
// what key maps to now. Go: LoadOrStore.
GORT_API bool gort_sync_map_load_or_store(gort_sync_map *m, gort_any key, gort_any value,
					  gort_any *actual);

// gort_sync_map_load_and_delete removes key, and tells as gort_sync_map_load what was there.
// Go: LoadAndDelete.
GORT_API bool gort_sync_map_load_and_delete(gort_sync_map *m, gort_any key, gort_any *value);

// gort_sync_map_delete removes key. Go: Delete.
GORT_API void gort_sync_map_delete(gort_sync_map *m, gort_any key);

// gort_sync_map_swap makes key map to value, and tells as gort_sync_map_load what was there before.
// Go: Swap.
GORT_API bool gort_sync_map_swap(gort_sync_map *m, gort_any key, gort_any value, gort_any *previous);

// gort_sync_map_compare_and_swap makes key map to new_value if it maps to old, and tells whether it did.
// Panics when old's type has no equality and key maps to one of that type. Go: CompareAndSwap.
GORT_API bool gort_sync_map_compare_and_swap(gort_sync_map *m, gort_any key, gort_any old,
					     gort_any new_value);

// gort_sync_map_compare_and_delete removes key if it maps to old, and tells whether it did. Panics like
// the one above. Go: CompareAndDelete.
GORT_API bool gort_sync_map_compare_and_delete(gort_sync_map *m, gort_any key, gort_any old);

// gort_sync_map_range calls fn(key, value, arg) for each key, in no particular order, until fn returns
// false. No key comes twice. What is stored or deleted meanwhile, by fn or by others, may or may not be
// seen; the calls do not stand for one moment. fn may use m. Takes time in proportion to the keys even if
// fn ends it early. Go: Range.
GORT_API void gort_sync_map_range(gort_sync_map *m,
				  bool (*fn)(gort_any key, gort_any value, void *arg), void *arg);

// gort_sync_map_clear removes all keys. Go: Clear.
GORT_API void gort_sync_map_clear(gort_sync_map *m);

GORT_END_DECLS

#include <gort/shardedmap.h>
