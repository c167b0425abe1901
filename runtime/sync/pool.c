// SPDX-License-Identifier: BSD-3-Clause
// Pool. Each P has, for each pool in use, a private item that needs no lock and a queue of more of them,
// whose head is its own and from whose tail the others steal. At the start of marking the collector calls
// rt_pool_cleanup: what the victims hold is dropped, what the pool holds becomes the victims'. So an item
// survives one collection that it lies through, and none of a pool that is in steady use gets lost.
//
//   gort_pool -> poolset { poolLocal local[P], victim[P] }    poolLocal { private, shared: poolQueue }
//
// The collector, not the program, decides when a set's memory is used again, and a gort_pool may be gone
// by then (it lies in the program's memory, and needs no destruction). So sets are persistent memory with
// a number: the pool remembers set and number, and a set that came up empty twice is taken away from its
// pool by changing the number, without touching the pool. Such a pool gets another set at its next use.
// Numbers are never used twice. All this happens with the world stopped or under setlock; whoever uses a
// set is at depth > 0 with a P, and checks the number first, so a set cannot change hands under it.
//
// Most Gets and Puts do not even enter the runtime: the private item is taken and put by a restartable
// sequence (arch.h, RT_RSEQ_TAKE) at depth 0. There a thread loses its P, or stops for the collector, in the
// handler of a signal only, and the kernel abandons the sequence before it runs that: so the P is the
// thread's from the first instruction to the store, and the set the pool's. The number and the place among
// the victims are looked at in the sequence, the pool's two words before; they may be out of date as they
// may be for those inside.
//
// A queue is a ring in the heap, guarded by a spin lock that is held for some dozen instructions: its
// owner does not wait long, thieves that find it taken go on to the next. The collector reads sets as
// roots when marking starts; the rings, being heap objects, are read later, so what is taken out of one
// while marking is on is shaded (gc/barrier.h).
//
// After a change of GOMAXPROCS upwards a set may lack places; the pool then gets a larger one, and the
// items of the former are dropped like victims. (Go: the same.)
//
// Go: sync/pool.go, sync/poolqueue.go (there the queue is a chain of lock-free rings).
#include "sync/pool.h"

#include <gort/sync.h>

#include "base/lock.h"
#include "gc/barrier.h"
#include "mem/malloc.h"
#include "os/os.h"
#include "sched/proc.h"

#define FIRST_RING 16u // slots, a power of two

struct poolQueue {
	_Atomic uint32_t locked;
	uint32_t cap;	     // slots in ring; 0 or a power of two
	uint32_t head, tail; // [tail, head) are in use, modulo cap
	void **ring;
};

// size is head - tail as others may see it: a hint.
struct poolLocal {
	void *private; // the P's own
	_Atomic uint32_t size;
	struct poolQueue shared;
} RT_HOT_LINE;

// arch.h knows the first three.
struct poolset {
	_Atomic uint64_t id; // of the pool that uses it; 0: free
	int32_t nlocal;
	struct poolLocal *local, *victim;
	_Atomic bool victims; // there may be something in them
	struct poolset *next; // in use, or free
};
static_assert(offsetof(struct poolset, id) == 0 && offsetof(struct poolset, nlocal) == 8 &&
		      offsetof(struct poolset, local) == 16 && sizeof(struct poolLocal) == 64 &&
		      offsetof(struct poolLocal, private) == 0,
	      "as RT_RSEQ_TAKE has it");

// setlock guards the lists; with the world stopped nobody holds it.
static struct rt_mutex setlock;
static struct poolset *used, *unused;
static uint64_t last_id;

// ---- queues ----

static bool
try_lock_queue(struct poolQueue *q)
{
	return rt_load(&q->locked) == 0 &&
	       atomic_exchange_explicit(&q->locked, 1, memory_order_acquire) == 0;
}

static void
lock_queue(struct poolQueue *q)
{
	for (int i = 0; !try_lock_queue(q); i++)
		if (i < 100)
			rt_cpu_relax();
		else
			rt_os_yield();
}

static void
unlock_queue(struct poolQueue *q)
{
	rt_store_release(&q->locked, 0);
}

