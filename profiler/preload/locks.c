// SPDX-License-Identifier: BSD-3-Clause
// pthread locks and waits. Each call tries first; only one that must wait reads the clock. What a thread
// waited is a block event on its own stack. What it waited for a mutex or rwlock is also a mutex event,
// on the stack of whoever unlocked: each unlock pays for the waiting since the last one (Go: since 1.22).
//
// Waiters stand in a table, hashed by the lock's address; one counter says whether there are any, so an
// unlock without contention anywhere costs one load. Who does not get a chain's lock goes on unrecorded.
//
// The real functions are found at the first call of any.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <time.h>

#include <gort/base.h>

#include "preload/preload.h"

static void resolve(void);

// ---- the table of waiters ----

struct waiter {
	struct waiter *next;
	const void *lock;
	int64_t since; // what it waited before is paid for
};

#define CHAIN_BITS 9
static struct chain {
	preload_chain_lock lock;
	struct waiter *first;
} RT_ALIGNED(16) chains[1 << CHAIN_BITS];
static _Atomic int32_t waiting RT_ALIGNED(64); // waiters in the table

static struct chain *
lock_chain(const void *lock)
{
	struct chain *c = &chains[preload_hash(lock) >> (64 - CHAIN_BITS)];
	return preload_chain_enter(&c->lock) ? c : NULL;
}

static bool
wait_begins(struct waiter *w, const void *lock)
{
	*w = (struct waiter){ NULL, lock, preload_now() };
	struct chain *c = preload_opt.mutex ? lock_chain(lock) : NULL;
	if (!c)
		return false;
	w->next = c->first;
	c->first = w;
	preload_chain_leave(&c->lock);
	// Before the real lock sleeps: an unlock that frees it for us comes later and sees the count.
	atomic_fetch_add(&waiting, 1);
	return true;
}

// A waiter stays in the table until it is out, so there is no giving up here; nobody holds a chain for
// longer than a few instructions, and a forked child's table is empty.
static void
wait_ended(struct waiter *w)
{
	struct chain *c;
	while (!(c = lock_chain(w->lock)))
		;
	struct waiter **at = &c->first;
	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
	preload_chain_leave(&c->lock);
	atomic_fetch_sub(&waiting, 1);
}

// What the waiters for this lock waited since the last unlock.
static int64_t
delay_of_waiters(const void *lock)
{
	int64_t sum = 0, now = 0;
	struct chain *c = lock_chain(lock);
	if (!c)
		return 0;
	for (struct waiter *w = c->first; w; w = w->next)
		if (w->lock == lock) {
			if (!now)
				now = preload_now();
			sum += now > w->since ? now - w->since : 0;
			w->since = now;
		}
	preload_chain_leave(&c->lock);
	return sum;
}

void
preload_locks_forked(void)
{
	memset(chains, 0, sizeof(chains));
	atomic_store(&waiting, 0);
}

// ---- events ----

static void
add_event(enum rtp_kind kind, uint64_t count_fix16, uint64_t ns, void *leaf)
{
	uintptr_t pcs[RTP_MAX_FRAMES];
	struct rtp_region *r = rtp_main_peek();
	int saved = errno;
	if (!r || rtp_busy)
		return;
	rtp_busy++;
	int n = preload_capture((uintptr_t)leaf, pcs);
	struct rtp_bucket *b = rtp_bucket(r, kind, 0, pcs, n);
	if (b) {
		rtp_add(&b->v[RTP_LOCK_COUNT_FIX16], count_fix16);
		rtp_add(&b->v[RTP_LOCK_TICKS], ns);
	}
	rtp_busy--;
	errno = saved;
}

// Kept with probability min(1, ns / rate), weighted accordingly (formats of Go: SetBlockProfileRate).
static void
blocked(int64_t ns, void *leaf)
{
	int64_t rate = preload_opt.block_rate;
	if (!preload_opt.block || rtp_busy)
		return;
	if (ns < 1)
		ns = 1;
	if (ns >= rate)
		add_event(RTP_BLOCK, 65536, (uint64_t)ns, leaf);
	else if (preload_uniform() * (double)rate < (double)ns)
		add_event(RTP_BLOCK, (uint64_t)(65536.0 * (double)rate / (double)ns), (uint64_t)rate, leaf);
}

// After the unlock: the critical section must not grow by it.
static void
delayed(int64_t ns, void *leaf)
{
	int64_t fraction = preload_opt.mutex_fraction;
	if (ns <= 0 || (fraction > 1 && preload_uniform() * (double)fraction >= 1))
		return;
	add_event(RTP_MUTEX, (uint64_t)fraction << 16, (uint64_t)(fraction * ns), leaf);
}

