// SPDX-License-Identifier: BSD-3-Clause
// The runtime's side of hooks.h: the hook table, and the answers to a profiler's questions.
#include "debug/hooks.h"

#include "arch/arch.h"
#include "base/lock.h"
#include "debug/throw.h"
#include "debug/traceback.h"
#include "gc/gc.h"
#include "mem/malloc.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sched/sched.h"
#include "sched/stack.h"

_Atomic uint32_t rt_hook_flags;
_Atomic(const struct rt_hooks *) rt_hooks;
_Atomic int64_t rt_mem_profile_rate = 512 * 1024; // Go: MemProfileRate
_Atomic int64_t rt_block_profile_rate;
_Atomic int64_t rt_mutex_profile_fraction;

void
rt_set_hooks(const struct rt_hooks *h)
{
	rt_store_release(&rt_hooks, h);
}

static uintptr_t
stack_end(const struct g *gp)
{
	return rt_getsp() - gp->stack.lo < gp->stack.hi - gp->stack.lo ? gp->stack.hi : 0;
}

RT_NOINLINE void
rt_block_event(int64_t began, int64_t ended, int skip)
{
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	const struct g *gp = rt_getg();
	if (h && h->block_event && ended > began)
		h->block_event(ended - began, rt_load(&rt_block_profile_rate), skip + 1, stack_end(gp), gp->labels);
	RT_KEEP_FRAME();
}

RT_NOINLINE void
rt_mutex_event(int64_t ticks, int skip)
{
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	if (h && h->mutex_event && ticks > 0)
		h->mutex_event(ticks, rt_load(&rt_mutex_profile_fraction), skip + 1, stack_end(rt_getg()));
	RT_KEEP_FRAME();
}

static bool
started(void)
{
	return rt_load_acquire(&rt_started);
}

static void
enter(void)
{
	rt_enter();
}

static void
leave(void)
{
	rt_leave();
}

// The M's own stacks count too: scheduling stack and signal stack.
static bool
stack_bounds(uintptr_t sp, uintptr_t *lo, uintptr_t *hi)
{
	if (rt_stack_bounds(sp, lo, hi))
		return true;
	struct m *mp = rt_getm();
	if (!mp)
		return false;
	*lo = mp->g0->stack.lo;
	*hi = mp->g0->stack.hi;
	if (sp >= *lo && sp < *hi)
		return true;
	*lo = (uintptr_t)mp->sigstack;
	*hi = *lo + mp->sigstack_size;
	return sp >= *lo && sp < *hi;
}

static struct g *
current(void)
{
	struct m *mp = rt_getm();
	return mp ? mp->curg : NULL;
}

static const void *
labels(void)
{
	struct g *gp = current();
	return gp ? gp->labels : NULL;
}

static uint64_t
goid(void)
{
	struct g *gp = current();
	return gp ? gp->goid : 0;
}

static bool
on_system_goroutine(void)
{
	struct g *gp = current();
	return gp && gp->is_system;
}

static void
set_labels(const void *l)
{
	struct g *gp = current();
	if (gp)
		gp->labels = l;
}

static void **
thread_slot(void)
{
	struct m *mp = rt_getm();
	return mp ? &mp->prof : NULL;
}

// ---- goroutines ----

// A walk over all goroutines, as the collector reads stacks: one stop for those that threads run; whoever
// was parked then is read afterwards. While the walk is on, its bit in each P's slow word sends every
// switch through schedule(), which notes in g.walk that the goroutine has run since the stop
// (rt_walk_note_run): a stack that was read before its goroutine ran is as it was at the stop.
//
// g.walk, for walk number e: 2e it ran since, 2e + 1 it was captured in a stop; else neither.

#define BATCH 64 // goroutines captured in one later stop, so that it stays short
#define CHUNK 64 // ... and between two polls

struct walk {
	void (*capture)(const struct rt_goroutine_info *gi, void *arg);
	void (*commit)(void *arg);
	void *arg;
	struct g *self;
	uint64_t last_goid; // younger ones are not part of it
	uint32_t epoch;
	int n;
	struct g *disturbed[BATCH];
	int ndisturbed;
};
static _Atomic bool walking;
static uint32_t walks; // of them, the walker's
_Atomic int64_t rt_walk_longest_stop; // ns, of all walks

static void
set_regs(struct rt_goroutine_info *gi, const struct rt_parked_regs *r)
{
	gi->pc = r->pc;
	gi->sp = r->sp;
	gi->fp = r->fp;
	for (int i = 0; i < 8; i++)
		gi->callee_saved[i] = r->saved[i];
}

