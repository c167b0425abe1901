// SPDX-License-Identifier: BSD-3-Clause
// How a goroutine begins and ends, and how the program does.
//
// gort_go has two halves (gort/sched.h). The stub, called as if it were fn, saves the argument
// registers; rt_go_capture puts them on the stack of a new g, which waits in the creator's g->newg.
// gort_go_start_ gives it its function and makes it runnable. No user code runs in between, but the
// world may stop: the new g counts as waiting then, so that its arguments are scanned.
#include <stdlib.h>

#include <gort/sched.h>

#include "base/print.h"
#include "debug/env.h"
#include "debug/hooks.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/malloc.h"
#include "os/os.h"
#include "sched/sanitize.h"
#include "sched/sched.h"
#include "sched/stack.h"

#define GOID_BATCH 16u
#define MAIN_STACK ((size_t)64 << 20)

void rt_go_capture(const struct gort_go_regs *regs, uintptr_t pc);
void rt_goroutine_begin(void);
_Noreturn void rt_goroutine_end(void);

struct g *rt_main_g;

static uint64_t
nextgoid(struct p *pp)
{
	if (pp->goidcache == pp->goidcacheend) {
		pp->goidcache = atomic_fetch_add_explicit(&sched.goidgen, GOID_BATCH,
							  memory_order_relaxed) + 1;
		pp->goidcacheend = pp->goidcache + GOID_BATCH;
	}
	return pp->goidcache++;
}

// A dead g becomes one that is being set up.
static void
init_g(struct g *gp, struct p *pp, const struct g *parent, uintptr_t pc)
{
	gp->goid = nextgoid(pp);
	gp->gopc = pc;
	gp->parentgoid = parent ? parent->goid : 0;
	gp->labels = parent ? parent->labels : NULL;
	gp->waitreason = WAIT_NONE;
	gp->waiting = NULL;
	gp->param = NULL;
	gp->newg = NULL;
	gp->waitobj = NULL;
	gp->gcassistbytes = 0;
	gp->runnable_since = 0;
	rt_store(&gp->preempt, false);
	rt_gc_g_born(gp);
	rt_casgstatus(gp, Gdead, Gwaiting);
}

void
rt_go_capture(const struct gort_go_regs *regs, uintptr_t pc)
{
	rt_enter();
	struct m *mp = rt_getm();
	if (rt_unlikely(!mp || !mp->curg))
		rt_fatal("gort_go called on a thread that is not a goroutine");
	struct g *gp = rt_gfget(mp->p);
	rt_gobuf_init(&gp->sched, gp->stack.hi, regs);
	init_g(gp, mp->p, mp->curg, pc);
	mp->curg->newg = gp;
	rt_leave();
}

static void
make_runnable(struct p *pp, struct g *gp, void *fn)
{
	gp->startpc = (uintptr_t)fn;
	if (!gp->is_system)
		rt_store(&pp->ngborn, rt_load(&pp->ngborn) + 1);
	rt_casgstatus(gp, Gwaiting, Grunnable);
	rt_wakep_after_put(rt_runqput(pp, gp, true));
}

// Moves what the stub captured in gp to a goroutine with a stack of its own size.
static struct g *
move_to_big(struct p *pp, struct g *gp, size_t bytes)
{
	struct g *big = rt_stack_new_big_g(bytes + sizeof(uintptr_t) * 64);
	if (!big)
		rt_panic("gort_go_stack: cannot map a stack of %zu bytes", bytes);
	if (rt_gstatus(big) == Gidle) {
		rt_store(&big->status, Gdead);
		rt_allgadd(big);
	}
	// The creator may have been parked since the stub, and a marking have begun: big counts as scanned, so
	// what moves to it must be.
	if (rt_unlikely(rt_load(&rt_gc_epoch) != 0))
		rt_gc_scan_before_run(gp);
	rt_fiber_create(big);
	rt_fiber_reuse(big, big->stack.lo);
	rt_gobuf_init(&big->sched, big->stack.hi, rt_gobuf_regs(&gp->sched));
	init_g(big, pp, rt_getm()->curg, gp->gopc);
	rt_casgstatus(gp, Gwaiting, Gdead);
	rt_gfput(pp, gp);
	return big;
}

void
gort_go_start_(void (*fn)(void), size_t stack_bytes)
{
	rt_enter();
	struct m *mp = rt_getm();
	struct g *gp = mp->curg->newg;
	mp->curg->newg = NULL;
	if (!fn)
		rt_fatal("go of nil func value");
	if (stack_bytes > rt_stack_bytes)
		gp = move_to_big(mp->p, gp, stack_bytes);
	rt_gobuf_set_fn(&gp->sched, (void *)fn);
	make_runnable(mp->p, gp, (void *)fn);
	if (rt_unlikely(rt_runq_full(mp->p)))
		rt_yield_to_new();
	rt_leave();
}

