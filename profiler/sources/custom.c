// SPDX-License-Identifier: BSD-3-Clause
// Profiles that a program defines: each value added is counted at the stack that added it until it is
// removed. A profile is a region of its own with one bucket a stack, and a table from values to buckets.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gort/pprof.h>
#include <gort/sched.h>

#include "sources/capture.h"
#include "sources/sources.h"

#pragma weak gort_panic

#define REGION_SIZE ((size_t)64 << 20)
#define MAX_DEPTH 32 // Go: the depth of custom profiles
#define MAX_NAME 64

struct slot {
	uintptr_t value; // 0 free
	struct rtp_bucket *b;
};

struct gort_profile {
	struct gort_profile *next;
	struct rtp_region *r;
	struct slot *slots; // open addressing, linear, a power of two; under lock
	size_t nslots, n;
	char name[MAX_NAME];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // held for microseconds; never around a call out
static struct gort_profile *profiles;

// The program's fault, as in Go.
_Noreturn static void
misuse(const char *fmt, const char *name)
{
	char text[160];
	snprintf(text, sizeof(text), fmt, name);
	if (gort_panic)
		gort_panic("%s", text);
	fprintf(stderr, "panic: %s\n", text);
	_exit(2);
}

static struct gort_profile *
find(const char *name)
{
	for (struct gort_profile *p = profiles; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static bool
reserved(const char *name)
{
	static const char *const names[] = { "heap", "allocs", "goroutine", "goroutineleak", "threadcreate",
					     "block", "mutex", "wall", "profile", "trace", "cmdline", "symbol" };
	for (size_t i = 0; i < rt_nelem(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void *
map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

GORT_API gort_profile *
gort_profile_new(const char *name)
{
	if (!name || !*name)
		misuse("pprof: NewProfile with empty name%s", "");
	if (strlen(name) >= MAX_NAME)
		misuse("pprof: NewProfile name is too long: %s", name);
	struct rtp_region *main = rtp_main();
	struct gort_profile *p = main ? map(sizeof(*p)) : NULL;
	if (!p || !(p->r = rtp_region_new(REGION_SIZE)))
		return NULL;
	strcpy(p->name, name);
	p->r->mappings_of = main;
	p->r->entry_lo = main->entry_lo;
	p->r->entry_hi = main->entry_hi;
	pthread_mutex_lock(&lock);
	bool taken = reserved(name) || find(name);
	if (!taken) {
		p->next = profiles;
		profiles = p;
	}
	pthread_mutex_unlock(&lock);
	if (taken)
		misuse("pprof: NewProfile name already in use: %s", name);
	return p;
}

GORT_API gort_profile *
gort_profile_lookup(const char *name)
{
	pthread_mutex_lock(&lock);
	struct gort_profile *p = find(name);
	pthread_mutex_unlock(&lock);
	return p;
}

// ---- values ----

static size_t
home(const struct gort_profile *p, uintptr_t value)
{
	return (value * 0x9e3779b97f4a7c15ull >> 20) & (p->nslots - 1);
}

// Where value is, or would be.
static struct slot *
probe(const struct gort_profile *p, uintptr_t value)
{
	size_t i = home(p, value);
	while (p->slots[i].value && p->slots[i].value != value)
		i = (i + 1) & (p->nslots - 1);
	return &p->slots[i];
}

static bool
grow(struct gort_profile *p)
{
	struct gort_profile old = *p;
	size_t nslots = p->nslots ? 2 * p->nslots : 256;
	struct slot *slots = map(nslots * sizeof(*slots));
	if (!slots)
		return false;
	p->slots = slots;
	p->nslots = nslots;
	for (size_t i = 0; i < old.nslots; i++)
		if (old.slots[i].value)
			*probe(p, old.slots[i].value) = old.slots[i];
	if (old.nslots)
		munmap(old.slots, old.nslots * sizeof(*old.slots));
	return true;
}

// 1 added, 0 it was there, -1 no memory.
static int
insert(struct gort_profile *p, uintptr_t value, struct rtp_bucket *b)
{
	if (2 * (p->n + 1) > p->nslots && !grow(p))
		return -1;
	struct slot *s = probe(p, value);
	if (s->value)
		return 0;
	*s = (struct slot){ value, b };
	p->n++;
	rtp_add(&b->v[RTP_COUNT], 1);
	return 1;
}

// Those behind the hole that it keeps from their home move up, so that no search ends too early.
static void
erase(struct gort_profile *p, struct slot *s)
{
	size_t mask = p->nslots - 1, hole = (size_t)(s - p->slots);
	for (size_t i = (hole + 1) & mask; p->slots[i].value; i = (i + 1) & mask) {
		size_t h = home(p, p->slots[i].value);
		if (((i - h) & mask) >= ((i - hole) & mask)) {
			p->slots[hole] = p->slots[i];
			hole = i;
		}
	}
	p->slots[hole] = (struct slot){ 0 };
	p->n--;
}

// noinline: the walk starts here and leaves this frame out.
GORT_API RT_NOINLINE void
gort_profile_add(gort_profile *p, const void *value, int skip)
{
	uintptr_t pcs[MAX_DEPTH];
	struct rtp_regs here;
	if (!p)
		return;
	if (!value)
		misuse("pprof: use of a null value in profile %s", p->name);
	rtp_regs_here(&here);
	int n = rtp_capture(rtp_main(), &here, pcs, MAX_DEPTH, rt_max(skip, 0) + 1);
	struct rtp_bucket *b = rtp_bucket(p->r, RTP_CUSTOM, 0, pcs, n);
	if (!b)
		return;
	pthread_mutex_lock(&lock);
	int rc = insert(p, (uintptr_t)value, b);
	pthread_mutex_unlock(&lock);
	if (rc == 0)
		misuse("pprof: Profile.Add of duplicate value%s", "");
	if (rc < 0)
		rtp_add(&p->r->no_memory[RTP_CUSTOM], 1);
}

GORT_API void
gort_profile_remove(gort_profile *p, const void *value)
{
	if (!p || !value)
		return;
	pthread_mutex_lock(&lock);
	struct slot *s = p->nslots ? probe(p, (uintptr_t)value) : NULL;
	if (s && s->value) {
		rtp_add(&s->b->v[RTP_COUNT], (uint64_t)-1);
		erase(p, s);
	}
	pthread_mutex_unlock(&lock);
}

GORT_API ptrdiff_t
gort_profile_count(const gort_profile *p)
{
	pthread_mutex_lock(&lock);
	ptrdiff_t n = p ? (ptrdiff_t)p->n : 0;
	pthread_mutex_unlock(&lock);
	return n;
}

// ---- for those that write them ----

struct rtp_region *
rtp_custom_region(const char *name)
{
	struct gort_profile *p = gort_profile_lookup(name);
	return p ? p->r : NULL;
}

int
rtp_custom_names(const char **names, int64_t *counts, int max)
{
	int n = 0;
	pthread_mutex_lock(&lock);
	for (struct gort_profile *p = profiles; p && n < max; p = p->next) {
		names[n] = p->name;
		counts[n++] = (int64_t)p->n;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

void
rtp_custom_forked(void)
{
	pthread_mutex_init(&lock, NULL);
}
