// SPDX-License-Identifier: BSD-3-Clause
// gort_timer: functions and channels that fire.
//
// A function timer is one rt_timer; timer.c has all its state.
//
// A channel timer's state (next, period, blocked) is guarded by its channel's lock, and its rt_timer is
// set only while somebody waits on the channel. Whoever looks at the channel meanwhile finds out by the
// clock whether the timer has expired (rt_timer_chan_poll), and the value enters the buffer then. So an
// unreferenced timer is garbage even when it runs, and setting one touches no heap. To users the
// channel is unbuffered: stop and reset empty it, its length and capacity read 0, and no receive that
// begins after a stop or reset returns can get an earlier value.
//
// rt_timer's function takes the channel's lock and looks whether the timer is still due: one that was
// stopped or reset after it had left the heap does nothing.
//
// A value is the time at which the timer was due. Channel and timer are one object, which holds no
// collected pointer: the channel points to the timer in the same object, waiters are in sudogs.
//
// Lock order: channel < timerslock. Go: runtime/time.go, time/sleep.go.
#include "sched/time.h"

#include <gort/time.h>

#include "chan/chan.h"
#include "debug/throw.h"
#include "mem/malloc.h"
#include "os/os.h"
#include "sched/sched.h"

struct gort_timer {
	struct rt_timer rt;
	struct hchan *c; // NULL: a function timer
};

struct func_timer {
	struct gort_timer t;
	void (*fn)(void *);
	void *arg;
	uintptr_t pc; // who made it: where the goroutine that runs fn comes from
};

// One word of it is for the collector.
static const uint32_t func_timer_ptrs[] = {offsetof(struct func_timer, arg)};
static const gort_type func_timer_type = {
	.size = sizeof(struct func_timer),
	.align = _Alignof(struct func_timer),
	.kind = GORT_KIND_STRUCT,
	.flags = GORT_TYPE_PRECISE,
	.nptrs = 1,
	.ptrs = func_timer_ptrs,
	.name = "gort_timer",
};

struct chan_timer {
	struct hchan c;
	int64_t slot; // the channel's buffer
	struct gort_timer t;
	// Under c.lock.
	int64_t period; // > 0: a ticker
	int64_t due;	// what is being sent
	// Written under c.lock, read without when peeking.
	_Atomic int64_t next;	 // when it expires; 0: stopped, or fired and not periodic
	_Atomic int32_t blocked; // goroutines that wait on the channel
};

static const gort_type time_type = {
	.size = sizeof(int64_t),
	.align = _Alignof(int64_t),
	.kind = GORT_KIND_INT,
	.flags = GORT_TYPE_NOSCAN | GORT_TYPE_SIGNED,
	.name = "int64_t",
};

RT_INLINE struct chan_timer *
chan_timer(struct hchan *c)
{
	return rt_container_of(c, struct chan_timer, c);
}

// ---- channel timers; all with the channel's lock held unless said otherwise ----

// Puts the value into the buffer or a waiter's hands; one that nobody took before stays instead.
static struct sudog *
expire(struct chan_timer *ct, int64_t now)
{
	struct sudog *wake = NULL;
	int64_t due = rt_load(&ct->next);
	rt_store_release(&ct->next, ct->period > 0 ? due + ct->period * (1 + (now - due) / ct->period) : 0);
	ct->due = due;
	rt_chan_send_locked(&ct->c, &ct->due, &wake); // neither full nor closed is of interest here
	return wake;
}

// On g0, no lock held.
static void
chan_timer_fires(struct rt_timer *t, int64_t now)
{
	struct chan_timer *ct = rt_container_of(t, struct chan_timer, t.rt);
	struct sudog *wake = NULL;
	rt_chan_lock(&ct->c);
	int64_t next = rt_load(&ct->next);
	if (next != 0 && next <= now)
		wake = expire(ct, now);
	next = rt_load(&ct->next);
	if (next != 0 && rt_load(&ct->blocked) > 0)
		rt_timer_set(t, next);
	rt_chan_unlock(&ct->c);
	if (wake)
		rt_chan_wake(wake, true);
}

bool
rt_timer_chan_ready(struct hchan *c)
{
	struct chan_timer *ct = chan_timer(c);
	int64_t next = rt_load_acquire(&ct->next); // as any peek: chan/chan.h
	return next != 0 && rt_load_acquire(&ct->blocked) == 0 && next <= rt_nanotime();
}