// Under the queue's lock. The new ring is made before, as an allocation may collect and empty the set.
static void
move_to(struct poolQueue *q, void **ring, uint32_t cap)
{
	for (uint32_t i = q->tail; i != q->head; i++)
		ring[i & (cap - 1)] = q->ring[i & (q->cap - 1)];
	q->ring = ring;
	q->cap = cap;
}

static bool
push_head(struct poolLocal *l, void *x)
{
	struct poolQueue *q = &l->shared;
	lock_queue(q);
	bool room = q->head - q->tail < q->cap;
	if (room) {
		q->ring[q->head++ & (q->cap - 1)] = x;
		rt_store(&l->size, q->head - q->tail);
	}
	unlock_queue(q);
	return room;
}

static void *
take_slot(struct poolLocal *l, uint32_t i)
{
	struct poolQueue *q = &l->shared;
	void **slot = &q->ring[i & (q->cap - 1)];
	void *x = *slot;
	if (rt_barrier_on())
		rt_shade(x);
	*slot = NULL;
	rt_store(&l->size, q->head - q->tail);
	return x;
}

// The owner takes what it put last; the others what it put first.
static void *
pop_head(struct poolLocal *l)
{
	struct poolQueue *q = &l->shared;
	void *x = NULL;
	if (rt_load(&l->size) == 0)
		return NULL;
	lock_queue(q);
	if (q->head != q->tail)
		x = take_slot(l, --q->head);
	unlock_queue(q);
	return x;
}

static void *
pop_tail(struct poolLocal *l)
{
	struct poolQueue *q = &l->shared;
	void *x = NULL;
	if (rt_load(&l->size) == 0 || !try_lock_queue(q))
		return NULL;
	if (q->head != q->tail)
		x = take_slot(l, q->tail++);
	unlock_queue(q);
	return x;
}

// ---- sets ----

static struct poolset *
new_set(int32_t nlocal)
{
	struct poolset **link = &unused;
	while (*link && (*link)->nlocal < nlocal)
		link = &(*link)->next;
	struct poolset *s = *link;
	if (s) {
		*link = s->next;
		return s;
	}
	size_t bytes = (size_t)nlocal * sizeof(struct poolLocal);
	s = rt_persistent_alloc(sizeof(*s), RT_CACHE_LINE, NULL);
	s->local = rt_persistent_alloc(bytes, RT_CACHE_LINE, NULL);
	s->victim = rt_persistent_alloc(bytes, RT_CACHE_LINE, NULL);
	s->nlocal = nlocal;
	return s;
}

RT_INLINE bool
fits(const gort_pool *p, const struct poolset *s, int32_t pid)
{
	// The two words of the pool are read one by one: a set that does not belong to the number that
	// was read has another.
	return s && rt_load_acquire(&s->id) == __atomic_load_n(&p->id, __ATOMIC_RELAXED) &&
	       pid < s->nlocal;
}

static RT_COLD struct poolset *
pin_slow(gort_pool *p)
{
	rt_lock(&setlock);
	struct poolset *s = p->local;
	if (!fits(p, s, rt_getp()->id)) {
		s = new_set(nallp);
		s->next = used;
		used = s;
		rt_store(&s->id, ++last_id);
		__atomic_store_n(&p->id, last_id, __ATOMIC_RELAXED);
		__atomic_store_n(&p->local, s, __ATOMIC_RELEASE);
	}
	rt_unlock(&setlock);
	return s;
}

// The set of p, in which the current P has its place. Valid until the next park or allocation.
RT_INLINE struct poolset *
pin(gort_pool *p)
{
	struct poolset *s = __atomic_load_n(&p->local, __ATOMIC_ACQUIRE);
	return rt_likely(fits(p, s, rt_getp()->id)) ? s : pin_slow(p);
}

// ---- get and put ----

static void *
steal(struct poolLocal *local, int32_t n, int32_t self)
{
	for (int32_t i = 1; i <= n; i++) {
		void *x = pop_tail(&local[(self + i) % n]);
		if (x)
			return x;
	}
	return NULL;
}

// The victims have their say once all else is empty, and are not asked again when they had nothing.
static void *
get_victim(struct poolset *s, int32_t self)
{
	if (!rt_load(&s->victims))
		return NULL;
	void *x = s->victim[self].private;
	if (x) {
		s->victim[self].private = NULL;
		return x;
	}
	x = steal(s->victim, s->nlocal, self);
	if (!x)
		rt_store(&s->victims, false);
	return x;
}

