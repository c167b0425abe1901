// SPDX-License-Identifier: BSD-3-Clause
// <gort/metrics.h> against other sources of the same numbers.
#include "on_gort.h"

#include <dirent.h>
#include <math.h>
#include <regex.h>
#include <sys/mman.h>
#include <time.h>

#include <gort/chan.h>
#include <gort/mem.h>
#include <gort/metrics.h>
#include <gort/sync.h>
#include <gort/time.h>

#include "base/base.h"
#include "os/os.h"

TestSuite(metrics, .timeout = 60);

static uint64_t
u64(const char *name)
{
	gort_metric m = {.name = name};
	CHECK_EQ(gort_metrics_read(&m, 1), 1);
	CHECK_EQ(m.kind, GORT_METRIC_UINT64);
	return m.value.u64;
}

static double
f64(const char *name)
{
	gort_metric m = {.name = name};
	CHECK_EQ(gort_metrics_read(&m, 1), 1);
	CHECK_EQ(m.kind, GORT_METRIC_FLOAT64);
	return m.value.f64;
}

static const gort_metric_histogram *
hist(const char *name)
{
	static gort_metric_histogram h;
	gort_metric m = {.name = name, .histogram = &h};
	CHECK_EQ(gort_metrics_read(&m, 1), 1);
	CHECK_EQ(m.kind, GORT_METRIC_HISTOGRAM);
	return &h;
}

static uint64_t
events(const char *name)
{
	const gort_metric_histogram *h = hist(name);
	uint64_t n = 0;
	for (int i = 0; i < h->n; i++)
		n += h->counts[i];
	return n;
}

// Seconds that the events took at least, and at most.
static void
total(const char *name, double *least, double *most)
{
	const gort_metric_histogram *h = hist(name);
	*least = *most = 0;
	for (int i = 0; i < h->n; i++) {
		if (h->counts[i] == 0)
			continue;
		*least += (double)h->counts[i] * h->bounds[i];
		*most += (double)h->counts[i] * h->bounds[i + 1];
	}
}

Test(metrics, names_are_sorted_and_well_formed)
{
	gort_metric_description d[128];
	regex_t re;
	int n = gort_metrics_all(d, 128);
	cr_assert(n > 40 && n < 128);
	cr_assert_eq(gort_metrics_all(NULL, 0), n);
	cr_assert_eq(regcomp(&re, "^/[^:]+:[^:*/]+([*/][^:*/]+)*$", REG_EXTENDED | REG_NOSUB), 0);
	for (int i = 0; i < n; i++) {
		gort_metric_histogram h;
		gort_metric m = {.name = d[i].name, .histogram = &h};
		cr_assert_eq(regexec(&re, d[i].name, 0, NULL, 0), 0, "%s", d[i].name);
		cr_assert(i == 0 || strcmp(d[i - 1].name, d[i].name) < 0, "%s", d[i].name);
		cr_assert_eq(gort_metrics_read(&m, 1), 1);
		cr_assert_eq(m.kind, d[i].kind);
	}
	regfree(&re);
}

Test(metrics, unknown_names_are_bad)
{
	gort_metric m[] = {{.name = "/no/such:thing", .kind = GORT_METRIC_UINT64},
			   {.name = "/sched/gomaxprocs:threads"},
			   {.name = NULL}};
	cr_assert_eq(gort_metrics_read(m, 3), 1);
	cr_assert_eq(m[0].kind, GORT_METRIC_BAD);
	cr_assert_eq(m[1].kind, GORT_METRIC_UINT64);
	cr_assert_eq(m[2].kind, GORT_METRIC_BAD);
}

GORT_TEST(metrics, time_buckets_are_gos)
{
	const gort_metric_histogram *h = hist("/gc/pauses:seconds");
	CHECK_EQ(h->n, 162);
	CHECK(h->bounds[0] == -INFINITY && h->bounds[1] == 0 && h->bounds[2] == 64e-9);
	CHECK(h->bounds[9] == 512e-9 && h->bounds[10] == 640e-9 && h->bounds[13] == 1024e-9);
	CHECK(h->bounds[161] == 140737488355328e-9 && h->bounds[162] == INFINITY);
	for (int i = 0; i < h->n; i++)
		CHECK(h->bounds[i] < h->bounds[i + 1]);
}

