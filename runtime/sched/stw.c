// SPDX-License-Identifier: BSD-3-Clause
// Stopping the world.
//
// The stopper first lets the kernel run everybody: an M that waits for a CPU cannot stop either, and as
// long as it waits nobody else need (but where somebody waits for the stop, at the collector's hard limit,
// this has bounds: cpu_patience). Then it sets gcwaiting and each P's slow word, claims idle Ps and
// those in system calls, and waits for the rest. An M that runs meets the stop at its next scheduling
// point or, hinted at by its depth word, on its next way out of the runtime, and waits in place
// (rt_stop_here); one that does not within POLL_NS is sent SIGURG. At depth 0 the handler waits in
// place too, with its registers in the signal frame; at depth > 0 it only notes the request, which
// rt_leave honours. What takes long inside the runtime runs in rt_safely, where a P is claimed like one in
// a system call.
//
// A stop in place keeps M and P together: only the P's status changes, under sched.lock, and the M
// sleeps until stopgen changes. Taking sched.lock in the handler is safe: at depth 0 this thread holds
// no lock of the runtime.
//
// A stop can be called off: a thread that blocks all signals and waits for a lock of libc whose owner
// stopped in place would never come. After a while everybody goes on and it is tried again. An
// acknowledgement counts under sched.lock with gcwaiting set, so none is carried into a later try.
//
// Go: stopTheWorldWithSema, startTheWorldWithSema in runtime/proc.go.
#include <string.h>

#include "base/print.h"
#include "debug/throw.h"
#include "os/os.h"
#include "sched/sched.h"
#include "sched/schedstat.h"
#include "sched/stack.h"

#define CPU_PATIENCE_NS 10000000
#define CPU_RETRY_NS 50000
#define CPU_SHARE 8
#define POLL_NS 10000
#define ANSWER_NS 50000 // a signal takes some 15 us, and to wake up from a sleep costs as much again
#define SIGNAL_EVERY_NS 1000000
#define FIRST_PATIENCE_NS 10000000
#define MAX_PATIENCE_NS 1000000000
#define RED_ZONE 128 // x86-64 and aarch64 leaf functions write below sp

static _Atomic bool stopping; // somebody is the stopper
static _Atomic bool stopped;  // ... and everybody has stopped
static int64_t stop_began;    // the stopper's: rt_nanotime when it became the one
static bool stop_for_gc;
static int64_t cpu_credit, cpu_credited; // ... and its patience; see cpu_patience

// ---- being stopped ----

static void
wait_in_place(struct m *mp, uint32_t gen)
{
	while (rt_load_acquire(&sched.stopgen) == gen)
		rt_futex_wait(&sched.stopgen, gen, -1);
	mp->stop_uc = NULL;
}

static void
stop_here(void *uc)
{
	struct m *mp = rt_getm();
	rt_lock(&sched.lock);
	struct p *pp = mp->p;
	bool running = pp && rt_load(&pp->status) == Prunning;
	if (!rt_load(&sched.gcwaiting) || !(running || (mp->detached && !mp->detstopped))) {
		rt_unlock(&sched.lock);
		return;
	}
	uint32_t gen = rt_load(&sched.stopgen);
	mp->stop_uc = uc;
	if (running)
		rt_store(&pp->status, Pgcstop);
	else
		mp->detstopped = true;
	if (rt_one_stopped_locked())
		rt_note_wakeup(&sched.stopnote);
	rt_unlock(&sched.lock);
	wait_in_place(mp, gen);
}

// ---- code that the world does not wait for ----

struct safe_call {
	struct m *mp;
	void (*fn)(void *);
	void *arg;
};

static void
acknowledge(struct p *pp)
{
	rt_lock(&sched.lock);
	uint32_t st = Psafe;
	if (rt_load(&sched.gcwaiting) &&
	    atomic_compare_exchange_strong(&pp->status, &st, Pgcstop) && rt_one_stopped_locked())
		rt_note_wakeup(&sched.stopnote);
	rt_unlock(&sched.lock);
}

