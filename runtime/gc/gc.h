// SPDX-License-Identifier: BSD-3-Clause
// The collector: non-moving, non-generational, tri-colour mark-sweep, phases by Go's names.
//
//             gcStart                         rt_gc_finish
//   GCoff ---------------> GCmark -----------------------> GCmarktermination ---> GCoff
//   sweeping,      stop: sweep termination,       stop: marks complete,   sweeping begins,
//   allocation     caches flushed, t0 read        new goal and trigger    lazily
//
// Colours. White: mark bit clear. Grey: mark set, scan clear; its span is in the span queue (or about to
// be). Black: both set. At mark termination nothing is grey and every white object is garbage.
//
// Marking follows a snapshot. Invariant from t0 (the stop in gcStart) to mark termination: every object
// that was reachable at t0 is marked, or reachable over a path of objects and unscanned stacks none of
// whose words changed since t0. It holds because globals, roots and running stacks are read at t0; a
// parked stack is read before its goroutine runs again; a word of the heap is shaded before it is
// overwritten (barrier.h); and objects and goroutines born after t0 are black. docs/gc.md argues it.
//
// mgc.c: the cycle. roots.c: what t0 reads, and parked goroutines. mark.c: the marker. worker.c: who
// marks, and for how long. pacer.c: when a cycle begins and what an allocation owes. sweep.c: afterwards.
// limit.c: the memory limit. special.h: finalizers, cleanups, weak pointers, pins. gctrace.c: the line.
// barrier.c: stores while marking runs; dirty.c: marking without them.
#pragma once

#include "base/base.h"
#include "base/lock.h"
#include "mem/mheap.h"

struct g;

enum gcphase { GCoff, GCmark, GCmarktermination };

// Time stamps of one cycle (rt_nanotime) and what it measured; for gctrace and statistics.
struct gc_times {
	int64_t start;     // the stop is asked for
	int64_t mark;      // marking begins
	int64_t term;      // marking has found everything
	int64_t end;       // the world is about to run
	int64_t between;   // stops between the two (dirty.c)
	int64_t paused;    // sum of its stops
	_Atomic int64_t assist_ns, dedicated_ns, idle_ns; // CPU time of marking
	uint64_t heap0, heap1, heap2, goal;       // live at start, at mark end, marked; goal in force
	_Atomic uint64_t stack_bytes;             // scanned
	uint64_t global_bytes;
	int32_t maxprocs;
	uint32_t number;  // this cycle's
	double fraction;  // of the CPU time since start that the collector has taken
	bool forced;
};

