// SPDX-License-Identifier: BSD-3-Clause
// The scheduler: how an M finds a goroutine, switches to it, and sleeps when there is none.
//
// Two ways from one goroutine to the next. Straight: the one that parks switches to the next in its
// P's queue; no other stack is involved. Through g0: schedule() on the M's own stack, which also sees
// stops, preemption, timers, the global queue and other Ps. The straight way is taken while p->slow is
// 0 and the ticks allow it; nothing may depend on which one was taken.
//
// Whoever runs next finishes the leaver (m->fin): before that its stack is still in use, so a lock
// that guards it in a queue stays held, and it is on no run queue or free list.
//
// Waking and sleeping. Work is published first, then npidle is read (rt_wakep); an M gives up its P
// first (npidle grows), stops spinning, then looks at all queues once more. Both sides are seq_cst, so
// one of them sees the other: no work is left with every M asleep. At most one M is woken at a time;
// a spinning M that finds work wakes the next one (resetspinning). Both sides may disregard what the M of a
// running P will come to by itself (struct rt_pause below). That M, when it leaves for a system call, first
// stores p->status, then looks at its queue and npidle; the other side lets npidle grow before it reads that
// status (recheck). Again seq_cst, so that one sees the other.
//
// An idle P has an empty ring: what a P has that loses its M without a look at it (in a stop, retired, no thread to
// be had) goes to the global queue, at which everybody looks who lets a P go idle.
//
// Timers. Who arms one that nobody waits for leaves it to a spinning M, if there is one. So a spinning M that
// finds work wakes the next one also when nobody waits for the earliest timer, and so does who lets a P go
// idle without a look at others' timers (rt_handoffp). sysmon looks now and then.
//
// Go: runtime/proc.go.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gort/sched.h>

#include "base/print.h"
#include "debug/env.h"
#include "debug/hooks.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/malloc.h"
#include "os/os.h"
#include "sched/netpoll.h"
#include "sched/sanitize.h"
#include "sched/sched.h"
#include "sched/schedstat.h"
#include "sched/stack.h"

struct schedt sched;
struct p **allp;
_Atomic int32_t nallp, gomaxprocs;
_Atomic(struct m *) allm;
_Atomic(struct g *) allgs;
struct m m0;
_Atomic bool rt_started;
_Thread_local struct rt_tls rt_tls = {.depth = RT_DEPTH_PENDING}; // a foreign thread, until minit

uint64_t
rt_fastrand64(void)
{
	return rt_rand_next(&rt_getm()->randstate);
}

// ---- Ps ----

void
rt_acquirep(struct m *mp, struct p *pp)
{
	if (mp->p || pp->m || rt_load(&pp->status) != Pidle)
		rt_throw("acquirep: P is not idle");
	rt_store(&mp->p, pp);
	rt_store(&pp->m, mp);
	rt_store_release(&pp->status, Prunning);
}

struct p *
rt_releasep(struct m *mp)
{
	struct p *pp = mp->p;
	if (!pp || pp->m != mp)
		rt_throw("releasep: M has no P");
	rt_store(&mp->p, NULL);
	rt_store(&pp->m, NULL);
	rt_store_release(&pp->status, Pidle);
	return pp;
}

void
rt_pidleput_locked(struct p *pp)
{
	pp->link = sched.pidle;
	sched.pidle = pp;
	atomic_fetch_add(&sched.npidle, 1); // seq_cst: see the head comment
}

struct p *
rt_pidleget_locked(void)
{
	struct p *pp = sched.pidle;
	if (!pp)
		return NULL;
	sched.pidle = pp->link;
	atomic_fetch_sub(&sched.npidle, 1);
	if (rt_unlikely(rt_load(&sched.sysmonwait))) {
		rt_store(&sched.sysmonwait, false);
		rt_note_wakeup(&sched.sysmonnote);
	}
	return pp;
}

