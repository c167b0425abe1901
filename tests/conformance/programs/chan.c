// SPDX-License-Identifier: BSD-3-Clause
// One channel.
#include "programs.h"

static void
echo(gort_chan *in, gort_chan *out)
{
	int v;
	while (gort_chan_recv(in, &v))
		send(out, v * v);
	gort_chan_close(out);
}

static void
unbuffered_echo(void)
{
	gort_chan *in = ints(0), *out = ints(0);
	gort_go(echo, in, out);
	for (int i = 1; i <= 5; i++) {
		send(in, i);
		printf("%d\n", recv(out));
	}
	gort_chan_close(in);
	print_recv_ok(out);
}

static void
buffered_is_fifo(void)
{
	gort_chan *c = ints(4);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			send(c, round * 10 + i);
		for (int i = 0; i < 4; i++)
			printf("%d\n", recv(c));
	}
}

static void
len_and_cap(void)
{
	gort_chan *c = ints(3), *u = ints(0);
	print_len_cap(c);
	send(c, 1);
	send(c, 2);
	print_len_cap(c);
	drop(c);
	print_len_cap(c);
	gort_chan_close(c);
	print_len_cap(c);
	drop(c);
	print_len_cap(c);
	print_len_cap(u);
	gort_go(send, u, 1);
	gort_sleep(10 * MS);
	print_len_cap(u);
	drop(u);
}

static void
nil_len_and_cap(void)
{
	print_len_cap(NULL);
}

static void
full_with_waiters(void)
{
	gort_chan *c = ints(2);
	for (int i = 1; i <= 4; i++) {
		gort_go(send, c, i);
		gort_sleep(10 * MS);
	}
	for (int i = 0; i < 4; i++) {
		int v = recv(c);
		printf("%d %td\n", v, gort_chan_len(c));
	}
}

static void
recv_from_closed(void)
{
	gort_chan *c = ints(1);
	gort_chan_close(c);
	for (int i = 0; i < 3; i++)
		print_recv_ok(c);
}

static void
close_keeps_the_buffer(void)
{
	gort_chan *c = ints(3);
	send(c, 7);
	send(c, 8);
	gort_chan_close(c);
	for (int i = 0; i < 4; i++) {
		int v = -1;
		bool ok = gort_chan_recv(c, &v);
		printf("%d %s %td\n", v, truth(ok), gort_chan_len(c));
	}
}

static void
range_until_closed(void)
{
	gort_chan *c = ints(0);
	int v, sum = 0, n = 0;
	gort_go(count_up, c, 1, 100, 1);
	for (; gort_chan_recv(c, &v); n++)
		sum += v;
	printf("%d %d\n", n, sum);
}

static void
try_on_buffered(void)
{
	gort_chan *c = ints(2);
	print_try_recv(c);
	bool a = try_send(c, 1), b = try_send(c, 2), d = try_send(c, 3);
	printf("%s %s %s\n", truth(a), truth(b), truth(d));
	print_try_recv(c);
	printf("%s\n", truth(try_send(c, 4)));
	print_try_recv(c);
	print_try_recv(c);
	print_try_recv(c);
}

static void
send_and_tell(gort_chan *c, int v, gort_chan *done)
{
	send(c, v);
	send(done, 0);
}

static void
try_on_unbuffered(void)
{
	gort_chan *c = ints(0), *done = ints(0);
	printf("%s\n", truth(try_send(c, 1)));
	print_try_recv(c);
	gort_go(forward, c, done);
	gort_sleep(10 * MS);
	printf("%s\n", truth(try_send(c, 2)));
	printf("%d\n", recv(done));
	gort_go(send_and_tell, c, 3, done);
	gort_sleep(10 * MS);
	print_try_recv(c);
	drop(done);
}

static void
try_on_closed(void)
{
	gort_chan *c = ints(1);
	send(c, 5);
	gort_chan_close(c);
	print_try_recv(c);
	print_try_recv(c);
}

static void
try_on_nil(void)
{
	printf("%s\n", truth(try_send(NULL, 1)));
	print_try_recv(NULL);
}

static void
send_in_stages(gort_chan *c, int n, counter stage)
{
	for (int i = 1; i <= n; i++) {
		send(c, i);
		if (i < n || gort_chan_cap(c) > 0)
			atomic_store(stage, i);
	}
}

static void
unbuffered_send_waits(void)
{
	gort_chan *c = ints(0);
	atomic_int stage = 0;
	gort_go(send_in_stages, c, 2, &stage);
	gort_sleep(10 * MS);
	printf("%d\n", atomic_load(&stage));
	drop(c);
	gort_sleep(10 * MS);
	printf("%d\n", atomic_load(&stage));
	printf("%d\n", recv(c));
}