static void
describe(struct rt_goroutine_info *gi, struct g *gp, const struct walk *w)
{
	enum gstatus st = rt_gstatus(gp);
	*gi = (struct rt_goroutine_info){
		.goid = gp->goid,
		.parentgoid = gp->parentgoid,
		.status = (int)st,
		.waitreason = st == Gwaiting ? rt_wait_reason_text(gp->waitreason) : NULL,
		.waitsince = gp->waitsince,
		.state = rt_gstate_text(gp),
		.self = gp == w->self,
		.system = gp->is_system,
		.leaked = st == Gwaiting && gp->leaked,
		.locked = gp->lockedm != NULL,
		.is_main = gp->is_main,
		.startpc = gp->startpc,
		.gopc = gp->gopc,
		.labels = gp->labels,
		.stack_lo = gp->stack.lo,
		.stack_hi = gp->stack.hi,
	};
	struct m *mp = st == Grunning ? gp->m : NULL;
	if (mp && mp->stop_uc) {
		gi->uc = mp->stop_uc;
		gi->pc = rt_uc_pc(gi->uc);
		gi->sp = rt_uc_sp(gi->uc);
		gi->fp = rt_uc_fp(gi->uc);
		rt_uc_callee_saved(gi->uc, gi->callee_saved);
		return;
	}
	struct gobuf b = gp->sched;
	struct rt_parked_regs r;
	if (mp && gp != w->self && mp->stopbuf.sp - gp->stack.lo < gp->stack.hi - gp->stack.lo)
		b = mp->stopbuf; // at a poll on its own stack; else it is inside rt_systemstack
	if (mp)
		rt_parked_regs(&b, &r);
	else if (!rt_g_saved_regs(gp, &r))
		return;
	set_regs(gi, &r);
}

void
rt_walk_note_run(struct g *gp)
{
	uint32_t e = rt_load(&sched.walkepoch);
	if (rt_load(&gp->walk) != 2 * e + 1)
		rt_store(&gp->walk, 2 * e);
	// The note is seen before anything that the goroutine writes.
	atomic_thread_fence(memory_order_release);
}

static void
capture_stopped(struct walk *w, struct g *gp)
{
	struct rt_goroutine_info gi;
	enum gstatus st = rt_gstatus(gp);
	if (st == Gdead || st == Gidle || gp->goid > w->last_goid || rt_load(&gp->walk) == 2 * w->epoch + 1)
		return;
	describe(&gi, gp, w);
	w->capture(&gi, w->arg);
	w->commit(w->arg);
	w->n++;
	rt_store(&gp->walk, 2 * w->epoch + 1);
}

// Ms in system calls and those of foreign threads have their goroutine, too.
static void
restart(int64_t since)
{
	int64_t ns = rt_nanotime() - since;
	rt_start_world();
	if (ns > rt_load(&rt_walk_longest_stop))
		rt_store(&rt_walk_longest_stop, ns);
}

static void
first_stop(void *arg)
{
	struct walk *w = arg;
	rt_stop_world("goroutine profile");
	int64_t since = rt_nanotime();
	w->last_goid = rt_load(&sched.goidgen);
	rt_store(&sched.walkepoch, w->epoch);
	for (int32_t i = 0; i < nallp; i++)
		atomic_fetch_or(&allp[i]->slow, SLOW_WALK);
	for (struct m *mp = rt_load_acquire(&allm); mp; mp = mp->alllink)
		if (mp->curg)
			capture_stopped(w, mp->curg);
	restart(since);
}

static void
later_stop(void *arg)
{
	struct walk *w = arg;
	rt_stop_world("goroutine profile");
	int64_t since = rt_nanotime();
	for (int i = 0; i < w->ndisturbed; i++)
		capture_stopped(w, w->disturbed[i]);
	w->ndisturbed = 0;
	restart(since);
}

static void
end_walk(void)
{
	for (int32_t i = 0; i < nallp; i++)
		atomic_fetch_and(&allp[i]->slow, ~(uint32_t)SLOW_WALK);
	rt_store(&sched.walkepoch, 0);
}

// Has it not run since the stop, on a stack that stays mapped?
static bool
undisturbed(const struct walk *w, const struct g *gp)
{
	return rt_load_acquire(&gp->walk) != 2 * w->epoch && !gp->big && !(gp->lockedm && gp->lockedm->foreign);
}