// A P beyond gomaxprocs counts until it is retired: its M may need a push by sysmon for that.
bool
rt_all_idle_locked(void)
{
	int32_t n = gomaxprocs;
	for (int32_t i = gomaxprocs; i < nallp; i++)
		n += rt_load(&allp[i]->status) != Pdead;
	return rt_load(&sched.npidle) == n && !rt_load(&sched.gcwaiting);
}

static struct p *
newp(int32_t id)
{
	struct p *pp = rt_persistent_alloc(sizeof *pp, _Alignof(struct p), NULL);
	pp->id = id;
	rt_store(&pp->status, Pgcstop);
	pp->mcache = rt_mcache_alloc();
	rt_random_bytes(&pp->randstate, sizeof pp->randstate);
	return pp;
}

// Makes n Ps take work. World stopped (or not started yet). A P beyond n that an M holds is retired by
// that M at its next schedule(), or by whoever gets it from that M; an idle one when the world starts.
void
rt_procresize(int32_t n)
{
	for (; nallp < n; rt_store_release(&nallp, nallp + 1)) // sysmon reads without a stop
		allp[nallp] = newp(nallp);
	for (int32_t i = 0; i < n; i++) {
		atomic_fetch_and(&allp[i]->slow, ~(uint32_t)SLOW_RETIRE);
		if (rt_load(&allp[i]->status) == Pdead)
			rt_store(&allp[i]->status, Pgcstop); // rt_start_world makes it idle
	}
	for (int32_t i = n; i < nallp; i++)
		atomic_fetch_or(&allp[i]->slow, SLOW_RETIRE);
	rt_store_release(&gomaxprocs, n); // sysmon reads allp without a lock
}

void
rt_retire_stopped(void)
{
	for (int32_t i = gomaxprocs; i < nallp; i++) {
		struct p *pp = allp[i];
		if (pp->m || rt_load(&pp->status) != Pgcstop)
			continue;
		rt_timers_move(pp, allp[0]); // before sched.lock, which comes after timerslock
		rt_lock(&sched.lock);
		rt_runqdrain_locked(pp); // it may have been in a system call, with work waiting
		rt_store_release(&pp->status, Pdead); // pairs with only_p in gc/mark.c
		rt_unlock(&sched.lock);
	}
}

// ---- waking ----

void
rt_wakep(void)
{
	if (atomic_load(&sched.npidle) == 0 || atomic_load(&sched.nmspinning) != 0 ||
	    rt_load(&sched.dying))
		return;
	int32_t none = 0;
	if (atomic_compare_exchange_strong(&sched.nmspinning, &none, 1))
		rt_startm(NULL, true);
}

// Waking an M is a system call, and what it takes has a way to go from cache to cache: some 5 us for the one,
// some 100 ns for each cache line of the other. Whether that is worth it shows in what became of it:
//
//   nextpause  A goroutine that is in runnext alone will most likely run here in a moment, when its readier
//              blocks. An M that was woken and found nothing makes such wakeups pause.
//   ringpause  Goroutines that ran for less than LIFE each, when somebody had taken them, would have been
//              done sooner where they were: wakeups for the ring pause, and so do thefts from a P that is
//              getting on with its queue by itself (rt_runqsteal).
//
// Each time it turns out so again the pause is twice as long, up to MAX_PAUSE; the first success ends it.
//
// What is skipped is not lost: the P that has it runs it when its goroutine parks or is preempted, and offers
// it when it leaves for a system call or with a foreign thread (rt_leave_p); where it computes on, sysmon offers
// it, and whoever comes finds that P stuck and steals. All of it together: tests/models/pause.pml.
#define MIN_PAUSE 50000u   // cputicks, some 20 us
#define MAX_PAUSE 3000000u // about a millisecond
#define LIFE 2500u         // about a microsecond

bool
rt_paused(const struct rt_pause *x)
{
	uint64_t until = rt_load(&x->until);
	return rt_unlikely(until != 0) && rt_cputicks() < until;
}