// ---- the real ones ----

#define MUTEX pthread_mutex_t *
#define RWLOCK pthread_rwlock_t *
#define COND pthread_cond_t *
#define TIME const struct timespec *

static int first_mutex_lock(MUTEX), first_mutex_unlock(MUTEX), first_rdlock(RWLOCK), first_wrlock(RWLOCK),
	first_rwunlock(RWLOCK);

static struct {
	int (*mutex_lock)(MUTEX), (*mutex_trylock)(MUTEX), (*mutex_unlock)(MUTEX);
	int (*mutex_timedlock)(MUTEX, TIME), (*mutex_clocklock)(MUTEX, clockid_t, TIME);
	int (*rdlock)(RWLOCK), (*tryrdlock)(RWLOCK), (*wrlock)(RWLOCK), (*trywrlock)(RWLOCK);
	int (*rwunlock)(RWLOCK), (*timedrdlock)(RWLOCK, TIME), (*timedwrlock)(RWLOCK, TIME);
	int (*cond_wait)(COND, MUTEX), (*cond_timedwait)(COND, MUTEX, TIME);
	int (*cond_clockwait)(COND, MUTEX, clockid_t, TIME);
	int (*sem_wait)(sem_t *), (*sem_trywait)(sem_t *), (*sem_timedwait)(sem_t *, TIME);
	int (*sem_clockwait)(sem_t *, clockid_t, TIME);
	int (*join)(pthread_t, void **), (*timedjoin)(pthread_t, void **, TIME);
	int (*barrier_wait)(pthread_barrier_t *);
} real = { .mutex_lock = first_mutex_lock, .mutex_unlock = first_mutex_unlock, .rdlock = first_rdlock,
	   .wrlock = first_wrlock, .rwunlock = first_rwunlock };

static _Atomic bool on; // preload_locks_start was called: all of real is found

// ---- locks, timed ----

// The call, as a wait for lock.
#define WAIT_FOR(lock, leaf, call)                                                                 \
	({                                                                                         \
		struct waiter w_;                                                                  \
		if (rtp_busy)                                                                      \
			return call;                                                               \
		bool listed_ = wait_begins(&w_, lock);                                             \
		int64_t t_ = w_.since;                                                             \
		int rc_ = call;                                                                    \
		int64_t ns_ = preload_now() - t_;                                                  \
		if (listed_)                                                                       \
			wait_ended(&w_);                                                           \
		blocked(ns_, (void *)(uintptr_t)leaf);                                             \
		rc_;                                                                               \
	})

RT_NOINLINE static int
contended_mutex(MUTEX m)
{
	return WAIT_FOR(m, pthread_mutex_lock, real.mutex_lock(m));
}

// In a process of one thread libc locks without atomic operations, but tries with one; there is nobody
// to wait for, unless another process.
RT_INLINE bool
alone(MUTEX m)
{
	enum { SHARED = 128 }; // glibc's bit in __kind
	return __libc_single_threaded && !(m->__data.__kind & SHARED);
}

GORT_API int
pthread_mutex_lock(MUTEX m)
{
	if (!rt_load(&on) || alone(m))
		return real.mutex_lock(m);
	int rc = real.mutex_trylock(m);
	return rt_likely(rc != EBUSY) ? rc : contended_mutex(m);
}

RT_NOINLINE static int
contended_unlock(MUTEX m)
{
	int64_t ns = rtp_busy ? 0 : delay_of_waiters(m);
	int rc = real.mutex_unlock(m);
	delayed(ns, (void *)(uintptr_t)pthread_mutex_unlock);
	return rc;
}

GORT_API int
pthread_mutex_unlock(MUTEX m)
{
	if (rt_unlikely(rt_load(&waiting) != 0))
		return contended_unlock(m);
	return real.mutex_unlock(m);
}

RT_NOINLINE static int
contended_rdlock(RWLOCK l)
{
	return WAIT_FOR(l, pthread_rwlock_rdlock, real.rdlock(l));
}

GORT_API int
pthread_rwlock_rdlock(RWLOCK l)
{
	if (!rt_load(&on))
		return real.rdlock(l);
	int rc = real.tryrdlock(l);
	return rt_likely(rc != EBUSY) ? rc : contended_rdlock(l);
}

RT_NOINLINE static int
contended_wrlock(RWLOCK l)
{
	return WAIT_FOR(l, pthread_rwlock_wrlock, real.wrlock(l));
}

