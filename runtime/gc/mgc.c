// SPDX-License-Identifier: BSD-3-Clause
// The cycle:
//
//   gcStart        whoever finds that one is due (an allocation, gort_gc, the timer): sweeps what the last
//                  cycle left, stops the world, flushes the Ps' caches, reads t0, GCoff -> GCmark, world on
//   marking        workers, assists, whoever runs a goroutine (worker.c, roots.c)
//   rt_gc_finish   whoever finds nothing left to mark: stops the world, looks again, GCmark ->
//                  GCmarktermination -> GCoff, new goal, all spans unswept, world on, sweeper woken
//
// With gcstoptheworld=1 and when nothing is scheduled any more the world stands from gcStart to the end.
// The right to begin: begun == ended under rt_gc.lock. `finishing` is the right to end: both stops wait
// for each other, so it is only there to keep a second thread from stopping the world for nothing.
// Go: runtime/mgc.go.
#include <gort/mem.h>

#include "base/print.h"
#include "debug/env.h"
#include "debug/hooks.h"
#include "debug/throw.h"
#include "gc/barrier.h"
#include "gc/gc.h"
#include "mem/malloc.h"
#include "mem/mcache.h"
#include "mem/scavenge.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sched/sched.h"
#include "sync/pool.h"

struct gc_state rt_gc;

static _Atomic bool finishing;
static _Atomic bool starting; // from the right to begin until marking has begun
static uint32_t tries; // stops that found marking incomplete, this cycle

void
rt_gcinit(void)
{
	rt_gc.init_ns = rt_gc.cpu_total_at = rt_nanotime();
	rt_gc.init_cpu_ns = rt_process_cputime();
	rt_pacer_init(rt_env_gcpercent(), rt_env_memlimit());
	rt_sweep_init();
	rt_dirty_init();
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
	bool mine = rt_gc.begun == rt_gc.ended;
	if (mine)
		rt_gc.begun++;
	rt_unlock(&rt_gc.lock);
	return mine;
}

// World stopped: the next may begin as soon as it runs, however long this thread then waits for a CPU.
static struct g *
end(void)
{
	rt_lock(&rt_gc.lock);
	rt_gc.ended++;
	struct g *waiters = rt_gc.waiters;
	rt_gc.waiters = NULL;
	rt_unlock(&rt_gc.lock);
	return waiters;
}

// Parks until cycle n is over.
static void
wait_for(uint32_t n)
{
	rt_lock(&rt_gc.lock);
	while ((int32_t)(rt_gc.ended - n) < 0) {
		struct g *gp = rt_getg();
		gp->schedlink = rt_gc.waiters;
		rt_gc.waiters = gp;
		rt_park(&rt_gc.lock, WAIT_GC_CYCLE);
		rt_lock(&rt_gc.lock);
	}
	rt_unlock(&rt_gc.lock);
}

// ---- the phases ----

static void
set_phase(enum gcphase phase)
{
	rt_store(&rt_gc.phase, phase); // world stopped
	*(volatile uint32_t *)&gort_write_barrier_on = phase == GCmark && !rt_dirty_on();
}

void
rt_gc_flush_caches(void)
{
	for (int32_t i = 0; i < nallp; i++)
		if (allp[i]->mcache)
			rt_mcache_flush(allp[i]->mcache);
}

static void
reset_cycle(bool forced, int64_t start)
{
	struct gc_times *t = &rt_gc.cur;
	rt_store(&t->assist_ns, 0);
	rt_store(&t->dedicated_ns, 0);
	rt_store(&t->idle_ns, 0);
	t->start = start;
	t->between = 0;
	t->forced = forced;
	t->maxprocs = gomaxprocs;
	rt_store(&rt_gc.scan_work, 0);
	tries = 0;
}

// World stopped: t0.
static void
begin_marking(void)
{
	struct gc_times *t = &rt_gc.cur;
	rt_gc_flush_caches();
	t->heap0 = rt_load(&rt_gc.heap_live); // with the caches flushed: exact
	rt_mark_start();
	rt_pool_cleanup();
	rt_roots_t0(rt_gcwork(rt_getp()));
	rt_pacer_mark_begin();
	rt_workers_start();
	if (rt_unlikely(rt_debug.gcpacertrace > 0))
		rt_pacer_trace_begin();
	set_phase(GCmark);
	rt_store(&starting, false);
}

