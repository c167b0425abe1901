// SPDX-License-Identifier: BSD-3-Clause
// The two map engines against each other, in one process, in turn: what docs/maps.md says of them comes
// from here. Prints the median of all runs, ns an operation.
#include <gort.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/map.h"

#define MAX_RUNS 1001
#define MAX_ENTRIES 100000000
#define MAX_SIZES 16
#define OPERATIONS 100000

static int runs = 21;

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	return x * 0xc4ceb9fe1a85ec53ull;
}

// What both engines' maps of one size are asked; key i and string i are in them, others are not.
struct subject {
	gort_map *m, *s;
	uint64_t *keys; // shuffled
	gort_string *strings;
	int64_t n;
};

typedef void operation(struct subject *t, int64_t from);

static void
use(uint64_t x)
{
	__asm__ volatile("" : : "r"(x) : "memory");
}

static void
op_hit(struct subject *t, int64_t at)
{
	uint64_t sum = 0;
	for (int64_t i = 0; i < OPERATIONS; i++, at = at + 1 == t->n ? 0 : at + 1)
		sum += *gort_map_get(uint64_t, uint64_t, t->m, t->keys[at]);
	use(sum);
}

static void
op_miss(struct subject *t, int64_t at)
{
	uint64_t sum = 0;
	for (int64_t i = 0; i < OPERATIONS; i++, at = at + 1 == t->n ? 0 : at + 1)
		sum += gort_map_get(uint64_t, uint64_t, t->m, t->keys[at] + 1) != NULL;
	use(sum);
}

static void
op_string_hit(struct subject *t, int64_t at)
{
	uint64_t sum = 0;
	for (int64_t i = 0; i < OPERATIONS; i++, at = at + 1 == t->n ? 0 : at + 1)
		sum += *gort_map_get(gort_string, uint64_t, t->s, t->strings[at]);
	use(sum);
}

static void
op_overwrite(struct subject *t, int64_t at)
{
	for (int64_t i = 0; i < OPERATIONS; i++, at = at + 1 == t->n ? 0 : at + 1)
		*gort_map_put(uint64_t, uint64_t, t->m, t->keys[at]) = (uint64_t)i;
}

static void
op_delete_insert(struct subject *t, int64_t at)
{
	for (int64_t i = 0; i < OPERATIONS; i++, at = at + 1 == t->n ? 0 : at + 1) {
		gort_map_delete(uint64_t, t->m, t->keys[at]);
		*gort_map_put(uint64_t, uint64_t, t->m, t->keys[at]) = (uint64_t)i;
	}
}

static void
op_insert(struct subject *t, int64_t at)
{
	(void)at;
	int64_t n = t->n < OPERATIONS ? t->n : OPERATIONS;
	for (int64_t done = 0; done < OPERATIONS; done += n) {
		gort_map *m = gort_make_map(uint64_t, uint64_t, 0);
		for (int64_t i = 0; i < n; i++)
			*gort_map_put(uint64_t, uint64_t, m, t->keys[i]) = (uint64_t)i;
	}
}

static void
op_iterate(struct subject *t, int64_t at)
{
	uint64_t sum = 0;
	(void)at;
	for (int64_t i = 0; i < OPERATIONS;) {
		gort_map_iter it = gort_map_iterate(t->m);
		for (; i < OPERATIONS && gort_map_next(&it); i++)
			sum += *(uint64_t *)it.key ^ *(uint64_t *)it.value;
	}
	use(sum);
}

static const struct {
	const char *name;
	operation *run;
} operations[] = {
	{"hit", op_hit},	     {"miss", op_miss},
	{"string hit", op_string_hit}, {"overwrite", op_overwrite},
	{"insert", op_insert},	     {"delete and insert", op_delete_insert},
	{"iterate", op_iterate},
};

