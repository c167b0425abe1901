// SPDX-License-Identifier: BSD-3-Clause
#include <gort/chan.h>
#include <gort/sync.h>
#include <gort/time.h>

#include <stdint.h>

#include "on_gort.h"

TestSuite(select, .timeout = 30);

static void
let_others_run(void)
{
	gort_sleep(GORT_MILLISECOND);
	for (int i = 0; i < 20; i++)
		gort_gosched();
}

GORT_TEST(select, takes_the_only_ready_case)
{
	gort_chan *a = gort_make_chan(int, 1), *b = gort_make_chan(int, 1);
	int v = 0, w = 5;
	gort_select_case cs[] = {GORT_RECV(a, &v), GORT_SEND(b, &w)};
	CHECK_EQ(gort_select(cs, 2), 1);
	CHECK_EQ(gort_recv(int, b), 5);
	gort_send(int, a, 7);
	gort_send(int, b, 0); // full
	CHECK_EQ(gort_select(cs, 2), 0);
	CHECK_EQ(v, 7);
}

GORT_TEST(select, cases_can_be_assigned)
{
	gort_chan *a = gort_make_chan(int, 1);
	gort_select_case cs[2];
	int v = 1;
	cs[0] = GORT_DEFAULT;
	cs[1] = GORT_SEND(a, &v);
	CHECK_EQ(gort_select(cs, 2), 1);
	CHECK_EQ(gort_select(cs, 2), 0);
}

GORT_TEST(select, default_when_nothing_is_ready)
{
	gort_chan *c[70];
	gort_select_case cs[71];
	int v = 9;
	for (int i = 0; i < 70; i++) {
		c[i] = gort_make_chan(int, i % 2);
		cs[i] = GORT_RECV(c[i], &v);
	}
	for (int n = 0; n <= 70; n++) { // up to 64 by peeking, beyond by locking
		gort_select_case last = cs[n];
		cs[n] = GORT_DEFAULT;
		CHECK_EQ(gort_select(cs, n + 1), n);
		cs[n] = last;
	}
	CHECK_EQ(v, 9);
}

GORT_TEST(select, nil_channels_are_never_chosen)
{
	gort_chan *a = gort_make_chan(int, 1);
	int v = 1;
	gort_select_case cs[] = {GORT_RECV(NULL, &v), GORT_SEND(NULL, &v), GORT_SEND(a, &v)};
	CHECK_EQ(gort_select(cs, 3), 2);
	cs[2] = GORT_DEFAULT;
	CHECK_EQ(gort_select(cs, 3), 2);
}

GORT_TEST(select, closed_channels_are_ready_to_receive)
{
	gort_chan *a = gort_make_chan(int, 1);
	int v = 4;
	bool ok = false;
	gort_send(int, a, 3);
	gort_chan_close(a);
	gort_select_case cs[] = {GORT_RECV_OK(a, &v, &ok), GORT_DEFAULT};
	CHECK_EQ(gort_select(cs, 2), 0);
	CHECK(ok);
	CHECK_EQ(v, 3);
	CHECK_EQ(gort_select(cs, 2), 0);
	CHECK(!ok);
	CHECK_EQ(v, 0);
	cs[0] = GORT_RECV(a, NULL);
	CHECK_EQ(gort_select(cs, 2), 0);
}

static void
send_after_a_while(gort_chan *c, int v)
{
	let_others_run();
	gort_send(int, c, v);
}

static void
recv_after_a_while(gort_chan *c, gort_chan *out)
{
	let_others_run();
	gort_send(int, out, gort_recv(int, c));
}

static void
close_after_a_while(gort_chan *c)
{
	let_others_run();
	gort_chan_close(c);
}