static void
pause_longer(struct rt_pause *x)
{
	uint64_t length = rt_load(&x->length) * 2;
	length = rt_min(rt_max(length, (uint64_t)MIN_PAUSE), (uint64_t)MAX_PAUSE);
	rt_store(&x->length, length);
	rt_store(&x->until, rt_cputicks() + length);
}

static void
pause_end(struct rt_pause *x)
{
	if (rt_load(&x->length) == 0) // most often: the line stays shared
		return;
	rt_store(&x->length, 0);
	rt_store(&x->until, 0);
}

// The clock takes as long as the rest of a wakeup on the same P: it is read one time in 16.
static bool
next_paused(void)
{
	return rt_load(&sched.nextpause.until) != 0 &&
	       (++rt_getp()->nputoff % 16 != 0 || rt_paused(&sched.nextpause));
}

void
rt_wakep_after_put(bool in_ring)
{
	if (gomaxprocs == 1) // ours: no other is idle
		return;
	if (in_ring)
		atomic_thread_fence(memory_order_seq_cst); // the ring's tail is published by release only
	if (atomic_load(&sched.npidle) == 0 || atomic_load(&sched.nmspinning) != 0)
		return;
	if (!(in_ring ? rt_paused(&sched.ringpause) : next_paused()))
		rt_wakep();
}

bool
rt_work_waits(struct p *pp)
{
	return !rt_runqempty(pp) || rt_load(&sched.runqsize) > 0;
}

// mp's queue was empty and now has what was others'; it runs the first of it.
static void
note_loot(struct m *mp)
{
	mp->nloot = 1 + rt_runqsize(mp->p);
	mp->lootat = rt_cputicks();
}

static void
judge_loot(struct m *mp)
{
	if (rt_likely(mp->nloot == 0))
		return;
	if ((rt_cputicks() - mp->lootat) / mp->nloot < LIFE)
		pause_longer(&sched.ringpause);
	else
		pause_end(&sched.ringpause);
	mp->nloot = 0;
}

_Noreturn void
rt_m_park_forever(void)
{
	static _Atomic uint32_t never;
	for (;;)
		rt_futex_wait(&never, 0, -1);
}

// ---- finding work ----

static struct g *
globrunq_take(struct p *pp, int32_t max)
{
	if (rt_load(&sched.runqsize) == 0)
		return NULL;
	rt_lock(&sched.lock);
	struct g *gp = rt_globrunqget_locked(pp, max);
	rt_unlock(&sched.lock);
	return gp;
}

// Four rounds over the Ps from a random start in steps of a random number coprime to their count;
// timers and runnext in the last one only. Go: stealWork.
static struct g *
stealwork(struct m *mp, struct p *pp, int64_t *now)
{
	uint32_t n = (uint32_t)gomaxprocs;
	for (int round = 0; round < 4; round++) {
		bool last = round == 3;
		uint32_t at = rt_fastrandn(n), step = n == 1 ? 1 : 1 + rt_fastrandn(n - 1);
		while (n > 1) { // until coprime; gcd by Euclid
			uint32_t a = n, b = step;
			while (b) {
				uint32_t r = a % b;
				a = b;
				b = r;
			}
			if (a == 1)
				break;
			step = step % (n - 1) + 1;
		}
		for (uint32_t i = 0; i < n; i++, at = (at + step) % n) {
			struct p *from = allp[at];
			if (rt_load(&sched.gcwaiting))
				return NULL;
			if (from == pp)
				continue;
			if (last && rt_load(&from->timer0when)) {
				rt_timers_run(from, now);
				bool inherit;
				struct g *gp = rt_runqget(pp, &inherit);
				if (gp)
					return gp;
			}
			if (rt_load(&from->status) == Pidle)
				continue;
			struct g *gp = rt_runqsteal(pp, from, last);
			if (gp) {
				note_loot(mp);
				return gp;
			}
		}
	}
	return NULL;
}

