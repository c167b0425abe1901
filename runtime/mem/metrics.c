// SPDX-License-Identifier: BSD-3-Clause
// <gort/metrics.h>. A metric is a field of struct picture, filled by a group's function, or a histogram.
// Nothing is stopped for a picture: counts that Ps keep for themselves are read as they are, each word
// whole; differences of two that do not fit together are cut off at 0.
// Go: runtime/metrics.go.
#include <string.h>

#include <gort/metrics.h>

#include "gc/gc.h"
#include "gc/special.h"
#include "mem/mcache.h"
#include "mem/mheap.h"
#include "mem/scavenge.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sched/sched.h"
#include "sched/schedstat.h"
#include "sched/stack.h"

// Reads words that their owners write without atomics.
#define RACY __attribute__((no_sanitize("thread")))
#define PEEK(x) (*(const volatile __typeof__(x) *)&(x))

_Static_assert(GORT_METRIC_MAX_COUNTS == RT_TIMEHIST_COUNTS && RT_TIMEHIST_COUNTS >= RT_NUM_SIZE_CLASSES,
	       "the public array holds both kinds of histogram");

struct picture {
	struct {
		double assist, dedicated, mark_idle, pause, gc_total;
		double scav_assist, scav_background, scav_total, user, idle, total;
	} cpu;
	struct {
		uint64_t automatic, forced, cycles, gogc, gomemlimit, goal, live, limiter;
		uint64_t heap, globals, stack, scanned, stack_size;
	} gc;
	struct {
		uint64_t nalloc[RT_NUM_SIZE_CLASSES], nfree[RT_NUM_SIZE_CLASSES]; // [0]: large
		uint64_t allocs, alloc_bytes, frees, free_bytes, objects, tiny;
		uint64_t free, in_objects, released, unused;
	} heap;
	struct {
		uint64_t mcache_free, mcache_inuse, mspan_free, mspan_inuse, metadata, os_stacks, other, buckets;
	} own; // the runtime's own memory
	uint64_t stacks, memory; // goroutines' stacks; everything
	struct {
		uint64_t finalizers_run, finalizers_queued, cleanups_run, cleanups_queued;
	} attached;
	struct {
		uint64_t gomaxprocs, goroutines, created, threads;
		double mutex_wait;
	} sched;
	struct {
		uint64_t not_in_go, runnable, running, waiting;
	} states;
};

// ---- groups ----

static uint64_t
minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static double
seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

// What the kernel says that the process used is the program's but for marking, returning memory and one CPU of
// each pause; what the Ps had and nobody used was idle.
RACY static void
fill_cpu(struct picture *s)
{
	int64_t assist = PEEK(rt_gc.cpu_assist), dedicated = PEEK(rt_gc.cpu_dedicated);
	int64_t idle = PEEK(rt_gc.cpu_idle), pause = PEEK(rt_gc.cpu_pause);
	int64_t background = rt_scavenge_background_ns(), eager = rt_scavenge_eager_ns();
	int64_t runtime = assist + dedicated + idle + (int64_t)PEEK(rt_gc.pause_total) + background + eager;
	int64_t since = rt_nanotime() - PEEK(rt_gc.cpu_total_at);
	s->cpu.assist = seconds(assist);
	s->cpu.dedicated = seconds(dedicated);
	s->cpu.mark_idle = seconds(idle);
	s->cpu.pause = seconds(pause);
	s->cpu.gc_total = seconds(assist + dedicated + idle + pause);
	s->cpu.scav_background = seconds(background);
	s->cpu.scav_assist = seconds(eager);
	s->cpu.scav_total = seconds(background + eager);
	s->cpu.total = seconds(PEEK(rt_gc.cpu_total) + rt_max(since, (int64_t)0) * gomaxprocs);
	int64_t used = rt_process_cputime() - PEEK(rt_gc.init_cpu_ns);
	s->cpu.user = seconds(rt_max(used - runtime, (int64_t)0));
	s->cpu.idle = rt_max(s->cpu.total - s->cpu.gc_total - s->cpu.scav_total - s->cpu.user, 0.0);
}

