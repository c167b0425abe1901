// SPDX-License-Identifier: BSD-3-Clause
// Parsing of the environment; table-driven, so that the error line can name what is accepted.
#include "debug/env.h"

#include <stdlib.h>
#include <string.h>

#include "base/print.h"
#include "os/os.h"

struct rt_debug_vars rt_debug = {.madvdontneed = 1};
int rt_traceback_level = RT_TRACEBACK_SINGLE;
static size_t stack_bytes;
static int32_t gcpercent = 100;
static int64_t memlimit = INT64_MAX;
static bool barrier_dirty;

static const struct knob {
	const char *name;
	int32_t *value;
} knobs[] = {
	{"asyncpreemptoff", &rt_debug.asyncpreemptoff},
	{"clobberfree", &rt_debug.clobberfree},
	{"gccheckmark", &rt_debug.gccheckmark},
	{"gcpacertrace", &rt_debug.gcpacertrace},
	{"gcstoptheworld", &rt_debug.gcstoptheworld},
	{"gcstress", &rt_debug.gcstress},
	{"gctrace", &rt_debug.gctrace},
	{"inittrace", &rt_debug.inittrace},
	{"madvdontneed", &rt_debug.madvdontneed},
	{"scavtrace", &rt_debug.scavtrace},
	{"scheddetail", &rt_debug.scheddetail},
	{"schedtrace", &rt_debug.schedtrace},
	{"scvg", &rt_debug.scvg},
};

// The value of GORT_<name>, else of other; *var gets the name that was set.
static const char *
lookup(const char *gort, const char *other, const char **var)
{
	const char *v = getenv(gort);
	*var = gort;
	if (!v && other) {
		v = getenv(other);
		*var = other;
	}
	return v && *v ? v : NULL;
}

static void
complain(const char *var, const char *value, size_t len, const char *accepted, const char *instead)
{
	rt_printf("gort: %s=%.*s ignored: accepted is %s; using %s\n", var, (int)rt_min(len, (size_t)200),
		  value, accepted, instead);
}

// Decimal with an optional '-', nothing else, in [lo, hi].
static bool
parse_int(const char *s, size_t n, int64_t lo, int64_t hi, int64_t *out)
{
	size_t i = n > 0 && s[0] == '-';
	bool neg = i == 1;
	int64_t v = 0;
	if (i == n)
		return false;
	for (; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s[i] - '0', &v))
			return false;
	}
	v = neg ? -v : v;
	*out = v;
	return v >= lo && v <= hi;
}

// Bytes with an optional suffix B, KiB, MiB, GiB, TiB.
static bool
parse_bytes(const char *s, int64_t *out)
{
	static const struct {
		const char *suffix;
		int shift;
	} units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"B", 0}, {"", 0}};
	size_t n = strlen(s);
	for (size_t i = 0; i < rt_nelem(units); i++) {
		size_t k = strlen(units[i].suffix);
		if (n <= k || strcmp(s + n - k, units[i].suffix) != 0)
			continue;
		int64_t v;
		if (!parse_int(s, n - k, 0, INT64_MAX >> units[i].shift, &v))
			return false;
		*out = v << units[i].shift;
		return true;
	}
	return false;
}

static void
list_knobs(char *buf, size_t n)
{
	size_t at = rt_snprintf(buf, n, "name=integer,... of ");
	for (size_t i = 0; i < rt_nelem(knobs) && at < n; i++)
		at += rt_snprintf(buf + at, n - at, "%s%s", i ? " " : "", knobs[i].name);
}

static void
parse_field(const char *var, const char *f, size_t n)
{
	const char *eq = memchr(f, '=', n);
	size_t key = eq ? (size_t)(eq - f) : n;
	for (size_t i = 0; i < rt_nelem(knobs) && eq; i++) {
		int64_t v;
		if (strlen(knobs[i].name) != key || memcmp(knobs[i].name, f, key) != 0)
			continue;
		if (parse_int(eq + 1, n - key - 1, INT32_MIN, INT32_MAX, &v)) {
			*knobs[i].value = (int32_t)v;
			return;
		}
		break;
	}
	char accepted[512];
	list_knobs(accepted, sizeof accepted);
	complain(var, f, n, accepted, "the defaults for it");
}

// GODEBUG carries settings of Go programs too: only what it shares with us is looked at, silently.
static bool
known_key(const char *f, size_t n)
{
	for (size_t i = 0; i < rt_nelem(knobs); i++) {
		size_t k = strlen(knobs[i].name);
		if (n > k && f[k] == '=' && memcmp(f, knobs[i].name, k) == 0)
			return true;
	}
	return false;
}

