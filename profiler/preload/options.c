// SPDX-License-Identifier: BSD-3-Clause
// GORT_PROFILE=cpu,heap,block,mutex,wall,rate=HZ,out=DIR,..., and the variables of gperftools. Words that are
// not understood cost one line each and nothing else.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/preload.h"

struct preload_options preload_opt;

// A number and nothing else.
static bool
number(const char *s, int64_t lo, int64_t hi, int64_t *v)
{
	char *end;
	errno = 0;
	long long n = strtoll(s, &end, 10);
	if (end == s || *end || errno || n < lo || n > hi)
		return false;
	*v = n;
	return true;
}

static bool
text(const char *s, char *to, size_t n)
{
	size_t len = strlen(s);
	if (len == 0 || len >= n)
		return false;
	memcpy(to, s, len + 1);
	return true;
}

// A program may change its folder: what it is told relative to the first one is made absolute.
static bool
absolute(const char *s, char *to, size_t n)
{
	char cwd[2048];
	if (s[0] == '/')
		return text(s, to, n);
	if (!*s || !getcwd(cwd, sizeof(cwd)))
		return false;
	int len = strcmp(s, ".") == 0 ? snprintf(to, n, "%s", cwd) : snprintf(to, n, "%s/%s", cwd, s);
	return len > 0 && (size_t)len < n;
}

static bool
flag(const char *word, struct preload_options *o)
{
	static const struct {
		const char *name;
		size_t off;
	} flags[] = {
		{ "cpu", offsetof(struct preload_options, cpu) },
		{ "heap", offsetof(struct preload_options, heap) },
		{ "allocs", offsetof(struct preload_options, heap) },
		{ "block", offsetof(struct preload_options, block) },
		{ "mutex", offsetof(struct preload_options, mutex) },
		{ "threadcreate", offsetof(struct preload_options, threadcreate) },
		{ "wall", offsetof(struct preload_options, wall) },
		{ "wishes", offsetof(struct preload_options, wishes) },
	};
	for (size_t i = 0; i < rt_nelem(flags); i++)
		if (strcmp(word, flags[i].name) == 0) {
			*(bool *)((char *)o + flags[i].off) = true;
			return true;
		}
	return false;
}

static bool
setting(const char *key, const char *v, struct preload_options *o)
{
	int64_t n;
	if (strcmp(key, "rate") == 0 && number(v, 1, 10000, &n))
		o->hz = (int)n;
	else if (strcmp(key, "memrate") == 0 && number(v, 1, INT64_MAX, &n))
		o->mem_rate = n;
	else if (strcmp(key, "blockrate") == 0 && number(v, 1, INT64_MAX, &n))
		o->block_rate = n;
	else if (strcmp(key, "mutexfraction") == 0 && number(v, 1, 1 << 30, &n))
		o->mutex_fraction = n;
	else if (strcmp(key, "out") == 0)
		return absolute(v, o->out, sizeof(o->out));
	else if (strcmp(key, "parent") == 0)
		return text(v, o->parent, sizeof(o->parent));
	else if (strcmp(key, "http") == 0)
		return text(v, o->http, sizeof(o->http));
	else
		return false;
	return true;
}

static void
word(char *w, struct preload_options *o)
{
	char *eq = strchr(w, '=');
	bool ok;
	if (eq) {
		*eq = 0;
		ok = setting(w, eq + 1, o);
		*eq = '=';
	} else {
		ok = flag(w, o);
	}
	if (!ok)
		preload_notice("GORT_PROFILE: \"%s\" is not understood", w);
}

static void
read_gort(const char *v, struct preload_options *o)
{
	char copy[8192], *save = NULL;
	if (!text(v, copy, sizeof(copy)))
		return;
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save))
		word(w, o);
}

// CPUPROFILE=FILE, HEAPPROFILE=PREFIX, CPUPROFILE_FREQUENCY=HZ.
static void
read_gperftools(struct preload_options *o)
{
	const char *cpu = getenv("CPUPROFILE"), *heap = getenv("HEAPPROFILE");
	const char *hz = getenv("CPUPROFILE_FREQUENCY");
	int64_t n;
	if (cpu && *cpu)
		o->cpu = absolute(cpu, o->cpu_file, sizeof(o->cpu_file));
	if (heap && *heap)
		o->heap = absolute(heap, o->heap_file, sizeof(o->heap_file));
	if (hz && *hz && !number(hz, 1, 10000, &n))
		preload_notice("CPUPROFILE_FREQUENCY=%s is not understood", hz);
	else if (hz && *hz)
		o->hz = (int)n;
}

bool
preload_read_options(void)
{
	struct preload_options *o = &preload_opt;
	const char *v = getenv("GORT_PROFILE");
	*o = (struct preload_options){ .hz = 100, .mem_rate = 512 << 10, .block_rate = 1, .mutex_fraction = 1 };
	if (v && *v)
		read_gort(v, o);
	else
		read_gperftools(o);
	bool any = o->cpu || o->heap || o->block || o->mutex || o->threadcreate || o->wall;
	if (!any && (o->http[0] || (v && *v && !o->parent[0])))
		any = o->cpu = o->heap = true; // out= or http= alone: what one looks at first
	if (any && !o->out[0] && !o->parent[0])
		any = absolute(".", o->out, sizeof(o->out));
	return any;
}
