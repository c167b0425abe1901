// SPDX-License-Identifier: BSD-3-Clause
// Channels and select. Beside: peers/go/chans. A Go int is an int64_t here.
#include "bench.h"

#include <inttypes.h>

static void
echo(gort_chan *in, gort_chan *out)
{
	int64_t v;
	while (gort_chan_recv(in, &v))
		gort_send(int64_t, out, v);
	gort_chan_close(out);
}

// One op is a round trip of two messages over two unbuffered channels.
static void
ping_pong(struct bench *b)
{
	gort_chan *a = gort_make_chan(int64_t, 0), *c = gort_make_chan(int64_t, 0);
	gort_go(echo, a, c);
	for (int64_t i = 0; i < b->n; i++) {
		gort_send(int64_t, a, i);
		gort_recv(int64_t, c);
	}
	gort_chan_close(a);
	gort_chan_recv(c, NULL);
}

static void
sum_all(gort_chan *c, gort_chan *done)
{
	int64_t s = 0, v;
	while (gort_chan_recv(c, &v))
		s += v;
	gort_send(int64_t, done, s);
}

// One op is one message from one producer to one consumer.
static void
spsc(struct bench *b, ptrdiff_t cap)
{
	gort_chan *c = gort_make_chan(int64_t, cap), *done = gort_make_chan(int64_t, 0);
	gort_go(sum_all, c, done);
	for (int64_t i = 0; i < b->n; i++)
		gort_send(int64_t, c, i);
	gort_chan_close(c);
	if (gort_recv(int64_t, done) != b->n * (b->n - 1) / 2)
		bench_fail(b, "messages were lost");
}

static void
spsc_0(struct bench *b)
{
	spsc(b, 0);
}

static void
spsc_128(struct bench *b)
{
	spsc(b, 128);
}

// Send then receive on a buffered channel in one goroutine: the two fast paths.
static void
buffered_same(struct bench *b)
{
	gort_chan *c = gort_make_chan(int64_t, 128);
	for (int64_t i = 0; i < b->n; i++) {
		gort_send(int64_t, c, i);
		gort_recv(int64_t, c);
	}
}

static void
consume(gort_chan *c, gort_waitgroup *wg)
{
	int64_t s = 0, v;
	while (gort_chan_recv(c, &v))
		s += v;
	BENCH_USE(s);
	gort_waitgroup_done(wg);
}

static void
produce(gort_chan *c, gort_waitgroup *wg, int64_t n)
{
	for (int64_t k = 0; k < n; k++)
		gort_send(int64_t, c, k);
	gort_waitgroup_done(wg);
}

// 4 producers, 4 consumers; one op is one message.
static void
mpmc(struct bench *b, ptrdiff_t cap)
{
	gort_chan *c = gort_make_chan(int64_t, cap);
	gort_waitgroup p = {0}, q = {0};
	gort_waitgroup_add(&q, 4);
	for (int i = 0; i < 4; i++)
		gort_go(consume, c, &q);
	gort_waitgroup_add(&p, 4);
	for (int i = 0; i < 4; i++)
		gort_go(produce, c, &p, (b->n + 3) / 4);
	gort_waitgroup_wait(&p);
	gort_chan_close(c);
	gort_waitgroup_wait(&q);
}

static void
mpmc_128(struct bench *b)
{
	mpmc(b, 128);
}

static void
mpmc_0(struct bench *b)
{
	mpmc(b, 0);
}

// Every case is ready: select takes a value and puts it back (1 select + 1 send).
static void
select_2_ready(struct bench *b)
{
	gort_chan *x = gort_make_chan(int64_t, 1), *y = gort_make_chan(int64_t, 1);
	gort_send(int64_t, x, 1);
	gort_send(int64_t, y, 1);
	for (int64_t i = 0; i < b->n; i++) {
		int64_t v;
		gort_select_case cs[] = {GORT_RECV(x, &v), GORT_RECV(y, &v)};
		gort_send(int64_t, gort_select(cs, 2) == 0 ? x : y, v);
	}
}