// Each kind of wakeup, on each of the channels, in selects of several sizes.
GORT_TEST(select, blocks_until_a_case_can_go_ahead)
{
	static const int sizes[] = {1, 2, 3, 8, 64, 65, 200};
	gort_chan *out = gort_make_chan(int, 1);
	for (int k = 0; k < 7; k++) {
		int n = sizes[k], stride = n > 8 ? 17 : 1, v[200], w = 77;
		bool ok[200];
		gort_chan *c[200];
		gort_select_case cs[200];
		for (int at = 0; at < n; at += stride) {
			for (int i = 0; i < n; i++) {
				c[i] = gort_make_chan(int, 0);
				cs[i] = GORT_RECV_OK(c[i], &v[i], &ok[i]);
			}
			gort_go(send_after_a_while, c[at], 1000 + at);
			CHECK_EQ(gort_select(cs, n), at);
			CHECK_EQ(v[at], 1000 + at);
			CHECK(ok[at]);
			gort_go(close_after_a_while, c[at]);
			CHECK_EQ(gort_select(cs, n), at);
			CHECK_EQ(v[at], 0);
			CHECK(!ok[at]);
			c[at] = gort_make_chan(int, 0);
			cs[at] = GORT_SEND(c[at], &w);
			gort_go(recv_after_a_while, c[at], out);
			CHECK_EQ(gort_select(cs, n), at);
			CHECK_EQ(gort_recv(int, out), 77);
		}
	}
}

// The losers' sudogs are gone: nobody else meets them afterwards.
GORT_TEST(select, leaves_no_trace_in_the_other_queues)
{
	gort_chan *a = gort_make_chan(int, 0), *b = gort_make_chan(int, 0);
	int v, w = 1;
	for (int i = 0; i < 100; i++) {
		gort_select_case cs[] = {GORT_RECV(a, &v), GORT_RECV(b, &v), GORT_SEND(b, &w)};
		gort_go(send_after_a_while, a, 5);
		CHECK_EQ(gort_select(cs, 3), 0);
		CHECK(!gort_chan_try_send(b, &w));
		CHECK_EQ(gort_chan_try_recv(b, &v), 0);
	}
}

static void
swap(gort_chan *c, int mine, gort_chan *out)
{
	int theirs = 0;
	gort_select_case cs[] = {GORT_SEND(c, &mine), GORT_RECV(c, &theirs)};
	if (gort_select(cs, 2) == 1)
		gort_send(int, out, 10 * mine + theirs);
}

GORT_TEST(select, to_send_and_receive_on_one_channel_meets_another_not_itself)
{
	gort_chan *c = gort_make_chan(int, 0), *out = gort_make_chan(int, 0);
	for (int i = 0; i < 200; i++) {
		gort_go(swap, c, 1, out);
		gort_go(swap, c, 2, out);
		int got = gort_recv(int, out);
		CHECK(got == 12 || got == 21);
	}
}

struct big {
	long v[40];
};

static void
send_big(gort_chan *c, long x)
{
	struct big b;
	for (int i = 0; i < 40; i++)
		b.v[i] = x + i;
	gort_chan_send(c, &b);
}

GORT_TEST(select, values_of_any_size_arrive)
{
	gort_chan *a = gort_make_chan(struct big, 0), *b = gort_make_chan(struct big, 0);
	for (long x = 0; x < 50; x++) {
		struct big got = {{0}};
		gort_select_case cs[] = {GORT_RECV(a, &got), GORT_RECV(b, &got)};
		gort_go(send_big, x % 2 ? a : b, x);
		if (x % 3 == 0)
			let_others_run();
		CHECK_EQ(gort_select(cs, 2), x % 2 ? 0 : 1);
		for (int i = 0; i < 40; i++)
			CHECK_EQ(got.v[i], x + i);
	}
}

// chi-square over ROUNDS choices among n ready cases; the limits are the 99.99 % quantiles.
static double
chi_square(const int *hits, int n, int rounds)
{
	double want = (double)rounds / n, sum = 0;
	for (int i = 0; i < n; i++)
		sum += (hits[i] - want) * (hits[i] - want) / want;
	return sum;
}

static void
check_uniform(int ready, int nchans)
{
	static const double limit[] = {0, 0, 15.14, 18.42, 21.11, 23.51, 25.74, 27.86, 29.88};
	enum { ROUNDS = 20000 };
	gort_chan *c[100];
	gort_select_case cs[100];
	int v, hits[8] = {0}, at[8];
	for (int i = 0; i < nchans; i++) {
		c[i] = gort_make_chan(int, 1);
		cs[i] = GORT_RECV(c[i], &v);
	}
	for (int i = 0; i < ready; i++) { // bunched, so that "the next from a random start" fails
		at[i] = nchans - ready + i;
		gort_send(int, c[at[i]], i);
	}
	for (int k = 0; k < ROUNDS; k++) {
		int i = gort_select(cs, nchans);
		hits[v]++;
		gort_send(int, c[i], v);
	}
	double x = chi_square(hits, ready, ROUNDS);
	if (x > limit[ready]) {
		fprintf(stderr, "%d of %d ready: chi-square %.1f\n", ready, nchans, x);
		exit(1);
	}
}

