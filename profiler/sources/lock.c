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

// Inlined into the hooks, so that theirs is the one frame between here and the runtime.
RT_INLINE void
record(enum rtp_kind kind, uint64_t count_fix16, uint64_t ticks, int skip, uintptr_t stack_hi, const void *labels)
{
	struct rtp_regs here;
	struct rtp_region *r = rtp_main();
	if (!r)
		return;
	rtp_regs_here(&here);
	struct rtp_event e = { kind, skip + 1, rtp_labels_off(r, labels), stack_hi, count_fix16, ticks };
	rtp_capture_count(r, &e, &here);
	RT_KEEP_FRAME();
}

void
rtp_block_event(int64_t ticks, int64_t rate, int skip, uintptr_t stack_hi, const void *labels)
{
	uint64_t count = 65536, t = (uint64_t)rt_max(ticks, (int64_t)1);
	if (rate <= 0)
		return;
	if (rt_unlikely(t < (uint64_t)rate)) {
		if (below((uint64_t)rate) >= t)
			return;
		count = (uint64_t)(65536.0 * (double)rate / (double)t);
		t = (uint64_t)rate;
	}
	record(RTP_BLOCK, count, t, skip, stack_hi, labels);
}

// Without labels: who waited matters; who ended others' waiting is nobody's request.
void
rtp_mutex_event(int64_t ticks, int64_t fraction, int skip, uintptr_t stack_hi)
{
	if (fraction > 0 && (fraction == 1 || below((uint64_t)fraction) == 0))
		record(RTP_MUTEX, (uint64_t)fraction << 16, (uint64_t)(fraction * rt_max(ticks, (int64_t)0)), skip,
		       stack_hi, NULL);
}
