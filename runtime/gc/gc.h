// SPDX-License-Identifier: BSD-3-Clause
// The collector: non-moving, non-generational, tri-colour mark-sweep, phases by Go's names.
//
//             gcStart                     gcMarkTermination
//   GCoff ---------------> GCmark -----------------------> GCmarktermination ---> GCoff
//   sweeping,      stop: sweep termination,       marks complete,         sweeping begins,
//   allocation     caches flushed, roots read     new goal and trigger    lazily
//
// Colours. White: mark bit clear. Grey: mark set, scan clear; its span is in the span queue (or about to
// be). Black: both set. At mark termination nothing is grey and every white object is garbage.
//
// mgc.c: the cycle. roots.c: what is read at its start. mark.c: the marker. sweep.c: after it.
// pacer.c: when the next one begins. gctrace.c: the line. barrier.c: stores while marking runs.
#pragma once

#include "base/base.h"
#include "base/lock.h"
#include "mem/mheap.h"

struct g;

enum gcphase { GCoff, GCmark, GCmarktermination };

// Time stamps of one cycle (rt_nanotime) and what it measured; for gctrace and statistics.
struct gc_times {
	int64_t start;     // before the stop is asked for
	int64_t mark;      // marking begins
	int64_t term;      // marking has found everything
	int64_t end;       // the world is about to run
	int64_t paused;    // sum of its stops
	int64_t assist_ns, dedicated_ns, idle_ns; // CPU time of marking
	uint64_t heap0, heap1, heap2, goal;       // live at start, at mark end, marked; goal in force
	uint64_t stack_bytes, global_bytes;       // scanned
	int32_t maxprocs;
	bool forced;
};

extern struct gc_state {
	_Atomic uint32_t phase; // enum gcphase; changes with the world stopped
	_Atomic uint64_t heap_live; // bytes marked by the last cycle plus allocated since
	_Atomic uint64_t trigger;   // a cycle starts when heap_live reaches it
	_Atomic uint64_t goal;
	_Atomic int32_t percent; // GOGC, < 0 off
	_Atomic uint32_t ncycles, nforced; // completed
	uint64_t marked;         // by the last cycle; written with the world stopped
	uint64_t stack_bytes, global_bytes; // scanned by the last cycle
	_Atomic int64_t last_end;  // rt_nanotime, 0 none
	uint64_t last_end_wall;    // Unix ns

	// The right to run a cycle, and those who wait for the one that runs. lock protects all four.
	struct rt_mutex lock;
	bool running;
	uint32_t started; // cycles begun
	struct g *waiters; // linked by schedlink

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
	double pages_per_byte;     // proportional sweeping; written with the world stopped
	uint64_t sweep_live_basis;
	int64_t init_ns;           // rt_nanotime at rt_gcinit
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

// ---- mgc.c ----
void rt_gc_flush_caches(void); // world stopped
uint32_t rt_gc_cpu_procs(void); // min(gomaxprocs, CPUs)
void rt_gc_update_cpu_total(int64_t now);
double rt_gc_cpu_fraction(void);

// ---- mark.c ----

struct gcwork;
// World stopped, caches flushed: prepares the span queue for what is in the heap now.
void rt_mark_start(void);
struct gcwork *rt_mark_worker(void);
// Every aligned word of [lo, hi) is a root: it keeps the object at its byte and at the byte before.
void rt_mark_root_range(struct gcwork *w, uintptr_t lo, uintptr_t hi);
// Follows grey objects until none is left.
void rt_mark_drain(struct gcwork *w);
// While marking runs: greys the object that p points into, if it does.
void rt_shade_pointer(uintptr_t p);
// Bytes marked since rt_mark_start.
uint64_t rt_mark_bytes(void);

// ---- roots.c ----

// Makes the list of data segments: takes the loader's lock, so before the stop.
void rt_roots_prepare(void);
// World stopped. false: libraries came or went since rt_roots_prepare; start again.
bool rt_roots_current(void);
// World stopped. Marks from all roots, counting bytes.
void rt_roots_mark(struct gcwork *w, uint64_t *stack_bytes, uint64_t *global_bytes);

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

void rt_pacer_init(int32_t percent);
// World stopped, marks complete.
void rt_pacer_mark_done(uint64_t marked, uint64_t stack_bytes, uint64_t global_bytes);
// Recomputes goal and trigger after a change of settings. World stopped.
void rt_pacer_recompute(void);

// ---- gctrace.c ----
void rt_gctrace_print(const struct gc_times *t);
// Go's format for a time in a trace: at most two significant digits below 10 ms. Returns buf.
char *rt_msfmt(char buf[24], int64_t ns);