GORT_TEST(select, chooses_uniformly_among_ready_cases)
{
	for (int ready = 2; ready <= 8; ready++) {
		check_uniform(ready, ready);
		check_uniform(ready, 20);
		check_uniform(ready, 90); // through the locked path
	}
}

static int
try_default(gort_chan **c, int n)
{
	gort_select_case cs[9];
	int v;
	for (int i = 0; i < n; i++)
		cs[i] = GORT_RECV(c[i], &v);
	cs[n] = GORT_DEFAULT;
	return gort_select(cs, n + 1);
}

static gort_chan *token[8];
static int stop_moving;

// There is always a value in at least one of the channels: the next one is filled before this one is
// emptied. (The selecting goroutine is the only other one, and puts back what it took.)
static void
move_token(gort_waitgroup *wg)
{
	for (int i = 0; !__atomic_load_n(&stop_moving, __ATOMIC_RELAXED); i++) {
		gort_send(int, token[(i + 1) % 8], 1);
		gort_recv(int, token[i % 8]);
	}
	gort_waitgroup_done(wg);
}

GORT_TEST(select, default_means_that_nothing_was_ready_at_one_moment)
{
	gort_waitgroup wg = {0};
	gort_maxprocs(2);
	for (int i = 0; i < 8; i++)
		token[i] = gort_make_chan(int, 2);
	gort_send(int, token[0], 1);
	gort_waitgroup_add(&wg, 1);
	gort_go(move_token, &wg);
	int64_t end = gort_nanotime() + GORT_SECOND / 2;
	while (gort_nanotime() < end) {
		int i = try_default(token, 8);
		CHECK(i != 8);
		gort_send(int, token[i], 1);
	}
	__atomic_store_n(&stop_moving, 1, __ATOMIC_RELAXED);
	gort_waitgroup_wait(&wg);
}

// ---- panics ----

GORT_DEATH_TEST(select, send_on_closed_panics, "panic: send on closed channel")
{
	gort_chan *a = gort_make_chan(int, 1), *b = gort_make_chan(int, 0);
	int v = 1;
	gort_chan_close(a);
	gort_select_case cs[] = {GORT_SEND(a, &v), GORT_RECV(b, &v)};
	gort_select(cs, 2);
}

GORT_DEATH_TEST(select, closing_under_a_waiting_send_panics, "panic: send on closed channel")
{
	gort_chan *a = gort_make_chan(int, 0), *b = gort_make_chan(int, 0);
	int v = 1;
	gort_go(close_after_a_while, a);
	gort_select_case cs[] = {GORT_SEND(a, &v), GORT_RECV(b, &v)};
	gort_select(cs, 2);
}

GORT_DEATH_TEST(select, without_cases_blocks, "fatal error: all goroutines are asleep - deadlock!")
{
	gort_select(NULL, 0);
}

GORT_DEATH_TEST(select, of_nil_channels_blocks,
		"fatal error: all goroutines are asleep - deadlock!")
{
	gort_select_case cs[] = {GORT_RECV(NULL, NULL)};
	gort_select(cs, 1);
}

GORT_DEATH_TEST(select, two_defaults_panic, "panic: select: more than one default case")
{
	gort_select_case cs[] = {GORT_DEFAULT, GORT_DEFAULT};
	gort_select(cs, 2);
}

GORT_DEATH_TEST(select, another_size_panics, "panic: channel element has 4 bytes, not 8")
{
	gort_chan *a = gort_make_chan(int, 1);
	long v;
	gort_select_case cs[] = {GORT_RECV(a, &v)};
	gort_select(cs, 1);
}

GORT_DEATH_TEST(select, too_many_cases_panic, "panic: select: too many cases (max 65536)")
{
	static gort_select_case cs[65537];
	gort_select(cs, 65537);
}
