// SPDX-License-Identifier: BSD-3-Clause
// The cycle. One thread at a time has the right to run one (rt_gc.running); it does
//
//   gcStart             sweeps what the last cycle left, stops the world, flushes the Ps' caches,
//                       GCoff -> GCmark
//   gcMark              roots, then everything reachable
//   gcMarkTermination   GCmark -> GCmarktermination -> GCoff, new goal, all spans unswept, world on
//
// and wakes the background sweeper. The world stands from gcStart to gcMarkTermination in this version;
// nothing but the two calls of rt_stop_world and rt_start_world depends on it: bits are set atomically
// where workers share them, objects are born black, barriers shade.
// Go: runtime/mgc.go.
#include <gort/mem.h>

#include "base/print.h"
#include "debug/env.h"
#include "debug/hooks.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/malloc.h"
#include "mem/mcache.h"
#include "mem/scavenge.h"
#include "os/os.h"
#include "sched/proc.h"

struct gc_state rt_gc;

struct cycle {
	struct gc_times t;
};

void
rt_gcinit(void)
{
	rt_gc.init_ns = rt_gc.cpu_total_at = rt_nanotime();
	rt_pacer_init(rt_env_gcpercent());
	rt_sweep_init();
}

// ---- CPU accounting ----

uint32_t
rt_gc_cpu_procs(void)
{
	return (uint32_t)rt_min(gomaxprocs, rt_os_ncpu());
}

void
rt_gc_update_cpu_total(int64_t now)
{
	rt_gc.cpu_total += (now - rt_gc.cpu_total_at) * gomaxprocs;
	rt_gc.cpu_total_at = now;
}

double
rt_gc_cpu_fraction(void)
{
	int64_t gc = rt_gc.cpu_assist + rt_gc.cpu_dedicated + rt_gc.cpu_pause;
	return rt_gc.cpu_total > 0 ? (double)gc / (double)rt_gc.cpu_total : 0;
}

// ---- the right to run a cycle ----

static bool
try_begin(void)
{
	rt_lock(&rt_gc.lock);
	bool mine = !rt_gc.running;
	if (mine) {
		rt_gc.running = true;
		rt_gc.started++;
	}
	rt_unlock(&rt_gc.lock);
	return mine;
}

static void
end(void)
{
	rt_lock(&rt_gc.lock);
	rt_gc.running = false;
	struct g *waiters = rt_gc.waiters;
	rt_gc.waiters = NULL;
	rt_unlock(&rt_gc.lock);
	if (waiters)
		rt_ready_list(waiters);
}

// Parks until the running cycle has ended; returns at once when none runs.
static void
wait_for_running(void)
{
	rt_lock(&rt_gc.lock);
	if (!rt_gc.running) {
		rt_unlock(&rt_gc.lock);
		return;
	}
	struct g *gp = rt_getg();
	gp->schedlink = rt_gc.waiters;
	rt_gc.waiters = gp;
	rt_park(&rt_gc.lock, WAIT_GC_CYCLE);
}

// ---- the phases ----

static void
set_phase(enum gcphase phase)
{
	rt_store(&rt_gc.phase, phase); // world stopped
}

void
rt_gc_flush_caches(void)
{
	for (int32_t i = 0; i < nallp; i++)
		if (allp[i]->mcache)
			rt_mcache_flush(allp[i]->mcache);
}

static bool
gcStart(struct cycle *c)
{
	c->t.start = rt_nanotime();
	c->t.heap0 = rt_load(&rt_gc.heap_live);
	rt_stop_world("GC mark");
	if (!rt_roots_current()) {
		rt_start_world();
		return false;
	}
	c->t.maxprocs = gomaxprocs;
	rt_gc_flush_caches();
	rt_mark_start();
	set_phase(GCmark);
	c->t.mark = rt_nanotime();
	return true;
}

static void
gcMark(struct cycle *c)
{
	struct gcwork *w = rt_mark_worker();
	int64_t cpu = rt_thread_cputime();
	rt_roots_mark(w, &c->t.stack_bytes, &c->t.global_bytes);
	rt_mark_drain(w);
	c->t.dedicated_ns = rt_thread_cputime() - cpu;
	c->t.term = rt_nanotime();
}