// Goroutines whose descriptors have become ready, unless an M waits for them already.
static struct g *
netpoll_now(struct p *pp)
{
	if (!rt_netpoll_wanted())
		return NULL;
	struct g *ready = rt_netpoll(0);
	if (!ready)
		return NULL;
	rt_ready_list(ready);
	bool inherit;
	return rt_runqget(pp, &inherit);
}

static bool
spin_allowed(struct m *mp)
{
	if (mp->spinning)
		return true;
	if (2 * rt_load(&sched.nmspinning) >= gomaxprocs - rt_load(&sched.npidle))
		return false;
	mp->spinning = true;
	atomic_fetch_add(&sched.nmspinning, 1);
	return true;
}

// After giving up its P: is there work after all? Takes an idle P for it.
static bool
recheck(struct m *mp)
{
	bool work = rt_load(&sched.runqsize) > 0, paused = rt_paused(&sched.ringpause);
	for (int32_t i = 0; i < gomaxprocs && !work; i++)
		work = !(paused && atomic_load(&allp[i]->status) == Prunning) && !rt_runqempty(allp[i]);
	if (!work)
		return false;
	rt_lock(&sched.lock);
	struct p *pp = rt_load(&sched.gcwaiting) ? NULL : rt_pidleget_locked();
	rt_unlock(&sched.lock);
	if (!pp)
		return false;
	rt_acquirep(mp, pp);
	mp->spinning = true;
	atomic_fetch_add(&sched.nmspinning, 1);
	return true;
}

// Without a P. One M waits for the earliest timer and the network, the others without limit. Comes back
// with a P.
static void
sleep_for_work(struct m *mp)
{
	uint32_t seq = rt_poll_seq(); // before polluntil is published: a wake after that is not missed
	int64_t until = rt_poll_until();
	int64_t nobody = 0;
	if (until && atomic_compare_exchange_strong(&sched.polluntil, &nobody, until)) {
		// A timer that came before the exchange may be earlier: rt_poll_wake read 0 then.
		int64_t again = rt_poll_until();
		if (again && again < until)
			atomic_store(&sched.polluntil, until = again);
		struct g *ready = NULL;
		if (!rt_load(&sched.gcwaiting))
			ready = rt_poll_sleep(until, seq);
		atomic_store(&sched.polluntil, 0);
		rt_lock(&sched.lock);
		struct p *pp = rt_load(&sched.gcwaiting) ? NULL : rt_pidleget_locked();
		rt_unlock(&sched.lock);
		if (pp) {
			rt_acquirep(mp, pp);
			if (ready)
				rt_ready_list(ready);
			return;
		}
		if (ready)
			rt_inject_list(ready);
	}
	rt_stopm(mp);
}

// Gives mp's P back and waits for one with something to do. False: look again, nothing was given up.
static bool
release_and_sleep(struct m *mp)
{
	rt_lock(&sched.lock);
	if (rt_load(&sched.gcwaiting) || rt_load(&sched.runqsize) > 0) {
		rt_unlock(&sched.lock);
		return false;
	}
	struct p *pp = rt_releasep(mp);
	rt_pidleput_locked(pp);
	rt_unlock(&sched.lock);
	if (mp->spinning) {
		mp->spinning = false;
		if (atomic_fetch_sub(&sched.nmspinning, 1) <= 0)
			rt_throw("findrunnable: negative nmspinning");
		pause_longer(&sched.nextpause);
	}
	if (recheck(mp))
		return true;
	sleep_for_work(mp);
	return true;
}