extern struct gc_state {
	_Atomic uint32_t phase; // enum gcphase; changes with the world stopped
	_Atomic uint64_t heap_live; // bytes marked by the last cycle plus allocated since
	_Atomic uint64_t trigger;   // a cycle starts when heap_live reaches it
	_Atomic uint64_t goal;
	_Atomic int32_t percent; // GOGC, < 0 off
	_Atomic int64_t memory_limit; // GOMEMLIMIT, bytes; INT64_MAX none
	_Atomic uint32_t ncycles, nforced; // completed
	uint64_t marked;         // by the last cycle; written with the world stopped
	uint64_t stack_bytes, global_bytes; // scanned by the last cycle
	_Atomic int64_t last_end;  // rt_nanotime, 0 none
	uint64_t last_end_wall;    // Unix ns

	// Who waits for a cycle to end. lock protects all three. A cycle that has begun is over when its
	// number is <= ended.
	struct rt_mutex lock;
	uint32_t begun, ended;
	struct g *waiters; // linked by schedlink
	_Atomic bool timer_due; // the two-minute timer wants a cycle

	// The cycle at hand: written by whoever runs its phases, its atomics by all who mark.
	struct gc_times cur;
	_Atomic uint64_t scan_work;  // heap bytes scanned since t0
	_Atomic int64_t bg_credit;   // scan work done by workers that no assist has taken yet
	_Atomic double assist_ratio;         // scan work owed per byte allocated; pacer.c
	int32_t dedicated_wanted;    // workers that take a P whole
	double fractional_goal;      // part of each P's time for a worker; 0 none
	_Atomic int32_t ndedicated;  // of those, at work

	// Pauses, a ring by cycle. Written with the world stopped.
	uint64_t pause_ns[256], pause_end[256];
	uint64_t pause_total;

	// CPU time, ns since start. Written by the thread that runs a cycle.
	int64_t cpu_assist, cpu_dedicated, cpu_idle, cpu_pause;
	int64_t cpu_total, cpu_total_at; // integral of gomaxprocs up to the time cpu_total_at

	// Sweeping. Freed objects and bytes since start.
	_Atomic uint64_t nfree[RT_NUM_SIZE_CLASSES]; // [0]: large
	_Atomic uint64_t largefree;                  // bytes
	_Atomic int32_t nsweeping; // threads between taking a span and putting it back
	_Atomic bool sweepdone;    // nothing is unswept and what follows a sweep was done
	_Atomic uint64_t pages_swept;
	_Atomic double pages_per_byte; // proportional sweeping; 0: nothing is left to take
	uint64_t sweep_live_basis;
	double sweep_ratio;        // pages_per_byte as it was at the start
	int64_t init_ns;           // rt_nanotime at rt_gcinit
	int64_t init_cpu_ns;       // CPU time that the process had used by then
} rt_gc;

// ---- called by the allocator ----

RT_INLINE void
rt_gc_heap_live_add(int64_t bytes)
{
	atomic_fetch_add_explicit(&rt_gc.heap_live, (uint64_t)bytes, memory_order_relaxed);
}

// Before a span of `bytes` bytes is handed out: does the sweeping that pays for it, and a collection
// when one is due. May stop the world; the caller holds no lock and no unrooted object.
void rt_gc_before_span(size_t bytes);
// A P's cache (or a large object) takes s: while marking runs its free slots are born black.
void rt_gc_span_cached(struct mspan *s);
// Memory has run out: collects, sweeps, returns memory to the system.
void rt_gc_emergency(void);

RT_INLINE bool
rt_gc_marking(void)
{
	return rt_unlikely(rt_load(&rt_gc.phase) == GCmark); // changes with the world stopped
}

// ---- mgc.c ----
// On g0. Ends the cycle if everything is marked; false: it is not, or somebody else does.
bool rt_gc_finish(void);
bool rt_gc_finishing(void); // somebody is about to
bool rt_gc_starting(void);  // somebody has begun a cycle, and marking has not
// In the scheduler, on g0: a cycle because two minutes have passed.
void rt_gc_timer_cycle(void);
void rt_gc_flush_caches(void); // world stopped
uint32_t rt_gc_cpu_procs(void); // min(gomaxprocs, CPUs)
void rt_gc_update_cpu_total(int64_t now);
double rt_gc_cpu_fraction(void);

// ---- mark.c ----