static void
record_pause(void)
{
	struct gc_times *t = &rt_gc.cur;
	uint32_t i = rt_load(&rt_gc.ncycles) % 256;
	t->end = rt_nanotime();
	t->paused = (t->mark - t->start) + t->between + (t->end - t->term);
	rt_gc.last_end_wall = (uint64_t)rt_walltime();
	rt_store(&rt_gc.last_end, t->end);
	rt_gc.pause_ns[i] = (uint64_t)t->paused;
	rt_gc.pause_end[i] = rt_gc.last_end_wall;
	rt_gc.pause_total += (uint64_t)t->paused;
	rt_gc.cpu_assist += rt_load(&t->assist_ns);
	rt_gc.cpu_dedicated += rt_load(&t->dedicated_ns);
	rt_gc.cpu_idle += rt_load(&t->idle_ns);
	rt_gc.cpu_pause += t->paused * rt_gc_cpu_procs();
	rt_gc_update_cpu_total(t->end);
	if (t->forced)
		rt_store(&rt_gc.nforced, rt_load(&rt_gc.nforced) + 1);
	rt_store(&rt_gc.ncycles, rt_load(&rt_gc.ncycles) + 1);
	t->number = rt_load(&rt_gc.ncycles);
	t->fraction = rt_gc_cpu_fraction();
}

// What remains to be done when the world runs again, and another cycle may be under way.
struct ended {
	struct gc_times t;
	struct g *waiters;
};

// World stopped, nothing grey.
static struct ended
gcMarkTermination(void)
{
	struct gc_times *t = &rt_gc.cur;
	set_phase(GCmarktermination);
	rt_gc_flush_caches();
	if (rt_unlikely(rt_debug.gccheckmark > 0))
		rt_checkmark();
	t->heap1 = rt_load(&rt_gc.heap_live);
	t->goal = rt_load(&rt_gc.goal);
	// What was allocated since t0 is black, and counts as marked.
	t->heap2 = rt_mark_bytes() + (t->heap1 - t->heap0);
	rt_store(&rt_gc_epoch, 0);
	set_phase(GCoff);
	rt_pacer_mark_done(t->heap2);
	rt_sweep_start();
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	if (h && h->heap_mark_terminated)
		h->heap_mark_terminated();
	rt_scavenge_new_goal();
	record_pause();
	return (struct ended){rt_gc.cur, end()};
}

// World running again.
static void
after_termination(const struct ended *e)
{
	rt_sweep_wake();
	if (rt_unlikely(rt_limit_set()))
		rt_store(&rt_sys_stats.stacks_os, rt_thread_stacks_bytes());
	if (rt_debug.gctrace > 0)
		rt_gctrace_print(&e->t);
	if (e->waiters)
		rt_ready_list(e->waiters);
}

// World stopped, GCmark: marks all that is left, here and now.
static void
mark_the_rest(void)
{
	rt_gc_flush_caches();
	rt_dirty_rescan(rt_gcwork(rt_getp()));
	rt_mark_all_stopped();
}

static struct ended
finish_stopped(void)
{
	struct gc_times *t = &rt_gc.cur;
	int64_t from = rt_nanotime();
	mark_the_rest();
	int64_t now = rt_nanotime();
	atomic_fetch_add_explicit(&t->dedicated_ns, now - from, memory_order_relaxed);
	t->term = now;
	return gcMarkTermination();
}

static bool
stop_for_all_of_it(void)
{
	return rt_debug.gcstoptheworld > 0 || rt_dirty_stopped() || rt_load(&sched.dying);
}

struct start {
	bool forced;
	bool stopped; // do it all in one stop
	int *leaked;  // ... and look for leaked goroutines: how many; NULL: do not
};

// On g0, so that no goroutine's stack moves under the scan, and what the collector itself leaves on its
// stack (addresses of spans, above all) pins nothing. The caller has the right to begin.
static void
gcStart0(void *arg)
{
	struct start *st = arg;
	rt_store(&starting, true);
	rt_sweep_finish();
	if (!st->stopped)
		rt_dirty_arm();
	for (;;) {
		rt_roots_prepare();
		reset_cycle(st->forced, rt_stop_world("GC sweep termination"));
		if (rt_roots_current())
			break;
		rt_start_world(); // libraries came or went in between
	}
	begin_marking();
	rt_gc.cur.mark = rt_nanotime();
	if (st->stopped) {
		if (st->leaked)
			*st->leaked = rt_leaks_mark();
		struct ended e = finish_stopped();
		rt_start_world();
		after_termination(&e);
	} else {
		rt_start_world();
	}
}

static void
gcStart(bool forced)
{
	struct start st = {forced, stop_for_all_of_it()};
	rt_systemstack(gcStart0, &st);
}

bool
rt_gc_starting(void)
{
	return rt_load(&starting);
}

bool
rt_gc_finishing(void)
{
	return rt_load(&finishing);
}

bool
rt_gc_finish(void)
{
	bool no = false;
	if (!rt_gc_marking() || !rt_mark_complete() ||
	    !atomic_compare_exchange_strong(&finishing, &no, true))
		return false;
	if (rt_unlikely(rt_dirty_on()) && rt_dirty_preclean()) {
		atomic_store(&finishing, false);
		return false;
	}
	int64_t term = rt_stop_world("GC mark termination");
	bool done = rt_gc_marking(); // another may have stopped the world first
	if (done && rt_dirty_on()) {
		mark_the_rest();
	} else if (done && !rt_mark_complete()) {
		// Barriers shaded something meanwhile. Each time it is less, but it need not end.
		enum { MAX_TRIES = 4 };
		done = ++tries >= MAX_TRIES;
		if (done)
			mark_the_rest();
	}
	struct ended e;
	if (done) {
		rt_gc.cur.term = term;
		e = gcMarkTermination();
	}
	rt_start_world();
	atomic_store(&finishing, false);
	if (done)
		after_termination(&e);
	return done;
}

