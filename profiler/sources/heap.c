// SPDX-License-Identifier: BSD-3-Clause
// Publication. A bucket has the published columns and three slots. With C the number of mark
// terminations so far, an allocation goes to slot (C + 2) % 3, a free found by sweeping to slot
// (C + 1) % 3. When the sweep after mark termination C is done, slots C and C + 1 are complete: every
// object allocated before that mark is in, and so is the death of each that it found dead. They are
// added to what is published. Go: runtime/mprof.go; it publishes C + 1 only after an explicit GC.
#include "core/thread.h"
#include "sources/capture.h"
#include "sources/sources.h"

static _Atomic uint64_t *
column(struct rtp_bucket *b, uint32_t cycle, int col)
{
	return &b->v[(1 + cycle % 3) * RTP_HEAP_NCOL + col];
}

// noinline: the walk starts here and leaves this frame out.
RT_NOINLINE void *
rtp_heap_sampled(size_t size, int skip)
{
	uintptr_t pcs[RTP_MAX_FRAMES];
	struct rtp_regs here;
	struct rtp_region *r = rtp_main();
	if (!r)
		return NULL;
	rtp_regs_here(&here);
	int n = rtp_capture(r, &here, pcs, RTP_MAX_FRAMES, skip + 1);
	struct rtp_bucket *b = rtp_bucket(r, RTP_HEAP, size, pcs, n);
	if (!b)
		return NULL;
	// Relaxed: the world stops between two cycles, so no caller straddles a change.
	uint32_t c = rt_load(&r->heap_cycle) + 2;
	rtp_add(column(b, c, RTP_ALLOCS), 1);
	rtp_add(column(b, c, RTP_ALLOC_BYTES), size);
	return b;
}

void
rtp_heap_freed(void *token, size_t size)
{
	struct rtp_bucket *b = token;
	struct rtp_region *r = rtp_main_peek();
	uint32_t c = rt_load(&r->heap_cycle) + 1;
	rtp_add(column(b, c, RTP_FREES), 1);
	rtp_add(column(b, c, RTP_FREE_BYTES), size);
}

void
rtp_heap_mark_terminated(void)
{
	struct rtp_region *r = rtp_main_peek();
	if (r)
		atomic_fetch_add(&r->heap_cycle, 1);
}

static void
publish_slot(struct rtp_bucket *b, uint32_t cycle)
{
	for (int col = 0; col < RTP_HEAP_NCOL; col++) {
		uint64_t d = atomic_exchange(column(b, cycle, col), 0);
		if (d)
			rtp_add(&b->v[col], d);
	}
}

void
rtp_heap_swept(void)
{
	struct rtp_region *r = rtp_main_peek();
	if (!r)
		return;
	uint32_t c = rt_load(&r->heap_cycle);
	rtp_for_buckets(b, r, RTP_HEAP) {
		publish_slot(b, c);
		publish_slot(b, c + 1);
	}
	atomic_fetch_add(&r->heap_published, 1);
}
