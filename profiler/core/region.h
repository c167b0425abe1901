// SPDX-License-Identifier: BSD-3-Clause
// The profiler's memory: one region that holds everything a profile is written from - buckets,
// per-thread rings, the list of mappings, counters. Its links are offsets, so another process that
// maps the same file (gort run) reads it at any address, also after its owner was killed.
//
// Invariants:
//   - memory is handed out by one bump cursor and never taken back; offset 0 is nobody's
//   - a bucket is complete before a release CAS links it, and is never unlinked or changed but for
//     its counters: every walk is lock-free, and a reader sees whole buckets or none
//   - nothing here calls malloc, takes a lock or makes a system call after rtp_region_new
#pragma once

#include "base/base.h"

enum rtp_kind {
	RTP_CPU,
	RTP_HEAP,
	RTP_BLOCK,
	RTP_MUTEX,
	RTP_GOROUTINE,
	RTP_THREADCREATE,
	RTP_WALL,   // goroutines: in regions of their own (sources/wall.c); threads: here
	RTP_GOROUTINELEAK,
	RTP_CUSTOM, // in regions of their own (sources/custom.c)
	RTP_KINDS
};

// Columns of a bucket, by kind. Cumulative; a session is the difference of two readings.
enum { RTP_CPU_COUNT, RTP_CPU_NS, RTP_CPU_NVAL }; // wall, too
// Counts are in 1/65536, so that sampling weights (rate/ticks) add up without floating point.
enum { RTP_LOCK_COUNT_FIX16, RTP_LOCK_TICKS, RTP_LOCK_NVAL };
enum { RTP_COUNT, RTP_COUNT_NVAL };
// heap: the published state, then the three slots that wait for their cycle (sources/heap.c).
enum { RTP_ALLOCS, RTP_ALLOC_BYTES, RTP_FREES, RTP_FREE_BYTES, RTP_HEAP_NCOL };
#define RTP_HEAP_NVAL (4 * RTP_HEAP_NCOL)

#define RTP_MAX_FRAMES 128 // Go: profstackdepth
#define RTP_CPU_FRAMES 64

// Pseudo addresses in a stack: too small to be code.
enum rtp_marker { RTP_PC_TRUNCATED = 1, RTP_PC_LOST = 2, RTP_PC_RUNNING = 3, RTP_PC_MARKERS };

// What one thread counted of a lock bucket, by plain stores: only the thread that has the slot `owner`
// writes. Cells only grow; they and the bucket's own counters add up (rtp_count).
struct rtp_cell {
	uint64_t next;
	uint64_t owner; // offset of its struct rtp_thread
	_Atomic uint64_t v[RTP_LOCK_NVAL];
};

struct rtp_bucket {
	uint64_t next;    // offset of the next one in this hash chain
	uint64_t all;     // offset of the kind's next older one
	uint64_t hash;
	uint64_t aux;     // heap: bytes that its sampling counted; otherwise the label set
	uint32_t ordinal; // 0.. within the kind: index into a session's base
	uint8_t kind, nval;
	uint16_t npc;
	_Atomic uint64_t cells; // offset of the newest cell; lock buckets only
	_Atomic uint64_t v[]; // nval counters, then npc pcs, leaf first
};

// One executable segment of a loaded object; code that no file holds has none. Pushed to
// the list once, then only `gone` changes.
struct rtp_mapping {
	uint64_t next;
	uint64_t lo, hi, off; // addresses, file offset of lo
	uint64_t path;        // offset of a NUL-terminated string
	uint8_t build_id[32];
	uint8_t build_id_len;
	_Atomic uint8_t gone; // unloaded since
};

#define RTP_REGION_MAGIC 0x33544652474f5254ull
#define RTP_HASH_SIZE 65536u
#define RTP_LABELS_HASH 1024u