static struct subject
subject(int engine, int64_t n, uint64_t *keys, gort_string *strings)
{
	rt_map_engine = engine;
	struct subject t = {gort_make_map(uint64_t, uint64_t, 0),
			    gort_make_map(gort_string, uint64_t, 0), keys, strings, n};
	for (int64_t i = 0; i < n; i++) {
		*gort_map_put(uint64_t, uint64_t, t.m, keys[i]) = (uint64_t)i;
		// Another copy than the one that is looked up.
		gort_string s = gort_string_of(strings[i].str, strings[i].len);
		*gort_map_put(gort_string, uint64_t, t.s, s) = (uint64_t)i;
	}
	return t;
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void
compare(struct subject t[MAP_ENGINES], const char *name, operation *run)
{
	static double ns[MAP_ENGINES][MAX_RUNS];
	for (int r = 0; r < runs; r++) {
		for (int e = 0; e < MAP_ENGINES; e++) {
			rt_map_engine = e;
			int64_t from = (int64_t)(mix((uint64_t)r) % (uint64_t)t[e].n);
			int64_t begin = gort_nanotime();
			run(&t[e], from);
			ns[e][r] = (double)(gort_nanotime() - begin) / OPERATIONS;
		}
	}
	for (int e = 0; e < MAP_ENGINES; e++)
		qsort(ns[e], (size_t)runs, sizeof(double), ascending);
	double b = ns[MAP_BUCKETS][runs / 2], g = ns[MAP_SWISS][runs / 2];
	printf("%-10lld %-18s %8.1f %8.1f %6.2f\n", (long long)t[0].n, name, b, g, g / b);
}

static void
compare_all(int64_t n)
{
	uint64_t *keys = gort_new_array(uint64_t, n);
	gort_string *strings = gort_new_array(gort_string, n);
	for (int64_t i = 0; i < n; i++) {
		char text[24];
		keys[i] = mix((uint64_t)i) & ~1ull;
		strings[i] = gort_string_of(text, snprintf(text, sizeof(text), "%016" PRIx64, keys[i]));
	}
	struct subject t[MAP_ENGINES];
	for (int e = 0; e < MAP_ENGINES; e++)
		t[e] = subject(e, n, keys, strings);
	// A shuffle of its own: the maps were filled in another order.
	for (int64_t i = n - 1; i > 0; i--) {
		int64_t j = (int64_t)(mix((uint64_t)i ^ 0x5555) % (uint64_t)(i + 1));
		uint64_t k = keys[i];
		gort_string s = strings[i];
		keys[i] = keys[j];
		keys[j] = k;
		gort_set_value(gort_string, &strings[i], strings[j]);
		gort_set_value(gort_string, &strings[j], s);
	}
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		compare(t, operations[i].name, operations[i].run);
}

static const char usage[] = "usage: engines [-runs N] [ENTRIES...]\n"
			    "  -runs N   medians of N runs (21)\n"
			    "  ENTRIES   sizes of the maps (1000 1000000)\n";

// A number from 1 to max, or 0 with a line on stderr.
static int64_t
number(const char *text, const char *what, int64_t max)
{
	char *end;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (end != text && !*end && !errno && n >= 1 && n <= max)
		return n;
	fprintf(stderr, "engines: %s must be a number from 1 to %lld, not \"%s\"\n", what, (long long)max, text);
	return 0;
}

// The sizes asked for, ended by 0; false when there is something wrong with them, which has been said.
static bool
parse_options(int argc, char **argv, int64_t sizes[MAX_SIZES + 1])
{
	int n = 0;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		if (a[0] != '-') {
			if (n == MAX_SIZES) {
				fprintf(stderr, "engines: more than %d sizes\n", MAX_SIZES);
				return false;
			}
			if (!(sizes[n++] = number(a, "ENTRIES", MAX_ENTRIES)))
				return false;
		} else if (strcmp(a + 1 + (a[1] == '-'), "runs") == 0) {
			if (!(runs = (int)number(++i < argc ? argv[i] : "", "-runs", MAX_RUNS)))
				return false;
		} else {
			fprintf(stderr, "engines: unknown option %s; --help tells which there are\n", a);
			return false;
		}
	}
	return true;
}

static int
app(int argc, char **argv)
{
	int64_t sizes[MAX_SIZES + 1] = {0}, usual[] = {1000, 1000000, 0};
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-help") == 0)) {
		fputs(usage, stdout);
		return 0;
	}
	if (!parse_options(argc, argv, sizes))
		return 2;
	printf("%-10s %-18s %8s %8s %6s\n", "entries", "operation", "buckets", "groups", "ratio");
	for (const int64_t *n = sizes[0] ? sizes : usual; *n; n++)
		compare_all(*n);
	return 0;
}
GORT_MAIN(app)