RACY static void
fill_gc(struct picture *s)
{
	int32_t percent = rt_load(&rt_gc.percent);
	s->gc.forced = rt_load(&rt_gc.nforced); // before cycles, which is raised after it
	s->gc.cycles = rt_load(&rt_gc.ncycles);
	s->gc.automatic = minus(s->gc.cycles, s->gc.forced);
	s->gc.gogc = percent < 0 ? UINT64_MAX : (uint64_t)percent;
	s->gc.gomemlimit = (uint64_t)rt_load(&rt_gc.memory_limit);
	s->gc.goal = rt_load(&rt_gc.goal);
	s->gc.live = PEEK(rt_gc.marked);
	s->gc.limiter = rt_limiter_last_on();
	s->gc.heap = rt_pacer_last_scan();
	s->gc.globals = PEEK(rt_gc.global_bytes);
	s->gc.stack = PEEK(rt_gc.stack_bytes);
	s->gc.scanned = s->gc.heap + s->gc.globals + s->gc.stack;
	s->gc.stack_size = rt_stack_bytes;
}

RACY static void
add_cache(struct picture *s, const struct mcache *c)
{
	for (unsigned k = 0; k < RT_NUM_SIZE_CLASSES; k++)
		s->heap.nalloc[k] += PEEK(c->nmalloc[k]);
	s->heap.alloc_bytes += PEEK(c->largealloc);
	s->heap.tiny += PEEK(c->tinyallocs);
}

static void
fill_heap(struct picture *s)
{
	// Frees first: what is freed was counted as allocated before.
	s->heap.free_bytes = rt_load(&rt_gc.largefree);
	for (unsigned k = 0; k < RT_NUM_SIZE_CLASSES; k++)
		s->heap.nfree[k] = rt_load(&rt_gc.nfree[k]);
	for (int32_t i = 0; i < nallp; i++)
		if (allp[i]->mcache)
			add_cache(s, allp[i]->mcache);
	for (unsigned k = 0; k < RT_NUM_SIZE_CLASSES; k++) {
		uint64_t size = rt_spanclasses[RT_SPANCLASS(k, 0)].size; // 0 for large
		s->heap.allocs += s->heap.nalloc[k];
		s->heap.alloc_bytes += s->heap.nalloc[k] * size;
		s->heap.frees += s->heap.nfree[k];
		s->heap.free_bytes += s->heap.nfree[k] * size;
	}
	uint64_t inuse = rt_load(&rt_heap.pagesinuse) << RT_PAGE_SHIFT;
	s->heap.objects = minus(s->heap.allocs, s->heap.frees);
	s->heap.in_objects = minus(s->heap.alloc_bytes, s->heap.free_bytes);
	s->heap.released = rt_load(&rt_heap.released);
	s->heap.free = minus(minus(rt_load(&rt_heap.grown), inuse), s->heap.released);
	s->heap.unused = minus(inuse, s->heap.in_objects);
}

static void
fill_own(struct picture *s)
{
	s->own.mcache_inuse = rt_load(&rt_heap.cachealloc.inuse);
	s->own.mcache_free = minus(rt_load(&rt_sys_stats.mcache), s->own.mcache_inuse);
	s->own.mspan_inuse = rt_load(&rt_heap.spanalloc.inuse);
	s->own.mspan_free = minus(rt_load(&rt_sys_stats.mspan), s->own.mspan_inuse);
	s->own.metadata = rt_load(&rt_sys_stats.gc) + (rt_load(&rt_heap.grown) >> RT_PAGE_SHIFT) *
							      (sizeof(struct pageinfo) + RT_BITS_STRIDE);
	s->own.os_stacks = rt_thread_stacks_bytes();
	s->own.other = rt_other_bytes();
	s->own.buckets = rt_profile_bytes();
}

static void
fill_attached(struct picture *s)
{
	// What has run first: it was queued before.
	s->attached.finalizers_run = rt_load_acquire(&rt_attached_counts.finalizers_run);
	s->attached.cleanups_run = rt_load_acquire(&rt_attached_counts.cleanups_run);
	s->attached.finalizers_queued = rt_load(&rt_attached_counts.finalizers_queued);
	s->attached.cleanups_queued = rt_load(&rt_attached_counts.cleanups_queued);
}

