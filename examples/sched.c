// SPDX-License-Identifier: BSD-3-Clause
// <gort/sched.h>: goroutines with arguments of several types, yielding, ending early, exit handlers.
#include <gort.h>
#include <stdio.h>

static gort_waitgroup wg;

static void
report(const char *name, int n, double x, char c)
{
	printf("%s %d %.1f %c\n", name, n, x, c);
	gort_waitgroup_done(&wg);
}

static void
at_end(void *arg)
{
	printf("%s\n", (const char *)arg);
}

static void
leave_early(void)
{
	gort_on_exit(at_end, "runs last");
	gort_on_exit(at_end, "runs first");
	gort_waitgroup_done(&wg);
	gort_goexit();
	printf("never printed\n");
}

static void
spin_until(volatile bool *flag)
{
	while (!*flag)
		gort_gosched();
	gort_waitgroup_done(&wg);
}

static int
app(int argc, char **argv)
{
	gort_waitgroup_add(&wg, 1);
	gort_go(report, "gopher", 42, 2.5, 'x'); // converted as in a call
	gort_waitgroup_wait(&wg);

	volatile bool flag = false;
	gort_waitgroup_add(&wg, 1);
	gort_go(spin_until, &flag);
	gort_gosched();
	flag = true;
	gort_waitgroup_wait(&wg);

	gort_maxprocs(1); // one P: what follows has one order
	gort_waitgroup_add(&wg, 1);
	gort_go(leave_early);
	gort_waitgroup_wait(&wg);
	gort_gosched();
	printf("maxprocs %d, goroutine %d of %d\n", gort_maxprocs(0), (int)gort_goid(),
	       gort_num_goroutine());
	return 0;
}
GORT_MAIN(app)