// The P stays this M's; a stopper that claims it gives it back as Prunning.
static void
run_safely(void *arg)
{
	struct safe_call *c = arg;
	struct p *pp = c->mp->p;
	// seq_cst: pairs with try_stop, which sets gcwaiting and then looks for Psafe. release: what this M
	// wrote so far is the stopper's to see.
	atomic_store(&pp->status, Psafe);
	if (rt_unlikely(atomic_load(&sched.gcwaiting)))
		acknowledge(pp);
	c->fn(c->arg);
	for (;;) {
		uint32_t gen = rt_load_acquire(&sched.stopgen), st = Psafe;
		if (atomic_compare_exchange_strong(&pp->status, &st, Prunning) || st == Prunning)
			return;
		// gen was read before the status, which changes before gen does: no wakeup is missed.
		wait_in_place(c->mp, gen);
	}
}

void
rt_safely(void (*fn)(void *), void *arg)
{
	struct m *mp = rt_getm();
	if (!mp->p || rt_getg() != mp->curg || rt_world_stopped()) {
		fn(arg);
		return;
	}
	struct safe_call c = {mp, fn, arg};
	rt_call_saving(&mp->stopbuf, run_safely, &c);
}

// At a poll the callee-saved registers go to this stack, where collector and profiler find them.
void
rt_stop_here(const void *uc)
{
	if (uc)
		stop_here((void *)uc);
	else
		rt_call_saving(&rt_getm()->stopbuf, stop_here, NULL);
}

// The caller's registers lie at gp->sched, as if it were parked: whatever stops now can scan it.
static void
take_p_again(void *arg)
{
	struct m *mp = arg;
	struct g *gp = mp->curg;
	rt_lock(&sched.lock);
	while (mp->detached && rt_load(&sched.gcwaiting)) {
		rt_unlock(&sched.lock);
		rt_stop_here(NULL);
		rt_lock(&sched.lock);
	}
	if (rt_gstatus(gp) == Grunning)
		rt_casgstatus(gp, Grunning, Gsyscall);
	mp->detached = false;
	rt_unlock(&sched.lock);
	rt_exitsyscall(mp);
}

// On the way in with the pending bit set: a thread without a P takes one. Other requests wait for the
// way out.
void
rt_enter_slow(void)
{
	if (rt_depth() > 1)
		return;
	struct m *mp = rt_getm();
	if (!mp) {
		rt_adopt_thread();
		mp = rt_getm();
	}
	if (mp->p)
		return;
	rt_call_saving(&mp->curg->sched, take_p_again, mp);
	if (!rt_getm()->foreign) // may be another M now
		rt_tls_set_depth(1);
}

// A foreign thread leaves the runtime: the world does not wait for it unless it is attached.
static void
leave_foreign(struct m *mp)
{
	struct g *gp = mp->curg;
	if (mp->attached) {
		rt_lock(&sched.lock);
		while (rt_load(&sched.gcwaiting)) {
			rt_unlock(&sched.lock);
			rt_stop_here(NULL);
			rt_lock(&sched.lock);
		}
		mp->detached = true;
		rt_unlock(&sched.lock);
	} else {
		gp->sched.sp = 0; // holds no collected pointers: nothing to scan
		rt_casgstatus(gp, Grunning, Gsyscall);
	}
	rt_leave_p(mp);
	rt_tls_set_depth(RT_DEPTH_PENDING);
}

static void
yield_if_asked(struct m *mp)
{
	struct g *gp = rt_getg();
	// Nothing is scheduled any more in a program that ends: the goroutine in exit() must go on.
	if (!gp || gp != mp->curg || !rt_load(&gp->preempt) || rt_load(&sched.dying))
		return;
	rt_store(&gp->preempt, false);
	rt_casgstatus(gp, Grunning, Grunnable);
	gp->waitreason = WAIT_PREEMPTED;
	rt_switch_away(mp, gp, (struct finish){.op = FIN_GLOBRUNQ, .g = gp});
}

// On the way out with the pending bit set: stop or yield, then leave.
void
rt_leave_slow(void)
{
	for (;;) {
		if (rt_depth() > 0)
			return; // the outermost way out will do it
		rt_tls_set_depth(1);
		struct m *mp = rt_getm();
		if (rt_unlikely(mp->detached)) {
			// By a signal between the way out's last instruction and here, at depth 0.
			rt_call_saving(&mp->curg->sched, take_p_again, mp);
			mp = rt_getm(); // may be another M now
			if (!mp->foreign)
				rt_tls_set_depth(1);
		}
		if (rt_load(&sched.gcwaiting))
			rt_stop_here(NULL);
		yield_if_asked(mp);
		mp = rt_getm();
		if (mp->foreign) {
			leave_foreign(mp);
			return;
		}
		if (!rt_tls_dec_depth())
			return; // else: another request came meanwhile
	}
}

