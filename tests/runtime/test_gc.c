// SPDX-License-Identifier: BSD-3-Clause
// What the collector says about itself, against independent measurements; and what it tells a profiler.
#include "on_gort.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <time.h>

#include <gort/chan.h>
#include <gort/mem.h>
#include <gort/time.h>

#include "debug/env.h"
#include "debug/hooks.h"
#include "gc/gc.h"
#include "mem/malloc.h"
#include "os/os.h"
#include "sched/proc.h"

TestSuite(gc, .timeout = 60);

Test(gc, times_are_printed_as_go_does)
{
	// formats.md 1.2.
	static const struct {
		int64_t ns;
		const char *text;
	} want[] = {{0, "0"}, {999, "0"}, {1000, "0.001"}, {99999, "0.099"}, {100000, "0.10"},
		    {123456, "0.12"}, {999999, "0.99"}, {1000000, "1.0"}, {9999999, "9.9"},
		    {10000000, "10"}, {123456789, "123"}};
	char buf[24];
	for (size_t i = 0; i < rt_nelem(want); i++)
		cr_assert_str_eq(rt_msfmt(buf, want[i].ns), want[i].text);
}

Test(gc, shortest_decimals_read_back_and_have_no_digit_too_many)
{
	static const struct {
		double x;
		const char *text;
	} want[] = {{0, "0"}, {1, "1"}, {0.25, "0.25"}, {0.1, "0.1"}, {100, "100"}, {1e15, "1000000000000000"},
		    {0.8523282137784091, "0.8523282137784091"}, {2.515672, "2.515672"},
		    {0.000123, "0.000123"}, {9.5, "9.5"}, {1.0 / 3, "0.3333333333333333"}, {1e22, "10000000000000000000000"}};
	char buf[64], shorter[400];
	for (size_t i = 0; i < rt_nelem(want); i++)
		cr_assert_str_eq(rt_shortest(buf, want[i].x), want[i].text);
	cr_assert_str_eq(rt_shortest(buf, NAN), "NaN");
	cr_assert_str_eq(rt_shortest(buf, INFINITY), "+Inf");
	int longer = 0;
	srand48(20261124);
	for (int i = 0; i < 100000; i++) {
		double x = drand48() * pow(10, drand48() * 16 - 8);
		rt_shortest(buf, x);
		cr_assert(strtod(buf, NULL) == x, "%.17g became %s", x, buf);
		int digits = 0;
		bool begun = false;
		for (const char *p = buf; *p; p++)
			if (*p != '.' && (begun |= *p != '0'))
				digits++;
		if (strchr(buf, '.') && digits > 1) {
			snprintf(shorter, sizeof shorter, "%.*g", digits - 1, x);
			longer += strtod(shorter, NULL) == x;
		}
	}
	cr_assert(longer <= 100, "%d of 100000 with a digit too many", longer);
}

// ---- gctrace ----

static char captured[1 << 20];

// Runs fn with fd 2 in a file; its text is in captured.
static void
capture(void (*fn)(void))
{
	char name[] = "/tmp/gort-test-XXXXXX";
	int fd = mkstemp(name), old = dup(2);
	CHECK(fd >= 0 && old >= 0);
	unlink(name);
	dup2(fd, 2);
	fn();
	dup2(old, 2);
	ssize_t n = pread(fd, captured, sizeof captured - 1, 0);
	CHECK(n >= 0);
	captured[n] = 0;
	close(fd);
	close(old);
}

#define GCLINE                                                                                     \
	"^gc ([0-9]+) @([0-9]+\\.[0-9]{3})s ([0-9]+)%: ([0-9.]+)\\+([0-9.]+)\\+([0-9.]+) ms clock, "    \
	"([0-9.]+)\\+([0-9.]+)/([0-9.]+)/([0-9.]+)\\+([0-9.]+) ms cpu, "                               \
	"([0-9]+)->([0-9]+)->([0-9]+) MB, ([0-9]+) MB goal, ([0-9]+) MB stacks, ([0-9]+) MB globals, " \
	"([0-9]+) P( \\(forced\\))?\n$"
enum { N = 1, AT, PCT, C1, C2, C3, P1, ASSIST, DEDICATED, IDLE, P3, H0, H1, H2, GOAL, STACKS, GLOBALS, PROCS, FORCED, FIELDS };

