// SPDX-License-Identifier: BSD-3-Clause
// sysmon: a thread without a P that watches the others. It sleeps 20 us; after 50 rounds without
// anything to do twice as long each time, up to 10 ms, or half a millisecond while some P is idle; when
// every P is, until one is not.
//
// It asks a goroutine that has run for 10 ms while others wait to yield: preempt is set, the M gets a
// signal, and the next way out of the runtime goes to the scheduler (rt_leave_slow). One that makes no
// such call is detached from its P a millisecond later. It retakes Ps from system calls.
// Go: sysmon, retake in runtime/proc.go.
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <gort/mem.h>

#include "base/print.h"
#include "debug/env.h"
#include "gc/gc.h"
#include "mem/malloc.h"
#include "os/os.h"
#include "sched/netpoll.h"
#include "sched/sched.h"

#define MIN_SLEEP_NS 20000
#define MAX_SLEEP_NS 10000000
#define IDLE_ROUNDS 50
#define SLICE_NS 10000000 // Go: forcePreemptNS
#define GRACE_NS 1000000   // from asking to detaching
#define POLL_NS 10000000   // the network is looked at as often as this
#define POLL_LOOKS 16      // ... so many times, for each takes a few events only
#define OFFER_NS 500000
#define RECHECK_NS 1000000000

_Atomic int64_t rt_gc_period = 120 * (int64_t)1000000000;

static struct {
	uint32_t schedtick, syscalltick, straight;
	int64_t since;    // when schedtick was first seen
	int64_t syssince; // when syscalltick was first seen
	bool asked;       // preemption of this tick
} seen[RT_MAX_PROCS];
GORT_NOSCAN(seen)

static bool
others_wait(struct p *pp)
{
	return !rt_runqempty(pp) || rt_load(&sched.runqsize) > 0 ||
	       rt_load(&pp->timer0when) != 0 || rt_gc_marking(); // a worker may want the P
}

// First a request that its next call into the runtime honours; if it makes none, the M's signal handler
// gives the P away (sched/signal.c). false: nobody is to be asked. An M without a goroutine looks for one or
// marks, which ends by rules of its own: a signal every 20 us would only hold it up.
static bool
preempt(struct p *pp, bool detach)
{
	struct m *mp = pp->m;
	struct g *gp = mp ? rt_load(&mp->curg) : NULL;
	if (!gp)
		return false;
	atomic_fetch_or(&pp->slow, SLOW_PREEMPT);
	rt_store(&gp->detach, detach); // the wrong one at worst yields once
	rt_store(&gp->preempt, true);
	rt_signal_m(mp);
	return true;
}

// Goroutines whose wakeup was put off (rt_wakep_after_put), while the one that readied them computes on, or is
// in rt_safely: an idle P takes them after all.
static void
offer(struct p *pp, int i)
{
	uint32_t straight = rt_load(&pp->straight);
	if (straight == seen[i].straight && rt_work_waits(pp) && rt_load(&sched.npidle) > 0)
		rt_wakep();
	seen[i].straight = straight;
}

static bool
retake_running(struct p *pp, int i, int64_t now)
{
	offer(pp, i);
	uint32_t tick = rt_load(&pp->schedtick);
	if (tick != seen[i].schedtick) {
		seen[i].schedtick = tick;
		seen[i].since = now;
		seen[i].asked = false;
		return false;
	}
	if (now - seen[i].since < (seen[i].asked ? SLICE_NS + GRACE_NS : SLICE_NS) || !others_wait(pp))
		return false;
	if (!preempt(pp, seen[i].asked && !rt_debug.asyncpreemptoff))
		return false;
	seen[i].asked = true;
	return true;
}

// A P whose goroutine is in a system call, or was detached, for a tick at least: another M may use it,
// if there is use for it.
static bool
retake_syscall(struct p *pp, int i, int64_t now)
{
	uint32_t tick = rt_load(&pp->syscalltick);
	if (tick != seen[i].syscalltick) {
		seen[i].syscalltick = tick;
		seen[i].syssince = now;
		return false;
	}
	if (!others_wait(pp) && rt_load(&sched.nmspinning) + rt_load(&sched.npidle) > 0 &&
	    now - seen[i].syssince < SLICE_NS)
		return false;
	uint32_t st = Psyscall;
	if (!atomic_compare_exchange_strong(&pp->status, &st, Pidle))
		return false;
	RT_BUMP(&pp->syscalltick, 1);
	rt_handoffp(pp);
	return true;
}

