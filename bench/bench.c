// SPDX-License-Identifier: BSD-3-Clause
#include "bench.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MAX_CPUS = 16 };

static struct {
	regex_t want;
	bool list, benchmem;
	int64_t time_ns, fixed_n; // one of them
	int count;
	int cpus[MAX_CPUS], ncpus;
	int width; // of the longest name to be printed
} opt = {.time_ns = GORT_SECOND, .count = 1};

// ---- timer ----

static void
read_allocs(uint64_t *mallocs, uint64_t *bytes)
{
	static gort_mem_stats st; // one benchmark runs at a time
	gort_read_mem_stats(&st);
	*mallocs = st.mallocs;
	*bytes = st.total_alloc;
}

void
bench_start_timer(struct bench *b)
{
	if (b->timing)
		return;
	read_allocs(&b->started_mallocs, &b->started_bytes);
	b->timing = true;
	b->started_ns = gort_nanotime();
}

void
bench_stop_timer(struct bench *b)
{
	if (!b->timing)
		return;
	b->elapsed_ns += gort_nanotime() - b->started_ns;
	b->timing = false;
	uint64_t mallocs, bytes;
	read_allocs(&mallocs, &bytes);
	b->mallocs += mallocs - b->started_mallocs;
	b->bytes += bytes - b->started_bytes;
}

void
bench_reset_timer(struct bench *b)
{
	bool was = b->timing;
	bench_stop_timer(b);
	b->elapsed_ns = 0;
	b->mallocs = b->bytes = 0;
	b->nmetrics = 0;
	if (was)
		bench_start_timer(b);
}

int64_t
bench_elapsed(const struct bench *b)
{
	return b->elapsed_ns + (b->timing ? gort_nanotime() - b->started_ns : 0);
}

// ---- results ----

void
bench_set_bytes(struct bench *b, int64_t bytes)
{
	b->bytes_per_op = bytes;
}

void
bench_report_allocs(struct bench *b)
{
	b->want_allocs = true;
}

void
bench_report(struct bench *b, double value, const char *unit)
{
	for (int i = 0; i < b->nmetrics; i++) {
		if (strcmp(b->metrics[i].unit, unit) == 0) {
			b->metrics[i].value = value;
			return;
		}
	}
	if (b->nmetrics == BENCH_MAX_METRICS)
		gort_panic("%s reports more than %d metrics", b->name, BENCH_MAX_METRICS);
	b->metrics[b->nmetrics++] = (struct bench_metric){value, unit};
}

