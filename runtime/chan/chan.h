// SPDX-License-Identifier: BSD-3-Clause
// Channels: a ring of dataqsiz slots and two queues of parked goroutines. A sender that finds a waiting
// receiver hands the value over in that receiver's sudog; the ring serves when nobody waits.
//
// Invariants, true whenever c->lock is free:
//   - recvq or sendq is empty, except that one goroutine's select may wait in both (unbuffered only)
//   - qcount > 0         implies recvq is empty
//   - qcount < dataqsiz  implies sendq is empty
//   - closed never goes back to 0
//
// Lock: c->lock, several at a time only in select.c, in ascending address. On a channel that several Ps
// are after all the time a contender stands aside first (rt_chan_lock_slow).
//
// Peeking. qcount, closed and the heads of the queues are read without the lock to see whether an
// operation could go ahead. One channel: a false answer is right for the moment of the read. Several
// channels: select.c reads them all twice and compares seq, which grows before every change.
//
// Not ready, says a peek: but the release of the lock in this goroutine's operation before it was a plain
// store, which other CPUs may not see yet. Two goroutines that each send and then look at the other's
// channel could both find nothing, which no order of the four operations explains. So between a thread's
// change of a channel and the look that counts there is a fence (rt_chan_unseen): one for all looks until the
// next change, so that who only polls pays for none. The note is the thread's, since it stands for what that
// thread's CPU has not let out yet. A goroutine that went on elsewhere after its change was handed over by a
// later store of the same thread: the CPU that saw that store had the change before it, and on the CPUs
// that we run on all others have it then, too (they are multi-copy atomic).
//
// Collector. Slots and sudog.value are not read in the stop that begins marking, so a word that leaves
// one of them while marking is on is shaded, like anything that is overwritten (gc/barrier.h). Slots of
// element types with pointers are cleared when their value is taken. While a goroutine is parked here,
// g->waiting lists its sudogs; the collector scans their values together with its stack.
//
// Go: runtime/chan.go. Differences: values wait in the sudog, not on the goroutine's stack; the element
// type comes from gort_make_chan.
#pragma once

#include <string.h>

#include <gort/chan.h>

#include "base/base.h"
#include "base/lock.h"
#include "debug/hooks.h"
#include "gc/barrier.h"
#include "sched/proc.h"
#include "sched/sudog.h"
#include "sched/time.h"

struct waitq {
	_Atomic(struct sudog *) first;
	struct sudog *last;
};

struct hchan {
	struct rt_spinlock lock;
	_Atomic uint32_t seq; // grows before each change of what follows; written under lock
	_Atomic uint32_t contended; // seq when the lock had to be waited for; likewise
	// Written under lock, read without when peeking.
	_Atomic size_t qcount; // slots in use
	_Atomic uint32_t closed;
	uint16_t elemsize;	   // bytes; set at make
	bool scan;		   // elements may hold collected pointers; set at make
	bool timer;		   // a timer's channel (sched/time.h); set at make
	size_t dataqsiz;	   // slots in buf; set at make
	char *buf;		   // set at make
	struct waitq recvq, sendq; // heads are peeked at too
	// Under lock.
	size_t sendx, recvx;	   // next slot to write, to read
	const gort_type *elemtype; // set at make
};

// What an attempt under the lock came to.
enum chan_result { CHAN_CLOSED = -1, CHAN_BLOCK = 0, CHAN_DONE = 1 };

void rt_chan_lock_slow(struct hchan *c);

// Lock held. Release: who sees the step and then the lock free sees it free after this owner. The stores that
// follow it and that a peek reads are releases, too.
RT_INLINE void
rt_chan_begin_change(struct hchan *c)
{
	rt_store_release(&c->seq, rt_load(&c->seq) + 1);
	RT_TLS_WRITE32(offsetof(struct rt_tls, unseen), 1);
}

RT_INLINE void
rt_chan_lock(struct hchan *c)
{
	if (rt_unlikely(!rt_spin_trylock(&c->lock)))
		rt_chan_lock_slow(c);
	rt_chan_begin_change(c);
}

// The same for who holds another channel's lock, and so does not stand aside.
RT_INLINE void
rt_chan_lock_another(struct hchan *c)
{
	rt_spin_lock(&c->lock);
	rt_chan_begin_change(c);
}

RT_INLINE void
rt_chan_unlock(struct hchan *c)
{
	rt_spin_unlock(&c->lock);
}

// Whether a receive, a send could go ahead. Acquire: pairs with the release stores of these fields;
// who sees an effect sees what its author did before.
RT_INLINE bool
rt_chan_recv_ready(struct hchan *c)
{
	return rt_load_acquire(&c->qcount) != 0 ||
	       ((uintptr_t)rt_load_acquire(&c->sendq.first) | rt_load_acquire(&c->closed)) != 0 ||
	       (rt_unlikely(c->timer) && rt_timer_chan_ready(c));
}