RACY static void
fill_sched(struct picture *s)
{
	uint64_t died = 0, ticks = 0;
	for (int32_t i = 0; i < nallp; i++) {
		died += (uint64_t)rt_load(&allp[i]->ngdied);
		ticks += rt_load(&allp[i]->mutexwait);
	}
	for (int32_t i = 0; i < nallp; i++)
		s->sched.created += (uint64_t)rt_load(&allp[i]->ngborn);
	s->sched.goroutines = minus(s->sched.created, died);
	s->sched.gomaxprocs = (uint64_t)gomaxprocs;
	s->sched.threads = (uint64_t)(rt_load(&sched.mcount) - PEEK(sched.nmextra) +
				      rt_load(&sched.own_threads));
	s->sched.mutex_wait = (double)ticks * rt_ns_per_tick() / 1e9;
}

RACY static void
count_state(struct g *gp, void *arg)
{
	struct picture *s = arg;
	enum gstatus st = rt_gstatus(gp);
	if (PEEK(gp->is_system))
		return;
	s->states.not_in_go += st == Gsyscall;
	s->states.runnable += st == Grunnable;
	s->states.running += st == Grunning;
	s->states.waiting += st == Gwaiting;
}

static void
fill_states(struct picture *s)
{
	rt_for_each_g(count_state, s);
}

// A parked goroutine's stack reaches to its sp; of one that runs it is known only which pages there are.
RACY static void
add_stack(struct g *gp, void *arg)
{
	struct picture *s = arg;
	enum gstatus st = rt_gstatus(gp);
	uintptr_t lo = PEEK(gp->stack.lo), hi = PEEK(gp->stack.hi), sp = PEEK(gp->sched.sp);
	if (st == Gdead || st == Gidle)
		return;
	if ((st == Gwaiting || st == Grunnable) && sp >= lo && sp < hi)
		s->stacks += rt_round_up(hi, (uintptr_t)4096) - rt_round_down(sp, (uintptr_t)4096);
	else
		s->stacks += rt_os_resident(lo, hi);
}

static void
fill_stacks(struct picture *s)
{
	rt_for_each_g(add_stack, s);
}

static void
fill_memory(struct picture *s)
{
	s->memory = s->heap.free + s->heap.in_objects + s->heap.released + s->heap.unused + s->stacks +
		    s->own.mcache_free + s->own.mcache_inuse + s->own.mspan_free + s->own.mspan_inuse +
		    s->own.metadata + s->own.os_stacks + s->own.other + s->own.buckets;
}

enum { CPU, GC, HEAP, OWN, ATTACHED, SCHED, STATES, STACKS, MEMORY, NGROUPS };
static const struct group {
	void (*fill)(struct picture *s);
	uint32_t needs; // bits of groups that are filled before
} groups[NGROUPS] = {
	[CPU] = {fill_cpu, 0},
	[GC] = {fill_gc, 0},
	[HEAP] = {fill_heap, 0},
	[OWN] = {fill_own, 0},
	[ATTACHED] = {fill_attached, 0},
	[SCHED] = {fill_sched, 0},
	[STATES] = {fill_states, 0},
	[STACKS] = {fill_stacks, 0},
	[MEMORY] = {fill_memory, 1u << HEAP | 1u << OWN | 1u << STACKS},
};

// filled: bits of groups.
static uint32_t
fill(struct picture *s, unsigned group, uint32_t filled)
{
	if (group == NGROUPS || filled >> group & 1)
		return filled;
	for (unsigned i = 0; i < NGROUPS; i++)
		if (groups[group].needs >> i & 1)
			filled = fill(s, i, filled);
	groups[group].fill(s);
	return filled | 1u << group;
}

// ---- histograms ----

static void
add_times(gort_metric_histogram *h, const struct rt_timehist *t)
{
	h->n = RT_TIMEHIST_COUNTS;
	h->bounds[0] = -__builtin_inf();
	for (unsigned i = 1; i < RT_TIMEHIST_COUNTS; i++)
		h->bounds[i] = (double)rt_timehist_bound(i) / 1e9;
	h->bounds[RT_TIMEHIST_COUNTS] = __builtin_inf();
	for (unsigned i = 0; i < RT_TIMEHIST_COUNTS; i++)
		h->counts[i] = rt_load(&t->counts[i]);
}

