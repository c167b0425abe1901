// SPDX-License-Identifier: BSD-3-Clause
// Making, sending, receiving, closing; select is in select.c. Invariants and locking: chan/chan.h.
//
// Each operation has the same three steps: an attempt under the lock (chan.h, *_locked), the wakeup of
// whoever the attempt took out of a queue, after unlocking; and, when the attempt had to wait, a park
// with the lock held, after which the waker has done everything but copy a received value out.
#include "chan/chan.h"

#include "debug/throw.h"
#include "mem/malloc.h"
#include "os/os.h"

// For headers whose buffer is a block of its own: what the collector finds there is buf.
static const uint32_t hchan_ptrs[] = {offsetof(struct hchan, buf)};
static const gort_type hchan_type = {
	.size = sizeof(struct hchan),
	.align = _Alignof(struct hchan),
	.kind = GORT_KIND_STRUCT,
	.flags = GORT_TYPE_PRECISE,
	.nptrs = 1,
	.ptrs = hchan_ptrs,
	.name = "struct hchan",
};
static_assert(sizeof(struct hchan) % 8 == 0, "the buffer follows the header");

_Noreturn void
rt_chan_panic_closed(void)
{
	rt_panic("send on closed channel");
}

_Noreturn RT_COLD void
rt_chan_panic_size(const struct hchan *c, size_t size)
{
	rt_panic("channel element has %u bytes, not %zu", (unsigned)c->elemsize, size);
}

// Leaves the channel to the others for some microseconds, but not to nobody: an operation takes some
// 15 ns, so a round in which none happened says that they have gone.
static void
stand_aside(const struct hchan *c)
{
	enum { ROUNDS = 4, ROUND_TICKS = 2500 };
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t seq = rt_load(&c->seq);
		for (uint64_t t0 = rt_cputicks(); rt_cputicks() - t0 < ROUND_TICKS;)
			rt_cpu_relax();
		if (rt_load(&c->seq) == seq)
			return;
	}
}

// Ps that take turns at every operation move the channel's lines from CPU to CPU each time, which costs
// more than several operations. So when the lock was contended just before, too, one of them stands
// aside: the other does some hundred operations in a row. The operation after that finds the last
// contention long ago and is not held up.
RT_NOINLINE void
rt_chan_lock_slow(struct hchan *c)
{
	enum { JUST_BEFORE = 4 }; // operations
	if (rt_load(&c->seq) - rt_load(&c->contended) < JUST_BEFORE)
		stand_aside(c);
	rt_spin_lock_slow(&c->lock);
	rt_store(&c->contended, rt_load(&c->seq));
}

gort_chan *
gort_make_chan_(const gort_type *elem, ptrdiff_t n)
{
	bool noscan = elem->flags & GORT_TYPE_NOSCAN;
	size_t bytes;
	struct hchan *c;

	rt_enter();
	if (elem->size >= 65536)
		rt_panic("makechan: invalid channel element type");
	if (n < 0 || !rt_array_size(elem->size, n, &bytes) ||
	    bytes > SIZE_MAX / 2 - sizeof(struct hchan))
		rt_panic("makechan: size out of range");
	if (noscan || bytes == 0) {
		c = rt_mallocgc_noscan(sizeof(*c) + bytes);
		c->buf = (char *)(c + 1);
	} else {
		c = rt_mallocgc(sizeof(*c), &hchan_type);
		c->buf = rt_mallocgc(bytes, elem); // c is fresh: nothing to shade
	}
	c->elemsize = (uint16_t)elem->size;
	c->scan = !noscan;
	c->elemtype = elem;
	c->dataqsiz = (size_t)n;
	rt_leave();
	return c;
}

static _Noreturn RT_COLD void
block_for_ever(enum wait_reason why)
{
	rt_park(NULL, why);
	rt_throw("a goroutine on a nil channel was woken");
}

// Waits on q with c->lock held; returns, without it, when the waker is done. elem: the value to send,
// or where a received one goes. The sudog is the caller's to release.
RT_INLINE struct sudog *
parkwait(struct hchan *c, struct waitq *q, const void *send, void *recv, enum wait_reason why)
{
	struct sudog *sg = rt_chan_sudog(c, send ? (void *)send : recv, false);
	struct g *gp = sg->g;
	int64_t t0 = sg->releasetime != 0 ? (int64_t)rt_cputicks() : 0;

	rt_chan_sudog_load(c, sg, send);
	gp->waiting = sg;
	gp->param = NULL;
	gp->waitobj = c;
	rt_waitq_enqueue(q, sg);
	if (rt_unlikely(c->timer))
		rt_timer_chan_block(c);
	rt_park_spin(&c->lock, why);
	if (rt_unlikely(c->timer))
		rt_timer_chan_unblock(c);
	gp->waitobj = NULL;
	if (rt_unlikely(t0 != 0))
		rt_block_event(t0, sg->releasetime, 1); // hides send_wait/recv_wait
	return sg;
}

static void
done_waiting(struct sudog *sg)
{
	sg->g->waiting = NULL;
	sg->c = NULL;
	rt_release_sudog(sg);
}

static RT_NOINLINE void
send_wait(struct hchan *c, const void *elem)
{
	struct sudog *sg = parkwait(c, &c->sendq, elem, NULL, WAIT_CHAN_SEND);
	bool success = sg->success;
	done_waiting(sg);
	if (!success)
		rt_chan_panic_closed();
}

static RT_NOINLINE bool
recv_wait(struct hchan *c, void *elem)
{
	struct sudog *sg = parkwait(c, &c->recvq, NULL, elem, WAIT_CHAN_RECEIVE);
	bool success = sg->success;
	if (!success)
		rt_elem_out_zero(c, elem);
	else if (sg->elem == sg->value)
		rt_elem_out(c, elem, sg->value);
	done_waiting(sg);
	return success;
}

