// SPDX-License-Identifier: BSD-3-Clause
#include <gort/chan.h>
#include <gort/sync.h>
#include <gort/time.h>

#include <stdint.h>

#include "chan/chan.h"
#include "on_gort.h"

TestSuite(chan, .timeout = 20);

// Enough turns for every other goroutine to park or end.
static void
let_others_run(void)
{
	gort_sleep(GORT_MILLISECOND);
	for (int i = 0; i < 20; i++)
		gort_gosched();
}

GORT_TEST(chan, buffered_values_come_out_in_order)
{
	gort_chan *c = gort_make_chan(int, 3);
	CHECK_EQ(gort_chan_cap(c), 3);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 3; i++) {
			gort_send(int, c, 10 * round + i);
			CHECK_EQ(gort_chan_len(c), i + 1);
		}
		for (int i = 0; i < 3; i++)
			CHECK_EQ(gort_recv(int, c), 10 * round + i);
		CHECK_EQ(gort_chan_len(c), 0);
	}
}

static void
send_ints(gort_chan *c, int from, int n)
{
	for (int i = from; i < from + n; i++)
		gort_send(int, c, i);
}

GORT_TEST(chan, recv_on_empty_parks_until_send)
{
	gort_chan *c = gort_make_chan(int, 0);
	gort_go(send_ints, c, 0, 1000);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(gort_recv(int, c), i);
}

static int progress;

static void
send_and_count(gort_chan *c, int n)
{
	for (int i = 0; i < n; i++) {
		gort_send(int, c, i);
		progress++;
	}
}

GORT_TEST(chan, send_blocks_when_full_and_keeps_order)
{
	gort_maxprocs(1);
	gort_chan *c = gort_make_chan(int, 2);
	gort_go(send_and_count, c, 5);
	let_others_run();
	CHECK_EQ(progress, 2);
	CHECK_EQ(gort_recv(int, c), 0);
	CHECK_EQ(gort_chan_len(c), 2); // the waiting sender's value took the place
	let_others_run();
	CHECK_EQ(progress, 3);
	for (int i = 1; i < 5; i++)
		CHECK_EQ(gort_recv(int, c), i);
}

GORT_TEST(chan, unbuffered_send_blocks_without_receiver)
{
	gort_maxprocs(1);
	gort_chan *c = gort_make_chan(int, 0);
	gort_go(send_and_count, c, 1);
	let_others_run();
	CHECK_EQ(progress, 0);
	CHECK_EQ(gort_recv(int, c), 0);
	let_others_run();
	CHECK_EQ(progress, 1);
}

static void
recv_tagged(gort_chan *c, gort_chan *out, int tag)
{
	gort_send(int, out, 1000 * gort_recv(int, c) + tag);
}

GORT_TEST(chan, waiting_receivers_are_served_first_come_first_served)
{
	gort_maxprocs(1);
	gort_chan *c = gort_make_chan(int, 0), *out = gort_make_chan(int, 8);
	for (int i = 0; i < 8; i++) {
		gort_go(recv_tagged, c, out, i);
		let_others_run();
	}
	send_ints(c, 0, 8);
	for (int i = 0; i < 8; i++) // the i-th got i; in what order they run is another matter
		CHECK_EQ(gort_recv(int, out) % 1001, 0);
}

GORT_TEST(chan, waiting_senders_are_served_first_come_first_served)
{
	gort_maxprocs(1);
	gort_chan *c = gort_make_chan(int, 1);
	for (int i = 0; i < 8; i++) {
		gort_go(send_ints, c, i, 1);
		let_others_run();
	}
	for (int i = 0; i < 8; i++)
		CHECK_EQ(gort_recv(int, c), i);
}

GORT_TEST(chan, closed_channel_drains_then_gives_zeros)
{
	gort_chan *c = gort_make_chan(int, 4);
	bool ok = false;
	int v = -1;
	gort_send(int, c, 7);
	gort_send(int, c, 8);
	gort_chan_close(c);
	CHECK_EQ(gort_recv_ok(int, c, &ok), 7);
	CHECK(ok);
	CHECK(gort_chan_recv(c, &v));
	CHECK_EQ(v, 8);
	for (int i = 0; i < 3; i++) {
		v = -1;
		CHECK(!gort_chan_recv(c, &v));
		CHECK_EQ(v, 0);
		v = -1;
		CHECK_EQ(gort_chan_try_recv(c, &v), GORT_CLOSED);
		CHECK_EQ(v, 0);
		CHECK_EQ(gort_recv_ok(int, c, &ok), 0);
		CHECK(!ok);
	}
	CHECK(!gort_chan_recv(c, NULL));
}