// n[1..] by size class, n[0] larger: bucket k ends behind class k + 1.
static void
add_sizes(gort_metric_histogram *h, const uint64_t *n)
{
	h->n = RT_NUM_SIZE_CLASSES;
	h->bounds[0] = 1;
	for (unsigned k = 1; k < RT_NUM_SIZE_CLASSES; k++) {
		h->bounds[k] = rt_spanclasses[RT_SPANCLASS(k, 0)].size + 1.0;
		h->counts[k - 1] = n[k];
	}
	h->bounds[RT_NUM_SIZE_CLASSES] = __builtin_inf();
	h->counts[RT_NUM_SIZE_CLASSES - 1] = n[0];
}

// ---- the table ----

struct metric {
	gort_metric_description d;
	uint8_t group;
	size_t at;                      // of the value, or of the counts by size class
	const struct rt_timehist *times; // a histogram of times
};

#define U(name, group, field, grows, text)                                                         \
	{{name, text, GORT_METRIC_UINT64, grows}, group, offsetof(struct picture, field), NULL}
#define F(name, group, field, grows, text)                                                         \
	{{name, text, GORT_METRIC_FLOAT64, grows}, group, offsetof(struct picture, field), NULL}
#define SIZES(name, field, text)                                                                   \
	{{name, text, GORT_METRIC_HISTOGRAM, true}, HEAP, offsetof(struct picture, field), NULL}
#define TIMES(name, hist, text) {{name, text, GORT_METRIC_HISTOGRAM, true}, NGROUPS, 0, hist}

