// SPDX-License-Identifier: BSD-3-Clause
// <gort/metrics.h>: what the runtime knows about itself, by Go's names: counts, and a histogram of pauses.
#include <gort.h>
#include <stdio.h>

static uint64_t
total(const gort_metric_histogram *h)
{
	uint64_t n = 0;
	for (int i = 0; i < h->n; i++)
		n += h->counts[i];
	return n;
}

static int
app(int argc, char **argv)
{
	for (int i = 0; i < 3; i++)
		gort_gc();
	static gort_metric_histogram pauses;
	gort_metric m[] = {
		{.name = "/gc/cycles/forced:gc-cycles"},
		{.name = "/sched/goroutines:goroutines"},
		{.name = "/sched/pauses/total/gc:seconds", .histogram = &pauses},
		{.name = "/no/such:metric"},
	};
	printf("%d of 4 names are known\n", gort_metrics_read(m, 4));
	printf("%d cycles, %d goroutine, %s pauses\n", (int)m[0].value.u64, (int)m[1].value.u64,
	       total(&pauses) >= 3 ? "three or more" : "few");
	printf("the last one is %s\n", m[3].kind == GORT_METRIC_BAD ? "bad" : "good");

	gort_metric_description d[1];
	int n = gort_metrics_all(d, 1);
	printf("more than 50 in all: %s; the first: %s\n", n > 50 ? "yes" : "no", d[0].name);
	return 0;
}
GORT_MAIN(app)
