// SPDX-License-Identifier: BSD-3-Clause
// <gort/map.h>: maps with integer and string keys; pointers into a map hold until its next call.
#include <gort.h>
#include <stdio.h>
#include <stdlib.h>

static int
by_key(const void *a, const void *b)
{
	return gort_string_compare(*(const gort_string *)a, *(const gort_string *)b);
}

static void
count_words(const char *text)
{
	gort_map *counts = gort_make_map(gort_string, int, 0); // make(map[string]int)
	for (const char *p = text; *p;) {
		const char *end = p;
		while (*end && *end != ' ')
			end++;
		++*gort_map_put(gort_string, int, counts,
				gort_string_of(p, end - p)); // counts[word]++
		p = *end ? end + 1 : end;
	}
	gort_slice keys = {0}; // iteration starts anywhere, as in Go
	gort_map_iter it = gort_map_iterate(counts);
	while (gort_map_next(&it))
		gort_append(gort_string, &keys, *(gort_string *)it.key);
	qsort(keys.array, (size_t)keys.len, sizeof(gort_string), by_key);
	for (ptrdiff_t i = 0; i < keys.len; i++) {
		gort_string k = *gort_at(gort_string, keys, i);
		printf("%.*s %d\n", GORT_STRING_ARG(k), *gort_map_get(gort_string, int, counts, k));
	}
}

static int
app(int argc, char **argv)
{
	gort_map *m = gort_make_map(uint64_t, double, 100); // make(map[uint64]float64, 100)
	*gort_map_put(uint64_t, double, m, 7) = 1.5;	    // m[7] = 1.5
	double *p = gort_map_get(uint64_t, double, m, 7);
	printf("m[7] is %.1f, m[8] is %s\n", *p,
	       gort_map_get(uint64_t, double, m, 8) ? "there" : "absent");
	bool was = gort_map_delete(uint64_t, m, 7), again = gort_map_delete(uint64_t, m, 7);
	printf("deleted %d %d, len %td\n", was, again, gort_map_len(m));
	for (uint64_t i = 0; i < 100000; i++)
		*gort_map_put(uint64_t, double, m, i *i) = (double)i;
	double sum = 0;
	gort_map_iter it = gort_map_iterate(m);
	while (gort_map_next(&it))
		sum += *(double *)it.value;
	printf("len %td, sum %.0f\n", gort_map_len(m), sum);
	gort_map_clear(m);
	printf("cleared: len %td, nil map: len %td\n", gort_map_len(m), gort_map_len(NULL));
	count_words("the quick fox and the lazy dog and the cat");
	return 0;
}
GORT_MAIN(app)
