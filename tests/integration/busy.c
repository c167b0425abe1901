// SPDX-License-Identifier: BSD-3-Clause
// For test_sched_traces.py: two goroutines that loop, one that waits on a channel, one that sleeps, for
// a second or until a signal. "wait": for a minute. "crash": dereferences NULL on a goroutine of its own.
#include <gort.h>

#include <stdio.h>
#include <string.h>

static void
spin_here(void)
{
	for (volatile uint64_t i = 0;; i++)
		;
}

static void
wait_here(gort_chan *c)
{
	gort_recv(int, c);
}

static void
crash_here(void)
{
	*(volatile int *volatile)NULL = 1;
}

static int
app(int argc, char **argv)
{
	gort_chan *c = gort_make_chan(int, 0);
	gort_metric waiting = {.name = "/sched/goroutines/waiting:goroutines"};
	gort_go(wait_here, c);
	do // it waits before the others take the CPUs
		gort_sleep(GORT_MILLISECOND);
	while (gort_metrics_read(&waiting, 1) == 1 && waiting.value.u64 == 0);
	gort_go(spin_here);
	gort_go(spin_here);
	printf("ready\n");
	fflush(stdout);
	if (argc > 1 && strcmp(argv[1], "crash") == 0)
		gort_go(crash_here);
	gort_sleep(argc > 1 && strcmp(argv[1], "wait") == 0 ? 60 * GORT_SECOND : GORT_SECOND);
	return 0;
}
GORT_MAIN(app)
