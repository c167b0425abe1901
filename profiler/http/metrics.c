// SPDX-License-Identifier: BSD-3-Clause
// /debug/vars, as Go's expvar has it, and /metrics, in Prometheus' text form under the names that
// Go's client library uses: dashboards made for Go programs show a gort program.
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <gort/mem.h>

#include "core/rtlink.h"
#include "core/procmaps.h"
#include "core/thread.h"
#include "http/http.h"
#include "http/page.h"

#pragma weak gort_read_mem_stats

#define OFF(field) offsetof(struct gort_mem_stats, field)
enum how { GAUGE, COUNTER, TIME }; // TIME: a gauge in seconds, of nanoseconds

static const struct metric {
	const char *json;
	size_t at;
	enum how how;
	const char *prometheus, *help; // behind go_memstats_; NULL: not shown there
} metrics[] = {
	{ "Alloc", OFF(alloc), GAUGE, "alloc_bytes", "Bytes of objects in use." },
	{ "TotalAlloc", OFF(total_alloc), COUNTER, "alloc_bytes_total",
	  "Bytes of objects ever allocated." },
	{ "Sys", OFF(sys), GAUGE, "sys_bytes", "Bytes obtained from the system." },
	{ "Lookups", OFF(lookups), COUNTER, NULL, NULL },
	{ "Mallocs", OFF(mallocs), COUNTER, "mallocs_total", "Objects ever allocated." },
	{ "Frees", OFF(frees), COUNTER, "frees_total", "Objects ever freed." },
	{ "HeapAlloc", OFF(heap_alloc), GAUGE, "heap_alloc_bytes",
	  "Bytes of heap objects in use." },
	{ "HeapSys", OFF(heap_sys), GAUGE, "heap_sys_bytes",
	  "Bytes of address space of the heap." },
	{ "HeapIdle", OFF(heap_idle), GAUGE, "heap_idle_bytes",
	  "Bytes of heap pages without objects." },
	{ "HeapInuse", OFF(heap_inuse), GAUGE, "heap_inuse_bytes",
	  "Bytes of heap pages with objects." },
	{ "HeapReleased", OFF(heap_released), GAUGE, "heap_released_bytes",
	  "Bytes of heap pages given back to the system." },
	{ "HeapObjects", OFF(heap_objects), GAUGE, "heap_objects", "Objects in use." },
	{ "StackInuse", OFF(stack_inuse), GAUGE, "stack_inuse_bytes",
	  "Bytes of goroutine stacks." },
	{ "StackSys", OFF(stack_sys), GAUGE, "stack_sys_bytes",
	  "Bytes of stacks, those of threads included." },
	{ "MSpanInuse", OFF(mspan_inuse), GAUGE, "mspan_inuse_bytes",
	  "Bytes of span structures in use." },
	{ "MSpanSys", OFF(mspan_sys), GAUGE, "mspan_sys_bytes", "Bytes of span structures." },
	{ "MCacheInuse", OFF(mcache_inuse), GAUGE, "mcache_inuse_bytes",
	  "Bytes of per-P caches in use." },
	{ "MCacheSys", OFF(mcache_sys), GAUGE, "mcache_sys_bytes", "Bytes of per-P caches." },
	{ "BuckHashSys", OFF(buck_hash_sys), GAUGE, "buck_hash_sys_bytes",
	  "Bytes of profile tables." },
	{ "GCSys", OFF(gc_sys), GAUGE, "gc_sys_bytes", "Bytes of the collector's tables." },
	{ "OtherSys", OFF(other_sys), GAUGE, "other_sys_bytes",
	  "Bytes of everything else of the runtime." },
	{ "NextGC", OFF(next_gc), GAUGE, "next_gc_bytes",
	  "Heap size at which the next collection ends." },
	{ "LastGC", OFF(last_gc), TIME, "last_gc_time_seconds",
	  "End of the last collection, since 1970." },
	{ "PauseTotalNs", OFF(pause_total_ns), COUNTER, NULL, NULL },
};

static void
read_stats(void *s)
{
	gort_read_mem_stats(s);
}