static void
recv_closed(gort_chan *c, gort_waitgroup *wg)
{
	int v = 5;
	CHECK(!gort_chan_recv(c, &v));
	CHECK_EQ(v, 0);
	gort_waitgroup_done(wg);
}

GORT_TEST(chan, close_wakes_every_receiver)
{
	gort_chan *c = gort_make_chan(int, 0);
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, 100);
	for (int i = 0; i < 100; i++)
		gort_go(recv_closed, c, &wg);
	let_others_run();
	gort_chan_close(c);
	gort_waitgroup_wait(&wg);
}

GORT_TEST(chan, try_operations_never_wait)
{
	gort_chan *c = gort_make_chan(int, 1), *u = gort_make_chan(int, 0);
	int v = 3, w = 9;
	CHECK(!gort_chan_try_send(u, &v));
	CHECK_EQ(gort_chan_try_recv(u, &w), 0);
	CHECK_EQ(w, 9);
	CHECK_EQ(gort_chan_try_recv(c, &w), 0);
	CHECK(gort_chan_try_send(c, &v));
	CHECK(!gort_chan_try_send(c, &v));
	CHECK_EQ(gort_chan_try_recv(c, &w), 1);
	CHECK_EQ(w, 3);
	CHECK(!gort_chan_try_send(NULL, &v));
	CHECK_EQ(gort_chan_try_recv(NULL, &v), 0);
	gort_go(send_ints, u, 41, 1);
	let_others_run();
	CHECK_EQ(gort_chan_try_recv(u, &w), 1);
	CHECK_EQ(w, 41);
}

GORT_TEST(chan, nil_has_no_length)
{
	CHECK_EQ(gort_chan_len(NULL), 0);
	CHECK_EQ(gort_chan_cap(NULL), 0);
}

// A value of n bytes, each different, over channels where it is buffered, handed over, and queued.
#define SIZES(M)                                                                                   \
	M(1) M(2) M(3) M(4) M(5) M(8) M(12) M(16) M(24) M(100) M(127) M(128) M(129) M(1000) M(65535)
