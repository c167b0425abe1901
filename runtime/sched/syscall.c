// SPDX-License-Identifier: BSD-3-Clause
// Leaving the P while a thread blocks outside the runtime, and coming back.
//
//   gort_entersyscall   Grunning -> Gsyscall; the P stays at hand as Psyscall
//   sysmon              retakes a Psyscall P by CAS when it has been away for a tick and is wanted
//   a world stop        claims it by CAS as Pgcstop
//   gort_exitsyscall    takes its P back by CAS; else an idle one; else waits in the global queue
//
// The CAS on p->status decides who has the P. release on Psyscall: the owner's writes to P-local state
// are seen by whoever retakes it (acquire by its CAS).
//
// A detached M (sysmon's answer to a loop or a raw blocking call, sched/signal.c) runs user code without
// a P in the same way; the difference is that it counts for a stop, since it may touch the heap.
// Go: entersyscall, exitsyscall in runtime/proc.go.
#include <errno.h>

#include <gort/sched.h>

#include "debug/throw.h"
#include "os/os.h"
#include "sched/sanitize.h"
#include "sched/sched.h"

void rt_entersyscall(const struct rt_parked_regs *regs);

static struct m *
need_goroutine(const char *what)
{
	struct m *mp = rt_getm();
	if (!mp || !mp->curg || rt_getg() != mp->curg)
		rt_fatal("%s called on a thread that is not a goroutine", what);
	return mp;
}

// The stop in force waits for this P: it is claimed on the stopper's behalf.
static void
claim_for_stop(struct p *pp)
{
	rt_lock(&sched.lock);
	uint32_t st = Psyscall;
	if (rt_load(&sched.gcwaiting) &&
	    atomic_compare_exchange_strong(&pp->status, &st, Pgcstop) && rt_one_stopped_locked())
		rt_note_wakeup(&sched.stopnote);
	rt_unlock(&sched.lock);
}

void
rt_release_p_for_syscall(struct m *mp)
{
	struct p *pp = mp->p;
	RT_BUMP(&pp->syscalltick, 1);
	rt_store(&pp->m, NULL);
	rt_store(&mp->p, NULL);
	mp->oldp = pp;
	// seq_cst: pairs with try_stop, which sets gcwaiting and then looks for Psyscall.
	atomic_store(&pp->status, Psyscall);
	if (rt_unlikely(atomic_load(&sched.gcwaiting)))
		claim_for_stop(pp);
}

void
rt_leave_p(struct m *mp)
{
	struct p *pp = mp->p;
	rt_release_p_for_syscall(mp);
	if (rt_unlikely(rt_work_waits(pp)))
		rt_wakep();
}

void
rt_entersyscall(const struct rt_parked_regs *regs)
{
	rt_enter();
	struct m *mp = need_goroutine("gort_entersyscall");
	struct g *gp = mp->curg;
	mp->sysregs = *regs;
	gp->sched.sp = regs->sp; // the collector scans from here
	rt_casgstatus(gp, Grunning, Gsyscall);
	rt_leave_p(mp);
	// Signals may come again, but nothing may be taken on the way in before exitsyscall.
	rt_tls_dec_depth();
}

static struct p *
take_p(struct m *mp)
{
	struct p *pp = mp->oldp;
	mp->oldp = NULL;
	uint32_t st = Psyscall;
	if (pp && atomic_compare_exchange_strong(&pp->status, &st, Pidle))
		return pp;
	if (rt_load(&sched.npidle) == 0)
		return NULL;
	rt_lock(&sched.lock);
	pp = rt_load(&sched.gcwaiting) ? NULL : rt_pidleget_locked();
	rt_unlock(&sched.lock);
	return pp;
}

// Without a P the world does not wait for this thread: it may be stopped, and scan gp, at any moment. So the
// registers lie at gp->sched from before gp's status says that it does not run.
static void
queue_up(void *arg)
{
	struct m *mp = arg;
	struct g *gp = mp->curg;
	rt_casgstatus(gp, rt_gstatus(gp), Grunnable);
	rt_switch_away(mp, gp, (struct finish){.op = FIN_GLOBRUNQ, .g = gp});
}

void
rt_exitsyscall(struct m *mp)
{
	struct g *gp = mp->curg;
	struct p *pp = take_p(mp);
	if (pp) {
		rt_acquirep(mp, pp);
		if (rt_gstatus(gp) == Gsyscall)
			rt_casgstatus(gp, Gsyscall, Grunning);
		return;
	}
	rt_call_saving(&gp->sched, queue_up, mp);
}

void
gort_exitsyscall(void)
{
	struct m *mp = rt_getm();
	if (!mp || !mp->curg || rt_gstatus(mp->curg) != Gsyscall)
		rt_fatal("gort_exitsyscall without gort_entersyscall");
	rt_tls_set_depth(1);
	rt_exitsyscall(mp);
	rt_leave();
}

// ---- a foreign function on the system stack ----

void
gort_blocking(void (*fn)(void *arg), void *arg)
{
	struct m *mp = need_goroutine("gort_blocking");
	struct g *gp = mp->curg;
	gort_entersyscall();
	rt_call_on_g0(gp, mp->g0, fn, arg, true);
	gort_exitsyscall();
}

// ---- threads of one goroutine ----

void
gort_lock_os_thread(void)
{
	rt_enter();
	struct m *mp = need_goroutine("gort_lock_os_thread");
	mp->locknest++;
	rt_store(&mp->lockedg, mp->curg);
	mp->curg->lockedm = mp;
	rt_leave();
}

void
gort_unlock_os_thread(void)
{
	rt_enter();
	struct m *mp = need_goroutine("gort_unlock_os_thread");
	if (mp->locknest > 0 && --mp->locknest == 0 && !mp->foreign) {
		rt_store(&mp->lockedg, NULL);
		mp->curg->lockedm = NULL;
	}
	rt_leave();
}