static double field[FIELDS];

static void
parse_line(void)
{
	regex_t re;
	regmatch_t m[FIELDS];
	CHECK_EQ(regcomp(&re, GCLINE, REG_EXTENDED), 0);
	if (regexec(&re, captured, FIELDS, m, 0) != 0) {
		fprintf(stderr, "no gctrace line: %s", captured);
		exit(1);
	}
	for (int i = 1; i < FORCED; i++)
		field[i] = strtod(captured + m[i].rm_so, NULL);
	field[FORCED] = m[FORCED].rm_so >= 0;
	regfree(&re);
}

static double
cpu_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double clock_ms, used_ms;

static void
timed_gc(void)
{
	double c = cpu_ms();
	int64_t t = gort_nanotime();
	gort_gc();
	clock_ms = (double)(gort_nanotime() - t) / 1e6;
	used_ms = cpu_ms() - c;
}

struct cell {
	struct cell *next;
	long pad[7];
};
static struct cell *cells;

static void *garbage;

// A function of its own: no register of the caller's keeps the address.
__attribute__((noinline)) static void
hold_garbage(size_t n)
{
	garbage = gort_new_bytes(n);
}

// What calls left below this frame would be read as part of the frames that come to lie there.
__attribute__((noinline)) static void
forget_dead_frames(void)
{
	char dead[16384];
	memset(dead, 0, sizeof dead);
	__asm__ volatile("" ::"r"(dead) : "memory");
}

GORT_TEST(gc, each_gctrace_field_agrees_with_an_independent_measurement)
{
	static volatile char big[3 << 20]; // scanned: counts as globals
	for (int i = 0; i < 500000; i++) {
		struct cell *c = gort_new(struct cell);
		gort_set(&c->next, cells);
		cells = c;
	}
	hold_garbage(10 << 20);
	gort_gc();
	hold_garbage(20 << 20);
	gort_mem_stats before, after;
	gort_read_mem_stats(&before);
	double at = (double)(gort_nanotime() - rt_gc.init_ns) / 1e9;
	rt_debug.gctrace = 1;
	garbage = NULL;
	forget_dead_frames();
	capture(timed_gc);
	rt_debug.gctrace = 0;
	gort_read_mem_stats(&after);
	parse_line();
	CHECK_EQ(field[N], after.num_gc);
	double end = (double)(gort_nanotime() - rt_gc.init_ns) / 1e9;
	CHECK(field[AT] >= at - 0.001 && field[AT] <= end);
	// The same CPU time is a smaller part of a longer time: the cycle ended between at and end.
	double percent = after.gc_cpu_fraction * 100;
	CHECK(field[PCT] >= (int)percent && field[PCT] <= percent * end / at + 1);
	double sum = field[C1] + field[C2] + field[C3];
	double pause = (double)after.pause_ns[(after.num_gc + 255) % 256] / 1e6;
	CHECK(sum <= clock_ms * 1.01 + 0.01);   // the call saw at least what the line claims
	double stops = field[C1] + field[C3]; // two significant digits each, truncated
	CHECK(stops >= pause * 0.8 && stops <= pause * 1.01 + 0.01);
	CHECK_EQ(after.pause_total_ns - before.pause_total_ns, after.pause_ns[(after.num_gc + 255) % 256]);
	// While goroutine 1 waits every P is idle, or its worker's.
	double marking = field[DEDICATED] + field[IDLE];
	CHECK(marking > 0.5);
	CHECK(marking <= sum * gomaxprocs * 1.01 + 0.01);
	CHECK_EQ(field[ASSIST], 0); // nobody allocates
	CHECK(field[H0] >= before.heap_alloc >> 20 && field[H0] <= (before.heap_alloc >> 20) + 1);
	CHECK(field[H2] >= 500000ull * 64 >> 20 && field[H2] <= (500000ull * 64 >> 20) + 2);
	CHECK_EQ(field[GOAL], before.next_gc >> 20);
	CHECK(field[GLOBALS] >= 3 && field[GLOBALS] < (RT_ASAN ? 12 : 6)); // ASan pads variables
	CHECK_EQ(field[PROCS], gomaxprocs);
	CHECK_EQ(field[FORCED], 1);
	CHECK(big[0] == 0 && garbage == NULL);
}