static void
select_8_ready(struct bench *b)
{
	gort_chan *c[8];
	for (int i = 0; i < 8; i++) {
		c[i] = gort_make_chan(int64_t, 1);
		gort_send(int64_t, c[i], 1);
	}
	for (int64_t i = 0; i < b->n; i++) {
		int64_t v;
		gort_select_case cs[] = {GORT_RECV(c[0], &v), GORT_RECV(c[1], &v),
					 GORT_RECV(c[2], &v), GORT_RECV(c[3], &v),
					 GORT_RECV(c[4], &v), GORT_RECV(c[5], &v),
					 GORT_RECV(c[6], &v), GORT_RECV(c[7], &v)};
		gort_send(int64_t, c[gort_select(cs, 8)], v);
	}
}

// No case is ready: the default branch runs.
static void
select_1_not_ready(struct bench *b)
{
	gort_chan *x = gort_make_chan(int64_t, 0);
	for (int64_t i = 0; i < b->n; i++) {
		gort_select_case cs[] = {GORT_RECV(x, NULL), GORT_DEFAULT};
		gort_select(cs, 2);
	}
}

static void
select_2_not_ready(struct bench *b)
{
	gort_chan *x = gort_make_chan(int64_t, 0), *y = gort_make_chan(int64_t, 0);
	for (int64_t i = 0; i < b->n; i++) {
		gort_select_case cs[] = {GORT_RECV(x, NULL), GORT_RECV(y, NULL), GORT_DEFAULT};
		gort_select(cs, 3);
	}
}

static void
select_8_not_ready(struct bench *b)
{
	gort_chan *c[8];
	for (int i = 0; i < 8; i++)
		c[i] = gort_make_chan(int64_t, 0);
	for (int64_t i = 0; i < b->n; i++) {
		gort_select_case cs[] = {
			GORT_RECV(c[0], NULL), GORT_RECV(c[1], NULL), GORT_RECV(c[2], NULL),
			GORT_RECV(c[3], NULL), GORT_RECV(c[4], NULL), GORT_RECV(c[5], NULL),
			GORT_RECV(c[6], NULL), GORT_RECV(c[7], NULL), GORT_DEFAULT};
		gort_select(cs, 9);
	}
}

static void
answer_2(gort_chan *x, gort_chan *y, gort_chan *back, gort_chan *done)
{
	for (;;) {
		int64_t v;
		gort_select_case cs[] = {GORT_RECV(x, &v), GORT_RECV(y, &v), GORT_RECV(done, NULL)};
		if (gort_select(cs, 3) == 2)
			return;
		gort_send(int64_t, back, v);
	}
}

// The receiver blocks in a select over 2 (8) channels, a sender feeds them in turn and waits for the
// answer: one op is such a round trip.
static void
select_2_blocking(struct bench *b)
{
	gort_chan *x = gort_make_chan(int64_t, 0), *y = gort_make_chan(int64_t, 0);
	gort_chan *back = gort_make_chan(int64_t, 0), *done = gort_make_chan(int64_t, 0);
	gort_go(answer_2, x, y, back, done);
	for (int64_t i = 0; i < b->n; i++) {
		gort_send(int64_t, i & 1 ? y : x, i);
		gort_recv(int64_t, back);
	}
	gort_chan_close(done);
}

static void
answer_8(gort_chan **c, gort_chan *back)
{
	int64_t v = 0;
	while (v >= 0) {
		gort_select_case cs[] = {GORT_RECV(c[0], &v), GORT_RECV(c[1], &v),
					 GORT_RECV(c[2], &v), GORT_RECV(c[3], &v),
					 GORT_RECV(c[4], &v), GORT_RECV(c[5], &v),
					 GORT_RECV(c[6], &v), GORT_RECV(c[7], &v)};
		gort_select(cs, 8);
		gort_send(int64_t, back, v);
	}
}

static void
select_8_blocking(struct bench *b)
{
	gort_chan **c = gort_new_array(gort_chan *, 8), *back = gort_make_chan(int64_t, 0);
	for (int i = 0; i < 8; i++)
		gort_set(&c[i], gort_make_chan(int64_t, 0));
	gort_go(answer_8, c, back);
	for (int64_t i = 0; i < b->n; i++) {
		gort_send(int64_t, c[i & 7], i);
		gort_recv(int64_t, back);
	}
	gort_send(int64_t, c[0], -1);
	gort_recv(int64_t, back);
}

static void
wait_close(gort_chan *c, gort_waitgroup *ready, gort_waitgroup *wg)
{
	gort_waitgroup_done(ready);
	gort_chan_recv(c, NULL);
	gort_waitgroup_done(wg);
}

