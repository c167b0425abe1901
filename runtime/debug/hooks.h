// SPDX-License-Identifier: BSD-3-Clause
// What the runtime tells a profiler, and what a profiler may ask of the runtime. The runtime never
// calls profiler code directly: the profiler registers a table; one flags word, tested inline, says
// which of its entries are wanted. Stable between libgort and libgort-profiler of one version.
#pragma once

#include "base/base.h"

struct g;
struct m;

enum rt_hook_flag {
	RT_HOOK_HEAP = 1u << 0,  // allocation sampling
	RT_HOOK_BLOCK = 1u << 1,
	RT_HOOK_MUTEX = 1u << 2,
	RT_HOOK_THREAD = 1u << 3,
	RT_HOOK_TRACE = 1u << 4,
};
extern _Atomic uint32_t rt_hook_flags;

RT_INLINE bool
rt_hooked(enum rt_hook_flag f)
{
	return rt_unlikely(rt_load(&rt_hook_flags) & f);
}

// All run at depth > 0 on the thread concerned unless said otherwise; none may park, call back into
// the public interface, or stop the world.
struct rt_hooks {
	// An object was sampled (Poisson by bytes, rate rt_mem_profile_rate). size: rounded class size.
	// Returns a token that malloc_freed gets back, or NULL to forget the object.
	void *(*malloc_sampled)(void *obj, size_t size);
	// The sweeper freed a sampled object. May run on any M, also with the world stopped.
	void (*malloc_freed)(void *token, size_t size);
	// Cycle boundaries for the three-slot publication of heap profiles (formats.md 3.4): mark
	// termination with the world stopped; sweep of the cycle finished.
	void (*heap_mark_terminated)(void);
	void (*heap_swept)(void);
	// A goroutine waited this many cputicks; its own stack is the current one, and ends at stack_hi (0: it
	// stands on another). rate: rt_block_profile_rate. skip: frames to hide.
	void (*block_event)(int64_t ticks, int64_t rate, int skip, uintptr_t stack_hi, const void *labels);
	// An unlock ended others' waiting of this many ticks; the unlocker's stack is the current one.
	// fraction: rt_mutex_profile_fraction.
	void (*mutex_event)(int64_t ticks, int64_t fraction, int skip, uintptr_t stack_hi);
	// A thread of the runtime starts (on it, before it runs goroutines) or ends.
	void (*thread_start)(struct m *mp);
	void (*thread_exit)(struct m *mp);
	// app returned: on goroutine 1 at depth 0, nothing else is scheduled any more, exit handlers have
	// not run yet. The world can be stopped and a collection run.
	void (*app_returned)(void);
	// The stack that allocated the object of a token, leaf first: how many pcs are at *pcs.
	int (*sample_stack)(const void *token, const uintptr_t **pcs);
	// Bytes that the profiler's tables take. At any time, on any thread, also in a signal handler.
	uint64_t (*table_bytes)(void);
};

// Installs the table (kept, not copied; NULL removes). Flags are set separately.
__attribute__((visibility("default"))) void rt_set_hooks(const struct rt_hooks *h);
extern _Atomic(const struct rt_hooks *) rt_hooks;

// Pass the events on; times are cputicks, skip counts the frames to hide above these functions'. Not for
// tail calls.
void rt_block_event(int64_t began, int64_t ended, int skip);
void rt_mutex_event(int64_t ticks, int skip);

// Heap sampling: mean bytes between samples; 0 off, 1 every allocation. Go: MemProfileRate.
extern _Atomic int64_t rt_mem_profile_rate;
// Block: a wait of t ticks is kept with probability min(1, t/rate); 0 off.
extern _Atomic int64_t rt_block_profile_rate; // ticks
// Mutex: one event in so many; 0 off.
extern _Atomic int64_t rt_mutex_profile_fraction;

// The longest time for which a walk over goroutines kept the world stopped, ns; for tests.
extern _Atomic int64_t rt_walk_longest_stop;

// ---- asked by a profiler ----

struct rt_goroutine_info {
	uint64_t goid, parentgoid;
	int status;             // enum gstatus
	const char *waitreason; // NULL when it does not wait
	const char *state;      // as tracebacks print it: the wait reason, or the status
	int64_t waitsince;      // rt_nanotime clock, 0 unknown
	bool system, locked, is_main, self;
	bool leaked;            // waits for ever, says the last find_leaked
	uintptr_t startpc, gopc;
	const void *labels;
	// Where to start unwinding. uc: interrupted context of a running thread (its leaf pc is exact);
	// otherwise pc is a return address.
	const void *uc;
	uintptr_t pc, sp, fp, callee_saved[8];
	uintptr_t stack_lo, stack_hi;
};

struct rt_introspect {
	uint32_t size; // of this structure, for versions to come
	void (*set_hooks)(const struct rt_hooks *h);
	_Atomic uint32_t *hook_flags;
	_Atomic int64_t *mem_profile_rate, *block_profile_rate, *mutex_profile_fraction;
	// Threads that are no Ms and never send or close a channel add themselves: a deadlock is then
	// still seen (the profiler's reader, its HTTP server).
	_Atomic int32_t *own_threads;
	bool (*started)(void);
	void (*enter)(void);
	void (*leave)(void);
	// Async-signal-safe: bounds of the stack that holds sp if it is one of the runtime's.
	bool (*stack_bounds)(uintptr_t sp, uintptr_t *lo, uintptr_t *hi);
	// Async-signal-safe: labels and id of the goroutine on this thread; NULL/0 when none.
	const void *(*labels)(void);
	uint64_t (*goid)(void);
	bool (*on_system_goroutine)(void);
	void (*set_labels)(const void *labels);
	// Per thread, for the profiler's own use; NULL on foreign threads. Async-signal-safe.
	void **(*thread_slot)(void);
	// For each goroutine that lives now: capture, then commit. Those that run are captured in one stop of
	// the world, parked ones after it, while others run: capture may then read a stack that somebody
	// changes, within bounds that stay mapped; commit is called only if nobody did, and a goroutine
	// that was disturbed is captured again in a short stop. Neither may allocate from libc, print, lock
	// or park. Returns how many. From any thread; see visit for those that are no Ms.
	int (*for_each_goroutine)(void (*capture)(const struct rt_goroutine_info *gi, void *arg),
				  void (*commit)(void *arg), void *arg);
	int (*num_threads)(void);
	// Calls fn, which may call into the runtime. On a thread counted in own_threads the runtime is left
	// as if the thread had never been there: its goroutine is a system goroutine, shown to nobody, and
	// is gone afterwards, so that deadlocks are still seen. Waits for a P. On any other thread: fn(arg).
	void (*visit)(void (*fn)(void *arg), void *arg);
	// Runs a full collection and waits for its sweep; any thread, own ones inside visit.
	void (*gc)(void);
	// Runs a collection that looks for goroutines that nobody can wake any more, with the world stopped;
	// returns how many there are. As gc.
	int (*find_leaked)(void);
	// Those it found the last time that still wait.
	int (*num_leaked)(void);
	double (*ticks_per_second)(void);
	int (*num_goroutine)(void);
	int (*maxprocs)(void);
	// The pc of the frame that must not be shown below goroutines (rt_gostart), as [lo, hi).
	uintptr_t entry_lo, entry_hi;
};

// Resolved weakly by libgort-profiler: absent in programs that have no runtime.
__attribute__((visibility("default"))) const struct rt_introspect *gort_introspect(void);