static void
capture_parked(struct walk *w, struct g *gp)
{
	struct rt_goroutine_info gi;
	enum gstatus st = rt_gstatus(gp);
	if (st == Gdead || st == Gidle || gp->goid > w->last_goid || rt_load(&gp->walk) == 2 * w->epoch + 1)
		return;
	bool ok = undisturbed(w, gp);
	if (ok) {
		describe(&gi, gp, w);
		w->capture(&gi, w->arg);
		// Everything was read before this looks whether it ran.
		atomic_thread_fence(memory_order_acquire);
		ok = undisturbed(w, gp);
	}
	if (ok) {
		w->commit(w->arg);
		w->n++;
	} else {
		w->disturbed[w->ndisturbed++] = gp;
	}
}

// The list of goroutines only grows, at its head: what is behind gp stays.
static void
walk_parked(struct walk *w)
{
	int k = 0;
	for (struct g *gp = rt_load_acquire(&allgs); gp; gp = gp->alllink) {
		capture_parked(w, gp);
		if (w->ndisturbed == BATCH)
			rt_systemstack(later_stop, w);
		if (++k % CHUNK == 0) { // others may want to stop the world
			rt_leave();
			rt_enter();
		}
	}
	if (w->ndisturbed)
		rt_systemstack(later_stop, w);
}

static int
for_each_goroutine(void (*capture)(const struct rt_goroutine_info *gi, void *arg), void (*commit)(void *arg),
		   void *arg)
{
	struct walk w = {.capture = capture, .commit = commit, .arg = arg};
	while (atomic_exchange(&walking, true))
		rt_os_yield();
	rt_enter(); // a foreign thread becomes a goroutine with a P
	w.self = rt_getm()->curg;
	w.epoch = ++walks;
	rt_systemstack(first_stop, &w);
	walk_parked(&w);
	end_walk();
	rt_leave();
	atomic_store(&walking, false);
	return w.n;
}

static void
visit_runtime(void (*fn)(void *arg), void *arg)
{
	bool own = !rt_getm();
	if (own)
		rt_adopt_own_thread();
	fn(arg);
	if (own)
		rt_drop_own_thread();
}

static int
maxprocs(void)
{
	return gomaxprocs;
}

static int
num_threads(void)
{
	int n = 0;
	for (struct m *mp = rt_load_acquire(&allm); mp; mp = mp->alllink)
		n++;
	return n;
}

static void
collect(void)
{
	rt_enter();
	rt_gc_collect();
	rt_leave();
}

static int
find_leaked(void)
{
	rt_enter();
	int n = rt_gc_find_leaked();
	rt_leave();
	return n;
}

// Measured once over a millisecond at least, then over the whole time since the start.
static double
ticks_per_second(void)
{
	static uint64_t ticks0;
	static int64_t ns0;
	if (ns0 == 0) {
		ticks0 = rt_cputicks();
		ns0 = rt_nanotime();
	}
	int64_t ns;
	while ((ns = rt_nanotime()) - ns0 < 1000000)
		rt_cpu_relax();
	return (double)(rt_cputicks() - ticks0) * 1e9 / (double)(ns - ns0);
}

const struct rt_introspect *
gort_introspect(void)
{
	static struct rt_introspect in;
	in = (struct rt_introspect){
		.size = sizeof in,
		.set_hooks = rt_set_hooks,
		.hook_flags = &rt_hook_flags,
		.mem_profile_rate = &rt_mem_profile_rate,
		.block_profile_rate = &rt_block_profile_rate,
		.mutex_profile_fraction = &rt_mutex_profile_fraction,
		.own_threads = &sched.own_threads,
		.started = started,
		.enter = enter,
		.leave = leave,
		.stack_bounds = stack_bounds,
		.labels = labels,
		.goid = goid,
		.on_system_goroutine = on_system_goroutine,
		.set_labels = set_labels,
		.thread_slot = thread_slot,
		.for_each_goroutine = for_each_goroutine,
		.num_threads = num_threads,
		.visit = visit_runtime,
		.gc = collect,
		.find_leaked = find_leaked,
		.num_leaked = rt_gc_num_leaked,
		.ticks_per_second = ticks_per_second,
		.num_goroutine = rt_ngoroutines,
		.maxprocs = maxprocs,
		.entry_lo = (uintptr_t)rt_gostart,
		.entry_hi = (uintptr_t)rt_gostart_end,
	};
	return &in;
}