static void
retirep(struct m *mp)
{
	rt_timers_move(mp->p, allp[0]); // before sched.lock, which comes after timerslock
	rt_lock(&sched.lock);
	while (rt_load(&sched.gcwaiting)) { // the stopper counts on this P
		rt_unlock(&sched.lock);
		rt_stop_here(NULL);
		rt_lock(&sched.lock);
	}
	if (!(rt_load(&mp->p->slow) & SLOW_RETIRE)) { // that stop was for keeping it after all
		rt_unlock(&sched.lock);
		return;
	}
	struct p *pp = rt_releasep(mp);
	rt_runqdrain_locked(pp);
	rt_store_release(&pp->status, Pdead); // pairs with only_p in gc/mark.c
	rt_unlock(&sched.lock);
	if (mp->spinning) {
		mp->spinning = false;
		atomic_fetch_sub(&sched.nmspinning, 1);
	}
	rt_wakep();
	rt_stopm(mp);
}

// What p->slow asks for, at a moment when mp runs no goroutine. The queue may change under it.
static void
honour_slow(struct m *mp)
{
	uint32_t slow = atomic_fetch_and(&mp->p->slow, ~(uint32_t)SLOW_PREEMPT);
	rt_die_if_forked();
	if (slow & SLOW_PREEMPT) { // a pair that readies each other must not keep others waiting
		struct g *next = atomic_exchange(&mp->p->runnext, NULL);
		if (next) {
			rt_lock(&sched.lock);
			rt_globrunqput_locked(next);
			rt_unlock(&sched.lock);
		}
	}
	if (rt_load(&sched.gcwaiting))
		rt_stop_here(NULL);
	if (rt_load(&mp->p->slow) & SLOW_RETIRE) // read again: the stop may have been for this
		retirep(mp);
}

// The program ends: the P goes back, so that the world can still be stopped for the last profiles.
static _Noreturn void
leave_dying(struct m *mp)
{
	rt_lock(&sched.lock);
	if (rt_load(&sched.gcwaiting)) {
		rt_unlock(&sched.lock);
		rt_stop_here(NULL);
		rt_lock(&sched.lock);
	}
	rt_pidleput_locked(rt_releasep(mp));
	rt_unlock(&sched.lock);
	rt_m_park_forever();
}

static void
resetspinning(struct m *mp)
{
	mp->spinning = false;
	pause_end(&sched.nextpause);
	if (atomic_fetch_sub(&sched.nmspinning, 1) <= 0)
		rt_throw("resetspinning: negative nmspinning");
	if (!rt_paused(&sched.ringpause) || rt_load(&sched.runqsize) > 0 || rt_poll_unwatched())
		rt_wakep(); // maybe there is more, which nobody comes to by himself
}

// Marks for the collector if it wants this P. Afterwards the queues may have changed.
static bool
gc_work(struct m *mp, bool idle)
{
	if (!rt_gc_marking() || !rt_gc_wants(mp->p, idle))
		return false;
	if (mp->spinning)
		resetspinning(mp);
	rt_gc_work(mp->p, idle);
	return true;
}

static struct g *
findrunnable(struct m *mp, bool *inherit)
{
	for (;;) {
		if (rt_unlikely(rt_load(&sched.dying)))
			leave_dying(mp);
		if (rt_unlikely(rt_load(&mp->p->slow)))
			honour_slow(mp);
		struct p *pp = mp->p;
		int64_t now = 0;
		rt_timers_run(pp, &now);
		if (rt_unlikely(rt_load(&rt_gc.timer_due)))
			rt_gc_timer_cycle();
		if (gc_work(mp, false))
			continue;
		struct g *gp;
		if (pp->schedtick % 61 == 0 && (gp = globrunq_take(pp, 1))) {
			*inherit = false;
			return gp;
		}
		if ((gp = rt_runqget(pp, inherit)))
			return gp;
		*inherit = false;
		judge_loot(mp);
		if ((gp = globrunq_take(pp, 0))) {
			if (mp->spinning && !rt_runqempty(pp))
				note_loot(mp);
			return gp;
		}
		if ((gp = netpoll_now(pp)))
			return gp;
		if (gomaxprocs > 1 && spin_allowed(mp) && (gp = stealwork(mp, pp, &now)))
			return gp;
		if (gc_work(mp, true))
			continue;
		if (!rt_load(&sched.gcwaiting))
			release_and_sleep(mp);
	}
}

