// SPDX-License-Identifier: BSD-3-Clause
// gort_read_mem_stats and gort_read_gc_stats. Counts that Ps keep for themselves are summed with the
// world stopped and the caches flushed, so all fields belong to one moment.
#include <string.h>

#include <gort/mem.h>

#include "debug/hooks.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "mem/mcache.h"
#include "mem/mheap.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sched/sched.h"

static void
add_caches(gort_mem_stats *s)
{
	for (int32_t i = 0; i < nallp; i++) {
		const struct mcache *c = allp[i]->mcache;
		if (!c)
			continue;
		s->mallocs += c->tinyallocs;
		s->frees += c->tinyallocs; // Go counts them so: the block is what is freed
		s->total_alloc += c->largealloc;
		s->mallocs += c->nmalloc[0];
		for (unsigned k = 1; k < RT_NUM_SIZE_CLASSES; k++) {
			s->mallocs += c->nmalloc[k];
			s->total_alloc += c->nmalloc[k] * rt_spanclasses[RT_SPANCLASS(k, 0)].size;
			if (k < rt_nelem(s->by_size))
				s->by_size[k].mallocs += c->nmalloc[k];
		}
	}
}

// Returns the bytes freed.
static uint64_t
add_frees(gort_mem_stats *s)
{
	uint64_t freed = rt_load(&rt_gc.largefree);
	s->frees += rt_load(&rt_gc.nfree[0]);
	for (unsigned k = 1; k < RT_NUM_SIZE_CLASSES; k++) {
		uint64_t n = rt_load(&rt_gc.nfree[k]);
		uint32_t size = rt_spanclasses[RT_SPANCLASS(k, 0)].size;
		s->frees += n;
		freed += n * size;
		if (k < rt_nelem(s->by_size)) {
			s->by_size[k].size = size;
			s->by_size[k].frees = n;
		}
	}
	return freed;
}

static void
add_stack(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg)
{
	uint64_t *bytes = arg;
	*bytes += rt_round_up(hi, (uintptr_t)4096) - rt_round_down(lo, (uintptr_t)4096);
}

static void
fill_heap(gort_mem_stats *s)
{
	uint64_t freed;
	add_caches(s);
	freed = add_frees(s);
	s->alloc = s->heap_alloc = s->total_alloc - freed;
	s->heap_objects = s->mallocs - s->frees;
	s->heap_inuse = rt_load(&rt_heap.pagesinuse) << RT_PAGE_SHIFT;
	s->heap_sys = rt_load(&rt_heap.grown);
	s->heap_idle = s->heap_sys - s->heap_inuse;
	s->heap_released = rt_load(&rt_heap.released);
}

uint64_t
rt_profile_bytes(void)
{
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	return h && h->table_bytes ? h->table_bytes() : 0;
}

uint64_t
rt_other_bytes(void)
{
	return rt_load(&rt_sys_stats.other) + rt_load(&rt_persistent_other);
}

static void
fill_runtime(gort_mem_stats *s)
{
	rt_for_each_stack(add_stack, &s->stack_inuse);
	s->stack_sys = s->stack_inuse + rt_thread_stacks_bytes();
	s->mspan_inuse = rt_load(&rt_heap.spanalloc.inuse);
	s->mspan_sys = rt_load(&rt_sys_stats.mspan);
	s->mcache_inuse = rt_load(&rt_heap.cachealloc.inuse);
	s->mcache_sys = rt_load(&rt_sys_stats.mcache);
	s->buck_hash_sys = rt_profile_bytes();
	// The line table and the alloc bits grow with the heap; a line and a stride per page.
	s->gc_sys = rt_load(&rt_sys_stats.gc) +
		    (s->heap_sys >> RT_PAGE_SHIFT) * (sizeof(struct pageinfo) + RT_BITS_STRIDE);
	s->other_sys = rt_other_bytes();
	s->sys = s->heap_sys + s->stack_sys + s->mspan_sys + s->mcache_sys + s->buck_hash_sys +
		 s->gc_sys + s->other_sys;
}

static void
fill_gc(gort_mem_stats *s)
{
	s->next_gc = rt_load(&rt_gc.goal);
	s->last_gc = rt_gc.last_end_wall;
	s->pause_total_ns = rt_gc.pause_total;
	memcpy(s->pause_ns, rt_gc.pause_ns, sizeof s->pause_ns);
	memcpy(s->pause_end, rt_gc.pause_end, sizeof s->pause_end);
	s->num_gc = rt_load(&rt_gc.ncycles);
	s->num_forced_gc = rt_load(&rt_gc.nforced);
	rt_gc_update_cpu_total(rt_nanotime());
	s->gc_cpu_fraction = rt_gc_cpu_fraction();
	s->enable_gc = true;
}

static void
read_stopped(void *arg)
{
	gort_mem_stats *s = arg;
	rt_stop_world("read mem stats");
	rt_gc_flush_caches();
	fill_heap(s);
	fill_runtime(s);
	fill_gc(s);
	rt_start_world();
}

void
gort_read_mem_stats(gort_mem_stats *s)
{
	rt_enter();
	memset(s, 0, sizeof *s);
	rt_systemstack(read_stopped, s);
	rt_leave();
}

// ---- GCStats ----

static void
sort_ascending(int64_t *a, int n)
{
	for (int i = 1; i < n; i++)
		for (int j = i; j > 0 && a[j - 1] > a[j]; j--) {
			int64_t t = a[j];
			a[j] = a[j - 1];
			a[j - 1] = t;
		}
}

static void
fill_quantiles(gort_gc_stats *s)
{
	int64_t sorted[256];
	const int nq = (int)rt_nelem(s->pause_quantiles);
	if (s->npause == 0)
		return;
	memcpy(sorted, s->pause, (size_t)s->npause * sizeof *sorted);
	sort_ascending(sorted, s->npause);
	for (int i = 0; i < nq - 1; i++)
		s->pause_quantiles[i] = sorted[s->npause * i / (nq - 1)];
	s->pause_quantiles[nq - 1] = sorted[s->npause - 1];
}

static void
read_gc_stopped(void *arg)
{
	gort_gc_stats *s = arg;
	rt_stop_world("read GC stats");
	uint32_t n = rt_load(&rt_gc.ncycles);
	s->last_gc = (int64_t)rt_gc.last_end_wall;
	s->num_gc = n;
	s->pause_total = (int64_t)rt_gc.pause_total;
	s->npause = (int)rt_min(n, 256u);
	for (int i = 0; i < s->npause; i++) {
		uint32_t at = (n - 1 - (uint32_t)i) % 256;
		s->pause[i] = (int64_t)rt_gc.pause_ns[at];
		s->pause_end[i] = (int64_t)rt_gc.pause_end[at];
	}
	rt_start_world();
}

void
gort_read_gc_stats(gort_gc_stats *s)
{
	rt_enter();
	memset(s, 0, sizeof *s);
	rt_systemstack(read_gc_stopped, s);
	rt_leave();
	fill_quantiles(s);
}
