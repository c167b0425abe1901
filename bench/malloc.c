// SPDX-License-Identifier: BSD-3-Clause
// Allocation of objects that die at once, so the numbers include allocation, zeroing, sweeping and the
// collector's share. Beside: peers/go/malloc.
#include <stdlib.h>

#include "bench.h"

typedef struct t16 {
	uint64_t a, b;
} t16;
GORT_TYPE(t16)

typedef struct t64p t64p;
struct t64p {
	t64p *p;
	uint8_t *q[7];
};
GORT_TYPE(t64p, p, q)

typedef struct t512p t512p;
struct t512p {
	t512p *p;
	uint8_t b[504];
};
GORT_TYPE(t512p, p)

typedef struct t512 {
	uint8_t b[512];
} t512;
GORT_TYPE(t512)

typedef struct t4k {
	uint8_t b[4096];
} t4k;
GORT_TYPE(t4k)

typedef struct t64k {
	uint8_t b[65536];
} t64k;
GORT_TYPE(t64k)

typedef struct t1m {
	uint8_t b[1 << 20];
} t1m;
GORT_TYPE(t1m)

// The Go program writes its newest objects into a ring that it never reads, so Go's compiler does not tell the
// collector of it and nothing stays reachable (gctrace: 4->4->0 MB). Here malloc's memory is what the collector
// does not look at. A ring on the stack would keep 4 MB of New4K alive, 16 of New1M.
static void *
new_ring(size_t n)
{
	void *r = calloc(n, sizeof(void *));
	if (!r)
		abort();
	return r;
}

#define SEQUENTIAL(name, T, ring)                                                                  \
	static void name(struct bench *b)                                                          \
	{                                                                                          \
		T **r = new_ring(ring);                                                            \
		bench_report_allocs(b);                                                            \
		for (int64_t i = 0; i < b->n; i++) {                                               \
			r[i % ring] = gort_new(T);                                                 \
			BENCH_USE(r);                                                              \
		}                                                                                  \
		free(r);                                                                           \
	}

#define PARALLEL(name, T, ring)                                                                    \
	static void name##_body(struct bench_pb *pb, void *unused)                                 \
	{                                                                                          \
		T **r = new_ring(ring);                                                            \
		for (int64_t i = 0; bench_next(pb); i++) {                                         \
			r[i % ring] = gort_new(T);                                                 \
			BENCH_USE(r);                                                              \
		}                                                                                  \
		free(r);                                                                           \
	}                                                                                          \
	static void name(struct bench *b)                                                          \
	{                                                                                          \
		bench_report_allocs(b);                                                            \
		bench_parallel(b, name##_body, NULL);                                              \
	}

SEQUENTIAL(tiny_8, uint64_t, 1024)
SEQUENTIAL(new_16, t16, 1024)
SEQUENTIAL(new_64_ptr, t64p, 1024)
SEQUENTIAL(new_512, t512, 1024)
SEQUENTIAL(new_512_ptr, t512p, 1024)
SEQUENTIAL(new_4k, t4k, 1024)
SEQUENTIAL(new_64k, t64k, 16)
SEQUENTIAL(new_1m, t1m, 16)
PARALLEL(tiny_8_parallel, uint64_t, 1024)
PARALLEL(new_16_parallel, t16, 1024)
PARALLEL(new_64_ptr_parallel, t64p, 1024)
PARALLEL(new_512_parallel, t512, 1024)
PARALLEL(new_4k_parallel, t4k, 1024)
PARALLEL(new_64k_parallel, t64k, 16)

static const bench_case cases[] = {
	{"Tiny8", tiny_8},
	{"New16", new_16},
	{"New64Ptr", new_64_ptr},
	{"New512", new_512},
	{"New512Ptr", new_512_ptr},
	{"New4K", new_4k},
	{"Tiny8Parallel", tiny_8_parallel},
	{"New16Parallel", new_16_parallel},
	{"New64PtrParallel", new_64_ptr_parallel},
	{"New512Parallel", new_512_parallel},
	{"New4KParallel", new_4k_parallel},
	{"New64K", new_64k},
	{"New1M", new_1m},
	{"New64KParallel", new_64k_parallel},
};
BENCH_MAIN("malloc", cases, NULL)
