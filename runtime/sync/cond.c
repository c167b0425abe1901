// SPDX-License-Identifier: BSD-3-Clause
// Cond: a list of waiters with tickets. A waiter draws its ticket before it unlocks L, so a signal after
// that unlock finds the ticket drawn, whether or not the waiter has queued yet: when it comes to queue and
// its ticket has been called (ticket < notify), it does not sleep. Tickets wrap around; they are compared
// by their difference, which is right for up to 2^31 waiters.
//
// lock is an rt_spinlock; notify and the list change under it, wait atomically. wait == notify: nobody waits.
//
// Go: sync/cond.go, runtime/sema.go (notifyList).
#include <gort/sync.h>

#include "base/lock.h"
#include "debug/hooks.h"
#include "debug/throw.h"
#include "sched/proc.h"
#include "sched/sudog.h"

static_assert(sizeof(struct rt_spinlock) == sizeof(((gort_cond *)0)->lock), "one word");

static struct rt_spinlock *
list_lock(gort_cond *c)
{
	return (struct rt_spinlock *)&c->lock;
}

// seq_cst loads and stores of self would cost; the check is a courtesy, as in Go.
static void
check_copy(gort_cond *c)
{
	const void *was = NULL;
	if (rt_likely(__atomic_load_n(&c->self, __ATOMIC_RELAXED) == c))
		return;
	if (!__atomic_compare_exchange_n(&c->self, &was, (const void *)c, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED) &&
	    was != c)
		rt_panic("sync.Cond is copied");
}

static bool
called(uint32_t ticket, uint32_t notify)
{
	return (int32_t)(ticket - notify) < 0;
}

static void
append(gort_cond *c, struct sudog *s)
{
	if (c->tail)
		((struct sudog *)c->tail)->next = s;
	else
		c->head = s;
	c->tail = s;
}

RT_INLINE struct sudog *
new_waiter(uint32_t ticket)
{
	struct sudog *s = rt_acquire_sudog();
	s->g = rt_getg();
	s->next = NULL;
	s->ticket = ticket;
	s->acquiretime = s->releasetime = 0;
	if (rt_hooked(RT_HOOK_BLOCK)) {
		s->acquiretime = (int64_t)rt_cputicks();
		s->releasetime = -1;
	}
	return s;
}

// skip: the frames of this file.
RT_INLINE void
free_waiter(struct sudog *s)
{
	if (s->releasetime > 0)
		rt_block_event(s->acquiretime, s->releasetime, 1);
	s->next = NULL;
	s->ticket = 0;
	s->acquiretime = s->releasetime = 0;
	rt_release_sudog(s);
}

void
gort_cond_wait(gort_cond *c)
{
	check_copy(c);
	// seq_cst, as the load in signal: whoever changes what we wait for does so after our unlock.
	uint32_t ticket = __atomic_fetch_add(&c->wait, 1, __ATOMIC_SEQ_CST);
	gort_mutex_unlock(c->L);
	rt_enter();
	rt_spin_lock(list_lock(c));
	if (called(ticket, c->notify)) {
		rt_spin_unlock(list_lock(c));
	} else {
		struct sudog *s = new_waiter(ticket);
		append(c, s);
		s->g->waitobj = c;
		rt_park_spin(list_lock(c), WAIT_COND);
		s->g->waitobj = NULL;
		free_waiter(s);
	}
	rt_leave();
	gort_mutex_lock(c->L);
}

static void
wake(struct sudog *s)
{
	if (rt_unlikely(s->releasetime != 0))
		s->releasetime = (int64_t)rt_cputicks();
	rt_ready(s->g);
}

// The waiter with this ticket, taken out; NULL when it has not queued yet. Tickets are drawn and queued
// for in nearly the same order, so it is near the head.
static struct sudog *
take(gort_cond *c, uint32_t ticket)
{
	struct sudog *prev = NULL, *s = c->head;
	while (s && s->ticket != ticket) {
		prev = s;
		s = s->next;
	}
	if (!s)
		return NULL;
	if (prev)
		prev->next = s->next;
	else
		c->head = s->next;
	if (!s->next)
		c->tail = prev;
	s->next = NULL;
	return s;
}

void
gort_cond_signal(gort_cond *c)
{
	check_copy(c);
	if (__atomic_load_n(&c->wait, __ATOMIC_SEQ_CST) ==
	    __atomic_load_n(&c->notify, __ATOMIC_SEQ_CST))
		return;
	struct sudog *s = NULL;
	rt_enter();
	rt_spin_lock(list_lock(c));
	uint32_t ticket = c->notify;
	if (ticket != __atomic_load_n(&c->wait, __ATOMIC_RELAXED)) {
		__atomic_store_n(&c->notify, ticket + 1, __ATOMIC_RELEASE);
		s = take(c, ticket);
	}
	rt_spin_unlock(list_lock(c));
	if (s)
		wake(s);
	rt_leave();
}

void
gort_cond_broadcast(gort_cond *c)
{
	check_copy(c);
	if (__atomic_load_n(&c->wait, __ATOMIC_SEQ_CST) ==
	    __atomic_load_n(&c->notify, __ATOMIC_SEQ_CST))
		return;
	rt_enter();
	rt_spin_lock(list_lock(c));
	struct sudog *s = c->head;
	c->head = c->tail = NULL;
	__atomic_store_n(&c->notify, __atomic_load_n(&c->wait, __ATOMIC_SEQ_CST), __ATOMIC_RELEASE);
	rt_spin_unlock(list_lock(c));
	while (s) {
		struct sudog *next = s->next; // s is its goroutine's again once that runs
		s->next = NULL;
		wake(s);
		s = next;
	}
	rt_leave();
}