bool
rt_detach(struct m *mp)
{
	rt_lock(&sched.lock);
	bool ok = !rt_load(&sched.gcwaiting);
	mp->detached = ok;
	rt_unlock(&sched.lock);
	if (ok)
		rt_release_p_for_syscall(mp);
	return ok;
}

// ---- stopping ----

static void
for_each_p(void (*fn)(struct p *pp))
{
	for (int32_t i = 0; i < nallp; i++)
		fn(allp[i]);
}

static void
set_slow(struct p *pp)
{
	atomic_fetch_or(&pp->slow, SLOW_STOP);
}

static void
clear_slow(struct p *pp)
{
	atomic_fetch_and(&pp->slow, ~(uint32_t)SLOW_STOP);
}

static void
signal_straggler(struct p *pp)
{
	if (rt_load(&pp->status) != Prunning)
		return;
	struct m *mp = pp->m; // an M is never freed: a stale one gets a spurious signal
	if (mp)
		rt_signal_m(mp);
}

// Each M that runs user code without a P counts, too. sched.lock held.
static void
for_each_detached(void (*fn)(struct m *mp))
{
	for (struct m *mp = rt_load_acquire(&allm); mp; mp = mp->alllink)
		if (mp->detached)
			fn(mp);
}

static void
count_detached(struct m *mp)
{
	mp->detstopped = false;
	RT_BUMP(&sched.stopwait, 1);
}

static void
signal_detached(struct m *mp)
{
	if (!mp->detstopped)
		rt_signal_m(mp);
}

static void
signal_stragglers(void)
{
	for_each_p(signal_straggler);
	rt_lock(&sched.lock);
	for_each_detached(signal_detached);
	rt_unlock(&sched.lock);
}

static void
claim_quiet_ps(void)
{
	struct p *pp;
	while ((pp = rt_pidleget_locked())) {
		rt_store(&pp->status, Pgcstop);
		RT_BUMP(&sched.stopwait, -1);
	}
	for (int32_t i = 0; i < nallp; i++) {
		uint32_t st = Psyscall, safe = Psafe;
		if (atomic_compare_exchange_strong(&allp[i]->status, &st, Pgcstop) ||
		    atomic_compare_exchange_strong(&allp[i]->status, &safe, Pgcstop))
			RT_BUMP(&sched.stopwait, -1);
	}
}

// Yields, since one that is to stop may want this very CPU: a thread in a raw sleep that a signal woke.
static bool
watch_stopnote(int64_t ns)
{
	for (int64_t start = rt_nanotime(); rt_nanotime() - start < ns; rt_os_yield())
		if (rt_load_acquire(&sched.stopnote.key) != 0)
			return true;
	return false;
}

static void
hint(struct p *pp)
{
	struct m *mp = pp->m;
	if (mp && rt_load(&pp->status) == Prunning)
		rt_hint_m(mp);
}

// Everybody who is to stop meets the stop soon; hints may get lost, so they are given again.
static bool
poll(int64_t start)
{
	for (;;) {
		for_each_p(hint);
		for (int i = 0; i < 20; i++) {
			if (rt_load_acquire(&sched.stopnote.key) != 0)
				return true;
			rt_cpu_relax();
		}
		if (rt_nanotime() - start >= POLL_NS)
			return false;
	}
}

// True when the world is stopped; patience in ns.
static bool
try_stop(struct m *mp, int64_t patience)
{
	rt_lock(&sched.lock);
	sched.stopwait = 0;
	for (int32_t i = 0; i < nallp; i++)
		sched.stopwait += rt_load(&allp[i]->status) != Pdead;
	for_each_detached(count_detached);
	rt_note_clear(&sched.stopnote);
	atomic_store(&sched.gcwaiting, 1);
	for_each_p(set_slow);
	rt_store(&mp->p->status, Pgcstop);
	RT_BUMP(&sched.stopwait, -1);
	claim_quiet_ps();
	bool done = sched.stopwait == 0;
	rt_unlock(&sched.lock);
	int64_t start = rt_nanotime();
	done = done || poll(start);
	while (!done && rt_nanotime() - start < patience) {
		signal_stragglers();
		done = watch_stopnote(ANSWER_NS) ||
		       rt_note_sleep_for(&sched.stopnote, SIGNAL_EVERY_NS);
	}
	return done;
}