static const struct metric metrics[] = {
	F("/cpu/classes/gc/mark/assist:cpu-seconds", CPU, cpu.assist, true,
	  "CPU time of marking by goroutines that allocate."),
	F("/cpu/classes/gc/mark/dedicated:cpu-seconds", CPU, cpu.dedicated, true,
	  "CPU time of workers that took time from goroutines to mark."),
	F("/cpu/classes/gc/mark/idle:cpu-seconds", CPU, cpu.mark_idle, true,
	  "CPU time of marking on Ps that had nothing else to do."),
	F("/cpu/classes/gc/pause:cpu-seconds", CPU, cpu.pause, true,
	  "Time the world stood still for the collector, times the CPUs it could have used."),
	F("/cpu/classes/gc/total:cpu-seconds", CPU, cpu.gc_total, true,
	  "Sum of the /cpu/classes/gc metrics."),
	F("/cpu/classes/idle:cpu-seconds", CPU, cpu.idle, false,
	  "What is left of the total when all other classes are taken off."),
	F("/cpu/classes/scavenge/assist:cpu-seconds", CPU, cpu.scav_assist, true,
	  "Time of returning memory to the system at once, because of the memory limit or on demand."),
	F("/cpu/classes/scavenge/background:cpu-seconds", CPU, cpu.scav_background, true,
	  "Time of returning memory to the system in the background."),
	F("/cpu/classes/scavenge/total:cpu-seconds", CPU, cpu.scav_total, true,
	  "Sum of the /cpu/classes/scavenge metrics."),
	F("/cpu/classes/total:cpu-seconds", CPU, cpu.total, true,
	  "Time since the start, times GOMAXPROCS."),
	F("/cpu/classes/user:cpu-seconds", CPU, cpu.user, false,
	  "CPU time of the process, less marking, pauses and returning memory."),
	U("/gc/cleanups/executed:cleanups", ATTACHED, attached.cleanups_run, true,
	  "Cleanups that have run."),
	U("/gc/cleanups/queued:cleanups", ATTACHED, attached.cleanups_queued, true,
	  "Cleanups whose objects were found unreachable."),
	U("/gc/cycles/automatic:gc-cycles", GC, gc.automatic, true,
	  "Cycles completed that the runtime began."),
	U("/gc/cycles/forced:gc-cycles", GC, gc.forced, true,
	  "Cycles completed that the program asked for."),
	U("/gc/cycles/total:gc-cycles", GC, gc.cycles, true,
	  "Cycles completed."),
	U("/gc/finalizers/executed:finalizers", ATTACHED, attached.finalizers_run, true,
	  "Finalizers that have run."),
	U("/gc/finalizers/queued:finalizers", ATTACHED, attached.finalizers_queued, true,
	  "Finalizers whose objects were found unreachable."),
	U("/gc/gogc:percent", GC, gc.gogc, false,
	  "GOGC; 18446744073709551615 when off."),
	U("/gc/gomemlimit:bytes", GC, gc.gomemlimit, false,
	  "GOMEMLIMIT; 9223372036854775807 when there is none."),
	SIZES("/gc/heap/allocs-by-size:bytes", heap.nalloc,
	  "Objects allocated, by size; tiny ones by their blocks."),
	U("/gc/heap/allocs:bytes", HEAP, heap.alloc_bytes, true,
	  "Bytes of objects allocated."),
	U("/gc/heap/allocs:objects", HEAP, heap.allocs, true,
	  "Objects allocated; tiny ones by their blocks."),
	SIZES("/gc/heap/frees-by-size:bytes", heap.nfree,
	  "Objects freed, by size; tiny ones by their blocks."),
	U("/gc/heap/frees:bytes", HEAP, heap.free_bytes, true,
	  "Bytes of objects freed."),
	U("/gc/heap/frees:objects", HEAP, heap.frees, true,
	  "Objects freed; tiny ones by their blocks."),
	U("/gc/heap/goal:bytes", GC, gc.goal, false,
	  "Heap size at which the cycle to come ends."),
	U("/gc/heap/live:bytes", GC, gc.live, false,
	  "Bytes of objects that the last cycle marked."),
	U("/gc/heap/objects:objects", HEAP, heap.objects, false,
	  "Objects that are live or not swept yet."),
	U("/gc/heap/tiny/allocs:objects", HEAP, heap.tiny, true,
	  "Objects that share a block with others."),
	U("/gc/limiter/last-enabled:gc-cycle", GC, gc.limiter, false,
	  "Cycle in which the limit on the collector's CPU was last reached; 0: never."),
	TIMES("/gc/pauses:seconds", &rt_pauses.total[1],
	  "As /sched/pauses/total/gc:seconds."),
	U("/gc/scan/globals:bytes", GC, gc.globals, false,
	  "Bytes of globals and roots that the last cycle read."),
	U("/gc/scan/heap:bytes", GC, gc.heap, false,
	  "Bytes of objects that the last cycle read."),
	U("/gc/scan/stack:bytes", GC, gc.stack, false,
	  "Bytes of stacks that the last cycle read."),
	U("/gc/scan/total:bytes", GC, gc.scanned, false,
	  "Sum of the /gc/scan metrics."),
	U("/gc/stack/starting-size:bytes", GC, gc.stack_size, false,
	  "Size of a goroutine's stack, of which touched pages take memory."),
	U("/memory/classes/heap/free:bytes", HEAP, heap.free, false,
	  "Memory of free pages that could be returned to the system."),
	U("/memory/classes/heap/objects:bytes", HEAP, heap.in_objects, false,
	  "Memory of objects that are live or not swept yet."),
	U("/memory/classes/heap/released:bytes", HEAP, heap.released, false,
	  "Address space of free pages without memory."),
	U("/memory/classes/heap/stacks:bytes", STACKS, stacks, false,
	  "Memory of goroutines' stacks."),
	U("/memory/classes/heap/unused:bytes", HEAP, heap.unused, false,
	  "Memory reserved for objects that holds none."),
	U("/memory/classes/metadata/mcache/free:bytes", OWN, own.mcache_free, false,
	  "Memory for per-P caches that is not in use."),
	U("/memory/classes/metadata/mcache/inuse:bytes", OWN, own.mcache_inuse, false,
	  "Memory of per-P caches."),
	U("/memory/classes/metadata/mspan/free:bytes", OWN, own.mspan_free, false,
	  "Memory for span structures that is not in use."),
	U("/memory/classes/metadata/mspan/inuse:bytes", OWN, own.mspan_inuse, false,
	  "Memory of span structures."),
	U("/memory/classes/metadata/other:bytes", OWN, own.metadata, false,
	  "Memory of the collector's tables and queues."),
	U("/memory/classes/os-stacks:bytes", OWN, own.os_stacks, false,
	  "Memory of threads' own stacks."),
	U("/memory/classes/other:bytes", OWN, own.other, false,
	  "Memory of everything else of the runtime."),
	U("/memory/classes/profiling/buckets:bytes", OWN, own.buckets, false,
	  "Memory of profile tables."),
	U("/memory/classes/total:bytes", MEMORY, memory, false,
	  "Sum of the /memory/classes metrics."),
	U("/sched/gomaxprocs:threads", SCHED, sched.gomaxprocs, false,
	  "GOMAXPROCS."),
	U("/sched/goroutines-created:goroutines", SCHED, sched.created, true,
	  "Goroutines started since the start of the program."),
	U("/sched/goroutines/not-in-go:goroutines", STATES, states.not_in_go, false,
	  "Goroutines in system calls and other blocking C code."),
	U("/sched/goroutines/runnable:goroutines", STATES, states.runnable, false,
	  "Goroutines that could run and do not."),
	U("/sched/goroutines/running:goroutines", STATES, states.running, false,
	  "Goroutines that run."),
	U("/sched/goroutines/waiting:goroutines", STATES, states.waiting, false,
	  "Goroutines that wait for something."),
	U("/sched/goroutines:goroutines", SCHED, sched.goroutines, false,
	  "Goroutines there are."),
	TIMES("/sched/latencies:seconds", &rt_latencies,
	  "Time from being runnable to running, of one goroutine in 8."),
	TIMES("/sched/pauses/stopping/gc:seconds", &rt_pauses.stopping[1],
	  "Time it took to stop the world for the collector."),
	TIMES("/sched/pauses/stopping/other:seconds", &rt_pauses.stopping[0],
	  "Time it took to stop the world for anything else."),
	TIMES("/sched/pauses/total/gc:seconds", &rt_pauses.total[1],
	  "Stops of the world for the collector, from the wish to stop to its end."),
	TIMES("/sched/pauses/total/other:seconds", &rt_pauses.total[0],
	  "Stops of the world for anything else, from the wish to stop to its end."),
	U("/sched/threads/total:threads", SCHED, sched.threads, false,
	  "Threads that the runtime knows."),
	F("/sync/mutex/wait/total:seconds", SCHED, sched.mutex_wait, true,
	  "Time that goroutines have waited for mutexes."),
};