struct gcwork;
struct p;
// A P's marking state, made when first needed.
struct gcwork *rt_gcwork(struct p *pp);
// World stopped, caches flushed: prepares the span queue for what is in the heap now.
void rt_mark_start(void);
// Every aligned word of [lo, hi) is a root: it keeps the object at its byte and at the byte before.
void rt_mark_root_range(struct gcwork *w, uintptr_t lo, uintptr_t hi);
// Inside rt_mark_some or with the world stopped: what p points into is grey; what obj's words point to.
void rt_mark_pointer(struct gcwork *w, uintptr_t p);
void rt_mark_fields(struct gcwork *w, const struct mspan *s, uintptr_t obj);
// The words of all marked objects that reach into [lo, hi). World stopped, caches flushed; or inside
// rt_mark_some: of those that were there when the caches were flushed last.
void rt_mark_written(struct gcwork *w, uintptr_t lo, uintptr_t hi);
// How a caller wants rt_mark_some to end, besides "nothing left" and "the world is to stop".
struct mark_limit {
	int64_t work;     // heap bytes scanned; INT64_MAX none
	int64_t deadline; // rt_nanotime; INT64_MAX none
	bool (*enough)(struct p *pp); // asked now and then; NULL never
};
// Scans stacks and follows grey objects up to the limit. Returns heap bytes scanned. When it returns no
// work is left in w.
int64_t rt_mark_some(struct gcwork *w, const struct mark_limit *lim);
// Something to mark lies in the queue, or stacks wait to be scanned. Hint.
bool rt_mark_available(void);
// Nothing grey, no stack unscanned, nobody at work. Final only with the world stopped.
bool rt_mark_complete(void);
// While marking runs: greys the object that p points into, if it does.
void rt_shade_pointer(uintptr_t p);
// World stopped. Bytes marked since rt_mark_start.
uint64_t rt_mark_bytes(void);

// ---- roots.c ----

// Makes the list of data segments: takes the loader's lock, so before the stop.
void rt_roots_prepare(void);
// World stopped. false: libraries came or went since rt_roots_prepare; start again.
bool rt_roots_current(void);
// Calls fn for the ranges of globals and registered roots. World stopped.
void rt_roots_each_range(void (*fn)(const char *what, uintptr_t lo, uintptr_t hi, void *arg), void *arg);
// World stopped, marking about to begin: reads everything that belongs to t0.
void rt_roots_t0(struct gcwork *w);
// The number of the marking in progress, 0 when none is. Changes with the world stopped.
extern _Atomic uint32_t rt_gc_epoch;
// Scans a few parked goroutines or entries of special.c; false when none is left to hand out.
bool rt_roots_scan_some(struct gcwork *w);
bool rt_roots_left(void);
// gp is about to run on this P while marking is on: its stack is scanned first.
void rt_gc_scan_before_run(struct g *gp);
// gp, dead so far, is about to come to life.
void rt_gc_g_born(struct g *gp);

// Leak detection, world stopped, after t0: keeps a goroutine from being scanned until it is given back.
void rt_roots_withhold(struct g *gp);
bool rt_roots_withheld(const struct g *gp);
void rt_roots_scan_withheld(struct gcwork *w, struct g *gp);

// ---- leak.c ----
// World stopped, GCmark, after t0: marks, and finds the goroutines that nobody can wake; how many.
int rt_leaks_mark(void);
// A cycle that does so, on demand. Any goroutine, at depth 1.
int rt_gc_find_leaked(void);
// Those found by the last one that still wait. Any time.
int rt_gc_num_leaked(void);

// ---- worker.c ----

// Divides the Ps: world stopped.
void rt_workers_start(void);
// Does an assist's share for an allocation of bytes. On a goroutine, at any depth.
void rt_gc_assist(size_t bytes);
// A cycle is due, and another thread is about to begin it. Beyond the hard limit this waits for it.
void rt_gc_wait_start(void);
// Whether P pp should mark instead of running goroutines; idle: it has none to run.
bool rt_gc_wants(struct p *pp, bool idle);
// Marks on pp for a while. On g0, from the scheduler.
void rt_gc_work(struct p *pp, bool idle);
// Marks until nothing is left. World stopped.
void rt_mark_all_stopped(void);

// ---- dirty.c: GORT_BARRIER=dirty ----

void rt_dirty_init(void);
bool rt_dirty_on(void);      // no barriers
bool rt_dirty_stopped(void); // ... and no help of the kernel's: mark with the world stopped
// World running, before the stop of t0.
void rt_dirty_arm(void);
// On g0, when marking seems complete: what was written so far is looked at while the program runs. true:
// there is more to mark.
bool rt_dirty_preclean(void);
// Written pages that wait for this. Scans some, as rt_roots_scan_some.
bool rt_dirty_left(void);
bool rt_dirty_scan_some(struct gcwork *w);
// World stopped, to be followed by rt_mark_all_stopped: everything that may have changed since t0 is
// looked at again. Nothing to do in the default mode, and when marking has been stopped throughout.
void rt_dirty_rescan(struct gcwork *w);

