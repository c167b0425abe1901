// SPDX-License-Identifier: BSD-3-Clause
// Publication of heap profiles: what a reader sees before, between and after collections.
#include <criterion/criterion.h>

#include <string.h>

#include "core/thread.h"
#include "encode/profile.h"
#include "regs.h"
#include "sources/sources.h"

TestSuite(heap, .timeout = 10);

static void
totals(uint64_t col[RTP_HEAP_NCOL])
{
	memset(col, 0, RTP_HEAP_NCOL * sizeof(*col));
	rtp_for_buckets(b, rtp_main(), RTP_HEAP) {
		uint64_t c[RTP_HEAP_NCOL];
		rtp_heap_read(rtp_main(), b, c);
		for (int i = 0; i < RTP_HEAP_NCOL; i++)
			col[i] += c[i];
	}
}

static void
expect(uint64_t allocs, uint64_t frees)
{
	uint64_t c[RTP_HEAP_NCOL];
	totals(c);
	cr_assert_eq(c[RTP_ALLOCS], allocs, "%lu allocations, not %lu", c[RTP_ALLOCS], allocs);
	cr_assert_eq(c[RTP_FREES], frees, "%lu frees, not %lu", c[RTP_FREES], frees);
	cr_assert_eq(c[RTP_ALLOC_BYTES], 64 * allocs);
	cr_assert_eq(c[RTP_FREE_BYTES], 64 * frees);
}

static void
cycle(void **dead, int n)
{
	rtp_heap_mark_terminated();
	for (int i = 0; i < n; i++)
		rtp_heap_freed(dead[i], 64);
	rtp_heap_swept();
}

Test(heap, without_a_collection_everything_shows)
{
	for (int i = 0; i < 3; i++)
		rtp_heap_sampled(64, 0);
	expect(3, 0);
}

Test(heap, a_collection_publishes_what_it_judged_and_no_more)
{
	void *t[4];
	for (int i = 0; i < 4; i++)
		t[i] = rtp_heap_sampled(64, 0);
	cycle(t, 1);
	expect(4, 1);
	rtp_heap_sampled(64, 0);
	expect(4, 1); // the new one was not judged yet
	cycle(t + 1, 2);
	expect(5, 3);
	cycle(t + 3, 1);
	expect(5, 4);
}

Test(heap, allocation_during_sweep_waits_for_the_next_cycle)
{
	void *a = rtp_heap_sampled(64, 0);
	rtp_heap_mark_terminated();
	rtp_heap_sampled(64, 0); // before the sweep ends
	rtp_heap_freed(a, 64);
	rtp_heap_swept();
	expect(1, 1);
	cycle(NULL, 0);
	expect(2, 1);
}

Test(heap, stack_of_a_sample_begins_at_the_caller)
{
	struct rtp_regs here;
	struct rtp_bucket *b = rtp_heap_sampled(64, 0);
	rtp_regs_here(&here);
	uint64_t pc = rtp_bucket_pcs(b)[0];
	cr_assert_gt(b->npc, 3);
	cr_assert_lt(pc, here.pc);
	cr_assert_lt(here.pc - pc, 100, "%lx is not just before %lx", pc, here.pc);
}