GORT_TEST(metrics, cycles_and_heap_agree_with_mem_stats)
{
	static void *volatile keep;
	gort_mem_stats s;
	for (int i = 0; i < 20000; i++)
		keep = gort_new_bytes(1000);
	keep = gort_new_bytes(1 << 20);
	gort_gc();
	gort_gc();
	uint64_t other = events("/sched/pauses/total/other:seconds");
	gort_read_mem_stats(&s); // flushes the caches, so that both see the same
	CHECK_EQ(events("/sched/pauses/total/other:seconds"), other + 1);
	CHECK_EQ(u64("/gc/cycles/total:gc-cycles"), s.num_gc);
	CHECK_EQ(u64("/gc/cycles/forced:gc-cycles"), s.num_forced_gc);
	CHECK_EQ(u64("/gc/cycles/automatic:gc-cycles"), s.num_gc - s.num_forced_gc);
	CHECK_EQ(u64("/gc/heap/goal:bytes"), s.next_gc);
	CHECK_EQ(u64("/gc/heap/allocs:bytes"), s.total_alloc);
	uint64_t tiny = u64("/gc/heap/tiny/allocs:objects");
	CHECK_EQ(u64("/gc/heap/allocs:objects"), s.mallocs - tiny);
	CHECK_EQ(u64("/gc/heap/frees:objects"), s.frees - tiny);
	CHECK_EQ(u64("/gc/heap/objects:objects"), s.heap_objects);
	CHECK_EQ(u64("/memory/classes/heap/objects:bytes"), s.heap_alloc);
	CHECK_EQ(u64("/memory/classes/heap/unused:bytes"), s.heap_inuse - s.heap_alloc);
	CHECK_EQ(u64("/memory/classes/heap/free:bytes") + u64("/memory/classes/heap/released:bytes"), s.heap_idle);
	CHECK_EQ(u64("/memory/classes/metadata/mspan/inuse:bytes"), s.mspan_inuse);
	CHECK(u64("/gc/heap/live:bytes") >= 1 << 20);
	// By size: 1000 bytes are of class 1024, in [897, 1025); a MiB is the last.
	const gort_metric_histogram *h = hist("/gc/heap/allocs-by-size:bytes");
	CHECK_EQ(h->n, 68);
	CHECK(h->bounds[0] == 1 && h->bounds[1] == 9 && h->bounds[67] == 32769);
	int k = 0;
	while (h->bounds[k + 1] < 1001)
		k++;
	CHECK(h->bounds[k + 1] == 1025 && h->counts[k] >= 20000 && h->counts[67] >= 1);
	h = hist("/gc/heap/frees-by-size:bytes");
	CHECK(h->counts[k] >= 19000);
	CHECK(keep != NULL);
}

static _Atomic int blocked, let_go;

static void
use_stack(void *arg)
{
	char frame[200000]; // on the thread's own stack
	(void)arg;
	memset(frame, 1, sizeof frame);
	__asm__ volatile("" : : "r"(frame) : "memory"); // clang would leave most of it out
	atomic_fetch_add(&blocked, 1);
	while (!let_go)
		usleep(1000);
}

static void
blocks(void)
{
	gort_blocking(use_stack, NULL);
}

static void
late(void *arg)
{
	(void)arg;
}

static uint64_t
resident(const char *field)
{
	char line[256];
	unsigned long kb = 0;
	FILE *f = fopen("/proc/self/status", "r");
	size_t n = strlen(field);
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, field, n) == 0)
			kb = strtoul(line + n, NULL, 10);
	if (f)
		fclose(f);
	return (uint64_t)kb << 10;
}