static void
record_pause(struct cycle *c)
{
	uint32_t i = rt_load(&rt_gc.ncycles) % 256;
	c->t.end = rt_nanotime();
	c->t.paused = c->t.end - c->t.start;
	rt_gc.last_end_wall = (uint64_t)rt_walltime();
	rt_store(&rt_gc.last_end, c->t.end);
	rt_gc.pause_ns[i] = (uint64_t)c->t.paused;
	rt_gc.pause_end[i] = rt_gc.last_end_wall;
	rt_gc.pause_total += (uint64_t)c->t.paused;
	rt_gc.cpu_dedicated += c->t.dedicated_ns;
	rt_gc.cpu_pause += ((c->t.mark - c->t.start) + (c->t.end - c->t.term)) * c->t.maxprocs;
	rt_gc_update_cpu_total(c->t.end);
	if (c->t.forced)
		rt_store(&rt_gc.nforced, rt_load(&rt_gc.nforced) + 1);
	rt_store(&rt_gc.ncycles, rt_load(&rt_gc.ncycles) + 1);
}

static void
gcMarkTermination(struct cycle *c)
{
	set_phase(GCmarktermination);
	c->t.heap1 = rt_load(&rt_gc.heap_live);
	c->t.goal = rt_load(&rt_gc.goal);
	c->t.heap2 = rt_mark_bytes();
	set_phase(GCoff);
	rt_pacer_mark_done(c->t.heap2, c->t.stack_bytes, c->t.global_bytes);
	rt_sweep_start();
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	if (h && h->heap_mark_terminated)
		h->heap_mark_terminated();
	record_pause(c);
	rt_start_world();
}

// On g0, so that no goroutine's stack moves under the scan, and what the collector itself leaves on its
// stack (addresses of spans, above all) pins nothing.
static void
cycle0(void *arg)
{
	struct cycle *c = arg;
	rt_sweep_finish();
	do
		rt_roots_prepare();
	while (!gcStart(c)); // libraries came or went in between
	gcMark(c);
	gcMarkTermination(c);
	rt_scavenge_new_goal();
}

// The caller has the right to run a cycle.
static void
run_cycle(bool forced)
{
	struct cycle c = {.t.forced = forced};
	rt_systemstack(cycle0, &c);
	if (rt_debug.gctrace > 0)
		rt_gctrace_print(&c.t);
	rt_sweep_wake();
}

// ---- called by the allocator ----

static bool
may_collect(void)
{
	const struct m *mp = rt_getm();
	return mp->p && rt_getg() != mp->g0 && !rt_world_stopped();
}

void
rt_gc_before_span(size_t bytes)
{
	if (!rt_load(&rt_gc.sweepdone))
		rt_sweep_for(bytes);
	bool due = rt_load(&rt_gc.heap_live) >= rt_load(&rt_gc.trigger) || rt_debug.gcstress;
	if (rt_likely(!due) || !may_collect() || !try_begin())
		return;
	run_cycle(false);
	end();
}

void
rt_gc_span_cached(struct mspan *s)
{
	if (rt_load(&rt_gc.phase) == GCoff) // changes with the world stopped only
		return;
	// Free slots are marked and scanned in advance: whatever is made of them is black. Sweeping
	// ignores those that stay free.
	for (uint32_t k = 0; k < s->nwords; k++) {
		uint64_t bits = ~s->alloc[k];
		atomic_fetch_or_explicit(&s->scan[k], bits, memory_order_relaxed);
		atomic_fetch_or_explicit(&s->mark[k], bits, memory_order_relaxed);
	}
}

void
rt_gc_emergency(void)
{
	if (may_collect() && try_begin()) {
		run_cycle(true);
		end();
		rt_sweep_finish();
	}
	rt_scavenge(SIZE_MAX);
}

// ---- on demand ----

// A full cycle that begins after the call.
void
rt_gc_collect(void)
{
	while (!try_begin())
		wait_for_running();
	run_cycle(true);
	rt_sweep_finish();
	end();
}

void
rt_gc_forced_by_timer(void)
{
	if (rt_load(&rt_gc.percent) < 0 || !try_begin())
		return;
	if (rt_debug.gctrace > 0)
		rt_printf("GC forced\n");
	run_cycle(false);
	end();
}

int64_t
rt_gc_last_end_ns(void)
{
	return rt_load(&rt_gc.last_end);
}

void
gort_gc(void)
{
	rt_enter();
	rt_gc_collect();
	rt_leave();
}

void
gort_free_os_memory(void)
{
	rt_enter();
	rt_gc_collect();
	rt_scavenge_all();
	rt_leave();
}

int
gort_set_gc_percent(int percent)
{
	rt_enter();
	rt_stop_world("GOGC");
	int old = rt_load(&rt_gc.percent);
	rt_store(&rt_gc.percent, percent < 0 ? -1 : percent);
	rt_pacer_recompute();
	rt_start_world();
	rt_leave();
	return old;
}
