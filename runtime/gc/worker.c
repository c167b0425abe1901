// SPDX-License-Identifier: BSD-3-Clause
// Who marks while the program runs, and for how long.
//
//   dedicated   keeps a P until marking ends: GOMAXPROCS / 4 of them, rounded
//   fractional  where that rounding is off by more than 30 % (1 to 3 and 6 Ps): each P marks for the part
//               of its time that makes 25 % of all, unless idle Ps do as much already
//   idle        a P that has no goroutine to run, up to 100 us at a time, until it has one
//   assist      an allocating goroutine, in proportion to its bytes (pacer.c), less what workers have
//               done in advance (bg_credit)
//
// A worker is not a goroutine: it runs on the scheduling stack of an M that looks for work, from
// findrunnable. So it has no state of its own to park, its stack holds no roots, and it ends where the
// scheduler goes on. All end as soon as the world is to stop.
//
// Whoever finds nothing left to mark and nobody else at work ends the cycle (rt_gc_finish). If something
// is still found then, it goes on marking; so while marking runs and no worker is at work there is no
// work, and an M may sleep.
// Go: gcBgMarkWorker, gcAssistAlloc in runtime/mgc.go, mgcmark.go.
#include "gc/gc.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sched/sched.h"

#define UTILIZATION 0.25
#define IDLE_SLICE_NS 100000
#define FRACTIONAL_SLICE_NS 250000
#define DEDICATED_SLICE_NS 10000000 // then timers and requests are looked at
#define MIN_ASSIST ((int64_t)64 << 10) // scan work done in advance, so that few allocations assist

void
rt_workers_start(void)
{
	double want = gomaxprocs * UTILIZATION;
	int32_t dedicated = (int32_t)(want + 0.5);
	double error = dedicated / want - 1;
	rt_gc.fractional_goal = 0;
	if (error < -0.3 || error > 0.3) {
		if (dedicated > want)
			dedicated--;
		rt_gc.fractional_goal = (want - dedicated) / gomaxprocs;
	}
	rt_gc.dedicated_wanted = dedicated;
	rt_store(&rt_gc.ndedicated, 0);
	atomic_store(&rt_gc.bg_credit, 0);
	for (int32_t i = 0; i < nallp; i++)
		allp[i]->gcfractional = 0;
}

// ---- workers ----

// A whole slice behind what is its part. A mutator that runs beside idle Ps goes on running.
static bool
fractional_due(const struct p *pp)
{
	double passed = (double)(rt_nanotime() - rt_gc.cur.mark);
	double idle = (double)rt_load(&rt_gc.cur.idle_ns) / gomaxprocs;
	return (double)pp->gcfractional + idle + FRACTIONAL_SLICE_NS < rt_gc.fractional_goal * passed;
}

bool
rt_gc_wants(struct p *pp, bool idle)
{
	if (!rt_mark_available())
		return rt_mark_complete() && !rt_gc_finishing(); // then it ends the cycle
	if (idle)
		return true;
	if (rt_load(&rt_gc.ndedicated) < rt_gc.dedicated_wanted)
		return true;
	return rt_gc.fractional_goal > 0 && fractional_due(pp);
}

static bool
others_wait(struct p *pp)
{
	return !rt_runqempty(pp) || rt_load(&sched.runqsize) > 0 || rt_load(&pp->slow);
}

static bool
asked_to_leave(struct p *pp)
{
	return rt_load(&pp->slow) & ~(uint32_t)SLOW_PREEMPT;
}

static int64_t
mark_for(struct p *pp, int64_t ns, bool (*enough)(struct p *pp))
{
	struct mark_limit lim = {.work = INT64_MAX, .deadline = rt_nanotime() + ns, .enough = enough};
	int64_t done = rt_mark_some(rt_gcwork(pp), &lim);
	atomic_fetch_add_explicit(&rt_gc.bg_credit, done, memory_order_relaxed);
	return done;
}

// This P's goroutines go to others.
static void
give_away_goroutines(struct p *pp)
{
	if (rt_runqempty(pp))
		return;
	rt_lock(&sched.lock);
	rt_runqdrain_locked(pp);
	rt_unlock(&sched.lock);
	rt_wakep();
}

static bool
take_dedicated(void)
{
	if (atomic_fetch_add(&rt_gc.ndedicated, 1) < rt_gc.dedicated_wanted)
		return true;
	atomic_fetch_sub(&rt_gc.ndedicated, 1);
	return false;
}