RT_INLINE bool
rt_chan_send_ready(struct hchan *c)
{
	return rt_load_acquire(&c->qcount) < c->dataqsiz ||
	       ((uintptr_t)rt_load_acquire(&c->recvq.first) | rt_load_acquire(&c->closed)) != 0;
}

// After a look that found a channel not ready: whether this thread may have changed one that others do not see
// changed yet. If so they do now, and another look is needed. seq_cst: pairs with the same fence of whoever
// changed the channel looked at, between that change and a look at ours.
RT_INLINE bool
rt_chan_unseen(void)
{
	if (rt_likely(RT_TLS_READ(offsetof(struct rt_tls, unseen)) == 0))
		return false;
	RT_TLS_WRITE32(offsetof(struct rt_tls, unseen), 0);
	atomic_thread_fence(memory_order_seq_cst);
	return true;
}

RT_INLINE void
rt_waitq_enqueue(struct waitq *q, struct sudog *sg)
{
	sg->next = NULL;
	sg->prev = q->last;
	if (q->last)
		q->last->next = sg;
	else
		rt_store_release(&q->first, sg);
	q->last = sg;
}

// Takes sg out if it is still in q; a sudog that was taken has neither neighbours nor is it the head.
RT_INLINE void
rt_waitq_remove(struct waitq *q, struct sudog *sg)
{
	if (!sg->prev && rt_load(&q->first) != sg)
		return;
	if (sg->prev)
		sg->prev->next = sg->next;
	else
		rt_store_release(&q->first, sg->next);
	if (sg->next)
		sg->next->prev = sg->prev;
	else
		q->last = sg->prev;
	sg->next = sg->prev = NULL;
}

// The longest waiting goroutine of q that is still to be had. One that waits in a select may be in
// many queues: whoever moves its selectdone from 0 to 1 has it, the others pass on. acq_rel: the winner
// sees the sudogs as select wrote them; the select, when it takes its queues apart, sees the winner.
RT_INLINE struct sudog *
rt_waitq_dequeue(struct waitq *q)
{
	for (;;) {
		struct sudog *sg = rt_load(&q->first);
		if (!sg)
			return NULL;
		rt_store_release(&q->first, sg->next);
		if (sg->next)
			sg->next->prev = NULL;
		else
			q->last = NULL;
		sg->next = NULL;
		if (sg->isselect) {
			uint32_t open = 0;
			if (!atomic_compare_exchange_strong_explicit(&sg->g->selectdone, &open, 1,
								     memory_order_acq_rel,
								     memory_order_relaxed))
				continue;
		}
		return sg;
	}
}

// The common sizes without a call.
RT_INLINE void
rt_elem_copy(void *dst, const void *src, size_t n)
{
	if (rt_likely(n == 8))
		memcpy(dst, src, 8);
	else if (n == 4)
		memcpy(dst, src, 4);
	else if (n == 16)
		memcpy(dst, src, 16);
	else if (n != 0)
		memcpy(dst, src, n);
}

RT_INLINE void
rt_elem_clear(void *dst, size_t n)
{
	if (rt_likely(n == 8))
		memset(dst, 0, 8);
	else if (n != 0)
		memset(dst, 0, n);
}

RT_INLINE void
rt_elem_shade(const struct hchan *c, const void *p)
{
	if (c->scan)
		rt_barrier_before(c->elemtype, p, c->elemsize);
}

// Into the user's memory, which may be anywhere, also in the collected heap.
RT_INLINE void
rt_elem_out(const struct hchan *c, void *dst, const void *src)
{
	if (!dst)
		return;
	rt_elem_shade(c, dst);
	rt_elem_copy(dst, src, c->elemsize);
}

RT_INLINE void
rt_elem_out_zero(const struct hchan *c, void *dst)
{
	if (!dst)
		return;
	rt_elem_shade(c, dst);
	rt_elem_clear(dst, c->elemsize);
}

RT_INLINE char *
rt_chan_slot(const struct hchan *c, size_t i)
{
	return c->buf + i * c->elemsize;
}

RT_INLINE size_t
rt_chan_after(const struct hchan *c, size_t i)
{
	return ++i == c->dataqsiz ? 0 : i;
}

RT_INLINE void
rt_chan_buf_put(struct hchan *c, const void *elem)
{
	rt_elem_copy(rt_chan_slot(c, c->sendx), elem, c->elemsize);
	c->sendx = rt_chan_after(c, c->sendx);
	rt_store_release(&c->qcount, rt_load(&c->qcount) + 1);
}

RT_INLINE void
rt_chan_buf_take(struct hchan *c, void *elem)
{
	char *slot = rt_chan_slot(c, c->recvx);
	rt_elem_shade(c, slot);
	rt_elem_out(c, elem, slot);
	if (c->scan)
		rt_elem_clear(slot, c->elemsize);
	c->recvx = rt_chan_after(c, c->recvx);
	rt_store_release(&c->qcount, rt_load(&c->qcount) - 1);
}

