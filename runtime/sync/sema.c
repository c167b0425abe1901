// SPDX-License-Identifier: BSD-3-Clause
// A table of 251 roots, chosen by address. A root holds a treap with one node per address that has
// waiters: the sudog at the head of that address's queue; the others hang on its waitlink. So finding an
// address costs O(log addresses) and queueing O(1), and ten thousand goroutines on one lock do not slow
// down another lock that shares its root.
//
// Treap of sudogs: a search tree by elem (the address) and a heap by ticket (random; the root has the
// smallest). prev is the left, next the right child. On a head, waiters counts the waitlink list and
// waittail is its last (NULL when the list is empty).
//
// No lost wakeup. Acquire: nwait++, then try to take the unit, then sleep (under root->lock). Release:
// add the unit, then read nwait. Both seq_cst: in their one total order either the release sees nwait,
// and then waits for root->lock until the sleeper is queued, or the acquire sees the unit.
//
// Lock: root->lock, one at a time, nothing else taken under it.
#include "sync/sema.h"

#include "debug/hooks.h"
#include "sched/sudog.h"

#define SEMTABLE_SIZE 251

struct semaroot {
	struct rt_spinlock lock;
	_Atomic uint32_t nwait; // written under lock
	struct sudog *treap;	// under lock
} RT_HOT_LINE;

static struct semaroot semtable[SEMTABLE_SIZE];

RT_INLINE struct semaroot *
semroot(const void *addr)
{
	return &semtable[((uintptr_t)addr >> 3) % SEMTABLE_SIZE];
}

