// SPDX-License-Identifier: BSD-3-Clause
// Sleeping.
#include "programs.h"

static void
sleeps_end_in_order(void)
{
	gort_chan *out = ints(5);
	int d[] = {60, 20, 100, 40, 80};
	for (int i = 0; i < 5; i++)
		gort_go(send_later, out, d[i], d[i] * MS);
	for (int i = 0; i < 5; i++)
		printf("%d\n", recv(out));
}

static void
sleep_is_long_enough(void)
{
	int64_t d[] = {1000, 50000, 3000000};
	for (int i = 0; i < 3; i++) {
		int64_t t = gort_nanotime();
		gort_sleep(d[i]);
		printf("%s\n", truth(gort_nanotime() - t >= d[i]));
	}
}

static void
sleep_of_nothing(void)
{
	int64_t t = gort_nanotime();
	gort_sleep(0);
	gort_sleep(-HOUR);
	printf("%s\n", truth(gort_nanotime() - t < GORT_SECOND));
}

static void
later_sleeper_earlier(void)
{
	gort_chan *out = ints(2);
	gort_go(send_later, out, 0, 200 * MS);
	gort_sleep(20 * MS);
	gort_go(send_later, out, 1, 20 * MS);
	for (int i = 0; i < 2; i++)
		printf("%s\n", recv(out) ? "short" : "long");
}

static void
wake_and_stop(gort_chan *out, atomic_bool *stop)
{
	send_later(out, 1, 20 * MS);
	atomic_store(stop, true);
}

static void
sleeper_and_loop(void)
{
	gort_chan *out = ints(1);
	static atomic_bool stop;
	gort_go(wake_and_stop, out, &stop);
	while (!atomic_load(&stop))
		;
	printf("%s\n", recv(out) ? "woken" : "");
}

const struct named time_programs[] = {
	P(sleeps_end_in_order), P(sleep_is_long_enough), P(sleep_of_nothing),
	P(later_sleeper_earlier), P(sleeper_and_loop), {0},
};
