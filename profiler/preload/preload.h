// SPDX-License-Identifier: BSD-3-Clause
// libgort-preload.so: the profiler for a program that knows nothing of it. Its functions stand in
// front of libc's, see what they are asked, and pass it on.
//
// Invariants:
//   - nothing is recorded and no lock of ours is taken while rtp_busy is up on this thread
//   - nothing of a profile is in the way of a call: what cannot be recorded is counted and passed on
//   - no descriptor is kept open, no signal stack, no handler but SIGPROF's, no environment changed
//   - static TLS stays under 128 bytes
#pragma once

#include "core/region.h"
#include "core/thread.h"
#include "preload/chain.h"

struct preload_options {
	bool cpu, heap, block, mutex, threadcreate, wall;
	bool wishes;          // gort run may ask for more profiles later
	int hz;               // CPU samples a second of CPU time
	int64_t mem_rate;     // mean bytes between heap samples
	int64_t block_rate;   // ns
	int64_t mutex_fraction;
	char out[3072];       // folder of the files, absolute; "" with a parent
	char parent[100];     // socket of gort run; "" without one
	char http[64];        // where to serve /debug/pprof; "" nowhere
	char cpu_file[3072], heap_file[3072]; // CPUPROFILE, HEAPPROFILE
};
extern struct preload_options preload_opt;

// Fills preload_opt from GORT_PROFILE, CPUPROFILE and HEAPPROFILE; what is not understood costs a line.
// False when nothing is asked for.
bool preload_read_options(void);

// One line on stderr, "gort: ..." - if stderr is still what it was at start.
void preload_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The stack of whoever called into this library, leaf first: the callers, below `leaf` (0: none), an
// address inside the function that stands for the event. Raise rtp_busy around it.
int preload_capture(uintptr_t leaf, uintptr_t pcs[RTP_MAX_FRAMES]);

int64_t preload_now(void); // monotonic ns
double preload_uniform(void); // in [0, 1)
// An exponentially distributed number with this mean, at least 1.
uint64_t preload_exponential(double mean);

// ---- alloc.c ----
// Heap sampling as preload_opt says, from now on.
void preload_alloc_start(void);
// False when the program's malloc is not ours to see.
bool preload_alloc_seen(void);

// ---- live.c: the sampled blocks that are not freed yet ----
// A byte for each hash of an address: 0 says that no such block is sampled.
#define LIVE_FILTER_BITS 16
extern _Atomic uint8_t preload_filter[1 << LIVE_FILTER_BITS];

struct preload_block {
	struct rtp_bucket *bucket;
	uint64_t size;
};

RT_INLINE bool
preload_maybe_live(const void *p)
{
	return rt_load(&preload_filter[preload_hash(p) >> (64 - LIVE_FILTER_BITS)]) != 0;
}

// False: no room.
bool preload_live_add(const void *p, struct preload_block b);
// Takes p out; false when it was not in.
bool preload_live_take(const void *p, struct preload_block *b);
// An address that preload_maybe_live answers true for, ever after.
void preload_live_mark(const void *p);
// In a forked child: the parent's blocks are not its own.
void preload_live_forget(void);

// ---- locks.c ----
void preload_locks_start(void);
void preload_locks_forked(void);

// ---- creds.c ----
void preload_creds_start(void);

// ---- signals.c ----
void preload_signals_start(void);
// In case the program changed SIGPROF behind libc's back.
void preload_signals_check(void);