// Depth 1.
RT_INLINE void
chansend(struct hchan *c, const void *elem)
{
	struct sudog *wake;

	rt_chan_lock(c);
	enum chan_result r = rt_chan_send_locked(c, elem, &wake);
	if (rt_unlikely(r == CHAN_BLOCK)) {
		send_wait(c, elem);
		return;
	}
	rt_chan_unlock(c);
	if (wake)
		rt_chan_wake(wake, true);
	else if (rt_unlikely(r == CHAN_CLOSED))
		rt_chan_panic_closed();
}

RT_INLINE bool
chanrecv(struct hchan *c, void *elem)
{
	struct sudog *wake;

	rt_chan_lock(c);
	enum chan_result r = rt_chan_recv_locked(c, elem, &wake);
	if (rt_unlikely(r == CHAN_BLOCK))
		return recv_wait(c, elem);
	rt_chan_unlock(c);
	if (wake)
		rt_chan_wake(wake, true);
	return r == CHAN_DONE;
}

void
gort_chan_send(gort_chan *c, const void *elem)
{
	rt_enter();
	if (rt_unlikely(!c))
		block_for_ever(WAIT_CHAN_SEND_NIL);
	chansend(c, elem);
	rt_leave();
}

void
gort_chan_send_sized_(gort_chan *c, const void *elem, size_t size)
{
	rt_enter();
	if (rt_unlikely(!c))
		block_for_ever(WAIT_CHAN_SEND_NIL);
	if (rt_unlikely(c->elemsize != size))
		rt_chan_panic_size(c, size);
	chansend(c, elem);
	rt_leave();
}

bool
gort_chan_recv(gort_chan *c, void *elem)
{
	rt_enter();
	if (rt_unlikely(!c))
		block_for_ever(WAIT_CHAN_RECEIVE_NIL);
	bool ok = chanrecv(c, elem);
	rt_leave();
	return ok;
}

void
gort_chan_recv_sized_(gort_chan *c, void *elem, size_t size, bool *okp)
{
	rt_enter();
	if (rt_unlikely(!c))
		block_for_ever(WAIT_CHAN_RECEIVE_NIL);
	if (rt_unlikely(c->elemsize != size))
		rt_chan_panic_size(c, size);
	bool ok = chanrecv(c, elem);
	if (okp)
		*okp = ok;
	rt_leave();
}

// The peek reads closed last: a channel found open after it was found full (empty) was open when it was
// full (empty), because nobody reopens it. So there was a moment when the operation would have waited.
bool
gort_chan_try_send(gort_chan *c, const void *elem)
{
	struct sudog *wake;

	if (!c)
		return false;
	if (!rt_chan_send_ready(c) && !(rt_chan_unseen() && rt_chan_send_ready(c)))
		return false;
	rt_enter();
	rt_chan_lock(c);
	enum chan_result r = rt_chan_send_locked(c, elem, &wake);
	rt_chan_unlock(c);
	if (wake)
		rt_chan_wake(wake, true);
	else if (rt_unlikely(r == CHAN_CLOSED))
		rt_chan_panic_closed();
	rt_leave();
	return r == CHAN_DONE;
}

int
gort_chan_try_recv(gort_chan *c, void *elem)
{
	struct sudog *wake;

	if (!c)
		return 0;
	if (!rt_chan_recv_ready(c) && !(rt_chan_unseen() && rt_chan_recv_ready(c)))
		return 0;
	rt_enter();
	rt_chan_lock(c);
	enum chan_result r = rt_chan_recv_locked(c, elem, &wake);
	rt_chan_unlock(c);
	if (wake)
		rt_chan_wake(wake, true);
	rt_leave();
	return (int)r;
}

// Goroutines on their way from a channel that is closed to a run queue, linked by schedlink.
struct woken {
	struct g *head, **tail;
	bool selects; // some waited in a select
};

// Takes everybody out of q, first come first. Does all that rt_chan_wake does before it settles: a
// thousand waiters do not stay in the cache for a second visit.
static void
drain(struct waitq *q, struct woken *w)
{
	struct sudog *sg;
	while ((sg = rt_waitq_dequeue(q)) != NULL) {
		struct g *gp = sg->g;
		sg->success = false;
		if (rt_unlikely(sg->releasetime != 0))
			sg->releasetime = (int64_t)rt_cputicks();
		w->selects |= sg->isselect;
		gp->param = sg;
		*w->tail = gp;
		w->tail = &gp->schedlink;
	}
}

void
gort_chan_close(gort_chan *c)
{
	struct woken w = {.tail = &w.head};

	rt_enter();
	if (!c)
		rt_panic("close of nil channel");
	rt_chan_lock(c);
	if (rt_load(&c->closed)) {
		rt_chan_unlock(c);
		rt_panic("close of closed channel");
	}
	rt_store_release(&c->closed, 1);
	drain(&c->recvq, &w);
	drain(&c->sendq, &w);
	*w.tail = NULL;
	rt_chan_unlock(c);
	for (struct g *gp = w.selects ? w.head : NULL; gp; gp = gp->schedlink)
		if (gp->param->isselect)
			rt_chan_settle(gp);
	if (w.head)
		rt_ready_list(w.head);
	rt_leave();
}

ptrdiff_t
gort_chan_len(const gort_chan *c)
{
	return c && !c->timer ? (ptrdiff_t)rt_load(&((struct hchan *)c)->qcount) : 0;
}

ptrdiff_t
gort_chan_cap(const gort_chan *c)
{
	return c && !c->timer ? (ptrdiff_t)c->dataqsiz : 0;
}