// ---- checkmark.c ----
// World stopped, marking complete, caches flushed: ends the program if an object was lost.
void rt_checkmark(void);

// ---- sweep.c ----

void rt_sweep_init(void);
// World stopped, after mark termination: all spans need sweeping from now on.
void rt_sweep_start(void);
// World running: wakes the background sweeper.
void rt_sweep_wake(void);
// Sweeps one span of any class; the pages it had, 0 when there was none.
uint32_t rt_sweepone(void);
// Sweeps all that is left and waits for those who sweep.
void rt_sweep_finish(void);
// Sweeps in proportion to an allocation of bytes.
void rt_sweep_for(size_t bytes);
RT_INLINE void
rt_sweep_begin(void)
{
	atomic_fetch_add(&rt_gc.nsweeping, 1); // seq_cst: pairs with rt_sweep_finish
}
RT_INLINE void
rt_sweep_end(void)
{
	atomic_fetch_sub(&rt_gc.nsweeping, 1);
}

// ---- pacer.c ----

void rt_pacer_init(int32_t percent, int64_t memory_limit);
// World stopped, marking begins / is complete.
void rt_pacer_mark_begin(void);
void rt_pacer_trace_begin(void); // gcpacertrace; after rt_workers_start
void rt_pacer_mark_done(uint64_t marked);
// Adapts the assist ratio to how far marking and allocation have come. Anybody, any time.
void rt_pacer_revise(void);
// heap_live that no allocation may exceed before marking is over.
uint64_t rt_pacer_hard_limit(void);
// Recomputes goal and trigger after a change of settings. World stopped.
void rt_pacer_recompute(void);
// Bytes of the heap that the last cycle scanned.
uint64_t rt_pacer_last_scan(void);

// ---- limit.c ----

bool rt_limit_set(void);
// Bytes of memory that the runtime holds, as they count towards the limit.
uint64_t rt_limit_mapped(void);
// Of them, those over `share` of the limit; 0 without one.
uint64_t rt_limit_excess(double share);
// Mark termination, heap_live still what was allocated: how much of the spans is not objects.
void rt_limit_measure(uint64_t heap_live);
// The heap goal that keeps to the limit, at least marked; UINT64_MAX without a limit.
uint64_t rt_limit_goal(uint64_t marked);
uint64_t rt_limit_headroom(uint64_t goal);
// A limit is set: sweeps as long as `bytes` more would be too much. / Returns memory that is too much.
void rt_limit_sweep(size_t bytes);
void rt_limit_scavenge(void);
// Whether the collector has had its half of the CPU under a limit, so that allocations must not pay.
bool rt_limiter_on(void);
// The number of the cycle under way, or to come, when that began to be so; 0: never.
uint32_t rt_limiter_last_on(void);
// Adds CPU ns of the collector and of the program. true: the bucket is full and would get fuller.
struct rt_bucket {
	int64_t fill; // ns
};
bool rt_bucket_add(struct rt_bucket *b, int64_t capacity, int64_t gc, int64_t mutator);

// ---- gctrace.c ----
void rt_gctrace_print(const struct gc_times *t);
// Go's format for a time in a trace: at most two significant digits below 10 ms. Returns buf.
char *rt_msfmt(char buf[24], int64_t ns);
// The shortest decimal, without exponent, that reads back as x >= 0; below 1e-20 "0", from 1e25 "+Inf".
// (One digit more in one case in some thousand, where that decimal lies half way between two doubles.)
// Returns buf.
char *rt_shortest(char buf[64], double x);