static RT_NOINLINE void *
get_slow(struct poolset *s)
{
	int32_t self = rt_getp()->id;
	void *x = pop_head(&s->local[self]);
	if (!x)
		x = steal(s->local, s->nlocal, self);
	return x ? x : get_victim(s, self);
}

static RT_NOINLINE void *
get_inside(gort_pool *p)
{
	rt_enter();
	struct poolset *s = pin(p);
	struct poolLocal *l = &s->local[rt_getp()->id];
	void *x = l->private;
	if (rt_likely(x != NULL))
		l->private = NULL; // read at the start of marking, with the set: no barrier
	else
		x = get_slow(s);
	rt_leave();
	return x || !p->new_fn ? x : p->new_fn();
}

void *
gort_pool_get(gort_pool *p)
{
	struct poolset *s = __atomic_load_n(&p->local, __ATOMIC_ACQUIRE);
	ptrdiff_t off = rt_rseq_offset;
	if (rt_likely(s && off != 0)) {
		void *x;
		RT_RSEQ_TAKE(off, s, __atomic_load_n(&p->id, __ATOMIC_RELAXED), x, inside);
		return x;
	}
inside:
	return get_inside(p);
}

// A larger ring for this P's queue. Making it may collect, and then p's set is another one afterwards.
static RT_NOINLINE void
grow(gort_pool *p, uint32_t cap)
{
	uint32_t want = cap ? cap * 2 : FIRST_RING;
	void **ring = rt_mallocgc((size_t)want * sizeof(*ring), NULL);
	struct poolLocal *l = &pin(p)->local[rt_getp()->id];
	lock_queue(&l->shared);
	if (l->shared.cap < want)
		move_to(&l->shared, ring, want);
	unlock_queue(&l->shared);
}

static RT_NOINLINE void
put_inside(gort_pool *p, void *x)
{
	rt_enter();
	struct poolLocal *l = &pin(p)->local[rt_getp()->id];
	if (rt_likely(!l->private)) {
		l->private = x;
	} else {
		while (!push_head(l, x)) {
			grow(p, l->shared.cap);
			l = &pin(p)->local[rt_getp()->id];
		}
	}
	rt_leave();
}

void
gort_pool_put(gort_pool *p, void *x)
{
	if (!x)
		return;
	struct poolset *s = __atomic_load_n(&p->local, __ATOMIC_ACQUIRE);
	ptrdiff_t off = rt_rseq_offset;
	if (rt_likely(s && off != 0)) {
		RT_RSEQ_GIVE(off, s, __atomic_load_n(&p->id, __ATOMIC_RELAXED), x, inside);
		return;
	}
inside:
	put_inside(p, x);
}

// ---- the collector's side; the world is stopped ----

static bool
is_empty(const struct poolLocal *local, int32_t n)
{
	for (int32_t i = 0; i < n; i++)
		if (local[i].private || local[i].shared.head != local[i].shared.tail)
			return false;
	return true;
}

static void
drop(struct poolLocal *local, int32_t n)
{
	for (int32_t i = 0; i < n; i++)
		local[i] = (struct poolLocal){0};
}

// Whether it is of no use any more.
static bool
age(struct poolset *s)
{
	struct poolLocal *old = s->victim;
	bool idle = is_empty(s->local, s->nlocal) && is_empty(old, s->nlocal);
	drop(old, s->nlocal);
	s->victim = s->local;
	s->local = old;
	rt_store(&s->victims, true);
	return idle;
}

void
rt_pool_cleanup(void)
{
	for (struct poolset **link = &used, *s; (s = *link);) {
		if (!age(s)) {
			link = &s->next;
			continue;
		}
		drop(s->victim, s->nlocal); // empty, but its rings
		rt_store(&s->id, 0);
		*link = s->next;
		s->next = unused;
		unused = s;
	}
}

void
rt_pool_for_each_range(void (*fn)(uintptr_t lo, uintptr_t hi, void *arg), void *arg)
{
	for (struct poolset *s = used; s; s = s->next) {
		fn((uintptr_t)s->local, (uintptr_t)(s->local + s->nlocal), arg);
		fn((uintptr_t)s->victim, (uintptr_t)(s->victim + s->nlocal), arg);
	}
}