bool
rt_timer_chan_poll(struct hchan *c)
{
	struct chan_timer *ct = chan_timer(c);
	int64_t next = rt_load(&ct->next);
	if (next == 0 || rt_load(&ct->blocked) > 0)
		return false;
	int64_t now = rt_nanotime();
	if (next > now)
		return false;
	expire(ct, now);
	return rt_load(&c->qcount) > 0;
}

void
rt_timer_chan_block(struct hchan *c)
{
	struct chan_timer *ct = chan_timer(c);
	int32_t others = rt_load(&ct->blocked);
	int64_t next = rt_load(&ct->next);
	rt_store_release(&ct->blocked, others + 1);
	if (others == 0 && next != 0)
		rt_timer_set(&ct->t.rt, next);
}

// Lock not held.
void
rt_timer_chan_unblock(struct hchan *c)
{
	struct chan_timer *ct = chan_timer(c);
	rt_chan_lock(c);
	int32_t others = rt_load(&ct->blocked) - 1;
	rt_store_release(&ct->blocked, others);
	if (others == 0)
		rt_timer_set(&ct->t.rt, 0);
	rt_chan_unlock(c);
}

// Whether it was going to fire, or had and nobody has seen it: a value in the buffer was never received.
static bool
set_chan_timer(struct chan_timer *ct, int64_t next)
{
	rt_chan_lock(&ct->c);
	bool was = rt_load(&ct->next) != 0;
	rt_store_release(&ct->next, next);
	if (rt_load(&ct->c.qcount) > 0) {
		rt_chan_buf_take(&ct->c, NULL);
		was = true;
	}
	if (rt_load(&ct->blocked) > 0)
		rt_timer_set(&ct->t.rt, next);
	rt_chan_unlock(&ct->c);
	return was;
}

static struct gort_timer *
new_chan_timer(int64_t ns, int64_t period)
{
	struct chan_timer *ct = rt_mallocgc_noscan(sizeof *ct);
	ct->c.elemsize = sizeof(int64_t);
	ct->c.elemtype = &time_type;
	ct->c.dataqsiz = 1;
	ct->c.buf = (char *)&ct->slot;
	ct->c.timer = true;
	ct->t.rt.fn = chan_timer_fires;
	ct->t.c = &ct->c;
	ct->period = period;
	rt_store_release(&ct->next, rt_when(ns));
	return &ct->t;
}

// ---- function timers ----

// On g0.
static void
func_timer_fires(struct rt_timer *t, int64_t now)
{
	(void)now;
	struct func_timer *ft = rt_container_of(t, struct func_timer, t.rt);
	rt_newproc(ft->fn, ft->arg, ft->pc);
}

gort_timer *
gort_after_func(int64_t ns, void (*fn)(void *arg), void *arg)
{
	rt_enter();
	if (!fn)
		rt_panic("gort_after_func: nil function");
	struct func_timer *ft = rt_mallocgc(sizeof *ft, &func_timer_type);
	ft->t.rt.fn = func_timer_fires;
	ft->fn = fn;
	ft->arg = arg; // a new object: nothing to shade
	ft->pc = (uintptr_t)__builtin_return_address(0);
	rt_timer_set(&ft->t.rt, rt_when(ns));
	rt_leave();
	return &ft->t;
}

// ---- the rest of the public interface ----

gort_timer *
gort_new_timer(int64_t ns)
{
	rt_enter();
	gort_timer *t = new_chan_timer(ns, 0);
	rt_leave();
	return t;
}

gort_chan *
gort_after(int64_t ns)
{
	return gort_new_timer(ns)->c;
}

gort_timer *
gort_new_ticker(int64_t ns)
{
	rt_enter();
	if (ns <= 0)
		rt_panic("non-positive interval for NewTicker");
	gort_timer *t = new_chan_timer(ns, ns);
	rt_leave();
	return t;
}

gort_chan *
gort_timer_chan(const gort_timer *t)
{
	return t->c;
}

bool
gort_timer_stop(gort_timer *t)
{
	rt_enter();
	bool was = t->c ? set_chan_timer(chan_timer(t->c), 0) : rt_timer_set(&t->rt, 0);
	rt_leave();
	return was;
}

bool
gort_timer_reset(gort_timer *t, int64_t ns)
{
	bool was;
	rt_enter();
	if (t->c) {
		struct chan_timer *ct = chan_timer(t->c);
		if (ct->period > 0) {
			if (ns <= 0)
				rt_panic("non-positive interval for Ticker.Reset");
			rt_chan_lock(t->c);
			ct->period = ns;
			rt_chan_unlock(t->c);
		}
		was = set_chan_timer(ct, rt_when(ns));
	} else {
		was = rt_timer_set(&t->rt, rt_when(ns));
	}
	rt_leave();
	return was;
}