// From close to the moment all 1000 waiters have run; one op is one close.
static void
close_broadcast(struct bench *b)
{
	enum { N = 1000 };
	int64_t total = 0;
	for (int64_t i = 0; i < b->n; i++) {
		gort_chan *c = gort_make_chan(int64_t, 0);
		gort_waitgroup ready = {0}, wg = {0};
		gort_waitgroup_add(&ready, N);
		gort_waitgroup_add(&wg, N);
		for (int j = 0; j < N; j++)
			gort_go(wait_close, c, &ready, &wg);
		gort_waitgroup_wait(&ready);
		int64_t t = gort_nanotime();
		gort_chan_close(c);
		gort_waitgroup_wait(&wg);
		total += gort_nanotime() - t;
	}
	bench_report(b, (double)total / (double)b->n / N, "ns/waiter");
}

static void
stage(gort_chan *left, gort_chan *right)
{
	gort_send(int64_t, left, 1 + gort_recv(int64_t, right));
}

static void
send_one(gort_chan *c)
{
	gort_send(int64_t, c, 1);
}

// Build 1e4 chained goroutines and pass one value through all of them.
static void
daisy_chain(struct bench *b)
{
	enum { N = 10000 };
	for (int64_t i = 0; i < b->n; i++) {
		gort_chan *first = gort_make_chan(int64_t, 0), *left = first;
		for (int j = 0; j < N; j++) {
			gort_chan *right = gort_make_chan(int64_t, 0);
			gort_go(stage, left, right);
			left = right;
		}
		gort_go(send_one, left);
		int64_t v = gort_recv(int64_t, first);
		if (v != N + 1)
			bench_fail(b, "the chain returned %" PRId64, v);
	}
	bench_report(b, (double)bench_elapsed(b) / (double)b->n / N, "ns/stage");
}

static void
generate(gort_chan *ch, gort_chan *stop)
{
	for (int64_t i = 2;; i++) {
		gort_select_case cs[] = {GORT_SEND(ch, &i), GORT_RECV(stop, NULL)};
		if (gort_select(cs, 2) == 1)
			break;
	}
	gort_chan_close(ch);
}

static void
filter(gort_chan *in, gort_chan *out, int64_t prime)
{
	int64_t v;
	while (gort_chan_recv(in, &v))
		if (v % prime != 0)
			gort_send(int64_t, out, v);
	gort_chan_close(out);
}

// The concurrent prime sieve up to the 500th prime (3571).
static void
sieve(struct bench *b)
{
	for (int64_t n = 0; n < b->n; n++) {
		gort_chan *stop = gort_make_chan(int64_t, 0), *ch = gort_make_chan(int64_t, 0);
		gort_go(generate, ch, stop);
		int64_t p = 0;
		for (int i = 0; i < 500; i++) {
			p = gort_recv(int64_t, ch);
			gort_chan *next = gort_make_chan(int64_t, 0);
			gort_go(filter, ch, next, p);
			ch = next;
		}
		gort_chan_close(stop);
		while (gort_chan_recv(ch, NULL))
			;
		if (p != 3571)
			bench_fail(b, "the 500th prime is not %" PRId64, p);
	}
}

static gort_chan *sink;

// make(chan int, 1) alone.
static void
make_chan(struct bench *b)
{
	for (int64_t i = 0; i < b->n; i++)
		sink = gort_make_chan(int64_t, 1);
	BENCH_USE(sink);
}

static const bench_case cases[] = {
	{"PingPong", ping_pong},
	{"SPSC0", spsc_0},
	{"SPSC128", spsc_128},
	{"BufferedSendRecvSame", buffered_same},
	{"MPMC4x4", mpmc_128},
	{"MPMC4x4Cap0", mpmc_0},
	{"Select2Ready", select_2_ready},
	{"Select8Ready", select_8_ready},
	{"Select1NotReady", select_1_not_ready},
	{"Select2NotReady", select_2_not_ready},
	{"Select8NotReady", select_8_not_ready},
	{"Select2Blocking", select_2_blocking},
	{"Select8Blocking", select_8_blocking},
	{"CloseBroadcast1000", close_broadcast},
	{"DaisyChain10k", daisy_chain},
	{"Sieve500", sieve},
	{"MakeChan", make_chan},
};
BENCH_MAIN("chans", cases, NULL)