void
rt_gc_work(struct p *pp, bool idle)
{
	int64_t from = rt_nanotime(), spent;
	_Atomic int64_t *account = &rt_gc.cur.dedicated_ns;
	if (take_dedicated()) {
		give_away_goroutines(pp);
		mark_for(pp, DEDICATED_SLICE_NS, asked_to_leave);
		atomic_fetch_sub(&rt_gc.ndedicated, 1);
		spent = rt_nanotime() - from;
	} else if (idle) {
		mark_for(pp, IDLE_SLICE_NS, others_wait);
		account = &rt_gc.cur.idle_ns;
		spent = rt_nanotime() - from;
	} else {
		mark_for(pp, FRACTIONAL_SLICE_NS, asked_to_leave);
		spent = rt_nanotime() - from;
		pp->gcfractional += spent;
	}
	atomic_fetch_add_explicit(account, spent, memory_order_relaxed);
	rt_pacer_revise();
	rt_gc_finish();
}

// ---- assists ----

struct assist {
	int64_t work; // to be done, then what was; 0: waits at the hard limit
};

static int64_t
assist_with(int64_t work)
{
	struct mark_limit lim = {.work = work, .deadline = INT64_MAX};
	return rt_mark_some(rt_gcwork(rt_getp()), &lim);
}

// What is left is in others' hands, whose threads may not even have a CPU. Past the hard limit nobody
// allocates before marking is over.
static bool
at_limit(void)
{
	return rt_load(&rt_gc.heap_live) > rt_pacer_hard_limit() && !rt_limiter_on();
}

// Ends the cycle if that was all. Until then the world has not stopped since the assist began, so the time
// belongs to this cycle.
static void
end_assist(int64_t began)
{
	atomic_fetch_add_explicit(&rt_gc.cur.assist_ns, rt_nanotime() - began, memory_order_relaxed);
	rt_gc_finish();
}

static void
wait_at_limit(void)
{
	atomic_fetch_add_explicit(&sched.stopawaited, 1, memory_order_relaxed);
	while (rt_gc_marking() && at_limit()) {
		if (rt_load(&sched.gcwaiting)) {
			rt_stop_here(NULL);
			continue;
		}
		int64_t began = rt_nanotime();
		if (rt_mark_available())
			assist_with(MIN_ASSIST);
		else
			rt_os_yield();
		end_assist(began);
	}
	atomic_fetch_sub_explicit(&sched.stopawaited, 1, memory_order_relaxed);
}

// A stop takes long when threads that are to stop have no CPU: more Ps than CPUs, other processes. Whoever goes
// on allocating meanwhile takes it from them.
static void
wait_start0(void *arg)
{
	(void)arg;
	atomic_fetch_add_explicit(&sched.stopawaited, 1, memory_order_relaxed);
	while (rt_gc_starting() && at_limit())
		if (rt_load(&sched.gcwaiting))
			rt_stop_here(NULL);
		else if (!rt_sweepone())
			rt_os_yield();
	atomic_fetch_sub_explicit(&sched.stopawaited, 1, memory_order_relaxed);
}

void
rt_gc_wait_start(void)
{
	if (rt_gc_starting() && at_limit())
		rt_systemstack(wait_start0, NULL);
}

static void
assist0(void *arg)
{
	struct assist *a = arg;
	int64_t want = a->work, began = rt_nanotime();
	if (want) {
		a->work = assist_with(want);
		end_assist(began);
	}
	if (a->work < want || want == 0)
		wait_at_limit();
}

// Takes up to want from what workers did in advance.
static int64_t
take_credit(int64_t want)
{
	int64_t have = rt_load(&rt_gc.bg_credit);
	if (have <= 0)
		return 0;
	int64_t n = rt_min(have, want);
	// A race may take it below zero: later work makes up for it.
	atomic_fetch_sub_explicit(&rt_gc.bg_credit, n, memory_order_relaxed);
	return n;
}

static void
pay(struct g *gp)
{
	rt_pacer_revise();
	double ratio = rt_load(&rt_gc.assist_ratio);
	int64_t debt = rt_max((int64_t)((double)-gp->gcassistbytes * ratio), MIN_ASSIST);
	int64_t paid = take_credit(debt);
	if (paid < debt) {
		struct assist a = {.work = debt - paid};
		rt_systemstack(assist0, &a);
		paid += a.work;
	}
	// A remainder that could not be paid, because all that is left is in others' hands, is forgiven:
	// marking is about to end then.
	if (paid < debt)
		gp->gcassistbytes = 0;
	else
		gp->gcassistbytes += (int64_t)((double)paid / ratio) + 1;
}

void
rt_gc_assist(size_t bytes)
{
	struct g *gp = rt_getg();
	uint32_t epoch = rt_load(&rt_gc_epoch);
	if (gp->gcassistepoch != epoch) {
		gp->gcassistepoch = epoch;
		gp->gcassistbytes = 0;
	}
	gp->gcassistbytes -= (int64_t)bytes;
	if (gp->gcassistbytes < 0) {
		if (rt_unlikely(rt_limiter_on()))
			gp->gcassistbytes = 0;
		else
			pay(gp);
	}
	// Near the end of marking little work buys many bytes: paid for, but not to be had yet.
	if (rt_unlikely(rt_gc_marking() && at_limit())) {
		struct assist none = {0};
		rt_systemstack(assist0, &none);
	}
}
