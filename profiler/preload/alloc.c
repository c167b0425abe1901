// SPDX-License-Identifier: BSD-3-Clause
// The malloc family. Every thread counts bytes down to its next sample (Poisson, mean mem_rate, as Go
// does), so nearly every call is a subtraction and a jump to the real one. C++'s operator new and libc's
// own strdup, getline and the like come here by malloc.
//
// A block's size is what it takes: glibc's header and rounding included, as Go counts size classes.
#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <gort/base.h>

#include "preload/preload.h"
#include "unwind/modules.h"

// Bytes until this thread's next sample. 0 at its start: the first allocation draws.
static _Thread_local uint64_t left __attribute__((tls_model("initial-exec")));
static _Thread_local bool drawn __attribute__((tls_model("initial-exec")));

// Of an allocator that is not libc's.
static size_t (*foreign_usable_size)(void *p);

static _Atomic int mode; // 0 not started, 1 sampling, -1 off for good

// ---- the real ones ----
// Each starts as a function that finds them all. dlsym itself may allocate (for its error text, or on
// an old glibc): such a call is served from a few static bytes that are never freed.

static void *first_malloc(size_t n);
static void *first_calloc(size_t n, size_t m);
static void *first_realloc(void *p, size_t n);
static void first_free(void *p);
static void *first_aligned(size_t a, size_t n);
static int first_posix_memalign(void **p, size_t a, size_t n);
static void *first_valloc(size_t n);

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	void *(*memalign)(size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
} real = { first_malloc,  first_calloc,  first_realloc,        first_free,  first_aligned,
	   first_aligned, first_posix_memalign, first_valloc, first_valloc };

static char early[16384] RT_ALIGNED(16);
static size_t early_used;
static bool resolving;

static bool
is_early(const void *p)
{
	return (uintptr_t)p - (uintptr_t)early < sizeof(early);
}

static void *
early_alloc(size_t n)
{
	n = rt_round_up(n, (size_t)16) + 16;
	if (n > sizeof(early) - early_used)
		return NULL;
	void *p = early + early_used + 16;
	early_used += n;
	preload_live_mark(p);
	return p;
}

static void
find(void *to, const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);
	if (p)
		*(void **)to = p;
}

// Runs on the process's first thread, before there is another.
static bool
resolve(void)
{
	if (resolving)
		return false;
	resolving = true;
	void *m = dlsym(RTLD_NEXT, "malloc");
	find(&real.calloc, "calloc");
	find(&real.realloc, "realloc");
	find(&real.free, "free");
	find(&real.memalign, "memalign");
	find(&real.aligned_alloc, "aligned_alloc");
	find(&real.posix_memalign, "posix_memalign");
	find(&real.valloc, "valloc");
	find(&real.pvalloc, "pvalloc");
	*(void **)&real.malloc = m;
	resolving = false;
	return m != NULL;
}

static void *
first_malloc(size_t n)
{
	return resolve() ? real.malloc(n) : early_alloc(n);
}

static void *
first_calloc(size_t n, size_t m)
{
	return resolve() ? real.calloc(n, m) : early_alloc(n * m); // the bytes are zero
}

static void *
first_realloc(void *p, size_t n)
{
	return resolve() ? real.realloc(p, n) : NULL;
}

static void
first_free(void *p)
{
	if (p && resolve())
		real.free(p);
}

static void *
first_aligned(size_t a, size_t n)
{
	return resolve() ? real.memalign(a, n) : NULL;
}

static int
first_posix_memalign(void **p, size_t a, size_t n)
{
	return resolve() ? real.posix_memalign(p, a, n) : ENOMEM;
}

static void *
first_valloc(size_t n)
{
	return resolve() ? real.valloc(n) : NULL;
}

// ---- sampling ----

RT_INLINE uint64_t
footprint(size_t n)
{
	uint64_t f = (n + 8 + 15) & ~(uint64_t)15;
	return f < 32 ? 32 : f;
}

// Whether a block of f bytes needs a closer look. A monstrous size, which malloc will refuse, changes
// nothing here.
RT_INLINE bool
due(uint64_t f)
{
	if (rt_unlikely(left < f))
		return true;
	left -= f;
	return false;
}

// The closer look: is it sampled?
static bool
wanted(uint64_t f)
{
	int m = rt_load(&mode);
	if (m <= 0) {
		if (m < 0)
			left = UINT64_MAX / 2;
		return false;
	}
	if (rtp_busy)
		return false;
	if (!drawn) {
		drawn = true;
		left = preload_exponential((double)preload_opt.mem_rate);
		if (left >= f) {
			left -= f;
			return false;
		}
	}
	left = preload_exponential((double)preload_opt.mem_rate);
	return true;
}

// What a block takes: glibc's chunk, or what another allocator rounded its size to.
static uint64_t
taken(void *p, uint64_t f)
{
	return foreign_usable_size ? foreign_usable_size(p) : f;
}

