// SPDX-License-Identifier: BSD-3-Clause
// sysmon: a thread without a P that watches the others. It sleeps 20 us; after 50 rounds without
// anything to do twice as long each time, up to 10 ms; when every P is idle, until one is not.
//
// It asks a goroutine that has run for 10 ms while others wait to yield: preempt is set, the M gets a
// signal, and the next way out of the runtime goes to the scheduler (rt_leave_slow).
// Go: sysmon, retake in runtime/proc.go.
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/print.h"
#include "mem/malloc.h"
#include "os/os.h"
#include "sched/sched.h"

#define MIN_SLEEP_NS 20000
#define MAX_SLEEP_NS 10000000
#define IDLE_ROUNDS 50
#define SLICE_NS 10000000 // Go: forcePreemptNS
#define MAX_WATCHED 1024

static struct {
	uint32_t schedtick;
	int64_t since; // when schedtick was first seen
} seen[MAX_WATCHED];

static void
preempt(struct p *pp)
{
	struct m *mp = *(struct m *volatile *)&pp->m;
	if (!mp)
		return;
	struct g *gp = *(struct g *volatile *)&mp->curg;
	atomic_fetch_or(&pp->slow, SLOW_PREEMPT);
	if (gp)
		rt_store(&gp->preempt, true); // the wrong one at worst yields once
	rt_signal_m(mp);
}

static bool
others_wait(struct p *pp)
{
	return !rt_runqempty(pp) || rt_load(&sched.runqsize) > 0 ||
	       rt_load(&pp->timer0when) != 0;
}

// How many Ps were asked.
static int
retake(int64_t now)
{
	int asked = 0;
	for (int32_t i = 0; i < nallp; i++) {
		struct p *pp = allp[i];
		uint32_t tick = *(volatile uint32_t *)&pp->schedtick;
		if (rt_load(&pp->status) != Prunning || tick != seen[i].schedtick) {
			seen[i].schedtick = tick;
			seen[i].since = now;
			continue;
		}
		if (now - seen[i].since < SLICE_NS || !others_wait(pp))
			continue;
		preempt(pp);
		seen[i].since = now;
		asked++;
	}
	return asked;
}

static void
sleep_until_busy(void)
{
	rt_lock(&sched.lock);
	bool idle = rt_load(&sched.npidle) == gomaxprocs && !rt_load(&sched.gcwaiting);
	if (idle) {
		rt_note_clear(&sched.sysmonnote);
		rt_store(&sched.sysmonwait, true);
	}
	rt_unlock(&sched.lock);
	if (idle)
		rt_note_sleep(&sched.sysmonnote);
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
		rt_futex_wait(&never, 0, sleep);
		if (rt_load(&sched.npidle) == gomaxprocs) {
			sleep_until_busy();
			idle = 0;
			sleep = MIN_SLEEP_NS;
		}
		if (retake(rt_nanotime()) > 0) {
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