static void
buffered_send_does_not_wait(void)
{
	gort_chan *c = ints(2);
	static atomic_int stage;
	gort_go(send_in_stages, c, 4, &stage);
	gort_sleep(10 * MS);
	printf("%d\n", atomic_load(&stage));
	drop(c);
	gort_sleep(10 * MS);
	printf("%d\n", atomic_load(&stage));
}

static void
recv_for(gort_chan *c, gort_chan *out, int i)
{
	int v = recv(c);
	gort_send(struct pair, out, ((struct pair){i, v}));
}

static void
receivers_are_fifo(void)
{
	gort_chan *c = ints(0), *out = gort_make_chan(struct pair, 4);
	for (int i = 0; i < 4; i++) {
		gort_go(recv_for, c, out, i);
		gort_sleep(10 * MS);
	}
	for (int i = 0; i < 4; i++) {
		send(c, i * 10);
		struct pair p = gort_recv(struct pair, out);
		printf("[%d %d]\n", p.a, p.b);
	}
}

static void
senders_are_fifo(void)
{
	gort_chan *c = ints(0);
	for (int i = 0; i < 4; i++) {
		gort_go(send, c, i);
		gort_sleep(10 * MS);
	}
	for (int i = 0; i < 4; i++)
		printf("%d\n", recv(c));
}

static void
recv_closed(gort_chan *c, gort_chan *out)
{
	bool ok;
	int v = gort_recv_ok(int, c, &ok);
	gort_send(bool, out, !ok && v == 0);
}

static void
close_wakes_receivers(void)
{
	gort_chan *c = ints(0), *out = gort_make_chan(bool, 5);
	for (int i = 0; i < 5; i++)
		gort_go(recv_closed, c, out);
	gort_sleep(10 * MS);
	gort_chan_close(c);
	for (int i = 0; i < 5; i++)
		printf("%s\n", truth(gort_recv(bool, out)));
}

static void
one_of_two_senders(void)
{
	gort_chan *c = ints(0);
	gort_go(send, c, 1);
	gort_go(send, c, 2);
	printf("%d\n", recv(c));
	printf("%d\n", recv(c));
}

struct point {
	int8_t x;
	double y;
	int16_t z;
};

static void
send_points(gort_chan *c)
{
	for (int i = 0; i < 4; i++)
		gort_send(struct point, c, ((struct point){(int8_t)i, i / 2.0, (int16_t)-i}));
	gort_chan_close(c);
}

static void
struct_elements(void)
{
	gort_chan *c = gort_make_chan(struct point, 1);
	struct point p;
	gort_go(send_points, c);
	while (gort_chan_recv(c, &p))
		printf("%d %.1f %d\n", p.x, p.y, p.z);
}

struct large {
	int32_t v[125];
};

static void
add_to_large(gort_chan *c, gort_chan *u)
{
	for (int i = 0; i < 4; i++) {
		struct large l = gort_recv(struct large, c);
		l.v[0] += i;
		gort_send(struct large, u, l);
	}
}

static void
large_elements(void)
{
	gort_chan *c = gort_make_chan(struct large, 1), *u = gort_make_chan(struct large, 0);
	gort_go(add_to_large, c, u);
	for (int i = 0; i < 4; i++) {
		struct large l, got;
		for (int j = 0; j < 125; j++)
			l.v[j] = i * j;
		gort_chan_send(c, &l);
		gort_chan_recv(u, &got);
		printf("%d %d %d\n", got.v[0], got.v[1], got.v[124]);
	}
}

static void
zeroed_by_close(void)
{
	gort_chan *c = gort_make_chan(struct large, 0);
	struct large l = {.v[3] = 9};
	gort_go(close_later, c, 5 * MS);
	bool ok = gort_chan_recv(c, &l);
	printf("%d %s\n", l.v[3], truth(ok));
}

static void
serve(gort_chan *requests)
{
	gort_chan *r;
	for (int n = 1; gort_chan_recv(requests, &r); n++)
		send(r, n);
}

static void
channel_of_channels(void)
{
	gort_chan *requests = gort_make_chan(gort_chan *, 0);
	gort_go(serve, requests);
	for (int i = 0; i < 3; i++) {
		gort_chan *reply = ints(0);
		gort_send(gort_chan *, requests, reply);
		printf("%d\n", recv(reply));
	}
	gort_chan_close(requests);
}

const struct named chan_programs[] = {
	P(unbuffered_echo), P(buffered_is_fifo), P(len_and_cap), P(nil_len_and_cap),
	P(full_with_waiters), P(recv_from_closed), P(close_keeps_the_buffer),
	P(range_until_closed), P(try_on_buffered), P(try_on_unbuffered), P(try_on_closed),
	P(try_on_nil), P(unbuffered_send_waits), P(buffered_send_does_not_wait),
	P(receivers_are_fifo), P(senders_are_fifo), P(close_wakes_receivers),
	P(one_of_two_senders), P(struct_elements), P(large_elements), P(zeroed_by_close),
	P(channel_of_channels), {0},
};
