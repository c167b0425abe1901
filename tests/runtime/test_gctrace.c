// SPDX-License-Identifier: BSD-3-Clause
// The gctrace line of a forced cycle, field by field against measurements that do not come from where the
// line's do: clocks and getrusage around the cycle, the moment of the mark termination hook, MemStats,
// metrics, and sizes that the test has made itself. Bounds hold on a busy machine, too.
#include "on_gort.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <gort/chan.h>
#include <gort/mem.h>
#include <gort/metrics.h>
#include <gort/time.h>

#include "debug/hooks.h"
#include "gc/gc.h"

TestSuite(gctrace, .timeout = 60);

enum { NODES = 2000000, GLOBAL_MB = 5, STACK_MB = 3 };

struct node {
	struct node *kid[2];
	char pad[48];
};
GORT_TYPE(struct node, kid)

static struct node *root;
static void *globals[GLOBAL_MB << 17];
static gort_chan *never;

// As written on the line.
struct line {
	unsigned number;
	double at, clock[3], cpu_first, assist, dedicated, idle, cpu_last; // s; ms
	int percent, procs;
	unsigned long long heap0, heap1, heap2, goal, stacks, globals; // MiB
	bool forced;
};

struct measured {
	int64_t before, terminated, after; // gort_nanotime
	double cpu_ms;                     // of the process, from before to terminated
	gort_mem_stats s0, s1;
};

static struct measured m;