void
rt_newproc(void (*fn)(void *), void *arg, uintptr_t gopc)
{
	struct p *pp = rt_getp();
	struct g *gp = rt_gfget(pp);
	rt_gobuf_init_call(&gp->sched, gp->stack.hi, fn, arg);
	init_g(gp, pp, NULL, gopc);
	make_runnable(pp, gp, (void *)fn);
}

struct g *
rt_newproc_system(void (*fn)(void *), void *arg)
{
	struct m *mp = rt_getm();
	struct g *gp = rt_gfget(mp->p);
	rt_gobuf_init_call(&gp->sched, gp->stack.hi, fn, arg);
	init_g(gp, mp->p, NULL, 0);
	gp->is_system = true;
	make_runnable(mp->p, gp, (void *)fn);
	return gp;
}

// First thing on a new goroutine's stack: finish the one that switched here, then leave the runtime.
void
rt_goroutine_begin(void)
{
	rt_fiber_begin();
	rt_switch_finish();
	rt_leave();
}

static void
run_exits(struct g *gp)
{
	struct on_exit *e;
	while ((e = gp->exits)) {
		gp->exits = e->next; // may register more
		e->fn(e->arg);
	}
}

void
rt_goroutine_end(void)
{
	run_exits(rt_getg()); // depth 0: user code
	rt_enter();
	struct m *mp = rt_getm();
	struct g *gp = mp->curg;
	gp->lockedm = NULL;
	if (gp->is_system)
		gp->is_system = false;
	else
		rt_store(&mp->p->ngdied, rt_load(&mp->p->ngdied) + 1);
	gp->labels = NULL;
	rt_casgstatus(gp, Grunning, Gdead);
	rt_switch_away(mp, gp, (struct finish){.op = FIN_DEAD, .g = gp});
	rt_throw("a dead goroutine runs");
}

void
gort_goexit(void)
{
	if (!rt_getg())
		rt_fatal("gort_goexit called on a thread that is not a goroutine");
	rt_goroutine_end();
}

void
gort_on_exit(void (*fn)(void *arg), void *arg)
{
	rt_enter();
	struct g *gp = rt_getg();
	if (!gp)
		rt_fatal("gort_on_exit called on a thread that is not a goroutine");
	struct on_exit *e = rt_mallocgc(sizeof *e, NULL);
	*e = (struct on_exit){.next = gp->exits, .fn = fn, .arg = arg};
	gp->exits = e;
	rt_leave();
}

// ---- the program ----

struct program {
	int (*app)(int, char **);
	int argc;
	char **argv;
};

// Goroutine 1. exit() runs here, on a large stack, with every other goroutine off its thread at its
// next call into the scheduler.
static void
rt_gomain(void *arg)
{
	const struct program *prog = arg;
	int status = prog->app(prog->argc, prog->argv);
	rt_store(&sched.dying, true);
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	if (h && h->app_returned)
		h->app_returned();
	exit(status);
}

// First of the exit handlers' effects: registered last, so it runs before those of the program.
static void
stop_scheduling(void)
{
	rt_store(&sched.dying, true);
}

static void
start_main(struct program *prog)
{
	struct p *pp = m0.p;
	struct g *gp = rt_stack_new_big_g(MAIN_STACK);
	if (!gp)
		rt_fatal("runtime: cannot map goroutine 1's stack");
	rt_store(&gp->status, Gdead);
	rt_fiber_create(gp);
	rt_allgadd(gp);
	rt_gobuf_init_call(&gp->sched, gp->stack.hi, rt_gomain, prog);
	init_g(gp, pp, NULL, 0);
	gp->is_main = true;
	rt_main_g = gp;
	make_runnable(pp, gp, (void *)prog->app);
}

int
gort_run(int (*app)(int, char **), int argc, char **argv)
{
	static struct program prog;
	static _Atomic bool called;
	if (atomic_exchange(&called, true))
		rt_fatal("gort_run called twice");
	prog = (struct program){app, argc, argv};
	rt_env_init();
	rt_os_rseq_init();
	rt_stackinit();
	rt_siginit();
	rt_fork_init();
	rt_mallocinit();
	rt_schedinit();
	rt_gcinit();
	rt_store_release(&rt_started, true);
	atexit(stop_scheduling);
	rt_sysmon_start();
	start_main(&prog);
	rt_schedule();
}
