// SPDX-License-Identifier: BSD-3-Clause
#include "core/thread.h"

void
rtp_ring_fold(struct rtp_region *r, struct rtp_thread *t, uint64_t label)
{
	const uint64_t *ring = rtp_at(r, rt_load_acquire(&t->ring));
	// acquire: pairs with the handler's release.
	uint32_t head = rt_load(&t->head), tail = rt_load_acquire(&t->tail);
	while (head != tail && tail - head <= RTP_RING_WORDS) {
		uint64_t h[3];
		uintptr_t pcs[RTP_CPU_FRAMES];
		for (uint32_t i = 0; i < 3; i++)
			h[i] = ring[(head + i) % RTP_RING_WORDS];
		uint32_t n = (uint32_t)(h[0] & 0xffff);
		if (n > RTP_CPU_FRAMES)
			break; // overwritten by a program that was dying
		for (uint32_t i = 0; i < n; i++)
			pcs[i] = ring[(head + 3 + i) % RTP_RING_WORDS];
		head += 3 + n;
		rt_store_release(&t->head, head);
		struct rtp_bucket *b = rtp_bucket(r, RTP_CPU, label ? label : h[2], pcs, (int)n);
		if (!b)
			continue;
		rtp_add(&b->v[RTP_CPU_COUNT], h[0] >> 16);
		rtp_add(&b->v[RTP_CPU_NS], h[1]);
	}
}