// Ends the cycle that is under way, if one is, with the world stopped.
static void
finish_now0(void *arg)
{
	(void)arg;
	rt_stop_world("GC mark termination");
	bool marking = rt_gc_marking();
	struct ended e;
	if (marking)
		e = finish_stopped();
	rt_start_world();
	if (marking)
		after_termination(&e);
}

// ---- called by the allocator ----

static bool
may_collect(void)
{
	const struct m *mp = rt_getm();
	return mp->p && rt_getg() != mp->g0 && !rt_world_stopped();
}

// Marking has begun: this P looks for a worker's work at its next way out of the runtime.
static void
yield_soon(void)
{
	rt_store(&rt_getg()->preempt, true);
	rt_tls_note_request();
}

void
rt_gc_before_span(size_t bytes)
{
	if (rt_gc_marking()) {
		if (may_collect())
			rt_gc_assist(bytes);
		return;
	}
	if (!rt_load(&rt_gc.sweepdone)) {
		rt_sweep_for(bytes);
		if (rt_unlikely(rt_limit_set()))
			rt_limit_sweep(bytes);
	}
	bool due = rt_load(&rt_gc.heap_live) >= rt_load(&rt_gc.trigger) || rt_debug.gcstress;
	if (rt_likely(!due) || !may_collect())
		return;
	if (!try_begin()) {
		rt_gc_wait_start();
		return;
	}
	gcStart(false);
	if (rt_gc_marking())
		yield_soon();
}

void
rt_gc_span_cached(struct mspan *s)
{
	if (rt_load(&rt_gc.phase) == GCoff) // changes with the world stopped only
		return;
	// Free slots are marked and scanned in advance: whatever is made of them is black. Sweeping
	// ignores those that stay free.
	for (uint32_t k = s->freeindex / 64; k < s->nwords; k++) {
		uint64_t bits = ~s->alloc[k];
		if (k == s->freeindex / 64) // below it all are allocated, some since the last sweep
			bits &= ~0ull << (s->freeindex % 64);
		atomic_fetch_or_explicit(&s->scan[k], bits, memory_order_relaxed);
		atomic_fetch_or_explicit(&s->mark[k], bits, memory_order_relaxed);
	}
}

void
rt_gc_emergency(void)
{
	if (may_collect()) {
		rt_systemstack(finish_now0, NULL);
		if (try_begin()) {
			struct start st = {true, true};
			rt_systemstack(gcStart0, &st);
		}
		rt_sweep_finish();
	}
	rt_scavenge(SIZE_MAX);
}

// ---- on demand ----

// A full cycle that begins after the call. What is under way is completed first; of several callers one
// begins, and its cycle serves all who came before it did.
void
rt_gc_collect(void)
{
	rt_lock(&rt_gc.lock);
	uint32_t under_way = rt_gc.begun, mine = rt_gc.begun + 1;
	rt_unlock(&rt_gc.lock);
	if (rt_load(&sched.dying)) {
		rt_systemstack(finish_now0, NULL); // nobody else would
	} else {
		wait_for(under_way);
	}
	if (try_begin())
		gcStart(true);
	if (!rt_load(&sched.dying))
		wait_for(mine);
	rt_sweep_finish();
}

int
rt_gc_find_leaked(void)
{
	int n = 0;
	struct start st = {.forced = true, .stopped = true, .leaked = &n};
	do {
		rt_lock(&rt_gc.lock);
		uint32_t under_way = rt_gc.begun;
		rt_unlock(&rt_gc.lock);
		if (rt_load(&sched.dying))
			rt_systemstack(finish_now0, NULL); // nobody else would
		else
			wait_for(under_way);
	} while (!try_begin());
	rt_systemstack(gcStart0, &st);
	rt_sweep_finish();
	return n;
}

void
rt_gc_timer_cycle(void)
{
	if (!atomic_exchange(&rt_gc.timer_due, false) || rt_load(&rt_gc.percent) < 0 || !try_begin())
		return;
	if (rt_debug.gctrace > 0)
		rt_printf("GC forced\n");
	gcStart(false);
}

void
rt_gc_forced_by_timer(void)
{
	atomic_store(&rt_gc.timer_due, true);
	rt_wakep();
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

int64_t
gort_set_memory_limit(int64_t limit)
{
	rt_enter();
	int64_t old = rt_load(&rt_gc.memory_limit);
	if (limit >= 0) {
		rt_stop_world("GOMEMLIMIT");
		old = rt_load(&rt_gc.memory_limit);
		rt_store(&rt_gc.memory_limit, limit);
		rt_pacer_recompute();
		rt_start_world();
		rt_scavenge_wake();
	}
	rt_leave();
	return old;
}