// How many Ps were asked or retaken.
static int
retake(int64_t now)
{
	int n = 0;
	int32_t np = rt_load_acquire(&nallp);
	for (int32_t i = 0; i < np; i++) {
		struct p *pp = allp[i];
		uint32_t st = rt_load(&pp->status);
		if (st == Prunning)
			n += retake_running(pp, i, now);
		else if (st == Psyscall)
			n += retake_syscall(pp, i, now);
		else if (st == Psafe)
			offer(pp, i);
	}
	return n;
}

// A cycle when the last one ended two minutes ago. Go: forcegcperiod.
static void
collect_now_and_then(int64_t now)
{
	int64_t last = rt_gc_last_end_ns();
	if (now - (last ? last : sched.start_ns) > rt_load(&rt_gc_period) && !rt_load(&rt_gc.timer_due))
		rt_gc_forced_by_timer();
}

// When every P is busy nobody may come by the network for long.
static void
poll_network(int64_t now)
{
	if (!rt_netpoll_wanted() || now - rt_load(&sched.lastpoll) < POLL_NS)
		return;
	struct g *ready;
	for (int i = 0; i < POLL_LOOKS && (ready = rt_netpoll(0)); i++)
		rt_inject_list(ready);
}

static void
sleep_until_busy(void)
{
	rt_lock(&sched.lock);
	bool idle = rt_all_idle_locked();
	if (idle) {
		rt_note_clear(&sched.sysmonnote);
		rt_store(&sched.sysmonwait, true);
	}
	rt_unlock(&sched.lock);
	if (!idle)
		return;
	// With a trace due in between, and in any case now and then: a foreign thread's end may have
	// turned a wait into a deadlock.
	int64_t ns = rt_debug.schedtrace > 0 ? (int64_t)rt_debug.schedtrace * 1000000 : RECHECK_NS;
	if (rt_note_sleep_for(&sched.sysmonnote, ns))
		return;
	rt_lock(&sched.lock);
	rt_store(&sched.sysmonwait, false);
	rt_checkdead_locked();
	rt_unlock(&sched.lock);
}

static void *
sysmon(void *arg)
{
	(void)arg;
	int64_t sleep = MIN_SLEEP_NS;
	int idle = 0;
	static _Atomic uint32_t never;
	for (;;) {
		if (idle > IDLE_ROUNDS)
			sleep = rt_min(sleep * 2, (int64_t)MAX_SLEEP_NS);
		if (rt_load(&sched.npidle) > 0) // a wakeup may be put off that turns out to be needed
			sleep = rt_min(sleep, (int64_t)OFFER_NS);
		rt_futex_wait(&never, 0, sleep);
		if (rt_load(&sched.npidle) >= gomaxprocs) {
			sleep_until_busy();
			idle = 0;
			sleep = MIN_SLEEP_NS;
		}
		int64_t now = rt_nanotime();
		if (rt_debug.schedtrace > 0)
			rt_schedtrace(now);
		collect_now_and_then(now);
		poll_network(now);
		// In the global queue, with a P idle: no thread could be started for it, maybe now.
		if (rt_load(&sched.npidle) > 0 && (rt_load(&sched.runqsize) > 0 || rt_poll_unwatched()))
			rt_wakep();
		if (retake(now) > 0) {
			idle = 0;
			sleep = MIN_SLEEP_NS;
		} else {
			idle++;
		}
	}
	return NULL;
}

void
rt_sysmon_start(void)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_t thread;
	int err = pthread_create(&thread, &attr, sysmon, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err == 0)
		atomic_fetch_add(&sched.own_threads, 1);
	else
		rt_printf("gort: cannot start the monitor thread (%s); long-running goroutines will not be preempted\n",
			  strerror(err));
}