// ---- running ----

RT_INLINE void
start_running(struct m *mp, struct g *gp)
{
	if (rt_unlikely(rt_load(&rt_gc_epoch) != 0))
		rt_gc_scan_before_run(gp);
	rt_casgstatus(gp, Grunnable, Grunning);
	rt_store(&gp->m, mp);
	gp->waitsince = 0;
	if (rt_unlikely(gp->runnable_since != 0)) {
		rt_sched_latency(rt_cputicks() - gp->runnable_since);
		gp->runnable_since = 0;
	}
	rt_store(&gp->preempt, false);
	rt_store(&mp->curg, gp);
	rt_setg(gp);
}

// The M that a goroutine is locked to waits for that goroutine alone.
static struct g *
stoplockedm(struct m *mp)
{
	struct p *pp = mp->p ? rt_releasep(mp) : NULL;
	if (pp)
		rt_handoffp(pp);
	rt_lock(&sched.lock);
	RT_BUMP(&sched.nmidlelocked, 1);
	rt_checkdead_locked();
	rt_unlock(&sched.lock);
	rt_wait_for_p(mp);
	return mp->lockedg;
}

// gp runs on its own M only: hand this P over to that M, and wait for another.
static void
startlockedm(struct m *mp, struct g *gp)
{
	struct m *lm = gp->lockedm;
	rt_lock(&sched.lock);
	RT_BUMP(&sched.nmidlelocked, -1); // on its behalf: it must not look idle while it wakes up
	rt_unlock(&sched.lock);
	lm->nextp = rt_releasep(mp);
	rt_note_wakeup(&lm->park);
	rt_stopm(mp);
}

static struct g *
nextg(struct m *mp, bool *inherit)
{
	if (!mp->p)
		rt_stopm(mp);
	struct g *gp = mp->nextg;
	mp->nextg = NULL;
	if (gp && !rt_load(&sched.dying))
		return gp;
	return findrunnable(mp, inherit);
}

_Noreturn void
rt_schedule(void)
{
	struct m *mp = rt_getm(); // g0 never moves to another thread
	for (;;) {
		rt_switch_finish();
		bool inherit = false;
		struct g *gp = mp->lockedg ? stoplockedm(mp) : nextg(mp, &inherit);
		if (mp->spinning)
			resetspinning(mp);
		if (rt_unlikely(gp->lockedm && gp->lockedm != mp)) {
			startlockedm(mp, gp);
			continue;
		}
		if (!inherit)
			RT_BUMP(&mp->p->schedtick, 1);
		RT_BUMP(&mp->p->straight, 1);
		if (rt_unlikely(rt_load(&mp->p->slow) & SLOW_WALK))
			rt_walk_note_run(gp);
		start_running(mp, gp);
		rt_fiber_switch(mp->g0, gp);
	}
}

void
rt_switch_finish(void)
{
	struct m *mp = rt_getm();
	struct finish fin = mp->fin;
	mp->fin.op = FIN_NONE;
	switch (fin.op) {
	case FIN_NONE:
		break;
	case FIN_UNLOCK:
		if (fin.lock)
			rt_unlock(fin.lock);
		break;
	case FIN_SPIN_UNLOCK:
		rt_spin_unlock(fin.spin);
		break;
	case FIN_RUNQ:
		rt_runqput(mp->p, fin.g, false);
		if (gomaxprocs > 1) // an idle P need not wait until the next one here yields in turn
			rt_wakep_after_put(true);
		break;
	case FIN_GLOBRUNQ:
		rt_lock(&sched.lock);
		rt_globrunqput_locked(fin.g);
		rt_unlock(&sched.lock);
		rt_wakep();
		break;
	case FIN_DEAD:
		rt_gfput(mp->p, fin.g);
		break;
	}
}