static void
allocate_a_lot(void)
{
	for (int i = 0; i < 100; i++)
		memset(gort_new_bytes(1 << 20), 1, 1 << 20);
}

GORT_TEST(gc, an_automatic_cycle_is_not_marked_forced_and_keeps_to_the_goal)
{
	rt_debug.gctrace = 1;
	capture(allocate_a_lot);
	rt_debug.gctrace = 0;
	int lines = 0;
	for (char *p = captured; (p = strstr(p, "MB goal")); p++)
		lines++;
	// Goals of 4 to 14 MiB: the last megabytes hang on to words that frames left behind.
	CHECK(lines >= 6 && lines <= 50);
	CHECK(!strstr(captured, "forced"));
}

GORT_TEST(gc, gogc_off_never_collects_by_itself)
{
	gort_set_gc_percent(-1);
	allocate_a_lot();
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	CHECK_EQ(s.num_gc, 0);
	gort_gc();
	gort_gc_stats g;
	gort_read_gc_stats(&g);
	CHECK_EQ(g.num_gc, 1);
	CHECK_EQ(g.npause, 1);
	CHECK_EQ(g.pause_quantiles[0], g.pause[0]);
	CHECK_EQ(g.pause_quantiles[4], g.pause[0]);
}

static void
free_memory(void)
{
	gort_free_os_memory();
}

GORT_TEST(gc, scavenger_lines_have_gos_forms_and_add_up)
{
	allocate_a_lot();
	gort_gc();
	rt_debug.scavtrace = rt_debug.scvg = 1;
	capture(free_memory);
	rt_debug.scavtrace = rt_debug.scvg = 0;
	long bg, eager, now, util;
	char *line = strstr(captured, "(forced)");
	CHECK(line);
	while (line > captured && line[-1] != '\n')
		line--;
	CHECK_EQ(sscanf(line, "scav %ld KiB work (bg), %ld KiB work (eager), %ld KiB now, %ld%% util (forced)",
			&bg, &eager, &now, &util), 4);
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	// The background scavenger may have been in the middle of a piece, which counts when it is done.
	long piece = (long)(s.heap_released >> 10) - now;
	CHECK(piece >= 0 && piece <= 512);
	CHECK(eager > 0 && util >= 0 && util <= 100);
	long inuse, idle, sys, released, consumed, kb, sum = 0;
	// The background scavenger, if it prints in between, tells what was released so far; what was used again
	// meanwhile is released again.
	for (char *p = captured; (p = strstr(p, "scvg: ")); p++)
		if (sscanf(p, "scvg: %ld KB released", &kb) == 1)
			sum += kb;
	CHECK(sum > 0 && sum >= now / 2);
	char *scvg = strstr(line, "scvg: inuse");
	CHECK(scvg);
	CHECK_EQ(sscanf(scvg, "scvg: inuse: %ld, idle: %ld, sys: %ld, released: %ld, consumed: %ld (MB)",
			&inuse, &idle, &sys, &released, &consumed), 5);
	CHECK_EQ(sys, s.heap_sys >> 20);
	CHECK(released == now >> 10 || released == (long)(s.heap_released >> 20));
	CHECK(consumed == sys - released || consumed == sys - released - 1); // rounded down, both
}

// ---- what a profiler hears ----

static long tokens, sampled, freed, sampled_bytes, freed_bytes, terminated, swept;

static void *
on_sampled(void *obj, size_t size)
{
	sampled++;
	sampled_bytes += (long)size;
	return (void *)(uintptr_t)++tokens;
}

static void
on_freed(void *token, size_t size)
{
	__atomic_fetch_add(&freed, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&freed_bytes, (long)size, __ATOMIC_RELAXED);
	if (!token || (long)(uintptr_t)token > tokens)
		abort();
}

static void
on_terminated(void)
{
	terminated++;
}

static void
on_swept(void)
{
	swept++;
}

static const struct rt_hooks hooks = {
	.malloc_sampled = on_sampled,
	.malloc_freed = on_freed,
	.heap_mark_terminated = on_terminated,
	.heap_swept = on_swept,
};

static __attribute__((noinline)) void
allocate_sampled(int n, size_t size)
{
	for (int i = 0; i < n; i++)
		gort_new_bytes(size);
}

