// SPDX-License-Identifier: BSD-3-Clause
// Goroutines that wait for something that nobody can ever do, found by marking.
//
// In a cycle of its own, with the world stopped from beginning to end, parked goroutines are not roots at
// first. A goroutine becomes one when what it waits for (channel, lock, condition) has been marked: then
// somebody who may run can reach it. This is repeated until no more become roots. Those that are left can
// be woken only by each other: they are leaked. They are roots then, too, and the cycle ends like any
// other: nothing is freed that another cycle would keep.
//
// Never leaked, because of other wakers or because it is not known who reaches it: waiting for time,
// network or the runtime itself, for a timer's channel, for a lock or condition outside of the heap (in a
// global, on a stack, in foreign memory); goroutine 1; the runtime's own; threads that C made.
// Always leaked: nil channels, a select without cases.
//
// g.leaked is true from the cycle that found it until it runs after all (rt_casgstatus).
// Go: the goroutineleak profile of 1.26.
#include "debug/throw.h"
#include "gc/gc.h"
#include "gc/special.h"
#include "mem/mheap.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sched/sudog.h"

#include "chan/chan.h"

// Marked; or not the heap's, and then anybody may know it.
static bool
reachable(const void *p)
{
	const struct mspan *s = p ? rt_spanof((uintptr_t)p) : NULL;
	if (!s)
		return true;
	uint32_t i = rt_span_index(s, (uintptr_t)p);
	return i >= s->nelems || !rt_span_allocated(s, i) || (rt_load(&s->mark[i / 64]) >> (i % 64) & 1);
}

static bool
chan_reachable(const struct hchan *c)
{
	return !c || c->timer || reachable(c);
}

static bool
any_chan_reachable(const struct sudog *sg)
{
	while (sg && !chan_reachable(sg->c))
		sg = sg->waitlink;
	return sg != NULL;
}

// May somebody who is marked so far, or the world outside, wake gp?
static bool
can_be_woken(const struct g *gp)
{
	switch (gp->waitreason) {
	case WAIT_CHAN_RECEIVE_NIL:
	case WAIT_CHAN_SEND_NIL:
	case WAIT_SELECT_NO_CASES:
		return false;
	case WAIT_CHAN_RECEIVE:
	case WAIT_CHAN_SEND:
		return chan_reachable(gp->waitobj);
	case WAIT_SELECT:
		return any_chan_reachable(gp->waiting);
	case WAIT_SEMACQUIRE:
	case WAIT_COND:
	case WAIT_MUTEX_LOCK:
	case WAIT_RWMUTEX_RLOCK:
	case WAIT_RWMUTEX_LOCK:
	case WAIT_WAITGROUP:
		return reachable(gp->waitobj);
	default:
		return true;
	}
}

struct search {
	struct gcwork *w;
	int nwoken; // in this pass
	int nleaked;
};

static void
withhold(struct g *gp, void *arg)
{
	(void)arg;
	gp->leaked = false;
	if (rt_gstatus(gp) == Gwaiting && gp->waitreason != WAIT_NONE && !gp->is_system && !gp->is_main &&
	    !(gp->lockedm && gp->lockedm->foreign))
		rt_roots_withhold(gp);
}

static void
give_back_woken(struct g *gp, void *arg)
{
	struct search *s = arg;
	if (!rt_roots_withheld(gp) || !can_be_woken(gp))
		return;
	rt_roots_scan_withheld(s->w, gp);
	s->nwoken++;
}

static void
give_back_leaked(struct g *gp, void *arg)
{
	struct search *s = arg;
	if (!rt_roots_withheld(gp))
		return;
	gp->leaked = true;
	rt_roots_scan_withheld(s->w, gp);
	s->nleaked++;
}

int
rt_leaks_mark(void)
{
	struct search s = {.w = rt_gcwork(rt_getp())};
	int64_t from = rt_nanotime();
	rt_for_each_g(withhold, NULL);
	rt_attached_strong = true;
	do {
		s.nwoken = 0;
		rt_mark_all_stopped(); // ends with every goroutine that is not withheld scanned
		rt_for_each_g(give_back_woken, &s);
	} while (s.nwoken > 0);
	rt_attached_strong = false;
	rt_for_each_g(give_back_leaked, &s);
	atomic_fetch_add_explicit(&rt_gc.cur.dedicated_ns, rt_nanotime() - from, memory_order_relaxed);
	return s.nleaked;
}

static void
count(struct g *gp, void *arg)
{
	*(int *)arg += gp->leaked;
}

int
rt_gc_num_leaked(void)
{
	int n = 0;
	rt_for_each_g(count, &n);
	return n;
}