static const struct metric *
find(const char *name)
{
	for (size_t i = 0; name && i < rt_nelem(metrics); i++)
		if (strcmp(name, metrics[i].d.name) == 0)
			return &metrics[i];
	return NULL;
}

static void
read_one(gort_metric *m, const struct metric *is, const struct picture *s)
{
	const char *at = (const char *)s + is->at;
	m->kind = is->d.kind;
	if (m->kind == GORT_METRIC_UINT64)
		memcpy(&m->value.u64, at, sizeof m->value.u64);
	else if (m->kind == GORT_METRIC_FLOAT64)
		memcpy(&m->value.f64, at, sizeof m->value.f64);
	else if (m->histogram && is->times)
		add_times(m->histogram, is->times);
	else if (m->histogram)
		add_sizes(m->histogram, (const uint64_t *)(const void *)at);
}

int
gort_metrics_read(gort_metric *m, int n)
{
	struct picture s;
	uint32_t filled = 0;
	int known = 0;
	memset(&s, 0, sizeof s);
	for (int i = 0; i < n; i++) {
		const struct metric *is = find(m[i].name);
		m[i].kind = GORT_METRIC_BAD;
		m[i].value.u64 = 0;
		if (!is)
			continue;
		filled = fill(&s, is->group, filled);
		read_one(&m[i], is, &s);
		known++;
	}
	return known;
}

int
gort_metrics_all(gort_metric_description *d, int max)
{
	int n = (int)rt_nelem(metrics);
	for (int i = 0; i < rt_min(n, max); i++)
		d[i] = metrics[i].d;
	return n;
}