GORT_TEST(metrics, threads_stacks_are_counted_by_what_they_use)
{
	enum { N = 10 };
	static gort_mem_stats s0, s1, s2;
	gort_read_mem_stats(&s0);
	CHECK(s0.stack_sys > s0.stack_inuse); // one thread has a stack at least
	for (int i = 0; i < N; i++)
		gort_go(blocks);
	while (blocked < N)
		gort_sleep(1000000);
	gort_read_mem_stats(&s1);
	uint64_t os0 = s0.stack_sys - s0.stack_inuse, os1 = s1.stack_sys - s1.stack_inuse;
	CHECK(os1 >= os0 + N * 190000ull && os1 < os0 + N * 400000ull + (1 << 20));
	uint64_t again = u64("/memory/classes/os-stacks:bytes"); // reading it uses a page or two
	CHECK(again >= os1 && again < os1 + (64 << 10));
	let_go = 1;
	// Timers are in other_sys: 16 bytes each.
	for (int i = 0; i < 100000; i++)
		gort_after_func(3600ll * 1000000000, late, NULL);
	gort_read_mem_stats(&s2);
	CHECK(s2.other_sys >= s1.other_sys + 100000 * 16 && s2.other_sys < s1.other_sys + (16 << 20));
	CHECK_EQ(u64("/memory/classes/other:bytes"), s2.other_sys);
}

// The first thread's stack ends below its mapping after at least 33 pages, some of which lie above the first
// frame: a look at 32 at a time may reach beyond it.
Test(metrics, of_a_stack_that_is_not_mapped_whole_the_mapped_part_counts)
{
	enum { PAGES = 64, MAPPED = 31, TOUCHED = 3, PAGE = 4096 };
	char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(p != MAP_FAILED);
	cr_assert_eq(madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE), 0);
	memset(p + (PAGES - TOUCHED) * PAGE, 1, TOUCHED * PAGE);
	cr_assert_eq(munmap(p, (PAGES - MAPPED) * PAGE), 0);
	cr_assert_eq(rt_os_resident((uintptr_t)p, (uintptr_t)p + PAGES * PAGE), TOUCHED * PAGE);
	memset(p + (PAGES - MAPPED) * PAGE, 1, MAPPED * PAGE);
	cr_assert_eq(rt_os_resident((uintptr_t)p, (uintptr_t)p + PAGES * PAGE), MAPPED * PAGE);
}

// What the runtime says that it holds is no less than what the system says that the process has, but for
// what libc and the program itself took.
GORT_TEST(metrics, the_sums_cover_what_the_process_has)
{
	static gort_mem_stats s;
	static void *volatile keep[64];
	uint64_t before = resident("RssAnon:");
	for (int i = 0; i < 64; i++) {
		keep[i] = gort_new_bytes(1 << 20);
		memset(keep[i], 1, 1 << 20);
	}
	gort_gc();
	gort_read_mem_stats(&s);
	uint64_t grown = resident("RssAnon:") - before, told = s.sys - s.heap_released;
	CHECK(grown >= 64 << 20);
	CHECK(told + (4 << 20) >= grown && told < grown + (32 << 20));
}

GORT_TEST(metrics, settings)
{
	gort_set_gc_percent(150);
	gort_set_memory_limit(123456789);
	CHECK_EQ(u64("/gc/gogc:percent"), 150);
	CHECK_EQ(u64("/gc/gomemlimit:bytes"), 123456789);
	gort_set_gc_percent(-1);
	gort_set_memory_limit(INT64_MAX);
	CHECK(u64("/gc/gogc:percent") == UINT64_MAX);
	CHECK_EQ(u64("/gc/gomemlimit:bytes"), INT64_MAX);
}

