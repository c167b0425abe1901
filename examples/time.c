// SPDX-License-Identifier: BSD-3-Clause
// <gort/time.h>: sleeping blocks the goroutine, not the thread, and a thousand sleep at the same time;
// a ticker, and a timeout in a select.
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

	gort_timer *tick = gort_new_ticker(5 * GORT_MILLISECOND);
	start = gort_nanotime();
	for (int i = 0; i < 3; i++)
		gort_chan_recv(gort_timer_chan(tick), NULL);
	gort_timer_stop(tick);
	printf("three ticks of 5 ms: %s\n",
	       gort_nanotime() - start >= 15 * GORT_MILLISECOND ? "yes" : "no");

	gort_select_case cs[] = {GORT_RECV(done, NULL),
				 GORT_RECV(gort_after(10 * GORT_MILLISECOND), NULL)};
	printf("%s\n", gort_select(cs, 2) == 1 ? "timeout" : "a message from nobody");
	return 0;
}
GORT_MAIN(app)