// Whoever sweeps the last span says so, maybe just after gort_gc has returned elsewhere.
static void
wait_until_told_of_sweep(void)
{
	while (__atomic_load_n(&swept, __ATOMIC_RELAXED) != __atomic_load_n(&terminated, __ATOMIC_RELAXED))
		gort_sleep(50 * GORT_MICROSECOND);
}

GORT_TEST(gc, rate_one_samples_every_object_and_reports_each_death_once)
{
	rt_store(&rt_mem_profile_rate, 1);
	rt_set_hooks(&hooks);
	atomic_fetch_or(&rt_hook_flags, RT_HOOK_HEAP);
	allocate_sampled(2000, 1000); // takes the new rate at the latest with the next span
	gort_gc();
	wait_until_told_of_sweep();
	sampled = sampled_bytes = freed = freed_bytes = 0;
	long t = terminated, s = swept;
	allocate_sampled(500, 1000);
	allocate_sampled(10, 100000);
	CHECK_EQ(sampled, 510);
	CHECK_EQ(sampled_bytes, 500 * 1024 + 10 * 106496);
	gort_gc();
	gort_gc();
	wait_until_told_of_sweep();
	CHECK_EQ(terminated - t, 2);
	CHECK_EQ(swept - s, 2);
	CHECK(freed >= 505); // a stale word may hold a few
	atomic_fetch_and(&rt_hook_flags, ~RT_HOOK_HEAP);
}

GORT_TEST(gc, samples_are_a_poisson_process_over_bytes)
{
	rt_set_hooks(&hooks);
	atomic_fetch_or(&rt_hook_flags, RT_HOOK_HEAP);
	rt_store(&rt_mem_profile_rate, 4096);
	allocate_sampled(100, 8000);
	sampled = 0;
	allocate_sampled(200000, 1024);
	double want = 200000 * (1 - exp(-1024.0 / 4096)); // at most one sample an object
	CHECK(sampled > want * 0.97 && sampled < want * 1.03);
	atomic_fetch_and(&rt_hook_flags, ~RT_HOOK_HEAP);
}

// ---- gcpacertrace ----

static void
allocate_until_two_cycles(void)
{
	uint32_t n = rt_load(&rt_gc.ncycles);
	while (rt_load(&rt_gc.ncycles) < n + 2) {
		struct cell *c = gort_new(struct cell);
		gort_set(&c->next, cells);
		cells = c;
	}
}

#define NUM "(0|[0-9]+(\\.[0-9]*[1-9])?)"

// The first or last such line of what was captured, to its end.
static const char *
find_line(const char *pattern, regmatch_t m[12], bool last)
{
	regex_t re;
	const char *p = captured;
	CHECK_EQ(regcomp(&re, pattern, REG_EXTENDED | REG_NEWLINE), 0);
	if (regexec(&re, p, 12, m, 0) != 0) {
		fprintf(stderr, "no line like %s in: %s", pattern, captured);
		exit(1);
	}
	regmatch_t next[12];
	while (last && regexec(&re, p + m[0].rm_eo, 12, next, 0) == 0) {
		p += m[0].rm_eo;
		memcpy(m, next, sizeof next);
	}
	regfree(&re);
	return p;
}

// Of marking's wall time on all Ps, the part that workers and assists took: the last cycle's.
static int
utilization(void)
{
	const struct gc_times *t = &rt_gc.cur;
	double used = (double)(rt_load(&t->dedicated_ns) + rt_load(&t->assist_ns));
	return (int)(used / ((double)(t->term - t->mark) * t->maxprocs) * 100);
}

#define DONE_LINE                                                                                  \
	"^pacer: ([0-9]+)% CPU \\(25 exp\\.\\) for ([0-9]+)\\+([0-9]+)\\+([0-9]+) B work "           \
	"\\(([0-9]+) B exp\\.\\) in ([0-9]+) B -> ([0-9]+) B \\(∆goal (-?[0-9]+), cons/mark " NUM    \
	"\\)$"