// Takes a unit if there is one. seq_cst load: see "No lost wakeup". Acquire on success: pairs with the
// release's add.
RT_INLINE bool
cansemacquire(uint32_t *addr)
{
	uint32_t v = __atomic_load_n(addr, __ATOMIC_SEQ_CST);
	while (v > 0)
		if (__atomic_compare_exchange_n(addr, &v, v - 1, true, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

// The link that points to addr's node, or to where it would be the leaf.
static struct sudog **
treap_find(struct sudog **link, const void *addr)
{
	while (*link && (*link)->elem != addr)
		link = (uintptr_t)addr < (uintptr_t)(*link)->elem ? &(*link)->prev : &(*link)->next;
	return link;
}

// Cuts t into what is below addr and what is above. addr is not in t.
static void
treap_split(struct sudog *t, const void *addr, struct sudog **below, struct sudog **above)
{
	while (t) {
		if ((uintptr_t)t->elem < (uintptr_t)addr) {
			*below = t;
			below = &t->next;
			t = *below;
		} else {
			*above = t;
			above = &t->prev;
			t = *above;
		}
	}
	*below = *above = NULL;
}

// All of a lies below all of b.
static struct sudog *
treap_merge(struct sudog *a, struct sudog *b)
{
	struct sudog *root, **link = &root;
	while (a && b) {
		if (a->ticket < b->ticket) {
			*link = a;
			link = &a->next;
			a = *link;
		} else {
			*link = b;
			link = &b->prev;
			b = *link;
		}
	}
	*link = a ? a : b;
	return root;
}

static void
treap_insert(struct sudog **link, struct sudog *s)
{
	s->ticket = (uint32_t)rt_fastrand64();
	while (*link && (*link)->ticket <= s->ticket)
		link = (uintptr_t)s->elem < (uintptr_t)(*link)->elem ? &(*link)->prev
								     : &(*link)->next;
	treap_split(*link, s->elem, &s->prev, &s->next);
	*link = s;
}

// s takes the place of old, the node at *link.
static void
treap_replace(struct sudog **link, struct sudog *old, struct sudog *s)
{
	s->ticket = old->ticket;
	s->prev = old->prev;
	s->next = old->next;
	*link = s;
	old->prev = old->next = NULL;
}

static void
queue(struct semaroot *root, struct sudog *s, bool lifo)
{
	struct sudog **link = treap_find(&root->treap, s->elem);
	struct sudog *head = *link;

	if (!head) {
		treap_insert(&root->treap, s);
	} else if (lifo) {
		treap_replace(link, head, s);
		s->waitlink = head;
		s->waittail = head->waittail ? head->waittail : head;
		s->waiters = head->waiters + 1;
		head->waittail = NULL;
		head->waiters = 0;
	} else {
		*(head->waittail ? &head->waittail->waitlink : &head->waitlink) = s;
		head->waittail = s;
		head->waiters++;
	}
}

// The longest waiter on addr, taken out, or NULL. *tail: acquiretime of the newest one.
static struct sudog *
dequeue(struct semaroot *root, const void *addr, int64_t *tail)
{
	struct sudog **link = treap_find(&root->treap, addr);
	struct sudog *s = *link;

	if (!s)
		return NULL;
	*tail = (s->waittail ? s->waittail : s)->acquiretime;
	struct sudog *heir = s->waitlink;
	if (heir) {
		treap_replace(link, s, heir);
		heir->waittail = heir->waitlink ? s->waittail : NULL;
		heir->waiters = s->waiters - 1;
	} else {
		*link = treap_merge(s->prev, s->next);
	}
	s->prev = s->next = s->waitlink = s->waittail = NULL;
	s->ticket = 0;
	return s;
}

static struct sudog *
new_waiter(uint32_t *addr, unsigned profile, int64_t *t0)
{
	struct sudog *s = rt_acquire_sudog();
	s->g = rt_getg();
	s->elem = addr;
	s->prev = s->next = s->waitlink = s->waittail = NULL;
	s->waiters = 0;
	s->ticket = 0;
	s->acquiretime = s->releasetime = *t0 = 0;
	if (profile & RT_SEMA_BLOCK_PROFILE && rt_hooked(RT_HOOK_BLOCK)) {
		*t0 = (int64_t)rt_cputicks();
		s->releasetime = -1;
	}
	if (profile & RT_SEMA_MUTEX_PROFILE && rt_hooked(RT_HOOK_MUTEX))
		s->acquiretime = *t0 ? *t0 : (int64_t)rt_cputicks();
	return s;
}

// Hidden in the profile: rt_semacquire and its caller, the slow half of an inline function.
RT_INLINE void
free_waiter(struct sudog *s, int64_t t0)
{
	if (s->releasetime > 0)
		rt_block_event(t0, s->releasetime, 2);
	s->elem = NULL;
	s->acquiretime = s->releasetime = 0;
	rt_release_sudog(s);
}

// /sync/mutex/wait/total counts every wait for a lock, of whatever kind; others need not read the clock.
RT_INLINE bool
is_lock_wait(enum wait_reason why)
{
	return why == WAIT_MUTEX_LOCK || why == WAIT_RWMUTEX_RLOCK || why == WAIT_RWMUTEX_LOCK;
}

// root->lock held. A release that still sees the larger number takes the lock for nothing.
RT_INLINE void
one_waiter_less(struct semaroot *root)
{
	rt_store_release(&root->nwait, rt_load(&root->nwait) - 1);
}

void
rt_semacquire(uint32_t *addr, bool lifo, unsigned profile, enum wait_reason why)
{
	if (cansemacquire(addr))
		return;

	struct semaroot *root = semroot(addr);
	int64_t t0;
	struct sudog *s = new_waiter(addr, profile, &t0);
	for (;;) {
		rt_spin_lock(&root->lock);
		atomic_fetch_add(&root->nwait, 1);
		if (cansemacquire(addr)) {
			one_waiter_less(root);
			rt_spin_unlock(&root->lock);
			break;
		}
		queue(root, s, lifo);
		uint64_t parked = is_lock_wait(why) ? rt_cputicks() : 0;
		s->g->waitobj = addr;
		rt_park_spin(&root->lock, why);
		s->g->waitobj = NULL;
		if (parked)
			RT_BUMP(&rt_getp()->mutexwait, rt_cputicks() - parked);
		// Woken: with the unit in hand (ticket), or to compete for it.
		if (s->ticket != 0 || cansemacquire(addr))
			break;
	}
	free_waiter(s, t0);
}

// A release ends the wait of the one it wakes; those behind it have waited because of the same holder.
// Each of them is charged with the mean of the longest and the shortest wait. Go: semrelease1.
static RT_COLD void
mutex_event(const struct sudog *s, uint32_t behind, int64_t tail, int skip)
{
	int64_t now = (int64_t)rt_cputicks();
	int64_t head_wait = now - s->acquiretime;
	int64_t ticks = head_wait;
	if (behind != 0)
		ticks += (head_wait + (tail ? now - tail : 0)) / 2 * behind;
	rt_mutex_event(ticks, skip + 2); // this, rt_semrelease
	RT_KEEP_FRAME();
}

void
rt_semrelease(uint32_t *addr, bool handoff, int skip)
{
	struct semaroot *root = semroot(addr);
	int64_t tail;

	__atomic_fetch_add(addr, 1, __ATOMIC_SEQ_CST);
	if (atomic_load(&root->nwait) == 0)
		return;
	rt_spin_lock(&root->lock);
	// Somebody else may have served the last waiter meanwhile.
	struct sudog *s = rt_load(&root->nwait) != 0 ? dequeue(root, addr, &tail) : NULL;
	if (s)
		one_waiter_less(root);
	rt_spin_unlock(&root->lock);
	if (!s)
		return;

	uint32_t behind = s->waiters;
	s->waiters = 0;
	if (rt_unlikely(s->acquiretime != 0))
		mutex_event(s, behind, tail, skip);
	if (rt_unlikely(s->releasetime != 0))
		s->releasetime = (int64_t)rt_cputicks();
	bool handed = handoff && cansemacquire(addr);
	s->ticket = handed;
	rt_ready(s->g);
	if (handed)
		rt_gosched();
}