GORT_TEST(metrics, pauses_are_those_of_mem_stats)
{
	gort_mem_stats s;
	double least, most, stopping_least, stopping_most;
	int64_t from = gort_nanotime();
	for (int i = 0; i < 20; i++)
		gort_gc();
	gort_read_mem_stats(&s);
	// A cycle stops the world twice, three times when marking turns out not to be complete.
	uint64_t n = events("/sched/pauses/total/gc:seconds");
	CHECK(n >= 2ull * s.num_gc && n <= 3ull * s.num_gc);
	CHECK_EQ(events("/sched/pauses/stopping/gc:seconds"), n);
	CHECK_EQ(events("/gc/pauses:seconds"), n);
	total("/sched/pauses/total/gc:seconds", &least, &most);
	total("/sched/pauses/stopping/gc:seconds", &stopping_least, &stopping_most);
	// MemStats ends a pause shortly before the world runs. How long that takes, nobody knows on a busy machine;
	// all of them lie between here and there.
	double told = (double)s.pause_total_ns / 1e9;
	CHECK(told > 0 && most >= told);
	CHECK(least <= (double)(gort_nanotime() - from) / 1e9);
	CHECK(stopping_least <= most);
	// CPU: a pause costs every P.
	double pause = f64("/cpu/classes/gc/pause:cpu-seconds");
	CHECK(pause > told * 0.999);
	CHECK(f64("/cpu/classes/gc/total:cpu-seconds") >= pause);
	CHECK(f64("/cpu/classes/total:cpu-seconds") > 0);
}