static void
record(void *p, uint64_t f)
{
	uintptr_t pcs[RTP_MAX_FRAMES];
	struct rtp_region *r = rtp_main_peek();
	int saved = errno;
	if (!r)
		return;
	rtp_busy++;
	int n = preload_capture(0, pcs);
	struct rtp_bucket *b = rtp_bucket(r, RTP_HEAP, f, pcs, n);
	uint64_t size = taken(p, f);
	if (b && preload_live_add(p, (struct preload_block){ b, size })) {
		rtp_add(&b->v[RTP_ALLOCS], 1);
		rtp_add(&b->v[RTP_ALLOC_BYTES], size);
	} else if (b) {
		rtp_add(&r->no_memory[RTP_HEAP], 1);
	}
	rtp_busy--;
	errno = saved;
}

static void
freed(const struct preload_block *b)
{
	rtp_add(&b->bucket->v[RTP_FREES], 1);
	rtp_add(&b->bucket->v[RTP_FREE_BYTES], b->size);
}

// noinline, here and below: the common way stays short.
RT_NOINLINE static void *
sampled(void *p, uint64_t f)
{
	if (p && wanted(f))
		record(p, f);
	return p;
}

RT_NOINLINE static void *
malloc_due(size_t n, uint64_t f)
{
	return sampled(real.malloc(n), f);
}

GORT_API void *
malloc(size_t n)
{
	uint64_t f = footprint(n);
	if (due(f))
		return malloc_due(n, f);
	return real.malloc(n);
}

RT_NOINLINE static void *
calloc_due(size_t n, size_t m, uint64_t f)
{
	return sampled(real.calloc(n, m), f);
}

GORT_API void *
calloc(size_t n, size_t m)
{
	size_t bytes;
	if (__builtin_mul_overflow(n, m, &bytes))
		return real.calloc(n, m);
	uint64_t f = footprint(bytes);
	if (due(f))
		return calloc_due(n, m, f);
	return real.calloc(n, m);
}

// Before the real free: afterwards the address may be somebody else's.
RT_NOINLINE static void
free_looked_up(void *p)
{
	struct preload_block b;
	if (is_early(p))
		return;
	if (p && preload_live_take(p, &b))
		freed(&b);
	real.free(p);
}

GORT_API void
free(void *p)
{
	if (rt_unlikely(preload_maybe_live(p))) {
		free_looked_up(p);
		return;
	}
	real.free(p);
}

static void *
realloc_early(void *p, size_t n)
{
	size_t have = (size_t)(early + sizeof(early) - (char *)p);
	void *q = malloc(n);
	if (q)
		memcpy(q, p, rt_min(n, have));
	return q;
}

RT_NOINLINE static void *
realloc_looked_up(void *p, size_t n, uint64_t f)
{
	struct preload_block b;
	if (is_early(p))
		return realloc_early(p, n);
	bool had = p && preload_maybe_live(p) && preload_live_take(p, &b);
	void *q = real.realloc(p, n);
	if (!q && n != 0) { // p is as it was
		if (had && !preload_live_add(p, b))
			freed(&b);
		return NULL;
	}
	if (had)
		freed(&b);
	if (left < f)
		return sampled(q, f);
	left -= f;
	return q;
}

GORT_API void *
realloc(void *p, size_t n)
{
	uint64_t f = footprint(n);
	if (rt_unlikely(left < f || preload_maybe_live(p)))
		return realloc_looked_up(p, n, f);
	left -= f;
	return real.realloc(p, n);
}

// ---- aligned forms ----

static void *
counted(void *p, size_t n)
{
	uint64_t f = footprint(n);
	return p && due(f) ? sampled(p, f) : p;
}

GORT_API void *
memalign(size_t a, size_t n)
{
	return counted(real.memalign(a, n), n);
}

GORT_API void *
aligned_alloc(size_t a, size_t n)
{
	return counted(real.aligned_alloc(a, n), n);
}

GORT_API int
posix_memalign(void **p, size_t a, size_t n)
{
	int rc = real.posix_memalign(p, a, n);
	if (rc == 0)
		counted(*p, n);
	return rc;
}

GORT_API void *
valloc(size_t n)
{
	return counted(real.valloc(n), n);
}

GORT_API void *
pvalloc(size_t n)
{
	return counted(real.pvalloc(n), rt_round_up(n, (size_t)4096));
}

void
preload_alloc_start(void)
{
	unsigned token;
	const struct rtp_modules *t = rtp_modules_enter(&token);
	if (rtp_module_of(t, (uintptr_t)real.malloc) != rtp_module_of(t, (uintptr_t)gnu_get_libc_version))
		*(void **)&foreign_usable_size = dlsym(RTLD_NEXT, "malloc_usable_size");
	rtp_modules_leave(token);
	rt_store(&mode, preload_opt.heap ? 1 : -1);
}

bool
preload_alloc_seen(void)
{
	// A program that defines malloc itself comes before every library.
	return dlsym(RTLD_DEFAULT, "malloc") == (void *)(uintptr_t)malloc;
}