static uint32_t
tick_straight(struct p *pp)
{
	RT_BUMP(&pp->straight, 1);
	return rt_load(&pp->straight);
}

// The next goroutine if it may follow without a look at anything else; NULL: through g0.
static struct g *
next_straight(struct p *pp)
{
	if (rt_load(&pp->slow) || tick_straight(pp) % 64 == 0 || rt_load(&sched.dying))
		return NULL;
	if (pp->schedtick % 61 == 0 && !rt_load(&pp->runnext))
		return NULL;
	bool inherit;
	struct g *gp = rt_runqget(pp, &inherit);
	if (!gp)
		return NULL;
	if (rt_unlikely(gp->lockedm)) {
		pp->m->nextg = gp;
		return NULL;
	}
	if (!inherit)
		RT_BUMP(&pp->schedtick, 1);
	return gp;
}

static RT_NOINLINE void
check_stack(const struct g *gp, uintptr_t sp)
{
	if (sp - gp->stack.lo >= gp->stack.hi - gp->stack.lo)
		rt_fatal("a goroutine left its stack (longjmp to another's, or a stack of the program's own)");
}

void
rt_switch_away(struct m *mp, struct g *gp, struct finish fin)
{
	// Most stacks end where their g begins: that needs no look at another of its lines.
	if (rt_unlikely((uintptr_t)gp - rt_getsp() > rt_stack_bytes))
		check_stack(gp, rt_getsp());
	mp->fin = fin;
	rt_store(&gp->m, NULL);
	struct g *next = mp->p && !mp->lockedg ? next_straight(mp->p) : NULL;
	if (next) {
		start_running(mp, next);
	} else {
		// release: a stop that does not wait for this M (rt_exitsyscall) and finds no curg sees the
		// status, and the registers saved before it.
		rt_store_release(&mp->curg, NULL);
		next = mp->g0;
		rt_setg(next);
	}
	rt_fiber_switch(gp, next);
	rt_switch_finish();
	rt_stack_check_canary(gp);
}

RT_INLINE void
park(enum wait_reason reason, struct finish fin)
{
	struct m *mp = rt_getm();
	struct g *gp = mp->curg;
	gp->waitreason = (uint8_t)reason;
	rt_casgstatus(gp, Grunning, Gwaiting);
	rt_switch_away(mp, gp, fin);
}

void
rt_park(struct rt_mutex *lock, enum wait_reason reason)
{
	park(reason, (struct finish){.op = FIN_UNLOCK, .lock = lock});
}

void
rt_park_spin(struct rt_spinlock *lock, enum wait_reason reason)
{
	park(reason, (struct finish){.op = FIN_SPIN_UNLOCK, .spin = lock});
}

void
rt_ready(struct g *gp)
{
	rt_casgstatus(gp, Gwaiting, Grunnable);
	rt_wakep_after_put(rt_runqput(rt_getp(), gp, true));
}

void
rt_ready_list(struct g *head)
{
	rt_runqput_list(rt_getp(), head);
	rt_wakep_after_put(true);
}

void
rt_inject_list(struct g *head)
{
	rt_lock(&sched.lock);
	while (head) {
		struct g *gp = head;
		head = gp->schedlink;
		rt_casgstatus(gp, Gwaiting, Grunnable);
		rt_globrunqput_locked(gp);
	}
	rt_unlock(&sched.lock);
	rt_wakep();
}

void
rt_gosched(void)
{
	struct m *mp = rt_getm();
	struct p *pp = mp->p;
	bool others = rt_load(&pp->runqhead) != rt_load(&pp->runqtail) || rt_load(&pp->runnext);
	bool global = rt_load(&sched.runqsize) > 0;
	// Alone: nobody to let run.
	if (!others && !global && !rt_load(&pp->slow) && !rt_load(&pp->timer0when))
		return;
	struct g *gp = mp->curg;
	// When all others wait in the global queue the caller goes behind them: from this P's own queue it would
	// come before them 60 times of 61, and who was preempted might wait for as many yields.
	bool behind = global && !others;
	rt_casgstatus(gp, Grunning, Grunnable);
	rt_switch_away(mp, gp, (struct finish){.op = behind ? FIN_GLOBRUNQ : FIN_RUNQ, .g = gp});
}