static void
release_world(void)
{
	rt_retire_stopped();
	rt_lock(&sched.lock);
	atomic_store(&sched.gcwaiting, 0);
	for_each_p(clear_slow);
	for (int32_t i = 0; i < nallp; i++) {
		struct p *pp = allp[i];
		if (rt_load(&pp->status) != Pgcstop)
			continue;
		if (pp->m) {
			rt_store_release(&pp->status, Prunning);
		} else {
			rt_store(&pp->status, Pidle);
			rt_runqdrain_locked(pp); // it was taken from a system call: its work may not have been offered
			rt_pidleput_locked(pp);
		}
	}
	// release, by seq_cst: those that wake see everything done while the world was stopped.
	atomic_fetch_add(&sched.stopgen, 1);
	rt_unlock(&sched.lock);
	rt_futex_wake(&sched.stopgen, UINT32_MAX >> 1);
}

// ---- before ----

// Its CPU time stands still although it does not sleep.
static bool
waits_for_cpu(const struct m *mp)
{
	int tid = rt_load(&mp->tid);
	int64_t t = rt_os_cputime_of(tid);
	return t >= 0 && rt_os_cputime_of(tid) == t && rt_os_is_runnable(tid);
}

static bool
all_on_cpu(const struct m *self)
{
	for (int32_t i = 0; i < nallp; i++) {
		const struct m *mp = allp[i]->m; // an M is never freed
		if (mp && mp != self && rt_load(&allp[i]->status) == Prunning && waits_for_cpu(mp))
			return false;
	}
	return true;
}

// What a stop may wait for CPUs while others wait for it: an eighth of the time since the last one, and what that
// one left. A program that collects every millisecond beside other processes would do little else otherwise.
static int64_t
cpu_patience(int64_t now)
{
	cpu_credit = rt_min(cpu_credit + (now - cpu_credited) / CPU_SHARE, (int64_t)CPU_PATIENCE_NS);
	cpu_credited = now;
	return cpu_credit;
}

// Where there are more Ps than CPUs some always wait.
static void
wait_for_cpus(const struct m *self)
{
	if (gomaxprocs > rt_os_ncpu())
		return;
	struct rt_note never = {0};
	int64_t start = rt_nanotime(), patience = cpu_patience(start), waited = 0, costly = 0;
	while (waited < CPU_PATIENCE_NS && !all_on_cpu(self)) {
		bool awaited = rt_load(&sched.stopawaited) > 0;
		if (awaited && costly >= patience)
			break;
		rt_note_sleep_for(&never, CPU_RETRY_NS);
		int64_t before = waited;
		waited = rt_nanotime() - start;
		if (awaited)
			costly += waited - before;
	}
	// The sleep may have been longer than asked, by hours in a process that was stopped.
	cpu_credit = rt_max(cpu_credit - costly, -(int64_t)CPU_PATIENCE_NS);
}

int64_t
rt_stop_world(const char *reason)
{
	struct m *mp = rt_getm();
	bool nobody = false;
	rt_die_if_forked();
	while (!atomic_compare_exchange_weak(&stopping, &nobody, true)) {
		nobody = false;
		if (rt_load(&sched.gcwaiting))
			rt_stop_here(NULL);
		else
			rt_os_yield();
	}
	wait_for_cpus(mp);
	int64_t patience = FIRST_PATIENCE_NS, start = rt_nanotime();
	stop_began = start;
	stop_for_gc = strncmp(reason, "GC ", 3) == 0;
	bool told = false;
	while (!try_stop(mp, patience)) {
		release_world();
		rt_os_yield();
		if (!told && rt_nanotime() - start > 10 * (int64_t)MAX_PATIENCE_NS) {
			told = true;
			rt_printf("gort: the world does not stop (%s): a thread that blocks SIGURG waits for one that stopped\n",
				  reason);
		}
		patience = rt_min(patience * 2, (int64_t)MAX_PATIENCE_NS);
	}
	rt_store(&stopped, true);
	rt_timehist_add(&rt_pauses.stopping[stop_for_gc], rt_nanotime() - start);
	return start;
}