struct rtp_region {
	uint64_t magic;
	uint64_t size;         // bytes mapped
	_Atomic uint64_t used; // bump cursor
	int32_t pid;
	int32_t hz;            // CPU sampling rate in force
	int64_t mem_rate;
	int64_t mutex_fraction;
	double ticks_per_ns;   // of lock columns; 0: they are nanoseconds
	uint64_t entry_lo, entry_hi; // the frame below which a goroutine has none: not shown
	struct rtp_region *mappings_of; // a snapshot borrows this one's list, and its labels; NULL: its own
	_Atomic uint64_t mappings;
	_Atomic uint64_t threads; // list of struct rtp_thread (core/thread.h)
	_Atomic uint64_t list[RTP_KINDS];
	_Atomic uint32_t nbuckets[RTP_KINDS];
	_Atomic uint64_t no_memory[RTP_KINDS]; // events lost because the region was full
	_Atomic uint64_t ring_full;            // CPU samples lost because a ring was full
	_Atomic uint64_t truncated;            // stacks cut short
	_Atomic uint64_t overruns;             // timer periods that came merged into one signal
	_Atomic uint32_t heap_cycle;           // sources/heap.c
	_Atomic uint32_t heap_published;       // cycles published
	// A native process under gort run: what its parent writes the files from.
	char program[64];          // file name of the executable
	uint32_t layout;           // sizeof this structure: both sides are of one version
	uint32_t kinds;            // 1 << kind for each profile that is on
	int64_t start_wall, start_mono;
	_Atomic int64_t end_mono;  // exit handlers ran; 0: it runs, or was killed
	_Atomic int32_t want_hz;   // gort run asks for CPU samples at this rate
	_Atomic int32_t want_wall; // ... that threads' waits are looked at
	_Atomic uint32_t evicted;  // the program took SIGPROF for itself
	_Atomic uint64_t goroutines; // of a dump: list of struct rtp_goroutine (core/goroutine.h)
	_Atomic uint64_t labels_bytes, labels_lost; // core/labels.c
	_Atomic uint64_t labels[RTP_LABELS_HASH];   // chains of label sets
	_Atomic uint64_t hash[RTP_HASH_SIZE];  // bucket chains
};

// An anonymous region of about size bytes, address space only until used; halved until the system
// grants it. NULL when it does not. mmap, so not async-signal-safe.
struct rtp_region *rtp_region_new(size_t size);
void rtp_region_free(struct rtp_region *r);

// The same in a memory file that another process can map; *fd is the caller's. NULL: errno says why.
struct rtp_region *rtp_region_shared(size_t size, int *fd);
// Another process's. NULL when it is no region of this version; fd stays the caller's.
struct rtp_region *rtp_region_attach(int fd);
// Whether every list of an attached region can be walked: its owner may have overwritten it.
bool rtp_region_sound(struct rtp_region *r);

// n zeroed bytes, 16-byte aligned; NULL when the region is full. Async-signal-safe.
void *rtp_alloc(struct rtp_region *r, size_t n);

// The bucket of this (kind, aux, stack), made if it is new; NULL (and counted) when there is no room.
// Lock-free, async-signal-safe.
struct rtp_bucket *rtp_bucket(struct rtp_region *r, enum rtp_kind kind, uint64_t aux,
			      const uintptr_t *pcs, int npc);

int rtp_kind_nval(enum rtp_kind kind);

// The cell of a lock bucket that belongs to the thread with the slot at this offset, made if it is new; NULL
// when there is no room. For that thread alone.
struct rtp_cell *rtp_cell(struct rtp_region *r, struct rtp_bucket *b, uint64_t owner);

// A counter of a bucket, its cells included.
uint64_t rtp_count(struct rtp_region *r, const struct rtp_bucket *b, int i);

RT_INLINE void *
rtp_at(struct rtp_region *r, uint64_t off)
{
	return off ? (void *)((uintptr_t)r + off) : NULL; // off may be anything: looked at before it is used
}

RT_INLINE uint64_t
rtp_off(struct rtp_region *r, const void *p)
{
	return p ? (uint64_t)((const char *)p - (const char *)r) : 0;
}

RT_INLINE const uint64_t *
rtp_bucket_pcs(const struct rtp_bucket *b)
{
	return (const uint64_t *)&b->v[b->nval];
}

// Relaxed: counters are statistics; who needs them exact synchronises by other means.
RT_INLINE void
rtp_add(_Atomic uint64_t *v, uint64_t d)
{
	atomic_fetch_add_explicit(v, d, memory_order_relaxed);
}

#define rtp_for_buckets(b, r, kind)                                                                \
	for (struct rtp_bucket *b = rtp_at(r, rt_load_acquire(&(r)->list[kind])); b;               \
	     b = rtp_at(r, b->all))
