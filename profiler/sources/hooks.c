// SPDX-License-Identifier: BSD-3-Clause
// The runtime's hooks, each passed on to the source that counts it.
#include "core/rtlink.h"
#include "core/thread.h"
#include "sources/cpu.h"
#include "sources/emit.h"
#include "sources/sources.h"

static void *
malloc_sampled(void *obj, size_t size)
{
	(void)obj;
	void *token = rtp_heap_sampled(size, 1);
	__asm__ volatile("" : "+r"(token)); // no tail call: the frames to skip are counted
	return token;
}

static void
thread_start(struct m *mp)
{
	(void)mp;
	rtp_cpu_thread_start();
}

static void
thread_exit(struct m *mp)
{
	(void)mp;
	rtp_cpu_thread_exit();
}

static void
app_returned(void)
{
	rtp_env_finish(true);
}

static int
sample_stack(const void *token, const uintptr_t **pcs)
{
	const struct rtp_bucket *b = token;
	*pcs = (const uintptr_t *)(const void *)&b->v[b->nval]; // never written again
	return b->npc;
}

static uint64_t
table_bytes(void)
{
	const struct rtp_region *r = rtp_main_peek(); // NULL in a child after fork
	return r ? rt_load(&r->used) : 0;
}

static const struct rt_hooks hooks = {
	.malloc_sampled = malloc_sampled,
	.malloc_freed = rtp_heap_freed,
	.heap_mark_terminated = rtp_heap_mark_terminated,
	.heap_swept = rtp_heap_swept,
	.block_event = rtp_block_event,
	.mutex_event = rtp_mutex_event,
	.thread_start = thread_start,
	.thread_exit = thread_exit,
	.app_returned = app_returned,
	.sample_stack = sample_stack,
	.table_bytes = table_bytes,
};

void
rtp_hooks_install(void)
{
	const struct rt_introspect *rt = rtp_runtime();
	struct rtp_region *r = rt ? rtp_main() : NULL;
	if (!r)
		return;
	r->entry_lo = rt->entry_lo;
	r->entry_hi = rt->entry_hi;
	rt->set_hooks(&hooks);
	atomic_fetch_or(rt->hook_flags, RT_HOOK_THREAD | RT_HOOK_HEAP);
}
