// SPDX-License-Identifier: BSD-3-Clause
// <gort/shardedmap.h>: many goroutines count in one map, each under the lock of a shard only.
#include <gort.h>
#include <stdio.h>

static void
add(void *value, bool present, void *arg)
{
	int *count = value; // zero if the key is new
	*count += *(int *)arg;
	(void)present;
}

static void
count(gort_sharded_map *m, int n)
{
	for (int i = 0; i < 1000; i++)
		gort_sharded_map_update(int, int, m, i % 10, add, &n);
}

static bool
sum(const void *key, void *value, void *arg)
{
	*(int *)arg += *(const int *)key * *(int *)value;
	return true;
}

static int
app(int argc, char **argv)
{
	gort_sharded_map *m = gort_make_sharded_map(int, int, 16);
	gort_waitgroup wg = {0};
	for (int i = 1; i <= 8; i++)
		gort_waitgroup_go(&wg, count, m, i);
	gort_waitgroup_wait(&wg);

	int seven = 0, all = 0;
	bool there = gort_sharded_map_load(int, int, m, 7, &seven);
	gort_sharded_map_range(m, sum, &all);
	printf("%d: %d of 7, %d entries, weighted sum %d\n", there, seven, (int)gort_sharded_map_len(m), all);
	bool deleted = gort_sharded_map_delete(int, m, 7);
	printf("deleted: %d, again: %d\n", deleted, gort_sharded_map_delete(int, m, 7));
	return 0;
}
GORT_MAIN(app)
