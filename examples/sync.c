// SPDX-License-Identifier: BSD-3-Clause
// <gort/sync.h>: a mutex around a counter, a wait group around the goroutines that use it.
#include <gort.h>
#include <stdio.h>

struct account {
	gort_mutex lock; // the zero value is unlocked
	long balance;
};

static void
deposit(struct account *a, int times)
{
	for (int i = 0; i < times; i++) {
		gort_mutex_lock(&a->lock);
		a->balance++;
		gort_mutex_unlock(&a->lock);
	}
}

static int
app(int argc, char **argv)
{
	struct account *a = gort_new(struct account);
	gort_waitgroup wg = {0};
	for (int i = 0; i < 100; i++)
		gort_waitgroup_go(&wg, deposit, a, 1000); // add, go, done
	gort_waitgroup_wait(&wg);
	printf("balance %ld\n", a->balance);
	bool first = gort_mutex_try_lock(&a->lock), second = gort_mutex_try_lock(&a->lock);
	printf("try_lock %d %d\n", first, second);
	gort_mutex_unlock(&a->lock);
	return 0;
}
GORT_MAIN(app)