static double
cpu_ms(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void
mark_terminated(void)
{
	m.terminated = gort_nanotime();
	m.cpu_ms = cpu_ms() - m.cpu_ms;
}

static void
make_graph(void)
{
	for (int i = 0; i < NODES; i++) {
		struct node *n = gort_new(struct node);
		gort_set(&n->kid[0], root);
		gort_set(&n->kid[1], root ? root->kid[0] : NULL);
		root = n;
	}
}

static void
wait_with_a_large_frame(void)
{
	char frame[STACK_MB << 20];
	memset(frame, 0, sizeof frame);
	__asm__ volatile("" : : "r"(frame) : "memory"); // or clang would leave it out
	gort_recv(int, never);
	__asm__ volatile("" : : "r"(frame) : "memory");
}

// The last whole gctrace line of what was written to fd.
static struct line
last_line(int fd)
{
	static char text[65536];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	struct line l;
	char forced[16] = "";
	char *at = text, *last = NULL;
	text[n > 0 ? n : 0] = 0;
	while ((at = strstr(at, "gc "))) {
		if ((at == text || at[-1] == '\n') && strchr(at, '\n'))
			last = at;
		at++;
	}
	CHECK(last);
	int fields = sscanf(last,
			    "gc %u @%lfs %d%%: %lf+%lf+%lf ms clock, %lf+%lf/%lf/%lf+%lf ms cpu, "
			    "%llu->%llu->%llu MB, %llu MB goal, %llu MB stacks, %llu MB globals, %d P %15s",
			    &l.number, &l.at, &l.percent, &l.clock[0], &l.clock[1], &l.clock[2],
			    &l.cpu_first, &l.assist, &l.dedicated, &l.idle, &l.cpu_last, &l.heap0,
			    &l.heap1, &l.heap2, &l.goal, &l.stacks, &l.globals, &l.procs, forced);
	CHECK(fields == 18 || fields == 19);
	l.forced = strcmp(forced, "(forced)") == 0;
	return l;
}

// A number on the line is cut off after two digits, or to whole ms from 10 on.
static bool
at_most(double cut, double bound)
{
	return cut <= bound + 0.002;
}

static bool
at_least(double cut, double bound)
{
	return (cut + (cut >= 10 ? 1 : 0.001)) * 1.11 >= bound;
}

static void
check_times(const struct line *l)
{
	double before = (double)(m.before - rt_gc.init_ns) / 1e6, after = (double)(m.after - rt_gc.init_ns) / 1e6;
	double terminated = (double)(m.terminated - rt_gc.init_ns) / 1e6, start = l->at * 1e3;
	double marked = l->clock[0] + l->clock[1], all = marked + l->clock[2];
	CHECK(start >= before - 1 && start <= after);
	CHECK(at_most(all, after - before));
	// The hook runs after marking and before the world does: the phases meet there.
	CHECK(at_most(marked, terminated - start + 0.001));
	CHECK(at_least(all, terminated - start - 1));
	double paused = (double)m.s1.pause_ns[(m.s1.num_gc + 255) % 256] / 1e6;
	CHECK(at_most(l->clock[0] + l->clock[2], paused));
	CHECK(at_least(l->clock[0] + l->clock[2], paused));
}

static void
check_cpu(const struct line *l)
{
	double procs = rt_gc_cpu_procs(), marking = l->assist + l->dedicated + l->idle;
	CHECK(at_least(l->cpu_first, procs * l->clock[0]) && at_most(l->cpu_first, procs * l->clock[0] * 1.11 + 1));
	CHECK(at_least(l->cpu_last, procs * l->clock[2]) && at_most(l->cpu_last, procs * l->clock[2] * 1.11 + 1));
	// Whoever marks does so for no longer than marking takes.
	CHECK(at_most(marking, (double)l->procs * (l->clock[1] + l->clock[2] + 1) * 1.11));
	// What the process has used up to the end of marking is told: little else ran. Wall times may be
	// longer than the CPU's, not shorter.
	CHECK(at_least(l->cpu_first + marking + l->cpu_last, m.cpu_ms * 0.8 - 3));
	CHECK(m.cpu_ms > 1); // two million objects
	CHECK(marking > 1);
	CHECK(l->percent >= (int)(m.s1.gc_cpu_fraction * 100) && l->percent <= 100);
}

static uint64_t
metric(const char *name)
{
	gort_metric g = {.name = name};
	CHECK_EQ(gort_metrics_read(&g, 1), 1);
	return g.value.u64;
}

static void
check_sizes(const struct line *l)
{
	const unsigned long long mib = 1 << 20, live = (unsigned long long)NODES * sizeof(struct node);
	CHECK(l->heap0 * mib <= m.s0.heap_alloc && (l->heap0 + 1) * mib > m.s0.heap_alloc);
	CHECK(l->heap1 >= l->heap0 && l->heap1 <= l->heap0 + 1);
	CHECK(l->heap2 * mib <= m.s1.heap_alloc && (l->heap2 + 2) * mib > m.s1.heap_alloc);
	CHECK(l->heap2 * mib + mib > live && l->heap2 * mib < live + 4 * mib);
	CHECK_EQ(l->goal, m.s0.next_gc / mib);
	CHECK(l->stacks >= STACK_MB && l->stacks <= STACK_MB + 1);
	CHECK_EQ(l->stacks, metric("/gc/scan/stack:bytes") / mib);
	CHECK(l->globals >= GLOBAL_MB && l->globals <= GLOBAL_MB + 2);
	CHECK_EQ(l->globals, metric("/gc/scan/globals:bytes") / mib);
	CHECK_EQ(l->procs, gort_maxprocs(0));
	CHECK_EQ(l->number, m.s1.num_gc);
	CHECK(l->forced);
}

static int out, saved;

static void
every_field(void)
{
	static const struct rt_hooks hooks = {.heap_mark_terminated = mark_terminated};
	globals[0] = globals;
	make_graph();
	never = gort_make_chan(int, 0);
	gort_go_stack((STACK_MB + 2) << 20, wait_with_a_large_frame);
	while (metric("/sched/goroutines/waiting:goroutines") < 1)
		gort_sleep(GORT_MILLISECOND);
	gort_gc(); // everything is swept now, the other goroutine waits
	gort_gc();
	gort_read_mem_stats(&m.s0);
	rt_set_hooks(&hooks);
	m.cpu_ms = cpu_ms();
	m.before = gort_nanotime();
	gort_gc();
	m.after = gort_nanotime();
	rt_set_hooks(NULL);
	gort_read_mem_stats(&m.s1);
	struct line l = last_line(out);
	while (l.number != m.s1.num_gc) { // it is written when the world runs again, by whoever ended the cycle
		gort_sleep(GORT_MILLISECOND);
		l = last_line(out);
	}
	dup2(saved, 2);
	check_times(&l);
	check_cpu(&l);
	check_sizes(&l);
}

static void
run(const char *procs)
{
	char path[] = "/tmp/gctrace.XXXXXX";
	setenv("GORT_DEBUG", "gctrace=1", 1);
	setenv("GORT_MAXPROCS", procs, 1);
	out = mkstemp(path);
	cr_assert(out >= 0);
	unlink(path);
	saved = dup(2);
	dup2(out, 2);
	on_gort_body = every_field;
	gort_run(on_gort_app, 0, NULL);
}

Test(gctrace, every_field_agrees_with_what_was_measured_on_one_p)
{
	run("1");
}

Test(gctrace, every_field_agrees_with_what_was_measured_on_two_ps)
{
	run("2");
}