static double
cpu_used(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

GORT_TEST(metrics, cpu_time_is_the_programs_or_idle)
{
	gort_maxprocs(2);
	double user = f64("/cpu/classes/user:cpu-seconds"), idle = f64("/cpu/classes/idle:cpu-seconds");
	double total = f64("/cpu/classes/total:cpu-seconds"), used = cpu_used();
	int64_t from = gort_nanotime();
	while (cpu_used() - used < 0.2)
		;
	double now = f64("/cpu/classes/user:cpu-seconds");
	CHECK(now - user >= 0.2 && now - user <= cpu_used() - used + 0.01);
	gort_sleep(200 * GORT_MILLISECOND);
	double elapsed = (double)(gort_nanotime() - from) / 1e9;
	double grown = f64("/cpu/classes/total:cpu-seconds") - total;
	CHECK(grown >= 2 * elapsed && grown < 2 * (double)(gort_nanotime() - from) / 1e9 + 1e-3);
	// Two Ps for all of it, less what was used.
	double rest = f64("/cpu/classes/idle:cpu-seconds") - idle;
	CHECK(rest >= 2 * elapsed - (cpu_used() - used) - 0.01);
	CHECK(rest <= 2 * (double)(gort_nanotime() - from) / 1e9 - 0.2);
}

GORT_TEST(metrics, returning_memory_takes_time)
{
	gort_mem_stats s;
	static void *volatile keep;
	CHECK(f64("/cpu/classes/scavenge/assist:cpu-seconds") == 0);
	keep = gort_new_bytes(64 << 20);
	memset(keep, 1, 64 << 20);
	keep = NULL;
	gort_gc();
	gort_gc(); // the first may have met a stale word
	double user = cpu_used();
	gort_free_os_memory();
	gort_read_mem_stats(&s);
	CHECK(s.heap_released >= 60 << 20);
	double took = f64("/cpu/classes/scavenge/assist:cpu-seconds");
	double background = f64("/cpu/classes/scavenge/background:cpu-seconds");
	CHECK(took > 0 && took <= cpu_used() - user + 1); // a wait for a CPU counts
	double both = f64("/cpu/classes/scavenge/total:cpu-seconds");
	CHECK(background >= 0 && both >= (took + background) * 0.999999);
}

GORT_TEST(metrics, memory_in_excess_is_returned_in_the_background)
{
	static void *volatile keep[16]; // of several a stale word on the stack keeps one, not all
	for (int i = 0; i < 16; i++) {
		keep[i] = gort_new_bytes(4 << 20);
		memset(keep[i], 1, 4 << 20);
	}
	memset((void *)keep, 0, sizeof keep);
	for (int i = 0; i < 4; i++) // what may stay follows from the last two cycles
		gort_gc();
	uint64_t before = u64("/memory/classes/heap/released:bytes");
	while (u64("/memory/classes/heap/released:bytes") < before + (16 << 20))
		gort_sleep(GORT_MILLISECOND);
	CHECK(f64("/cpu/classes/scavenge/background:cpu-seconds") > 0);
	CHECK(f64("/cpu/classes/scavenge/assist:cpu-seconds") == 0);
}

GORT_TEST(metrics, a_collector_that_has_its_share_says_in_which_cycle)
{
	gort_maxprocs(1); // else the other would mark, at nobody's expense
	CHECK_EQ(u64("/gc/limiter/last-enabled:gc-cycle"), 0);
	static void *volatile keep[64];
	for (int i = 0; i < 64; i++)
		keep[i] = gort_new_array(void *, 1 << 17);
	gort_set_memory_limit(16 << 20); // far below what lives: back to back
	uint64_t begun = u64("/gc/cycles/total:gc-cycles");
	while (u64("/gc/limiter/last-enabled:gc-cycle") == 0)
		keep[0] = gort_new_array(void *, 1 << 17);
	uint64_t at = u64("/gc/limiter/last-enabled:gc-cycle");
	CHECK(at > begun && at <= u64("/gc/cycles/total:gc-cycles") + 1);
	CHECK(keep[1] != NULL);
}

GORT_TEST(metrics, scanned_is_what_may_hold_pointers)
{
	enum { WORDS = 1 << 20 };
	static void *volatile words, *volatile bytes;
	gort_gc();
	uint64_t before = u64("/gc/scan/heap:bytes");
	words = gort_new_array(void *, WORDS);
	bytes = gort_new_bytes(64 << 20);
	gort_gc();
	gort_gc();
	uint64_t heap = u64("/gc/scan/heap:bytes");
	CHECK(heap >= before + WORDS * sizeof(void *) && heap < before + WORDS * sizeof(void *) + (1 << 20));
	CHECK_EQ(u64("/gc/scan/total:bytes"),
		 heap + u64("/gc/scan/globals:bytes") + u64("/gc/scan/stack:bytes"));
	CHECK(words && bytes);
}

static void
use_most_of_the_stack(void)
{
	size_t n = u64("/gc/stack/starting-size:bytes") - (16 << 10);
	char *frame = __builtin_alloca(n);
	memset(frame, 1, n);
	__asm__ volatile("" : : "r"(frame) : "memory");
}

GORT_TEST(metrics, stacks_have_their_size)
{
	gort_waitgroup wg = {0};
	CHECK(u64("/gc/stack/starting-size:bytes") >= 64 << 10);
	gort_waitgroup_go(&wg, use_most_of_the_stack);
	gort_waitgroup_wait(&wg);
}

static gort_chan *parked;

static void
park(void)
{
	char frame[10000];
	memset(frame, 1, sizeof frame);
	__asm__ volatile("" : : "r"(frame) : "memory");
	gort_recv(int, parked);
	__asm__ volatile("" : : "r"(frame) : "memory");
}

GORT_TEST(metrics, stacks_and_the_sum_agree_with_mem_stats)
{
	enum { N = 1000 };
	static gort_mem_stats s;
	uint64_t before = u64("/memory/classes/heap/stacks:bytes");
	CHECK(before > 0 && before < 1 << 20);
	parked = gort_make_chan(int, 0);
	for (int i = 0; i < N; i++)
		gort_go(park);
	while (u64("/sched/goroutines/waiting:goroutines") < N)
		gort_gosched();
	uint64_t stacks = u64("/memory/classes/heap/stacks:bytes"), all = u64("/memory/classes/total:bytes");
	gort_read_mem_stats(&s);
	CHECK(stacks >= before + N * 10000ull && stacks <= before + N * 20000ull);
	CHECK(stacks + (1 << 20) >= s.stack_inuse && stacks <= s.stack_inuse + (1 << 20));
	CHECK(all + (2 << 20) >= s.sys && all <= s.sys + (2 << 20));
	gort_chan_close(parked);
}

static gort_mutex mu;

static void
lock_and_unlock(void)
{
	gort_mutex_lock(&mu);
	gort_mutex_unlock(&mu);
}

GORT_TEST(metrics, mutex_wait_is_the_time_waited)
{
	enum { N = 4 };
	gort_waitgroup wg = {0};
	double before = f64("/sync/mutex/wait/total:seconds");
	gort_mutex_lock(&mu);
	int64_t from = gort_nanotime();
	for (int i = 0; i < N; i++)
		gort_waitgroup_go(&wg, lock_and_unlock);
	while (u64("/sched/goroutines/waiting:goroutines") < N)
		gort_gosched();
	int64_t all = gort_nanotime();
	gort_sleep(50 * GORT_MILLISECOND);
	int64_t held = gort_nanotime() - all;
	gort_mutex_unlock(&mu);
	gort_waitgroup_wait(&wg);
	double waited = f64("/sync/mutex/wait/total:seconds") - before;
	CHECK(waited >= N * (double)held / 1e9 * 0.99);
	CHECK(waited <= N * (double)(gort_nanotime() - from) / 1e9 * 1.01);
}

static void
nothing(void)
{
}

static uint64_t
threads_by_proc(void)
{
	DIR *d = opendir("/proc/self/task");
	uint64_t n = 0;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static uint64_t others; // the test driver's
static gort_chan *block;

static void
receive(void)
{
	gort_recv(int, block);
}

static void
goroutines_and_threads(void)
{
	enum { N = 50 };
	uint64_t created = u64("/sched/goroutines-created:goroutines");
	block = gort_make_chan(int, 0);
	for (int i = 0; i < N; i++)
		gort_go(receive);
	while (u64("/sched/goroutines/waiting:goroutines") < N)
		gort_gosched();
	CHECK_EQ(u64("/sched/goroutines-created:goroutines"), created + N);
	CHECK_EQ(u64("/sched/goroutines:goroutines"), N + 1);
	CHECK_EQ(u64("/sched/goroutines:goroutines"), gort_num_goroutine());
	CHECK_EQ(u64("/sched/goroutines/waiting:goroutines"), N);
	CHECK_EQ(u64("/sched/goroutines/running:goroutines"), 1);
	CHECK_EQ(u64("/sched/goroutines/runnable:goroutines"), 0);
	CHECK_EQ(u64("/sched/gomaxprocs:threads"), gort_maxprocs(0));
	gort_chan_close(block);
	while (gort_num_goroutine() > 1)
		gort_gosched();
	// A thread may be about to start.
	while (u64("/sched/threads/total:threads") + others != threads_by_proc())
		gort_sleep(GORT_MILLISECOND);
}

Test(metrics, goroutines_and_threads)
{
	others = threads_by_proc() - 1;
	on_gort_body = goroutines_and_threads;
	gort_run(on_gort_app, 0, NULL);
}

static void
half_a_millisecond(void)
{
	int64_t until = gort_nanotime() + 500 * GORT_MICROSECOND;
	while (gort_nanotime() < until)
		;
}

GORT_TEST(metrics, latencies_are_measured_for_one_in_eight)
{
	enum { N = 8000 };
	double least, most;
	gort_maxprocs(1);
	uint64_t before = events("/sched/latencies:seconds");
	total("/sched/latencies:seconds", &least, &most);
	double had = most;
	for (int i = 0; i < N; i++) {
		gort_go(nothing);
		if (i % 100 == 99)
			gort_gosched();
	}
	gort_sleep(GORT_MILLISECOND);
	uint64_t n = events("/sched/latencies:seconds") - before;
	CHECK(n >= N / 8 - N / 80 && n <= N / 8 + N / 20);
	// Sixteen that take half a millisecond each: the last waits for all others. Over eight rounds each of
	// them is measured about once, and waits 3.75 ms on average.
	for (int i = 0; i < 8; i++) {
		for (int k = 0; k < 16; k++)
			gort_go(half_a_millisecond);
		while (gort_num_goroutine() > 1)
			gort_gosched();
	}
	total("/sched/latencies:seconds", &least, &most);
	CHECK(most - had >= 0.02);
}