GORT_TEST(gc, pacer_lines_are_gos_and_their_numbers_the_collectors)
{
	regmatch_t m[12];
	for (int i = 0; i < 200000; i++) {
		struct cell *c = gort_new(struct cell);
		gort_set(&c->next, cells);
		cells = c;
	}
	gort_gc();
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	rt_debug.gcpacertrace = 1;
	capture(allocate_until_two_cycles);
	rt_debug.gcpacertrace = 0;
	const char *p = find_line("^pacer: assist ratio=" NUM " \\(scan ([0-9]+) MB in ([0-9]+)->([0-9]+) MB\\) "
				  "workers=([0-9]+)\\+" NUM "$", m, false);
	CHECK(strtod(p + m[1].rm_so, NULL) > 0);
	CHECK_EQ(strtoull(p + m[5].rm_so, NULL, 10), s.next_gc >> 20); // the first cycle's
	CHECK(strtoull(p + m[4].rm_so, NULL, 10) <= s.next_gc >> 20);
	p = find_line(DONE_LINE, m, true);
	CHECK_EQ((int)strtol(p + m[1].rm_so, NULL, 10), utilization());
	p = find_line(DONE_LINE, m, false);
	CHECK(strtoull(p + m[2].rm_so, NULL, 10) >= 200000 * sizeof(struct cell));
	uint64_t began = strtoull(p + m[6].rm_so, NULL, 10), ended = strtoull(p + m[7].rm_so, NULL, 10);
	CHECK(began < ended);
	CHECK_EQ(strtoll(p + m[8].rm_so, NULL, 10), (int64_t)(ended - s.next_gc));
	find_line("^pacer: sweep done at heap size [0-9]+MB; allocated [0-9]+MB during sweep; "
		  "swept [0-9]+ pages at " NUM " pages/byte$", m, false);
}

// ---- what a stop and a start must not lose ----

static _Atomic bool is_inside, seen_stopped;

static void
stay_inside(void)
{
	rt_enter(); // no stop can be complete until it leaves
	rt_store(&is_inside, true);
	while (!rt_load(&sched.gcwaiting))
		rt_cpu_relax();
	for (int i = 0; i < 10000; i++)
		if (rt_world_stopped())
			rt_store(&seen_stopped, true);
	rt_leave();
}

// Marking does without atomic operations while the world is stopped: not before everybody is.
GORT_TEST(gc, the_world_is_not_stopped_while_somebody_is_to_stop)
{
	gort_maxprocs(2);
	gort_go(stay_inside);
	while (!rt_load(&is_inside))
		gort_gosched();
	gort_set_gc_percent(100);
	CHECK(!rt_load(&seen_stopped));
	rt_enter();
	rt_stop_world("test");
	bool stopped = rt_world_stopped();
	rt_start_world();
	bool after = rt_world_stopped();
	rt_leave();
	CHECK(stopped && !after);
}

static gort_weak *argument;
static gort_chan *gate;
static _Atomic int narrived;

static void
keep(void *p)
{
	void *volatile mine = p;
	gort_recv(int, gate);
	narrived += mine == gort_weak_value(argument);
}

RT_NOINLINE static void *
new_argument(void)
{
	void *p = gort_new_bytes(100);
	argument = gort_weak_make(p);
	return p;
}

// gort_go_stack, whose goroutine does not run between the two halves while a collection begins.
static void
start_with_a_pause(void)
{
	void (*stub)(void *);
	__asm__("" : "=r"(stub) : "0"(gort_go_stub_));
	stub(new_argument());
	while (!rt_gc_marking())
		gort_gosched();
	gort_go_start_((void (*)(void))keep, 1 << 20);
}

GORT_TEST(gc, what_moves_to_a_larger_stack_is_scanned)
{
	gort_maxprocs(1);
	gate = gort_make_chan(int, 0);
	gort_go(start_with_a_pause);
	while (!argument)
		gort_gosched();
	gort_gc();
	gort_gc();
	CHECK(gort_weak_value(argument) != NULL);
	gort_chan_close(gate);
	while (narrived < 1)
		gort_gosched();
}

// ---- what a parked goroutine holds besides its stack ----

enum { PARKED = 16 };
enum field { NOWHERE, WAITOBJ, EXITS, LABELS, SUDOG_C, SUDOG_ELEM, SUDOG_VALUE, SUDOG_VALUE_END, NFIELDS };
static struct g *parked[PARKED];
static gort_weak *planted[PARKED][NFIELDS];
struct chunk {
	void *p[5];
};