void
rt_start_world(void)
{
	int64_t began = stop_began; // the next stopper's as soon as this one is done
	bool gc = stop_for_gc;
	rt_store(&stopped, false);
	release_world();
	rt_timehist_add(&rt_pauses.total[gc], rt_nanotime() - began);
	atomic_store(&stopping, false);
	// Ps that were claimed idle may have found work meanwhile; one M looks.
	rt_wakep();
}

bool
rt_world_stopped(void)
{
	return rt_load(&stopped);
}

// ---- what stopped stacks hold ----

struct scanner {
	void (*scan)(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg);
	void *arg;
	struct m *self;
};

static void
scan_range(const struct scanner *sc, struct g *gp, uintptr_t lo, uintptr_t hi)
{
	lo = rt_round_down(lo, (uintptr_t)8);
	hi = rt_round_down(hi, (uintptr_t)8);
	if (lo < hi)
		sc->scan(gp, lo, hi, sc->arg);
}

// A signal found this thread on a stack that is not its goroutine's (a user's handler on our signal
// stack): which words of either are live is unknown, so all of both are read.
static void
scan_interrupted(const struct scanner *sc, struct m *mp, struct g *gp)
{
	uintptr_t lo, hi, sp = rt_uc_sp(mp->stop_uc);
	rt_uc_bounds(mp->stop_uc, &lo, &hi);
	scan_range(sc, gp, lo, hi);
	if (sp >= gp->stack.lo && sp <= gp->stack.hi) {
		scan_range(sc, gp, rt_max(sp - RED_ZONE, gp->stack.lo), gp->stack.hi);
		return;
	}
	scan_range(sc, gp, gp->stack.lo, gp->stack.hi);
	scan_range(sc, gp, (uintptr_t)mp->sigstack, (uintptr_t)mp->sigstack + mp->sigstack_size);
}

static void
scan_running(const struct scanner *sc, struct g *gp)
{
	struct m *mp = gp->m;
	if (mp->stop_uc) {
		scan_interrupted(sc, mp, gp);
		return;
	}
	// At a poll, or the stopper itself. On its own stack from where it stopped; on g0, its own stack
	// from where rt_systemstack left it and g0's from where it stopped.
	uintptr_t sp = mp == sc->self ? gp->sched.sp : mp->stopbuf.sp;
	if (sp >= gp->stack.lo && sp < gp->stack.hi) {
		scan_range(sc, gp, sp, gp->stack.hi);
		return;
	}
	scan_range(sc, gp, gp->sched.sp, gp->stack.hi);
	if (sp >= mp->g0->stack.lo && sp < mp->g0->stack.hi)
		scan_range(sc, gp, sp, mp->g0->stack.hi);
}

static void
scan_g(struct g *gp, void *arg)
{
	const struct scanner *sc = arg;
	enum gstatus st = rt_gstatus(gp);
	struct m *mp = gp->m; // one look: a thread without a P may be on its way to a queue (rt_exitsyscall)
	if (st == Grunning && mp)
		scan_running(sc, gp);
	else if (st == Gsyscall && mp && mp->sysregs.sp == gp->sched.sp)
		scan_range(sc, gp, (uintptr_t)&mp->sysregs, (uintptr_t)(&mp->sysregs + 1));
	if ((st != Grunning || !mp) && gp->sched.sp)
		scan_range(sc, gp, gp->sched.sp, gp->stack.hi);
}

void
rt_scan_stack(struct g *gp, void (*scan)(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg), void *arg)
{
	struct scanner sc = {.scan = scan, .arg = arg, .self = rt_getm()};
	scan_g(gp, &sc);
}

void
rt_scan_parked_stack(struct g *gp,
		     void (*scan)(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg), void *arg)
{
	struct scanner sc = {.scan = scan, .arg = arg};
	if (gp->sched.sp)
		scan_range(&sc, gp, gp->sched.sp, gp->stack.hi);
}

void
rt_for_each_stack(void (*scan)(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg), void *arg)
{
	struct scanner sc = {.scan = scan, .arg = arg, .self = rt_getm()};
	rt_for_each_g(scan_g, &sc);
}