void
rt_yield_to_new(void)
{
	struct m *mp = rt_getm();
	struct g *gp = mp->curg;
	if (gp->lockedm) // would change threads twice
		return;
	rt_casgstatus(gp, Grunning, Grunnable);
	rt_switch_away(mp, gp, (struct finish){.op = FIN_GLOBRUNQ, .g = gp});
}

void
gort_gosched(void)
{
	rt_enter();
	rt_gosched();
	rt_leave();
}

// ---- the rest of the interface ----

void
rt_systemstack(void (*fn)(void *), void *arg)
{
	struct m *mp = rt_getm();
	struct g *gp = rt_getg();
	if (gp == mp->g0) {
		fn(arg);
		return;
	}
	rt_setg(mp->g0);
	rt_call_on_g0(gp, mp->g0, fn, arg, false);
	rt_setg(gp);
}

bool
rt_g_saved_regs(const struct g *gp, struct rt_parked_regs *r)
{
	if (!gp->sched.sp)
		return false;
	if (rt_gstatus(gp) == Gsyscall && gp->m && gp->m->sysregs.sp == gp->sched.sp)
		*r = gp->m->sysregs;
	else
		rt_parked_regs(&gp->sched, r);
	return true;
}

int
rt_ngoroutines(void)
{
	int64_t n = 0;
	for (int32_t i = 0; i < nallp; i++)
		n += rt_load(&allp[i]->ngborn) - rt_load(&allp[i]->ngdied);
	return (int)n;
}

int
gort_num_goroutine(void)
{
	return rt_ngoroutines();
}

int
gort_num_cpu(void)
{
	static _Atomic int cpus; // asked for once: locks that spin look at it
	int n = rt_load(&cpus);
	if (n == 0)
		rt_store(&cpus, n = rt_os_ncpu());
	return n;
}

int
gort_maxprocs(int n)
{
	int old = gomaxprocs;
	if (n <= 0 || n == old)
		return old;
	n = rt_min(n, RT_MAX_PROCS);
	rt_enter();
	rt_stop_world("GOMAXPROCS");
	old = gomaxprocs;
	rt_procresize(n);
	rt_start_world();
	if (rt_load(&rt_getp()->slow) & SLOW_RETIRE)
		rt_gosched(); // off this P: what waits in its queue can be had only when it is gone
	rt_leave();
	return old;
}

uint64_t
gort_goid(void)
{
	struct m *mp = rt_getm();
	return mp && mp->curg ? mp->curg->goid : 0;
}

void
rt_for_each_g(void (*fn)(struct g *gp, void *arg), void *arg)
{
	for (struct g *gp = rt_load_acquire(&allgs); gp; gp = gp->alllink) {
		enum gstatus st = rt_gstatus(gp);
		if (st != Gdead && st != Gidle)
			fn(gp, arg);
	}
}

void
rt_schedinit(void)
{
	gort_num_cpu(); // fixed from here on
	rt_runqinit();
	sched.start_ns = rt_nanotime();
	sched.start_ticks = rt_cputicks();
	allp = rt_persistent_alloc(RT_MAX_PROCS * sizeof *allp, RT_CACHE_LINE, NULL);
	rt_mcommoninit(&m0);
	rt_minit(&m0);
	int32_t n = rt_env_maxprocs();
	rt_procresize(n);
	rt_lock(&sched.lock);
	for (int32_t i = n - 1; i >= 0; i--) {
		rt_store(&allp[i]->status, Pidle);
		if (i > 0)
			rt_pidleput_locked(allp[i]);
	}
	rt_unlock(&sched.lock);
	rt_acquirep(&m0, allp[0]);
}