// In memory that the collector does not read, as a sudog is.
static struct sudog *
new_sudog(void *c, void *elem)
{
	struct sudog *sg = calloc(1, sizeof *sg);
	sg->c = c;
	sg->elem = elem ? elem : sg->value;
	return sg;
}

// An object for each field, which nothing else points to. Pointers to their middle: one to the first byte
// would keep the neighbour as well.
RT_NOINLINE static void
plant(int i)
{
	struct g *gp = parked[i];
	char *p[NFIELDS];
	for (int f = 0; f < NFIELDS; f++) {
		p[f] = f == SUDOG_C ? (void *)gort_make_chan(int, 0) : gort_new_bytes(48);
		planted[i][f] = gort_weak_make(p[f]);
		p[f] += f == SUDOG_C ? 0 : 24;
	}
	gp->waitobj = p[WAITOBJ];
	gp->exits = (void *)p[EXITS];
	gp->labels = p[LABELS];
	struct sudog *value = new_sudog(gort_make_chan(struct chunk, 0), NULL);
	value->value[0] = (uintptr_t)p[SUDOG_VALUE];
	value->value[4] = (uintptr_t)p[SUDOG_VALUE_END];
	gp->waiting->waitlink = new_sudog(p[SUDOG_C], p[SUDOG_ELEM]);
	gp->waiting->waitlink->waitlink = value;
	memset(p, 0, sizeof p);
	__asm__ volatile("" ::"r"(p) : "memory");
}

static void
root_up(int i)
{
	struct g *gp = parked[i];
	struct sudog *first = gp->waiting->waitlink;
	gp->waitobj = gp->exits = NULL;
	gp->labels = NULL;
	gp->waiting->waitlink = NULL;
	free(first->waitlink);
	free(first);
}

static void
park_at_gate(int i)
{
	parked[i] = rt_getg();
	gort_recv(int, gate);
}

GORT_TEST(gc, what_each_field_of_a_parked_goroutine_holds_survives)
{
	int died[NFIELDS] = {0};
	gort_maxprocs(1);
	gate = gort_make_chan(int, 0);
	for (int i = 0; i < PARKED; i++)
		gort_go(park_at_gate, i);
	yield_to_others();
	for (int i = 0; i < PARKED; i++)
		plant(i);
	gort_gc();
	for (int i = 0; i < PARKED; i++)
		for (int f = 0; f < NFIELDS; f++)
			died[f] += gort_weak_value(planted[i][f]) == NULL;
	for (int i = 0; i < PARKED; i++)
		root_up(i);
	gort_chan_close(gate);
	yield_to_others();
	CHECK(died[NOWHERE] > 0); // else it could not fail
	for (int f = NOWHERE + 1; f < NFIELDS; f++)
		if (died[f] > 0)
			fprintf(stderr, "field %d: %d of %d died\n", f, died[f], PARKED);
	for (int f = NOWHERE + 1; f < NFIELDS; f++)
		CHECK(died[f] == 0);
}

// ... and a value that was sent to one that has not run since.

static gort_chan *parcels;
static gort_weak *sent[PARKED];
static int nreceived;

static void
receive_and_keep(void)
{
	void *volatile p = gort_recv(void *, parcels);
	nreceived++;
	gort_recv(int, gate);
	narrived += p != NULL;
}

RT_NOINLINE static void
send_one(int i)
{
	void *p = gort_new_bytes(48);
	sent[i] = gort_weak_make(p);
	gort_send(void *, parcels, p);
	p = NULL;
	__asm__ volatile("" ::"r"(&p) : "memory");
}

GORT_TEST(gc, a_value_on_its_way_survives)
{
	gort_maxprocs(1);
	gate = gort_make_chan(int, 0);
	parcels = gort_make_chan(void *, 0);
	for (int i = 0; i < PARKED; i++)
		gort_go(receive_and_keep);
	yield_to_others();
	for (int i = 0; i < PARKED; i++)
		send_one(i); // all wait: none of them runs
	CHECK_EQ(nreceived, 0);
	gort_gc();
	while (nreceived < PARKED)
		gort_gosched();
	int lost = 0;
	for (int i = 0; i < PARKED; i++)
		lost += gort_weak_value(sent[i]) == NULL;
	CHECK_EQ(lost, 0);
	gort_chan_close(gate);
	while (narrived < PARKED)
		gort_gosched();
}

