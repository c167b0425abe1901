// SPDX-License-Identifier: BSD-3-Clause
// A benchmark program in Go's manner: names, choice of N, flags and output lines are those of
// `go test -bench` (-bench -benchtime -benchmem -count -cpu -list), so benchstat and compare.py read
// both sides alike. A program is a table of cases and BENCH_MAIN; the table follows the Go file of
// the same name in peers/go.
//
// A case runs on a goroutine of its own with b->n operations to do, several times: 1 first, then what
// the last run's time foretells for the wanted time. The last run is the one that is printed.
#pragma once

#include <gort.h>

#include <stdatomic.h>

struct bench_metric {
	double value;
	const char *unit;
};

enum { BENCH_MAX_METRICS = 20 };

struct bench {
	int64_t n; // operations to do
	// Private to bench.c.
	const char *name;
	bool timing, want_allocs, failed;
	int64_t started_ns, elapsed_ns;
	uint64_t started_mallocs, started_bytes, mallocs, bytes;
	int64_t bytes_per_op;
	int64_t last_n, last_ns; // of the run before: the grain of bench_parallel
	int nmetrics;
	struct bench_metric metrics[BENCH_MAX_METRICS];
};

typedef struct bench_case {
	const char *name; // without "Benchmark"
	void (*fn)(struct bench *b);
} bench_case;

// The timer runs when fn begins.
void bench_reset_timer(struct bench *b);
void bench_start_timer(struct bench *b);
void bench_stop_timer(struct bench *b);
int64_t bench_elapsed(const struct bench *b); // nanoseconds

// Adds MB/s for this many bytes an operation.
void bench_set_bytes(struct bench *b, int64_t bytes);
// Prints B/op and allocs/op also without -benchmem.
void bench_report_allocs(struct bench *b);
// Adds a value to the line; "ns/op" replaces the measured one. unit must outlive the benchmark.
void bench_report(struct bench *b, double value, const char *unit);
// Fails the benchmark: no result line, exit status 1.
void bench_fail(struct bench *b, const char *fmt, ...) GORT_PRINTF(2, 3);

// Shares b->n among as many goroutines as there are Ps: each does `while (bench_next(pb)) op`.
struct bench_pb {
	struct bench *b;
	_Atomic int64_t *taken; // operations that somebody has
	int64_t grain, left;
};
void bench_parallel(struct bench *b, void (*body)(struct bench_pb *pb, void *arg), void *arg);
bool bench_next_grain(struct bench_pb *pb);

static inline bool
bench_next(struct bench_pb *pb)
{
	if (pb->left == 0 && !bench_next_grain(pb))
		return false;
	pb->left--;
	return true;
}

// Runs this program again as `what` in a fresh process, b->n times, and reports what the last one
// printed ("value unit value unit ...") and, as maxrss-B, its memory's peak. env: NULL or "NAME=value".
void bench_child(struct bench *b, const char *what, const char *env);

// child runs a `what` and prints its values; NULL where no case needs it.
int bench_main(int argc, char **argv, const char *pkg, const bench_case *cases, size_t ncases,
	       void (*child)(const char *what));

#define BENCH_MAIN(pkg, cases, child)                                                              \
	static int app(int argc, char **argv)                                                      \
	{                                                                                          \
		return bench_main(argc, argv, pkg, cases, sizeof(cases) / sizeof(*(cases)),        \
				  child);                                                          \
	}                                                                                          \
	GORT_MAIN(app)

// The value, and all memory, count as used: what computed them stays.
#define BENCH_USE(x) __asm__ volatile("" : : "r"(x) : "memory")
#define BENCH_NOINLINE __attribute__((noinline))

// Small helpers that several programs share; the generators are those of peers/go.
int64_t bench_cputime(void); // of this process, user and system, nanoseconds
int64_t bench_quantile(int64_t *v, int64_t n, double q); // v must be sorted
void bench_sort(int64_t *v, int64_t n);
double bench_median(double *v, int n); // sorts v

static inline uint64_t
bench_xorshift(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static inline uint64_t
bench_mix(uint64_t x)
{
	x += 0x9E3779B97F4A7C15ull;
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
	x = (x ^ x >> 27) * 0x94D049BB133111EBull;
	return x ^ x >> 31;
}