static void
parse_debug(void)
{
	const char *var, *v = lookup("GORT_DEBUG", "GODEBUG", &var);
	if (!v)
		return;
	bool gos = strcmp(var, "GODEBUG") == 0;
	for (;;) {
		size_t n = strcspn(v, ",");
		if (n > 0 && (!gos || known_key(v, n)))
			parse_field(var, v, n);
		if (!v[n])
			break;
		v += n + 1;
	}
}

static void
parse_traceback(void)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {{"none", RT_TRACEBACK_NONE},	 {"0", RT_TRACEBACK_NONE},
		      {"single", RT_TRACEBACK_SINGLE}, {"all", RT_TRACEBACK_ALL},
		      {"1", RT_TRACEBACK_ALL},	 {"system", RT_TRACEBACK_SYSTEM},
		      {"2", RT_TRACEBACK_SYSTEM},	 {"crash", RT_TRACEBACK_CRASH}};
	const char *var, *v = lookup("GORT_TRACEBACK", "GOTRACEBACK", &var);
	if (!v)
		return;
	for (size_t i = 0; i < rt_nelem(levels); i++)
		if (strcmp(v, levels[i].name) == 0) {
			rt_traceback_level = levels[i].level;
			return;
		}
	complain(var, v, strlen(v), "none, single, all, system or crash", "single");
}

static size_t
parse_stack(void)
{
	const char *var, *v = lookup("GORT_STACK", NULL, &var);
	int64_t n;
	if (!v)
		return 0;
	if (parse_bytes(v, &n) && n >= 16384 && n <= (int64_t)64 << 20)
		return (size_t)n;
	complain(var, v, strlen(v), "16KiB to 64MiB", "192KiB");
	return 0;
}

// The CPUs of the affinity mask, or the cgroup's quota rounded up, but not below 2. Go 1.25 does the same.
static int32_t
default_maxprocs(void)
{
	int32_t cpus = rt_os_ncpu();
	double quota = rt_os_cpu_quota();
	if (quota <= 0 || quota >= cpus)
		return cpus;
	int32_t n = (int32_t)quota + ((double)(int32_t)quota < quota);
	return rt_min(cpus, rt_max(n, 2));
}

int32_t
rt_env_maxprocs(void)
{
	const char *var, *v = lookup("GORT_MAXPROCS", "GOMAXPROCS", &var);
	int32_t def = rt_min(default_maxprocs(), RT_MAX_PROCS);
	int64_t n;
	if (!v)
		return def;
	if (parse_int(v, strlen(v), 1, RT_MAX_PROCS, &n))
		return (int32_t)n;
	char accepted[64], instead[64];
	rt_snprintf(accepted, sizeof accepted, "an integer from 1 to %d", RT_MAX_PROCS);
	rt_snprintf(instead, sizeof instead, "%d, the CPUs this process may use", def);
	complain(var, v, strlen(v), accepted, instead);
	return def;
}

static int32_t
parse_gcpercent(void)
{
	const char *v = getenv("GORT_GOGC"), *var = "GORT_GOGC";
	if (!v)
		v = lookup("GOGC", NULL, &var);
	int64_t n;
	if (!v)
		return 100;
	if (strcmp(v, "off") == 0)
		return -1;
	if (parse_int(v, strlen(v), INT32_MIN, INT32_MAX, &n))
		return n < 0 ? -1 : (int32_t)n;
	complain(var, v, strlen(v), "an integer (percent) or off", "100");
	return 100;
}

static int64_t
parse_memlimit(void)
{
	const char *var, *v = lookup("GORT_MEMLIMIT", "GOMEMLIMIT", &var);
	int64_t n;
	if (!v || strcmp(v, "off") == 0)
		return INT64_MAX;
	if (parse_bytes(v, &n))
		return n;
	complain(var, v, strlen(v), "off, or bytes with an optional suffix B, KiB, MiB, GiB or TiB",
		 "no limit");
	return INT64_MAX;
}

static bool
parse_barrier(void)
{
	const char *var, *v = lookup("GORT_BARRIER", NULL, &var);
	if (v && strcmp(v, "dirty") != 0 && strcmp(v, "snapshot") != 0)
		complain(var, v, strlen(v), "snapshot or dirty", "snapshot");
	return v && strcmp(v, "dirty") == 0;
}

bool
rt_env_barrier_dirty(void)
{
	return barrier_dirty;
}

size_t
rt_env_stack(void)
{
	return stack_bytes;
}

void
rt_env_init(void)
{
	parse_debug();
	parse_traceback();
	stack_bytes = parse_stack();
	gcpercent = parse_gcpercent();
	memlimit = parse_memlimit();
	barrier_dirty = parse_barrier();
}

int32_t
rt_env_gcpercent(void)
{
	return gcpercent;
}

int64_t
rt_env_memlimit(void)
{
	return memlimit;
}