static _Atomic bool enough;
static _Atomic int nallocating;

static void
allocate_on(void)
{
	nallocating++;
	while (!rt_load(&enough))
		gort_new_bytes(1000);
	nallocating--;
}

// Between the decision to begin a cycle and its first stop much may happen: the thread may have no CPU. Here it
// waits for a sweeper. The others allocate up to the hard limit, but for a span or two each.
GORT_TEST(gc, who_allocates_waits_for_a_cycle_that_is_late)
{
	gort_maxprocs(8); // the background sweeper may take one: it looks for work all the time
	gort_gc();
	rt_sweep_begin();
	rt_store(&rt_gc.sweepdone, false);
	for (int i = 0; i < 3; i++)
		gort_go(allocate_on);
	for (int i = 0; i < 100 || nallocating < 3; i++) {
		uint64_t live = rt_load(&rt_gc.heap_live), limit = rt_pacer_hard_limit();
		if (live > limit + (1 << 20))
			fprintf(stderr, "%llu bytes live, the limit is %llu\n", (unsigned long long)live,
				(unsigned long long)limit);
		CHECK(live <= limit + (1 << 20));
		gort_sleep(GORT_MILLISECOND);
	}
	CHECK(rt_gc_starting());
	rt_sweep_end();
	rt_store(&enough, true);
	while (nallocating > 0)
		gort_sleep(GORT_MILLISECOND);
}

// ---- a machine with other processes ----

static void *
compute(void *unused)
{
	while (!rt_load(&enough))
		rt_cpu_relax();
	return unused;
}

static void
compute_on(void)
{
	compute(NULL);
}

// Threads without a CPU are waited for up to 10 ms before each stop, but where somebody waits for the stop no more
// than an eighth of the time.
GORT_TEST(gc, stops_do_not_wait_for_cpus_most_of_the_time)
{
	enum { STOPS = 200, MOST_CPUS = 64 };
	pthread_t t[MOST_CPUS];
	int n = rt_min(rt_os_ncpu(), MOST_CPUS);
	gort_maxprocs(n);
	for (int i = 0; i < n; i++) {
		pthread_create(&t[i], NULL, compute, NULL);
		gort_go(compute_on);
	}
	rt_store(&sched.stopawaited, 1);
	int64_t from = rt_nanotime(), waited = 0, most = 3 * GORT_SECOND;
	for (int i = 0; i < STOPS && rt_nanotime() - from < most; i++) {
		gort_sleep(GORT_MILLISECOND / 2);
		rt_enter();
		int64_t asked = rt_nanotime();
		waited += rt_stop_world("test") - asked;
		rt_start_world();
		rt_leave();
	}
	int64_t all = rt_nanotime() - from;
	rt_store(&sched.stopawaited, 0);
	rt_store(&enough, true);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	if (waited >= all / 3) // an eighth; half without that rule
		fprintf(stderr, "%.1f of %.1f ms\n", (double)waited / 1e6, (double)all / 1e6);
	CHECK(waited < all / 3);
}

// ---- GORT_BARRIER=dirty ----

enum { NWRITTEN = 1 << 20 };
static void **written;

static void
write_everywhere(void)
{
	for (int i = 0; !rt_load(&enough); i = (i + 1) % NWRITTEN)
		written[i] = i % 64 ? NULL : gort_new_bytes(16);
}

static void
written_while_marking(void)
{
	written = gort_new_array(void *, NWRITTEN);
	gort_go(write_everywhere);
	int nbetween = 0;
	for (int i = 0; i < 100 && nbetween == 0; i++) {
		gort_gc();
		nbetween += rt_gc.cur.between > 0;
	}
	rt_store(&enough, true);
	CHECK(nbetween > 0 || rt_dirty_stopped());
}

Test(gc, in_dirty_mode_written_pages_are_looked_at_before_the_last_stop)
{
	setenv("GORT_BARRIER", "dirty", 1);
	setenv("GORT_MAXPROCS", "2", 1);
	on_gort_body = written_while_marking;
	gort_run(on_gort_app, 0, NULL);
}