GORT_API int
pthread_rwlock_wrlock(RWLOCK l)
{
	if (!rt_load(&on))
		return real.wrlock(l);
	int rc = real.trywrlock(l);
	return rt_likely(rc != EBUSY) ? rc : contended_wrlock(l);
}

GORT_API int
pthread_rwlock_unlock(RWLOCK l)
{
	if (rt_likely(rt_load(&waiting) == 0))
		return real.rwunlock(l);
	int64_t ns = rtp_busy ? 0 : delay_of_waiters(l);
	int rc = real.rwunlock(l);
	delayed(ns, (void *)(uintptr_t)pthread_rwlock_unlock);
	return rc;
}

GORT_API int
pthread_mutex_timedlock(MUTEX m, TIME t)
{
	resolve();
	int rc = rt_load(&on) ? real.mutex_trylock(m) : EBUSY;
	if (rc != EBUSY)
		return rc;
	if (!rt_load(&on))
		return real.mutex_timedlock(m, t);
	return WAIT_FOR(m, pthread_mutex_timedlock, real.mutex_timedlock(m, t));
}

GORT_API int
pthread_mutex_clocklock(MUTEX m, clockid_t c, TIME t)
{
	resolve();
	int rc = rt_load(&on) ? real.mutex_trylock(m) : EBUSY;
	if (rc != EBUSY)
		return rc;
	if (!rt_load(&on))
		return real.mutex_clocklock(m, c, t);
	return WAIT_FOR(m, pthread_mutex_clocklock, real.mutex_clocklock(m, c, t));
}

GORT_API int
pthread_rwlock_timedrdlock(RWLOCK l, TIME t)
{
	resolve();
	int rc = rt_load(&on) ? real.tryrdlock(l) : EBUSY;
	if (rc != EBUSY)
		return rc;
	if (!rt_load(&on))
		return real.timedrdlock(l, t);
	return WAIT_FOR(l, pthread_rwlock_timedrdlock, real.timedrdlock(l, t));
}

GORT_API int
pthread_rwlock_timedwrlock(RWLOCK l, TIME t)
{
	resolve();
	int rc = rt_load(&on) ? real.trywrlock(l) : EBUSY;
	if (rc != EBUSY)
		return rc;
	if (!rt_load(&on))
		return real.timedwrlock(l, t);
	return WAIT_FOR(l, pthread_rwlock_timedwrlock, real.timedwrlock(l, t));
}

// ---- waits for events ----
// Cancellation may unwind through the real call: nothing of ours is held over it.

#define WAIT(leaf, call)                                                                           \
	({                                                                                         \
		int64_t t_ = preload_now();                                                        \
		int rc_ = call;                                                                    \
		blocked(preload_now() - t_, (void *)(uintptr_t)leaf);                              \
		rc_;                                                                               \
	})

// The wait unlocks m, which others may have waited for.
static void
cond_unlocks(MUTEX m)
{
	if (rt_load(&waiting) != 0 && !rtp_busy)
		delayed(delay_of_waiters(m), (void *)(uintptr_t)pthread_mutex_unlock);
}

GORT_API int
pthread_cond_wait(COND c, MUTEX m)
{
	resolve();
	if (!rt_load(&on) || rtp_busy)
		return real.cond_wait(c, m);
	cond_unlocks(m);
	return WAIT(pthread_cond_wait, real.cond_wait(c, m));
}

GORT_API int
pthread_cond_timedwait(COND c, MUTEX m, TIME t)
{
	resolve();
	if (!rt_load(&on) || rtp_busy)
		return real.cond_timedwait(c, m, t);
	cond_unlocks(m);
	return WAIT(pthread_cond_timedwait, real.cond_timedwait(c, m, t));
}

GORT_API int
pthread_cond_clockwait(COND c, MUTEX m, clockid_t k, TIME t)
{
	resolve();
	if (!rt_load(&on) || rtp_busy)
		return real.cond_clockwait(c, m, k, t);
	cond_unlocks(m);
	return WAIT(pthread_cond_clockwait, real.cond_clockwait(c, m, k, t));
}

GORT_API int
sem_wait(sem_t *s)
{
	resolve();
	if (!rt_load(&on) || rtp_busy)
		return real.sem_wait(s);
	int saved = errno;
	if (real.sem_trywait(s) == 0)
		return 0;
	errno = saved;
	return WAIT(sem_wait, real.sem_wait(s));
}

