// SPDX-License-Identifier: BSD-3-Clause
// Heap, block, mutex and goroutine profiles: what feeds their buckets.
#pragma once

#include "core/region.h"

// ---- heap (sources/heap.c) ----
// With a collector, allocations and frees become visible together, cycle by cycle: an object and its
// death are told at different times, and a profile in between would show garbage as live.

// A sampled object; the token comes back in rtp_heap_freed. NULL: not recorded.
void *rtp_heap_sampled(size_t size, int skip);
void rtp_heap_freed(void *token, size_t size);
void rtp_heap_mark_terminated(void);
void rtp_heap_swept(void);

// ---- locks (sources/lock.c) ----
// The runtime's hooks of these names (debug/hooks.h). block: an event of c ticks is kept with probability
// min(1, c / rate). mutex: one in fraction.
void rtp_block_event(int64_t ticks, int64_t rate, int skip, uintptr_t stack_hi, const void *labels);
void rtp_mutex_event(int64_t ticks, int64_t fraction, int skip, uintptr_t stack_hi);

// ---- goroutines (sources/goroutine.c) ----
// A region of its own holding one bucket a distinct stack, or, when each, one struct rtp_goroutine a
// goroutine; NULL without a runtime or memory. Free it. Any thread. kind RTP_GOROUTINELEAK: the leaked ones
// are looked for first, and buckets hold only them.
struct rtp_region *rtp_goroutine_snapshot(enum rtp_kind kind, bool each);
// An empty region for the following.
struct rtp_region *rtp_goroutine_region(void);
// Adds ns to the RTP_WALL bucket of each goroutine's stack and state. Any thread.
void rtp_goroutine_credit(struct rtp_region *r, int64_t ns);
// One bucket without a stack: the number of threads.
struct rtp_region *rtp_threadcreate_snapshot(void);

// ---- native programs (preload/) ----
// What the preloaded library records in place of a runtime; it sets these once, before any event.
struct rtp_native {
	int64_t mem_rate; // 0: heap profiling is off
	bool locks;       // block and mutex events are recorded, in nanoseconds
	void (*thread_created)(void); // in pthread_create, on the creator
	uintptr_t own_lo, own_hi; // the library's code, which stacks do not show
};
extern const struct rtp_native *rtp_native;

// ---- custom profiles (sources/custom.c) ----
// The region of the custom profile of this name; NULL: there is none. Profiles are for ever.
struct rtp_region *rtp_custom_region(const char *name);
// Fills in names and numbers of values; returns how many, at most max.
int rtp_custom_names(const char **names, int64_t *counts, int max);
void rtp_custom_forked(void);

// ---- where threads wait (sources/waits.c): RTP_WALL buckets of the main region ----
// The background thread looks from now on, until stopped as often as started.
void rtp_waits_start(void);
// A last look, so that the totals are those of now; then no more.
void rtp_waits_stop(void);
bool rtp_waits_on(void);
// By the background thread: looks if it is time to, and returns in how many ns it is again.
int64_t rtp_waits_look(void);
void rtp_waits_forked(void);

// ---- wall profiles (sources/wall.c): of goroutines, in a program without the runtime of threads ----
struct rtp_wall;
// -ENOTSUP: the runtime did not start yet.
int rtp_wall_start(struct rtp_wall **w);
// Ends it, writes it to fd and frees it.
int rtp_wall_finish(struct rtp_wall *w, int fd);

// ---- the runtime's hooks (sources/hooks.c) ----
void rtp_hooks_install(void);
