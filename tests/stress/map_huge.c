// SPDX-License-Identifier: BSD-3-Clause
// One map of many entries: put, found, missed, deleted, walked, put again. MAP_ENTRIES says how many
// (1000000); with 100000000 it takes 3 GB and some minutes.
#include "stress.h"

static uint64_t
spread(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t *
look(gort_map *m, uint64_t i)
{
	return gort_map_get(uint64_t, uint64_t, m, spread(i));
}

static void
fill(gort_map *m, uint64_t first, uint64_t n, uint64_t step)
{
	for (uint64_t i = first; i < n; i += step)
		*gort_map_put(uint64_t, uint64_t, m, spread(i)) = i;
}

static void
check_all(gort_map *m, uint64_t first, uint64_t n, uint64_t step)
{
	uint64_t count = 0, sum = 0, want = 0;
	for (uint64_t i = 0; i < 2 * n; i++) {
		uint64_t *v = look(m, i);
		bool in = i < n && i % step == first;
		STRESS_CHECK(in ? v && *v == i : !v, "entry %llu", (unsigned long long)i);
		want += in ? i : 0;
	}
	gort_map_iter it = gort_map_iterate(m);
	for (; gort_map_next(&it); count++)
		sum += *(uint64_t *)it.value;
	STRESS_CHECK(sum == want && count == (uint64_t)gort_map_len(m), "%llu visited of %td",
		     (unsigned long long)count, gort_map_len(m));
}

static int
app(int argc, char **argv)
{
	const char *entries = getenv("MAP_ENTRIES");
	uint64_t n = entries ? strtoull(entries, NULL, 0) : 1000000;
	stress_begin(argc, argv);
	if (entries)
		alarm(0); // as long as it takes
	gort_map *m = gort_make_map(uint64_t, uint64_t, 0);
	fill(m, 0, n, 1);
	STRESS_CHECK((uint64_t)gort_map_len(m) == n, "%td", gort_map_len(m));
	check_all(m, 0, n, 1);
	for (uint64_t i = 0; i < n; i += 2)
		STRESS_CHECK(gort_map_delete(uint64_t, m, spread(i)), "%llu", (unsigned long long)i);
	STRESS_CHECK((uint64_t)gort_map_len(m) == n / 2, "%td", gort_map_len(m));
	check_all(m, 1, n, 2);
	fill(m, 0, n, 2);
	check_all(m, 0, n, 1);
	printf("%llu entries\n", (unsigned long long)n);
	return 0;
}
GORT_MAIN(app)