void
bench_fail(struct bench *b, const char *fmt, ...)
{
	b->failed = true;
	printf("--- FAIL: Benchmark%s\n    ", b->name);
	va_list ap;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

// The fewer digits before the point, the more behind it; the points stand in one column.
static void
print_value(double x, const char *unit)
{
	static const struct {
		double from;
		int width, decimals;
	} forms[] = {{999.95, 10, 0},	{99.995, 12, 1},    {9.9995, 13, 2},	 {0.99995, 14, 3},
		     {0.099995, 15, 4}, {0.0099995, 16, 5}, {0.00099995, 17, 6}, {0, 18, 7}};
	double a = fabs(x);
	size_t i = 0;
	while (a != 0 && a < forms[i].from)
		i++;
	printf("\t%*.*f %s", forms[i].width, forms[i].decimals, x, unit);
}

static int
by_unit(const void *a, const void *b)
{
	return strcmp(((const struct bench_metric *)a)->unit,
		      ((const struct bench_metric *)b)->unit);
}

static const char *
full_name(char *buf, size_t size, const char *name, int procs)
{
	if (procs == 1)
		snprintf(buf, size, "Benchmark%s", name);
	else
		snprintf(buf, size, "Benchmark%s-%d", name, procs);
	return buf;
}

static bool
take_metric(struct bench *b, const char *unit, double *value)
{
	for (int i = 0; i < b->nmetrics; i++) {
		if (strcmp(b->metrics[i].unit, unit) == 0) {
			*value = b->metrics[i].value;
			b->metrics[i] = b->metrics[--b->nmetrics];
			return true;
		}
	}
	return false;
}

static void
print_result(struct bench *b, int procs)
{
	char name[128];
	printf("%-*s\t%8" PRId64, opt.width, full_name(name, sizeof name, b->name, procs), b->n);
	double v = (double)b->elapsed_ns / (double)b->n;
	take_metric(b, "ns/op", &v);
	if (v != 0)
		print_value(v, "ns/op");
	if (b->bytes_per_op > 0 && b->elapsed_ns > 0)
		printf("\t%7.2f MB/s", (double)b->bytes_per_op * (double)b->n / 1e6 /
					       ((double)b->elapsed_ns / 1e9));
	qsort(b->metrics, (size_t)b->nmetrics, sizeof *b->metrics, by_unit);
	for (int i = 0; i < b->nmetrics; i++)
		print_value(b->metrics[i].value, b->metrics[i].unit);
	if (opt.benchmem || b->want_allocs)
		printf("\t%8" PRIu64 " B/op\t%8" PRIu64 " allocs/op", b->bytes / (uint64_t)b->n,
		       b->mallocs / (uint64_t)b->n);
	printf("\n");
	fflush(stdout);
}

// ---- one benchmark ----

static void
run_case(struct bench *b, void (*fn)(struct bench *), gort_chan *done)
{
	bench_reset_timer(b);
	bench_start_timer(b);
	fn(b);
	bench_stop_timer(b);
	gort_send(bool, done, true);
}

static void
run_n(struct bench *b, const bench_case *c, int64_t n)
{
	b->last_n = b->n;
	b->last_ns = b->elapsed_ns;
	b->n = n;
	gort_gc();
	gort_chan *done = gort_make_chan(bool, 0);
	gort_go(run_case, b, c->fn, done);
	gort_recv(bool, done);
}

// How many operations fill the wanted time, by the run just made: a fifth more than its pace says,
// at most a hundred times as many, at least one more.
static int64_t
next_n(const struct bench *b)
{
	int64_t ns = b->elapsed_ns > 0 ? b->elapsed_ns : 1;
	__int128 n = (__int128)opt.time_ns * b->n / ns;
	n += n / 5;
	if (n > (__int128)100 * b->n)
		n = 100 * b->n;
	if (n < b->n + 1)
		n = b->n + 1;
	return n > 1000000000 ? 1000000000 : (int64_t)n;
}

static bool
run_bench(const bench_case *c, int procs)
{
	struct bench b = {.name = c->name};
	run_n(&b, c, 1);
	if (opt.fixed_n > 1 && !b.failed)
		run_n(&b, c, opt.fixed_n);
	while (!opt.fixed_n && !b.failed && b.elapsed_ns < opt.time_ns && b.n < 1000000000)
		run_n(&b, c, next_n(&b));
	if (!b.failed)
		print_result(&b, procs);
	return !b.failed;
}

// ---- parallel ----

bool
bench_next_grain(struct bench_pb *pb)
{
	int64_t from = atomic_fetch_add(pb->taken, pb->grain);
	if (from >= pb->b->n)
		return false;
	int64_t rest = pb->b->n - from;
	pb->left = rest < pb->grain ? rest : pb->grain;
	return true;
}

static void
run_body(struct bench *b, void (*body)(struct bench_pb *, void *), void *arg,
	 _Atomic int64_t *taken, int64_t grain)
{
	struct bench_pb pb = {.b = b, .taken = taken, .grain = grain};
	body(&pb, arg);
}

// A grain is some 100 us of work by the pace of the run before.
void
bench_parallel(struct bench *b, void (*body)(struct bench_pb *pb, void *arg), void *arg)
{
	int64_t grain = 1;
	if (b->last_n > 0 && b->last_ns > 0)
		grain = (int64_t)(1e5 * (double)b->last_n / (double)b->last_ns);
	grain = grain < 1 ? 1 : grain > 10000 ? 10000 : grain;
	_Atomic int64_t taken = 0;
	gort_waitgroup wg = {0};
	int procs = gort_maxprocs(0);
	for (int i = 0; i < procs; i++)
		gort_waitgroup_go(&wg, run_body, b, body, arg, &taken, grain);
	gort_waitgroup_wait(&wg);
}

// ---- children ----

static char **
child_env(const char *what, const char *extra)
{
	size_t n = 0;
	while (environ[n])
		n++;
	char **env = malloc((n + 3) * sizeof *env);
	memcpy(env, environ, n * sizeof *env);
	char *set = malloc(strlen(what) + 32);
	sprintf(set, "GORT_BENCH_CHILD=%s", what);
	env[n++] = set;
	if (extra)
		env[n++] = (char *)extra;
	env[n] = NULL;
	return env; // the process is short-lived and there are few: never freed
}

// Its output, at most size - 1 bytes; returns its wait status, or -1 where it could not be started.
static int
run_child(const char *what, const char *extra, char *out, size_t size, struct rusage *ru)
{
	int fd[2];
	if (pipe2(fd, O_CLOEXEC) != 0)
		return -1;
	posix_spawn_file_actions_t fa;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd[1], 1);
	char *argv[] = {"bench-child", NULL};
	pid_t pid;
	int rc = posix_spawn(&pid, "/proc/self/exe", &fa, NULL, argv, child_env(what, extra));
	posix_spawn_file_actions_destroy(&fa);
	close(fd[1]);
	size_t n = 0;
	ssize_t got;
	while (rc == 0 && n < size - 1 && (got = read(fd[0], out + n, size - 1 - n)) != 0) {
		if (got > 0)
			n += (size_t)got;
		else if (errno != EINTR)
			break;
	}
	out[n] = 0;
	close(fd[0]);
	if (rc != 0)
		return -1;
	int status;
	while (wait4(pid, &status, 0, ru) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

void
bench_child(struct bench *b, const char *what, const char *env)
{
	char out[4096];
	struct rusage ru = {0};
	for (int64_t i = 0; i < b->n; i++) {
		int status = run_child(what, env, out, sizeof out, &ru);
		if (status != 0) {
			bench_fail(b, "child %s: wait status %#x", what, (unsigned)status);
			return;
		}
	}
	char *save, *s = out;
	for (char *v; (v = strtok_r(s, " \n", &save)); s = NULL) {
		char *unit = strtok_r(NULL, " \n", &save);
		if (unit)
			bench_report(b, strtod(v, NULL), strdup(unit));
	}
	bench_report(b, (double)ru.ru_maxrss * 1024, "maxrss-B");
}

// ---- helpers ----

int64_t
bench_cputime(void)
{
	struct rusage ru;
	getrusage(RUSAGE_SELF, &ru);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * GORT_SECOND +
	       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * GORT_MICROSECOND;
}

static int
by_int64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

void
bench_sort(int64_t *v, int64_t n)
{
	qsort(v, (size_t)n, sizeof *v, by_int64);
}

int64_t
bench_quantile(int64_t *v, int64_t n, double q)
{
	return v[(int64_t)(q * (double)(n - 1))];
}

static int
by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double
bench_median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, by_double);
	return v[n / 2];
}