GORT_API int
sem_timedwait(sem_t *s, TIME t)
{
	resolve();
	if (!rt_load(&on) || rtp_busy)
		return real.sem_timedwait(s, t);
	int saved = errno;
	if (real.sem_trywait(s) == 0)
		return 0;
	errno = saved;
	return WAIT(sem_timedwait, real.sem_timedwait(s, t));
}

GORT_API int
sem_clockwait(sem_t *s, clockid_t k, TIME t)
{
	resolve();
	if (!rt_load(&on) || rtp_busy)
		return real.sem_clockwait(s, k, t);
	int saved = errno;
	if (real.sem_trywait(s) == 0)
		return 0;
	errno = saved;
	return WAIT(sem_clockwait, real.sem_clockwait(s, k, t));
}

GORT_API int
pthread_join(pthread_t th, void **result)
{
	resolve();
	if (!rt_load(&on) || rtp_busy)
		return real.join(th, result);
	return WAIT(pthread_join, real.join(th, result));
}

GORT_API int
pthread_timedjoin_np(pthread_t th, void **result, TIME t)
{
	resolve();
	if (!rt_load(&on) || rtp_busy)
		return real.timedjoin(th, result, t);
	return WAIT(pthread_timedjoin_np, real.timedjoin(th, result, t));
}

GORT_API int
pthread_barrier_wait(pthread_barrier_t *b)
{
	resolve();
	if (!rt_load(&on) || rtp_busy)
		return real.barrier_wait(b);
	return WAIT(pthread_barrier_wait, real.barrier_wait(b));
}

// ---- finding the real ones ----

static void
find(void *to, const char *name, const char *version)
{
	void *p = version ? dlvsym(RTLD_NEXT, name, version) : NULL;
	if (!p)
		p = dlsym(RTLD_NEXT, name);
	if (p)
		__atomic_store_n((void **)to, p, __ATOMIC_RELAXED);
}

static void
find_all(void)
{
	find(&real.mutex_trylock, "pthread_mutex_trylock", NULL);
	find(&real.mutex_unlock, "pthread_mutex_unlock", NULL);
	find(&real.mutex_timedlock, "pthread_mutex_timedlock", NULL);
	find(&real.mutex_clocklock, "pthread_mutex_clocklock", NULL);
	find(&real.rdlock, "pthread_rwlock_rdlock", NULL);
	find(&real.tryrdlock, "pthread_rwlock_tryrdlock", NULL);
	find(&real.wrlock, "pthread_rwlock_wrlock", NULL);
	find(&real.trywrlock, "pthread_rwlock_trywrlock", NULL);
	find(&real.rwunlock, "pthread_rwlock_unlock", NULL);
	find(&real.timedrdlock, "pthread_rwlock_timedrdlock", NULL);
	find(&real.timedwrlock, "pthread_rwlock_timedwrlock", NULL);
	// Those of 2002 had another layout of pthread_cond_t.
	find(&real.cond_wait, "pthread_cond_wait", "GLIBC_2.3.2");
	find(&real.cond_timedwait, "pthread_cond_timedwait", "GLIBC_2.3.2");
	find(&real.cond_clockwait, "pthread_cond_clockwait", NULL);
	find(&real.sem_wait, "sem_wait", NULL);
	find(&real.sem_trywait, "sem_trywait", NULL);
	find(&real.sem_timedwait, "sem_timedwait", NULL);
	find(&real.sem_clockwait, "sem_clockwait", NULL);
	find(&real.join, "pthread_join", NULL);
	find(&real.timedjoin, "pthread_timedjoin_np", NULL);
	find(&real.barrier_wait, "pthread_barrier_wait", NULL);
	find(&real.mutex_lock, "pthread_mutex_lock", NULL); // last: says that all are there
}

// At the first call of any of them, on the process's first thread or, harmlessly, on two at once.
static void
resolve(void)
{
	if (rt_unlikely(__atomic_load_n(&real.mutex_lock, __ATOMIC_RELAXED) == first_mutex_lock))
		find_all();
}

static int
first_mutex_lock(MUTEX m)
{
	resolve();
	return real.mutex_lock(m);
}

static int
first_mutex_unlock(MUTEX m)
{
	resolve();
	return real.mutex_unlock(m);
}

static int
first_rdlock(RWLOCK l)
{
	resolve();
	return real.rdlock(l);
}

static int
first_wrlock(RWLOCK l)
{
	resolve();
	return real.wrlock(l);
}

static int
first_rwunlock(RWLOCK l)
{
	resolve();
	return real.rwunlock(l);
}

void
preload_locks_start(void)
{
	resolve();
	rt_store(&on, preload_opt.block || preload_opt.mutex);
}
