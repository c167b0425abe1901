// SPDX-License-Identifier: BSD-3-Clause
// The profiler's view of one thread: its stack bounds, its CPU timer, and the ring into which its
// signal handler writes samples.
//
// States. FREE: nobody's. LIVE: a thread's; its handler may write at any time. DEAD: the thread ended
// (or was found gone); the next drain empties the ring and frees the slot. Slots are never unmapped.
//
// The ring has one writer, the handler on this thread, and one reader at a time, whoever holds the
// drain lock (sources/cpu.c). Records are runs of words: header, ns, labels, pcs.
#pragma once

#include "core/region.h"

enum rtp_thread_state { RTP_THREAD_FREE, RTP_THREAD_LIVE, RTP_THREAD_DEAD };

#define RTP_RING_WORDS 4096u

struct rtp_thread {
	uint64_t next; // in region->threads
	_Atomic uint32_t state;
	int32_t tid;
	// Bounds of the thread's own stack; lo 0: not known (yet).
	_Atomic uintptr_t stack_lo, stack_hi;
	// A handler met an unknown stack: the reader looks it up.
	_Atomic uintptr_t ask_sp, ask_tp;
	int32_t timer; // kernel timer id, -1 none. Under the drain lock.
	_Atomic uint64_t period_ns;
	// Periods of CPU time that are due at time c of the thread's clock: (c - origin) / period_ns. And
	// those that its handler has counted.
	_Atomic int64_t origin;
	_Atomic uint64_t counted;
	uint32_t last; // ring index of its latest record, UINT32_MAX none; the handler's
	_Atomic uint64_t labels; // label set of a native thread
	int64_t named_at;        // when labels was read from the thread's name; under the drain lock
	// What it was found doing last, as long as its CPU clock stands still: sources/waits.c, under its lock.
	_Atomic uint64_t wait_bucket; // offset; 0 none
	int64_t wait_cpu;             // ns
	uint64_t seen; // offset of stacks met before (sources/capture.c); the thread's own
	_Atomic uint32_t tail;   // words written; the handler's
	char pad[64];            // the two ends of the ring on lines of their own
	_Atomic uint32_t head;   // words read
	_Atomic uint64_t ring; // offset of RTP_RING_WORDS words; 0 until the first timer
};

// The main region; async-signal-safe. NULL: nobody needed it yet.
extern _Atomic(struct rtp_region *) rtp_main_region;

RT_INLINE struct rtp_region *
rtp_main_peek(void)
{
	return rt_load_acquire(&rtp_main_region);
}

// The same, made at the first need; NULL when the system has no room for it.
struct rtp_region *rtp_main_make(void);
RT_INLINE struct rtp_region *
rtp_main(void)
{
	struct rtp_region *r = rtp_main_peek();
	return rt_likely(r != NULL) ? r : rtp_main_make();
}

// Moves what a thread's ring holds into buckets. label: of its samples, 0: they have their own. One at a
// time for each thread: under the drain lock, or for a process that is dead.
void rtp_ring_fold(struct rtp_region *r, struct rtp_thread *t, uint64_t label);

// The main region is another process's (gort run): it is read, and asked for samples; nothing of the
// calling process goes into it.
extern bool rtp_remote;

// Makes r the main region, before anybody asked for it.
void rtp_main_use(struct rtp_region *r);

// Raised while a thread is inside the profiler: what it allocates or waits for there is no event of the
// program. The profiler's own threads keep it raised.
extern _Thread_local int rtp_busy __attribute__((tls_model("initial-exec")));

// The slot of the calling thread, made if it has none. Not in handlers. NULL when there is no room.
struct rtp_thread *rtp_thread_self(void);
extern _Thread_local struct rtp_thread *rtp_self __attribute__((tls_model("initial-exec")));
// NULL if it has none yet.
RT_INLINE struct rtp_thread *
rtp_thread_self_peek(void)
{
	return rtp_self;
}
// The same where the thread holds no lock of libc's: at its beginning.
struct rtp_thread *rtp_thread_begin(void);
// The calling thread ends.
void rtp_thread_exit(void);
// A slot for another thread of this process, found by its id; its stack bounds follow on demand.
struct rtp_thread *rtp_thread_adopt(int tid);
// The slot with this id that is LIVE, or NULL.
struct rtp_thread *rtp_thread_by_tid(struct rtp_region *r, int tid);
// Answers a handler's question for stack bounds, from /proc/self/maps.
void rtp_thread_resolve_stack(struct rtp_thread *t);
void rtp_thread_free(struct rtp_thread *t);

#define rtp_for_threads(t, r)                                                                      \
	for (struct rtp_thread *t = rtp_at(r, rt_load_acquire(&(r)->threads)); t;                  \
	     t = rtp_at(r, t->next))

// Bounds of the stack that holds sp: the runtime's, this thread's, or the signal stack of uc.
// Async-signal-safe. For struct rtp_walk.
struct rtp_stack_ctx {
	struct rtp_thread *thread;
	const void *uc;
};
bool rtp_stack_of(uintptr_t sp, uintptr_t *lo, uintptr_t *hi, void *ctx);

// After fork: this process has one thread and a fresh region.
void rtp_forked(void);