// ---- command line ----

static bool
parse_benchtime(const char *s)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 6e10}};
	char *end;
	double v = strtod(s, &end);
	if (end == s || !(v > 0) || v > 1e9)
		return false;
	opt.fixed_n = 0;
	if (strcmp(end, "x") == 0) {
		opt.fixed_n = (int64_t)v;
		return opt.fixed_n > 0 && (double)opt.fixed_n == v;
	}
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(end, units[i].unit) == 0) {
			opt.time_ns = (int64_t)(v * units[i].ns);
			return opt.time_ns > 0;
		}
	}
	return false;
}

static bool
parse_positive(const char *s, int *out)
{
	char *end;
	long v = strtol(s, &end, 10);
	*out = (int)v;
	return end != s && !*end && v > 0 && v < 1 << 20;
}

static bool
parse_cpus(const char *s)
{
	char copy[128], *save, *p = copy;
	if (strlen(s) >= sizeof copy)
		return false;
	strcpy(copy, s);
	for (char *item; (item = strtok_r(p, ",", &save)); p = NULL) {
		if (opt.ncpus == MAX_CPUS || !parse_positive(item, &opt.cpus[opt.ncpus++]))
			return false;
	}
	return opt.ncpus > 0;
}

static bool
set_option(const char *name, const char *value)
{
	if (strcmp(name, "bench") == 0 || strcmp(name, "list") == 0) {
		opt.list = *name == 'l';
		return regcomp(&opt.want, value, REG_EXTENDED | REG_NOSUB) == 0;
	}
	if (strcmp(name, "benchtime") == 0)
		return parse_benchtime(value);
	if (strcmp(name, "count") == 0)
		return parse_positive(value, &opt.count);
	if (strcmp(name, "cpu") == 0)
		return parse_cpus(value);
	return false;
}