// NULL without the runtime or memory.
static struct gort_mem_stats *
mem_stats(void)
{
	const struct rt_introspect *rt = rtp_runtime();
	if (!gort_read_mem_stats || !rt || !rt->started())
		return NULL;
	void *m = mmap(NULL, sizeof(struct gort_mem_stats), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return NULL;
	rt->visit(read_stats, m);
	return m;
}

static uint64_t
value(const struct gort_mem_stats *m, size_t at)
{
	uint64_t v;
	memcpy(&v, (const char *)m + at, sizeof(v));
	return v;
}

// ---- JSON ----

static void
json_ring(struct rtp_page *p, const char *name, const uint64_t *v)
{
	rtp_page_printf(p, ",\"%s\":[", name);
	for (int i = 0; i < 256; i++)
		rtp_page_printf(p, i ? ",%" PRIu64 : "%" PRIu64, v[i]);
	rtp_page_puts(p, "]");
}

static void
json_mem_stats(struct rtp_page *p, const struct gort_mem_stats *m)
{
	rtp_page_puts(p, "{");
	for (size_t i = 0; i < rt_nelem(metrics); i++)
		rtp_page_printf(p, "%s\"%s\":%" PRIu64, i ? "," : "", metrics[i].json,
				value(m, metrics[i].at));
	json_ring(p, "PauseNs", m->pause_ns);
	json_ring(p, "PauseEnd", m->pause_end);
	rtp_page_printf(p, ",\"NumGC\":%u,\"NumForcedGC\":%u,\"GCCPUFraction\":%.17g", m->num_gc,
			m->num_forced_gc, m->gc_cpu_fraction);
	rtp_page_puts(p, ",\"EnableGC\":true,\"DebugGC\":false,\"BySize\":[");
	for (size_t i = 0; i < rt_nelem(m->by_size); i++)
		rtp_page_printf(p, "%s{\"Size\":%u,\"Mallocs\":%" PRIu64 ",\"Frees\":%" PRIu64 "}",
				i ? "," : "", m->by_size[i].size, m->by_size[i].mallocs,
				m->by_size[i].frees);
	rtp_page_puts(p, "]}");
}

static void
json_cmdline(struct rtp_page *p)
{
	char buf[32768];
	int fd = rtp_open_proc("cmdline");
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : 0;
	if (fd >= 0)
		close(fd);
	buf[rt_max(n, (ssize_t)0)] = 0;
	rtp_page_puts(p, "[");
	for (char *s = buf; s < buf + n; s += strlen(s) + 1) {
		if (s > buf)
			rtp_page_puts(p, ",");
		rtp_page_quoted(p, s);
	}
	rtp_page_puts(p, "]");
}

int
rtp_page_vars(int fd)
{
	struct rtp_page p = { .fd = fd };
	const struct rt_introspect *rt = rtp_runtime();
	struct gort_mem_stats *m = mem_stats();
	rtp_page_puts(&p, "{\n\"cmdline\": ");
	json_cmdline(&p);
	if (rt && rt->started())
		rtp_page_printf(&p,
				",\n\"gort\": {\"goroutines\":%d,\"threads\":%d,\"gomaxprocs\":%d}",
				rt->num_goroutine(), rt->num_threads(), rt->maxprocs());
	if (m) {
		rtp_page_puts(&p, ",\n\"memstats\": ");
		json_mem_stats(&p, m);
		munmap(m, sizeof(*m));
	}
	rtp_page_puts(&p, "\n}\n");
	return rtp_page_end(&p);
}

// ---- Prometheus ----

static void
sample(struct rtp_page *p, const char *name, const char *help, const char *type, double v)
{
	rtp_page_printf(p, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name,
			v);
}

static void
memstats_sample(struct rtp_page *p, const struct metric *d, double v)
{
	char name[64];
	snprintf(name, sizeof(name), "go_memstats_%s", d->prometheus);
	sample(p, name, d->help, d->how == COUNTER ? "counter" : "gauge", v);
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void
pause_summary(struct rtp_page *p, const struct gort_mem_stats *m)
{
	static const double q[] = { 0, 0.25, 0.5, 0.75, 1 };
	uint64_t v[256];
	unsigned n = rt_min(m->num_gc, 256u);
	const char *name = "go_gc_duration_seconds";
	memcpy(v, m->pause_ns, sizeof(v));
	qsort(v, n, sizeof(v[0]), by_value);
	rtp_page_printf(p, "# HELP %s Time the world stood still, per collection.\n", name);
	rtp_page_printf(p, "# TYPE %s summary\n", name);
	for (size_t i = 0; i < rt_nelem(q); i++)
		rtp_page_printf(p, "%s{quantile=\"%g\"} %.9g\n", name, q[i],
				n ? (double)v[(size_t)(q[i] * (n - 1))] / 1e9 : 0.0);
	rtp_page_printf(p, "%s_sum %.9g\n%s_count %u\n", name, (double)m->pause_total_ns / 1e9,
			name, m->num_gc);
}

static void
runtime_metrics(struct rtp_page *p)
{
	const struct rt_introspect *rt = rtp_runtime();
	struct gort_mem_stats *m = mem_stats();
	if (!m)
		return;
	sample(p, "go_goroutines", "Goroutines.", "gauge", rt->num_goroutine());
	sample(p, "go_threads", "Threads of the runtime.", "gauge", rt->num_threads());
	sample(p, "go_sched_gomaxprocs_threads", "Threads that may run goroutines at once.", "gauge",
	       rt->maxprocs());
	pause_summary(p, m);
	for (size_t i = 0; i < rt_nelem(metrics); i++) {
		const struct metric *d = &metrics[i];
		double v = (double)value(m, d->at);
		if (d->prometheus)
			memstats_sample(p, d, d->how == TIME ? v / 1e9 : v);
	}
	sample(p, "go_memstats_gc_cpu_fraction", "Share of the CPU time that the collector took.",
	       "gauge", m->gc_cpu_fraction);
	munmap(m, sizeof(*m));
}

// Field n (from 1) of /proc/self/stat; the command, field 2, may hold anything.
static double
stat_field(const char *stat, int n)
{
	const char *s = strrchr(stat, ')');
	for (int i = 2; s && i < n; i++)
		s = strchr(s + 1, ' ');
	return s ? strtod(s + 1, NULL) : 0;
}

static double
boot_time(void)
{
	struct timespec real, boot;
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (double)(real.tv_sec - boot.tv_sec) + (double)(real.tv_nsec - boot.tv_nsec) / 1e9;
}

static void
process_metrics(struct rtp_page *p)
{
	char stat[1024] = "";
	struct rusage ru = { 0 };
	struct rlimit rl = { 0 };
	int fd = rtp_open_proc("stat");
	ssize_t n = fd >= 0 ? read(fd, stat, sizeof(stat) - 1) : 0;
	if (fd >= 0)
		close(fd);
	stat[rt_max(n, (ssize_t)0)] = 0;
	getrusage(RUSAGE_SELF, &ru);
	const struct rtp_region *r = rtp_main_peek();
	prlimit(rtp_remote && r ? r->pid : 0, RLIMIT_NOFILE, NULL, &rl);
	double cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
		     (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	if (rtp_remote) // in ticks of the clock only
		cpu = (stat_field(stat, 14) + stat_field(stat, 15)) / (double)sysconf(_SC_CLK_TCK);
	sample(p, "process_cpu_seconds_total", "User and system CPU time.", "counter", cpu);
	sample(p, "process_max_fds", "Descriptors that may be open.", "gauge", (double)rl.rlim_cur);
	if (!*stat)
		return;
	sample(p, "process_virtual_memory_bytes", "Address space.", "gauge", stat_field(stat, 23));
	sample(p, "process_resident_memory_bytes", "Memory in use.", "gauge",
	       stat_field(stat, 24) * (double)sysconf(_SC_PAGESIZE));
	sample(p, "process_start_time_seconds", "Start, since 1970.", "gauge",
	       boot_time() + stat_field(stat, 22) / (double)sysconf(_SC_CLK_TCK));
}

static void
profiler_metrics(struct rtp_page *p)
{
	struct rtp_region *r = rtp_main_peek();
	if (!r)
		return;
	uint64_t full = 0;
	for (int k = 0; k < RTP_KINDS; k++)
		full += rt_load(&r->no_memory[k]);
	sample(p, "gort_profile_samples_lost_total", "CPU samples lost because a ring was full.",
	       "counter", (double)rt_load(&r->ring_full));
	sample(p, "gort_profile_events_lost_total",
	       "Events lost because the table of stacks was full.", "counter", (double)full);
	sample(p, "gort_profile_stacks_truncated_total", "Stacks cut short.", "counter",
	       (double)rt_load(&r->truncated));
	sample(p, "gort_profile_memory_bytes", "Memory of the tables of stacks.", "gauge",
	       (double)rt_load(&r->used));
}

int
rtp_page_metrics(int fd)
{
	struct rtp_page p = { .fd = fd };
	runtime_metrics(&p);
	process_metrics(&p);
	profiler_metrics(&p);
	return rtp_page_end(&p);
}
