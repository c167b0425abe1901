// SPDX-License-Identifier: BSD-3-Clause
// What the runtime measures about itself, by name: Go's runtime/metrics, with Go's names, units and kinds.
//
//   gort_metric m[] = {{.name = "/sched/goroutines:goroutines"}, {.name = "/gc/pauses:seconds", .histogram = &h}};
//   gort_metrics_read(m, 2);
//   printf("%lu\n", (unsigned long)m[0].value.u64);
//
// Differences from Go. A histogram is copied into memory of the caller's. Heap counts include what was
// allocated up to the moment each P last changed spans, not the objects since (gort_read_mem_stats is
// exact, and stops the world). Times of the collector are as of its last completed cycle; until then a
// cycle's count as the program's. /cpu/classes/user is the process's CPU time by the kernel's account, code
// outside of goroutines included, and idle is what is left: neither need grow all the time.
// /memory/classes/heap/stacks is of parked goroutines what is in use, of others which pages there are;
// stacks do not grow, so /gc/stack/starting-size is the size they have.
//
// Not there, as it means nothing in C: /cgo/go-to-c-calls (all calls are C's) and /godebug/non-default-behavior
// (settings of Go's standard library). They read as bad.
//
// All functions may be called from any thread at any time, also before gort_run, and from signal
// handlers. None stops the world, allocates or takes a lock.
#pragma once

#include <gort/base.h>

GORT_BEGIN_DECLS

typedef enum gort_metric_kind {
	GORT_METRIC_BAD,     // there is no metric of this name
	GORT_METRIC_UINT64,  // value.u64
	GORT_METRIC_FLOAT64, // value.f64
	GORT_METRIC_HISTOGRAM, // *histogram
} gort_metric_kind;

// counts[i] events, i < n, had values in [bounds[i], bounds[i + 1]). The first bound may be -infinity,
// the last is +infinity. Go: metrics.Float64Histogram.
#define GORT_METRIC_MAX_COUNTS 162
typedef struct gort_metric_histogram {
	int n;
	double bounds[GORT_METRIC_MAX_COUNTS + 1];
	uint64_t counts[GORT_METRIC_MAX_COUNTS];
} gort_metric_histogram;

// Go: metrics.Sample.
typedef struct gort_metric {
	const char *name;        // in: "/path:unit"; NULL reads as bad
	gort_metric_kind kind;   // out
	union {
		uint64_t u64;
		double f64;
	} value;                 // out; 0 where kind says neither
	gort_metric_histogram *histogram; // in: the caller's, filled when kind is a histogram; may be NULL
} gort_metric;

// Reads n metrics. Values that belong together (all counts of the heap, all of the scheduler) are read
// together, as near to one moment as is possible without stopping anybody. Returns how many of the names
// are known. Go: metrics.Read.
GORT_API int gort_metrics_read(gort_metric *m, int n);

// Go: metrics.Description.
typedef struct gort_metric_description {
	const char *name;
	const char *description; // one English sentence
	gort_metric_kind kind;
	bool cumulative;         // only grows (a histogram: each of its counts)
} gort_metric_description;

// Describes the metrics there are, sorted by name, in the first max entries of d (which may be NULL when
// max is 0). Returns how many there are. The strings are the library's, for ever. Go: metrics.All.
GORT_API int gort_metrics_all(gort_metric_description *d, int max);

GORT_END_DECLS