// The buffer is full; the value in, of the oldest waiting sender, takes the place of the one that leaves,
// which is also the next to be written. qcount stays as it is: a peek must not see a channel with values
// in it empty, not even for a moment.
RT_INLINE void
rt_chan_buf_exchange(struct hchan *c, void *elem, const void *in)
{
	char *slot = rt_chan_slot(c, c->recvx);
	rt_elem_shade(c, slot);
	rt_elem_out(c, elem, slot);
	rt_elem_shade(c, in);
	rt_elem_copy(slot, in, c->elemsize);
	c->sendx = c->recvx = rt_chan_after(c, c->recvx);
}

// Sends if that needs no waiting. Lock held, before and after. *wake: a receiver that got the value;
// the caller hands it to rt_chan_wake after unlocking.
RT_INLINE enum chan_result
rt_chan_send_locked(struct hchan *c, const void *elem, struct sudog **wake)
{
	*wake = NULL;
	if (rt_unlikely(rt_load(&c->closed)))
		return CHAN_CLOSED;
	struct sudog *sg = rt_waitq_dequeue(&c->recvq);
	if (sg) {
		// sg->elem: its value[], or the receiver's own memory (large elements), or NULL.
		if (sg->elem == sg->value)
			rt_elem_copy(sg->value, elem, c->elemsize);
		else
			rt_elem_out(c, sg->elem, elem);
		*wake = sg;
		return CHAN_DONE;
	}
	if (rt_load(&c->qcount) < c->dataqsiz) {
		rt_chan_buf_put(c, elem);
		return CHAN_DONE;
	}
	return CHAN_BLOCK;
}

// Receives if that needs no waiting. *wake: a sender whose value was taken or moved into the buffer.
RT_INLINE enum chan_result
rt_chan_recv_locked(struct hchan *c, void *elem, struct sudog **wake)
{
	*wake = NULL;
	if (rt_load(&c->qcount) != 0) {
		*wake = rt_waitq_dequeue(&c->sendq);
		if (*wake)
			rt_chan_buf_exchange(c, elem, (*wake)->elem);
		else
			rt_chan_buf_take(c, elem);
		return CHAN_DONE;
	}
	struct sudog *sg = rt_waitq_dequeue(&c->sendq);
	if (sg) {
		rt_elem_shade(c, sg->elem);
		rt_elem_out(c, elem, sg->elem);
		*wake = sg;
		return CHAN_DONE;
	}
	if (rt_load(&c->closed)) {
		rt_elem_out_zero(c, elem);
		return CHAN_CLOSED;
	}
	if (rt_unlikely(c->timer) && rt_timer_chan_poll(c)) {
		rt_chan_buf_take(c, elem);
		return CHAN_DONE;
	}
	return CHAN_BLOCK;
}

// A sudog for the current goroutine that is about to wait on c.
RT_INLINE struct sudog *
rt_chan_sudog(struct hchan *c, void *elem, bool isselect)
{
	struct sudog *sg = rt_acquire_sudog();
	sg->g = rt_getg();
	sg->c = c;
	sg->isselect = isselect;
	sg->success = false;
	sg->waitlink = NULL;
	sg->releasetime = rt_hooked(RT_HOOK_BLOCK) ? -1 : 0;
	sg->elem = c->elemsize <= SUDOG_INLINE_VALUE ? (void *)sg->value : elem;
	return sg;
}

// Gives a waiting sender's, a waiting receiver's sudog its value: for a receiver zeros, so that the
// collector finds nothing old there.
RT_INLINE void
rt_chan_sudog_load(struct hchan *c, struct sudog *sg, const void *elem)
{
	if (sg->elem != sg->value)
		return;
	if (elem)
		rt_elem_copy(sg->value, elem, c->elemsize);
	else if (c->scan)
		rt_elem_clear(sg->value, c->elemsize);
}

// The waker's half of a select's way to sleep. The goroutine parks holding the lock of the first of its
// channels, in lock order, which is released when it is off its stack; its other channels are free
// before that. So who took it out of another one's queue waits for that lock. The parker took the lock
// before it let go of the channel we found it in: we cannot read an older, free lock word.
RT_INLINE void
rt_chan_settle(struct g *gp)
{
	struct hchan *first = gp->waiting->c;
	if (rt_unlikely(rt_load_acquire(&first->lock.key) != 0)) {
		rt_spin_lock(&first->lock);
		rt_spin_unlock(&first->lock);
	}
}

// Readies the goroutine of a sudog that was taken out of its queue; no channel lock held.
RT_INLINE void
rt_chan_wake(struct sudog *sg, bool success)
{
	struct g *gp = sg->g;
	sg->success = success;
	gp->param = sg;
	if (rt_unlikely(sg->releasetime != 0))
		sg->releasetime = (int64_t)rt_cputicks();
	if (sg->isselect)
		rt_chan_settle(gp);
	rt_ready(gp);
}

_Noreturn void rt_chan_panic_closed(void);
_Noreturn void rt_chan_panic_size(const struct hchan *c, size_t size);
