// SPDX-License-Identifier: BSD-3-Clause
// Block and mutex events. Counts are weighted when they are recorded, so that a change of rate does
// not rewrite history. Go: runtime/mprof.go.
#include "arch/arch.h"
#include "base/rand.h"
#include "core/labels.h"
#include "core/rtlink.h"
#include "core/thread.h"
#include "sources/capture.h"
#include "sources/sources.h"

static _Thread_local uint64_t seed __attribute__((tls_model("initial-exec")));

// Uniform in [0, n).
static uint64_t
below(uint64_t n)
{
	if (seed == 0)
		seed = rtp_thread_pointer() ^ rt_cputicks();
	return (uint64_t)(((__uint128_t)rt_rand_next(&seed) * n) >> 64);
}

RT_NOINLINE static void
record(enum rtp_kind kind, uint64_t count_fix16, uint64_t ticks, int skip)
{
	struct rtp_regs here;
	struct rtp_region *r = rtp_main();
	if (!r)
		return;
	rtp_regs_here(&here);
	// Who waited matters; who ended others' waiting is nobody's request.
	const void *labels = kind == RTP_BLOCK && rtp_runtime() ? rtp_runtime()->labels() : NULL;
	struct rtp_bucket *b = rtp_capture_bucket(r, kind, rtp_labels_off(r, labels), &here, skip + 2);
	if (!b)
		return;
	rtp_add(&b->v[RTP_LOCK_COUNT_FIX16], count_fix16);
	rtp_add(&b->v[RTP_LOCK_TICKS], ticks);
}

RT_NOINLINE void
rtp_block_event(int64_t ticks, int64_t rate, int skip)
{
	if (ticks <= 0)
		ticks = 1;
	if (rate <= 0)
		return;
	if (ticks >= rate)
		record(RTP_BLOCK, 65536, (uint64_t)ticks, skip);
	else if (below((uint64_t)rate) < (uint64_t)ticks)
		record(RTP_BLOCK, (uint64_t)(65536.0 * (double)rate / (double)ticks), (uint64_t)rate, skip);
	__asm__ volatile("" ::: "memory"); // no tail call: the frames to skip are counted
}

RT_NOINLINE void
rtp_mutex_event(int64_t ticks, int64_t fraction, int skip)
{
	if (ticks < 0)
		ticks = 0;
	if (fraction <= 0 || below((uint64_t)fraction) != 0)
		return;
	record(RTP_MUTEX, (uint64_t)fraction << 16, (uint64_t)(fraction * ticks), skip);
	__asm__ volatile("" ::: "memory");
}
