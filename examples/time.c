// SPDX-License-Identifier: BSD-3-Clause
// <gort/time.h>: sleeping blocks the goroutine, not the thread; a thousand sleep at the same time.
#include <gort.h>
#include <stdio.h>

static void
sleep_for(int64_t ns, gort_chan *done)
{
	int64_t t = gort_nanotime();
	gort_sleep(ns);
	gort_send(int64_t, done, gort_nanotime() - t);
}

static int
app(int argc, char **argv)
{
	gort_chan *done = gort_make_chan(int64_t, 0);
	int64_t start = gort_nanotime();
	for (int i = 0; i < 1000; i++)
		gort_go(sleep_for, 100 * GORT_MILLISECOND, done);
	int early = 0;
	for (int i = 0; i < 1000; i++)
		early += gort_recv(int64_t, done) < 100 * GORT_MILLISECOND;
	int64_t all = gort_nanotime() - start;
	printf("woke early: %d\n", early);
	printf("all 1000 within 10 s: %s\n", all < 10 * GORT_SECOND ? "yes" : "no");
	return 0;
}
GORT_MAIN(app)