#define SIZED(n)                                                                                   \
	struct sized##n {                                                                          \
		unsigned char b[n];                                                                \
	};                                                                                         \
	static void send##n(gort_chan *c, int key)                                                 \
	{                                                                                          \
		static struct sized##n v;                                                          \
		for (int i = 0; i < n; i++)                                                        \
			v.b[i] = (unsigned char)(i * 7 + key);                                     \
		gort_chan_send(c, &v);                                                             \
		memset(&v, 0xee, sizeof(v));                                                       \
	}                                                                                          \
	static void check##n(gort_chan *c, int key)                                                \
	{                                                                                          \
		static struct sized##n v;                                                          \
		CHECK(gort_chan_recv(c, &v));                                                      \
		for (int i = 0; i < n; i++)                                                        \
			CHECK_EQ(v.b[i], (unsigned char)(i * 7 + key));                            \
	}                                                                                          \
	static void round##n(void)                                                                 \
	{                                                                                          \
		gort_chan *c = gort_make_chan(struct sized##n, 2), *u;                             \
		send##n(c, 1);                                                                     \
		send##n(c, 2);                                                                     \
		check##n(c, 1);                                                                    \
		send##n(c, 3);                                                                     \
		check##n(c, 2);                                                                    \
		check##n(c, 3);                                                                    \
		u = gort_make_chan(struct sized##n, 0);                                            \
		gort_go(send##n, u, 4); /* waits for the receiver */                               \
		let_others_run();                                                                  \
		check##n(u, 4);                                                                    \
		gort_go(check##n, u, 5); /* waits for the sender */                                \
		let_others_run();                                                                  \
		send##n(u, 5);                                                                     \
		let_others_run();                                                                  \
	}
SIZES(SIZED)
#define ROUND(n) round##n();

GORT_TEST(chan, elements_of_every_size_arrive_whole)
{
	SIZES(ROUND)
}

struct empty {
};

GORT_TEST(chan, empty_elements_count)
{
	gort_chan *c = gort_make_chan(struct empty, 5);
	struct empty e;
	for (int i = 0; i < 5; i++)
		CHECK(gort_chan_try_send(c, &e));
	CHECK(!gort_chan_try_send(c, &e));
	CHECK_EQ(gort_chan_len(c), 5);
	CHECK(gort_chan_recv(c, NULL));
	CHECK_EQ(gort_chan_len(c), 4);
}

GORT_TEST(chan, macros_convert_and_evaluate_once)
{
	gort_chan *c = gort_make_chan(double, 4);
	int n = 0;
	gort_send(double, (n++, c), n + 41); // value first: 41, converted
	CHECK_EQ(n, 1);
	CHECK(gort_recv(double, (n++, c)) == 41.0);
	CHECK_EQ(n, 2);
	gort_chan *d = gort_make_chan(double, 4);
	gort_send(double, c, 1.5);
	gort_send(double, d, gort_recv(double, c) * 2);
	CHECK(gort_recv(double, d) == 3.0);
}

GORT_TEST(chan, slots_of_pointers_are_cleared)
{
	gort_chan *c = gort_make_chan(void *, 2);
	int x;
	gort_send(void *, c, &x);
	CHECK(gort_recv(void *, c) == &x);
	CHECK(((void **)c->buf)[0] == NULL);
}

static void
recv_into_pointer(gort_chan *c, gort_chan *done)
{
	gort_recv(void *, c);
	gort_send(int, done, 1);
}

GORT_TEST(chan, a_receiver_waits_with_an_empty_sudog)
{
	gort_maxprocs(1);
	gort_chan *c = gort_make_chan(void *, 0), *done = gort_make_chan(int, 1);
	int x;
	for (int i = 0; i < 2; i++) { // the second time with a used sudog
		gort_go(recv_into_pointer, c, done);
		let_others_run();
		struct sudog *sg = rt_load(&c->recvq.first);
		CHECK(sg && sg->elem == sg->value && sg->value[0] == 0);
		CHECK(sg->g->waiting == sg && !sg->waitlink);
		gort_send(void *, c, &x);
		gort_recv(int, done);
	}
}

static void
goexit_after_send(gort_chan *c)
{
	gort_send(int, c, 1);
	gort_goexit();
}

GORT_TEST(chan, works_from_goroutines_that_goexit)
{
	gort_chan *c = gort_make_chan(int, 0);
	for (int i = 0; i < 100; i++) {
		gort_go(goexit_after_send, c);
		CHECK_EQ(gort_recv(int, c), 1);
	}
}

// ---- panics ----

GORT_DEATH_TEST(chan, send_on_closed_panics, "panic: send on closed channel")
{
	gort_chan *c = gort_make_chan(int, 4);
	gort_chan_close(c);
	gort_send(int, c, 1);
}

GORT_DEATH_TEST(chan, try_send_on_closed_panics, "panic: send on closed channel")
{
	gort_chan *c = gort_make_chan(int, 0);
	int v = 1;
	gort_chan_close(c);
	gort_chan_try_send(c, &v);
}

GORT_DEATH_TEST(chan, closing_under_a_waiting_sender_panics_it, "panic: send on closed channel")
{
	gort_chan *c = gort_make_chan(int, 0);
	gort_go(send_ints, c, 0, 1);
	let_others_run();
	gort_chan_close(c);
	gort_sleep(5 * GORT_SECOND);
}

GORT_DEATH_TEST(chan, close_of_closed_panics, "panic: close of closed channel")
{
	gort_chan *c = gort_make_chan(int, 0);
	gort_chan_close(c);
	gort_chan_close(c);
}

GORT_DEATH_TEST(chan, close_of_nil_panics, "panic: close of nil channel")
{
	gort_chan_close(NULL);
}

GORT_DEATH_TEST(chan, negative_size_panics, "panic: makechan: size out of range")
{
	volatile int n = -1;
	gort_make_chan(int, n);
}

GORT_DEATH_TEST(chan, impossible_size_panics, "panic: makechan: size out of range")
{
	volatile ptrdiff_t n = PTRDIFF_MAX;
	gort_make_chan(int64_t, n);
}

GORT_DEATH_TEST(chan, sending_another_size_panics, "panic: channel element has 4 bytes, not 8")
{
	gort_chan *c = gort_make_chan(int, 1);
	gort_send(int64_t, c, 1);
}

GORT_DEATH_TEST(chan, receiving_another_size_panics, "panic: channel element has 4 bytes, not 2")
{
	gort_chan *c = gort_make_chan(int, 1);
	gort_recv(short, c);
}

GORT_DEATH_TEST(chan, nil_blocks_for_ever, "fatal error: all goroutines are asleep - deadlock!")
{
	gort_recv(int, NULL);
}

GORT_DEATH_TEST(chan, nil_send_blocks_for_ever,
		"fatal error: all goroutines are asleep - deadlock!")
{
	gort_send(int, NULL, 1);
}

GORT_DEATH_TEST(chan, nobody_left_to_send_is_a_deadlock,
		"fatal error: all goroutines are asleep - deadlock!")
{
	gort_recv(int, gort_make_chan(int, 1));
}