// Go's forms: -name value, -name=value, --name, -test.name.
static bool
parse_options(int argc, char **argv)
{
	if (regcomp(&opt.want, ".", REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		char name[32];
		if (*a != '-')
			return false;
		a += a[1] == '-' ? 2 : 1;
		if (strncmp(a, "test.", 5) == 0)
			a += 5;
		size_t n = strcspn(a, "=");
		if (n >= sizeof name)
			return false;
		memcpy(name, a, n);
		name[n] = 0;
		if (strcmp(name, "benchmem") == 0) {
			opt.benchmem = true;
			continue;
		}
		const char *value = a[n] == '=' ? a + n + 1 : ++i < argc ? argv[i] : NULL;
		if (!value || !set_option(name, value)) {
			fprintf(stderr, "invalid value \"%s\" for flag -%s\n", value ? value : "",
				name);
			return false;
		}
	}
	return true;
}

static void
print_cpu(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];
	while (f && fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');
		if (strncmp(line, "model name", 10) == 0 && colon) {
			printf("cpu:%s", colon + 1);
			break;
		}
	}
	if (f)
		fclose(f);
}

static bool
wanted(const bench_case *c)
{
	char name[128];
	return regexec(&opt.want, full_name(name, sizeof name, c->name, 1), 0, NULL, 0) == 0;
}

static int
list_cases(const bench_case *cases, size_t ncases)
{
	for (size_t i = 0; i < ncases; i++)
		if (wanted(&cases[i]))
			printf("Benchmark%s\n", cases[i].name);
	return 0;
}

static bool
run_cases(const bench_case *cases, size_t ncases)
{
	bool ok = true;
	for (int k = 0; k < opt.ncpus; k++) {
		gort_maxprocs(opt.cpus[k]);
		for (size_t i = 0; i < ncases; i++)
			for (int j = 0; j < opt.count && wanted(&cases[i]); j++)
				ok &= run_bench(&cases[i], opt.cpus[k]);
	}
	return ok;
}

static void
measure_width(const bench_case *cases, size_t ncases)
{
	char name[128];
	for (size_t i = 0; i < ncases; i++) {
		for (int k = 0; k < opt.ncpus; k++) {
			int n = (int)strlen(
				full_name(name, sizeof name, cases[i].name, opt.cpus[k]));
			if (wanted(&cases[i]) && n > opt.width)
				opt.width = n;
		}
	}
}

int
bench_main(int argc, char **argv, const char *pkg, const bench_case *cases, size_t ncases,
	   void (*child)(const char *what))
{
	const char *what = getenv("GORT_BENCH_CHILD");
	if (what && child) {
		child(what);
		return 0;
	}
	if (!parse_options(argc, argv)) {
		fprintf(stderr,
			"usage: %s [-bench REGEX] [-list REGEX] [-benchtime 200ms|10x] [-count N]"
			" [-cpu 1,2] [-benchmem]\n",
			argv[0]);
		return 2;
	}
	if (opt.list)
		return list_cases(cases, ncases);
	if (opt.ncpus == 0)
		opt.cpus[opt.ncpus++] = gort_maxprocs(0);
	measure_width(cases, ncases);
	printf("goos: linux\ngoarch: amd64\npkg: peers/%s\n", pkg);
	print_cpu();
	bool ok = run_cases(cases, ncases);
	printf(ok ? "PASS\n" : "FAIL\n");
	return ok ? 0 : 1;
}
