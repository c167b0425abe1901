// SPDX-License-Identifier: BSD-3-Clause
// programs NAME: the programs of programs.go in C. test_programs.py compares what the two print; without
// a name it lists them.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gort/chan.h>
#include <gort/mem.h>
#include <gort/sched.h>
#include <gort/sync.h>
#include <gort/time.h>

#define MS GORT_MILLISECOND
#define HOUR (3600 * GORT_SECOND)

typedef atomic_int *counter;

static const char *
truth(bool b)
{
	return b ? "true" : "false";
}

static gort_chan *
ints(ptrdiff_t n)
{
	return gort_make_chan(int, n);
}

static int
recv(gort_chan *c)
{
	return gort_recv(int, c);
}

static void
send(gort_chan *c, int v)
{
	gort_send(int, c, v);
}

static void
drop(gort_chan *c)
{
	gort_chan_recv(c, NULL);
}

static void
print_recv_ok(gort_chan *c)
{
	bool ok;
	int v = gort_recv_ok(int, c, &ok);
	printf("%d %s\n", v, truth(ok));
}

static void
print_len_cap(gort_chan *c)
{
	printf("%td %td\n", gort_chan_len(c), gort_chan_cap(c));
}

static bool
try_send(gort_chan *c, int v)
{
	return gort_chan_try_send(c, &v);
}

static void
print_try_recv(gort_chan *c)
{
	int v = 0;
	int r = gort_chan_try_recv(c, &v);
	printf("%d %d\n", v, r);
}

static void
send_later(gort_chan *c, int v, int64_t ns)
{
	gort_sleep(ns);
	send(c, v);
}

static void
close_later(gort_chan *c, int64_t ns)
{
	gort_sleep(ns);
	gort_chan_close(c);
}

static void
close_it(void *c)
{
	gort_chan_close(c);
}

static void
tell(void *c)
{
	send(c, 0);
}

// ---- one channel ----

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
count_up(gort_chan *c, int from, int to, int factor)
{
	for (int i = from; i <= to; i++)
		send(c, i * factor);
	gort_chan_close(c);
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
forward(gort_chan *from, gort_chan *to)
{
	send(to, recv(from));
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

struct pair {
	int a, b;
};

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

// ---- programs of several goroutines ----

static void
from_two(gort_chan *c)
{
	for (int i = 2;; i++)
		send(c, i);
}

static void
filter(gort_chan *in, gort_chan *out, int prime)
{
	int v;
	while (gort_chan_recv(in, &v))
		if (v % prime != 0)
			send(out, v);
}

static void
sieve(void)
{
	gort_chan *c = ints(0);
	gort_go(from_two, c);
	for (int i = 0; i < 20; i++) {
		int p = recv(c);
		printf("%d\n", p);
		gort_chan *next = ints(0);
		gort_go(filter, c, next, p);
		c = next;
	}
}

static void
link_up(gort_chan *l, gort_chan *r)
{
	send(r, 1 + recv(l));
}

static void
daisy_chain(void)
{
	gort_chan *first = ints(0), *right = first;
	for (int i = 0; i < 1000; i++) {
		gort_chan *left = ints(0);
		gort_go(link_up, left, right);
		right = left;
	}
	gort_go(send, right, 0);
	printf("%d\n", recv(first));
}

static void
square_odd(gort_chan *a, gort_chan *b)
{
	int v;
	while (gort_chan_recv(a, &v))
		if (v % 2 == 1)
			send(b, v * v);
	gort_chan_close(b);
}

static void
pipeline(void)
{
	gort_chan *a = ints(2), *b = ints(0);
	int v;
	gort_go(count_up, a, 0, 9, 1);
	gort_go(square_odd, a, b);
	while (gort_chan_recv(b, &v))
		printf("%d\n", v);
}

static void
pool_worker(gort_chan *jobs, gort_chan *results, gort_waitgroup *wg)
{
	int j;
	while (gort_chan_recv(jobs, &j))
		send(results, j * 3);
	gort_waitgroup_done(wg);
}

static void
feed_pool(gort_chan *jobs, gort_chan *results, gort_waitgroup *wg)
{
	count_up(jobs, 1, 200, 1);
	gort_waitgroup_wait(wg);
	gort_chan_close(results);
}

static void
worker_pool(void)
{
	gort_chan *jobs = ints(8), *results = ints(8);
	gort_waitgroup wg = {0};
	int r, sum = 0;
	for (int w = 0; w < 4; w++) {
		gort_waitgroup_add(&wg, 1);
		gort_go(pool_worker, jobs, results, &wg);
	}
	gort_go(feed_pool, jobs, results, &wg);
	while (gort_chan_recv(results, &r))
		sum += r;
	printf("%d\n", sum);
}

static void
fan_producer(gort_chan *c, int p)
{
	for (int i = 0; i < 50; i++)
		send(c, p * 1000 + i);
}

static void
fan_in(void)
{
	gort_chan *c = ints(0);
	int last[3] = {-1, -1, -1};
	bool ordered = true;
	for (int p = 0; p < 3; p++)
		gort_go(fan_producer, c, p);
	for (int i = 0; i < 150; i++) {
		int v = recv(c);
		ordered = ordered && v % 1000 == last[v / 1000] + 1;
		last[v / 1000] = v % 1000;
	}
	printf("%s [%d %d %d]\n", truth(ordered), last[0], last[1], last[2]);
}

struct room {
	gort_chan *sem;
	atomic_int inside, most;
	gort_waitgroup wg;
};

static void
visit(struct room *r)
{
	send(r->sem, 1);
	int n = atomic_fetch_add(&r->inside, 1) + 1, m = atomic_load(&r->most);
	while (n > m && !atomic_compare_exchange_strong(&r->most, &m, n))
		;
	gort_sleep(MS);
	atomic_fetch_sub(&r->inside, 1);
	drop(r->sem);
	gort_waitgroup_done(&r->wg);
}

static void
semaphore_of_three(void)
{
	struct room r = {.sem = ints(3)};
	for (int i = 0; i < 20; i++) {
		gort_waitgroup_add(&r.wg, 1);
		gort_go(visit, &r);
	}
	gort_waitgroup_wait(&r.wg);
	printf("%d %d\n", atomic_load(&r.most), atomic_load(&r.inside));
}

static void
check_boxes(gort_chan *c, gort_chan *back)
{
	struct pair *p;
	int bad = 0;
	while (gort_chan_recv(c, &p)) {
		bad += p->a != p->b;
		p->a++;
		gort_send(bool, back, true);
	}
	printf("%d\n", bad);
	gort_chan_close(back);
}

static void
message_passing(void)
{
	gort_chan *c = gort_make_chan(struct pair *, 0), *back = gort_make_chan(bool, 0);
	struct pair *p = gort_new(struct pair);
	gort_go(check_boxes, c, back);
	for (int i = 0; i < 1000; i++) {
		p->b = p->a;
		gort_send(struct pair *, c, p);
		drop(back);
	}
	gort_chan_close(c);
	drop(back);
	printf("%d\n", p->a);
}

struct look {
	gort_chan *a, *b;
	bool missed[2];
	atomic_int ready;
	gort_waitgroup wg;
};

static void
look_on_the_other_side(struct look *l)
{
	int v;
	atomic_store(&l->ready, 1);
	send(l->b, 1);
	l->missed[1] = gort_chan_try_recv(l->a, &v) == 0;
	gort_waitgroup_done(&l->wg);
}

static void
send_then_look(void)
{
	int both = 0, v;
	for (int i = 0; i < 20000; i++) {
		struct look l = {.a = ints(1), .b = ints(1)};
		gort_waitgroup_add(&l.wg, 1);
		gort_go(look_on_the_other_side, &l);
		for (int spins = 0; atomic_load(&l.ready) == 0; spins++)
			if (spins > 10000)
				gort_gosched();
		send(l.a, 1);
		l.missed[0] = gort_chan_try_recv(l.b, &v) == 0;
		gort_waitgroup_wait(&l.wg);
		both += l.missed[0] && l.missed[1];
	}
	printf("%d\n", both);
}

// ---- select ----

static void
select_only_ready(void)
{
	gort_chan *a = ints(1), *b = ints(1);
	int v;
	gort_select_case cs[] = {GORT_RECV(a, &v), GORT_RECV(b, &v)};
	for (int i = 0; i < 4; i++) {
		send(i % 2 == 0 ? a : b, i);
		int k = gort_select(cs, 2);
		printf("%c %d\n", "ab"[k], v);
	}
}

static void
select_either_ready(void)
{
	gort_chan *a = ints(1), *b = ints(1);
	int v;
	send(a, 1);
	send(b, 2);
	gort_select_case cs[] = {GORT_RECV(a, &v), GORT_RECV(b, &v)};
	int k = gort_select(cs, 2);
	printf("%c %d\n", "ab"[k], v);
}

static void
select_is_fair(void)
{
	gort_chan *a = ints(1), *b = ints(1);
	int n[2] = {0};
	for (int i = 0; i < 2000; i++) {
		try_send(a, 1);
		try_send(b, 1);
		gort_select_case cs[] = {GORT_RECV(a, NULL), GORT_RECV(b, NULL)};
		n[gort_select(cs, 2)]++;
	}
	printf("%s %s\n", truth(n[0] > 800), truth(n[1] > 800));
}

static void
select_default(void)
{
	gort_chan *c = ints(0);
	int v = 0, one = 1;
	gort_select_case cs[] = {GORT_RECV(c, &v), GORT_SEND(c, &one), GORT_DEFAULT};
	switch (gort_select(cs, 3)) {
	case 0:
		printf("%d\n", v);
		break;
	case 1:
		printf("sent\n");
		break;
	case 2:
		printf("default\n");
		break;
	}
}

static void
select_nil_is_never_ready(void)
{
	gort_chan *none = NULL, *c = ints(1);
	int v, one = 1;
	for (int i = 0; i < 3; i++) {
		gort_select_case cs[] = {GORT_RECV(none, &v), GORT_SEND(none, &one),
					 GORT_SEND(c, &i), GORT_RECV(c, &v)};
		switch (gort_select(cs, 4)) {
		case 0:
			printf("received from nil\n");
			break;
		case 1:
			printf("sent to nil\n");
			break;
		case 2:
			printf("sent\n");
			break;
		case 3:
			printf("received %d\n", v);
			break;
		}
	}
}

static void
select_closed_is_ready(void)
{
	gort_chan *c = ints(0), *d = ints(0);
	int v = -1;
	bool ok = true;
	gort_chan_close(c);
	gort_select_case cs[] = {GORT_RECV_OK(c, &v, &ok), GORT_RECV(d, NULL)};
	if (gort_select(cs, 2) == 0)
		printf("%d %s\n", v, truth(ok));
	else
		printf("d\n");
}

static void
select_until_both_closed(void)
{
	gort_chan *c[2] = {ints(0), ints(0)};
	int v, sum = 0;
	bool ok;
	gort_go(count_up, c[0], 0, 9, 1);
	gort_go(count_up, c[1], 0, 9, 100);
	while (c[0] || c[1]) {
		gort_select_case cs[] = {GORT_RECV_OK(c[0], &v, &ok), GORT_RECV_OK(c[1], &v, &ok)};
		int k = gort_select(cs, 2);
		if (!ok)
			c[k] = NULL;
		sum += v;
	}
	printf("%d\n", sum);
}

static void
send_to_either(gort_chan *a, gort_chan *b, gort_chan *done)
{
	int one = 1, two = 2;
	gort_select_case cs[] = {GORT_SEND(a, &one), GORT_SEND(b, &two)};
	printf("sent to %c\n", "ab"[gort_select(cs, 2)]);
	send(done, 0);
}

static void
select_waits_for_receiver(void)
{
	gort_chan *a = ints(0), *b = ints(0), *done = ints(0);
	gort_go(send_to_either, a, b, done);
	gort_sleep(10 * MS);
	int v = recv(b);
	drop(done);
	printf("%d\n", v);
	print_try_recv(a);
}

static void
recv_from_either(gort_chan *a, gort_chan *b, gort_chan *done)
{
	int v = -1;
	bool ok = true;
	gort_select_case cs[] = {GORT_RECV_OK(a, &v, &ok), GORT_RECV_OK(b, &v, &ok)};
	int k = gort_select(cs, 2);
	printf("%c %d %s\n", "ab"[k], v, truth(ok));
	send(done, 0);
}

static void
select_woken_by_close(void)
{
	gort_chan *a = ints(0), *b = ints(0), *done = ints(0);
	gort_go(recv_from_either, a, b, done);
	gort_sleep(10 * MS);
	gort_chan_close(b);
	drop(done);
	printf("%s\n", truth(try_send(a, 1)));
}

static void
both_ways(gort_chan *c, counter sent, counter received)
{
	int one = 1;
	for (int i = 0; i < 100; i++) {
		gort_select_case cs[] = {GORT_SEND(c, &one), GORT_RECV(c, NULL)};
		atomic_fetch_add(gort_select(cs, 2) == 0 ? sent : received, 1);
	}
}

static void
select_both_ways_on_one(void)
{
	gort_chan *c = ints(0);
	atomic_int sent = 0, received = 0;
	gort_waitgroup wg = {0};
	for (int g = 0; g < 2; g++)
		gort_waitgroup_go(&wg, both_ways, c, &sent, &received);
	gort_waitgroup_wait(&wg);
	printf("%s %d\n", truth(atomic_load(&sent) == atomic_load(&received)), atomic_load(&sent));
}

static void
select_same_case_twice(void)
{
	gort_chan *c = ints(0);
	int v;
	gort_go(send_later, c, 4, 5 * MS);
	gort_select_case cs[] = {GORT_RECV(c, &v), GORT_RECV(c, &v)};
	gort_select(cs, 2);
	printf("%d\n", v);
	print_try_recv(c);
	printf("%s\n", truth(try_send(c, 1)));
}

static void
pass_on_one(gort_chan *a, gort_chan *b, gort_chan *out)
{
	int v;
	gort_select_case cs[] = {GORT_RECV(a, &v), GORT_RECV(b, &v)};
	gort_select(cs, 2);
	send(out, v);
}

static void
select_many_waiters(void)
{
	gort_chan *a = ints(0), *b = ints(0), *out = ints(10);
	bool got[10] = {0};
	for (int i = 0; i < 10; i++)
		gort_go(pass_on_one, a, b, out);
	gort_sleep(10 * MS);
	for (int i = 0; i < 10; i++)
		send(i % 2 == 0 ? a : b, i);
	for (int i = 0; i < 10; i++)
		got[recv(out)] = true;
	for (int i = 0; i < 10; i++)
		if (got[i])
			printf("%c%d", i == 0 ? '[' : ' ', i);
	printf("] %s", truth(try_send(a, 1)));
	printf(" %s\n", truth(try_send(b, 1)));
}

static void
select_with_timeout(void)
{
	gort_chan *c = ints(0), *timeout = ints(0);
	gort_go(send_later, timeout, 1, 20 * MS);
	gort_go(send_later, c, 1, HOUR);
	gort_select_case cs[] = {GORT_RECV(c, NULL), GORT_RECV(timeout, NULL)};
	printf("%s\n", gort_select(cs, 2) == 0 ? "value" : "timeout");
}

static void
send_ten(gort_chan *c, int v)
{
	for (int i = 0; i < 10; i++)
		send(c, v);
}

static void
select_eight_cases(void)
{
	gort_select_case cs[8];
	int v, n[8] = {0};
	for (int i = 0; i < 8; i++) {
		gort_chan *c = ints(0);
		cs[i] = GORT_RECV(c, &v);
		gort_go(send_ten, c, i);
	}
	for (int i = 0; i < 80; i++) {
		int k = gort_select(cs, 8);
		n[v] += k == v;
	}
	for (int i = 0; i < 8; i++)
		printf("%c%d", i == 0 ? '[' : ' ', n[i]);
	printf("]\n");
}

// ---- mutex, wait group ----

struct counted {
	gort_mutex mu;
	int n, bad;
};

static void
count_thousand(struct counted *c)
{
	for (int i = 0; i < 1000; i++) {
		gort_mutex_lock(&c->mu);
		c->n++;
		gort_mutex_unlock(&c->mu);
	}
}

static void
mutex_counter(void)
{
	struct counted c = {0};
	gort_waitgroup wg = {0};
	for (int g = 0; g < 8; g++)
		gort_waitgroup_go(&wg, count_thousand, &c);
	gort_waitgroup_wait(&wg);
	printf("%d\n", c.n);
}

static void
mutex_try_lock(void)
{
	gort_mutex mu = {0};
	bool a = gort_mutex_try_lock(&mu), b = gort_mutex_try_lock(&mu);
	printf("%s %s\n", truth(a), truth(b));
	gort_mutex_unlock(&mu);
	printf("%s\n", truth(gort_mutex_try_lock(&mu)));
	gort_mutex_unlock(&mu);
}

static void
mutex_unlocked_by_another(void)
{
	gort_mutex mu = {0};
	gort_mutex_lock(&mu);
	gort_go(gort_mutex_unlock, &mu);
	gort_mutex_lock(&mu);
	printf("locked again\n");
}

static void
lock_once(gort_mutex *mu, gort_chan *got)
{
	gort_mutex_lock(mu);
	send(got, 1);
	gort_mutex_unlock(mu);
}

static void
mutex_starved_waiter_gets_it(void)
{
	gort_mutex mu = {0};
	gort_chan *got = ints(1);
	gort_mutex_lock(&mu);
	gort_go(lock_once, &mu, got);
	gort_sleep(10 * MS);
	for (int i = 0; i < 100000 && gort_chan_len(got) == 0; i++) {
		gort_mutex_unlock(&mu);
		gort_mutex_lock(&mu);
	}
	gort_mutex_unlock(&mu);
	printf("%d\n", recv(got));
}

static void
go_inside(struct counted *c)
{
	for (int i = 0; i < 50; i++) {
		gort_mutex_lock(&c->mu);
		c->n++;
		c->bad += c->n != 1;
		gort_gosched();
		c->n--;
		gort_mutex_unlock(&c->mu);
	}
}

static void
mutex_keeps_goroutines_out(void)
{
	struct counted c = {0};
	gort_waitgroup wg = {0};
	for (int g = 0; g < 4; g++)
		gort_waitgroup_go(&wg, go_inside, &c);
	gort_waitgroup_wait(&wg);
	printf("%d\n", c.bad);
}

static void
wait_on_zero(void)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_wait(&wg);
	gort_waitgroup_add(&wg, 2);
	gort_waitgroup_add(&wg, -2);
	gort_waitgroup_wait(&wg);
	printf("done\n");
}

static void
add_and_done(counter n, gort_waitgroup *wg)
{
	atomic_fetch_add(n, 1);
	gort_waitgroup_done(wg);
}

static void
waitgroup_again(void)
{
	gort_waitgroup wg = {0};
	atomic_int n = 0;
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 3; i++) {
			gort_waitgroup_add(&wg, 1);
			gort_go(add_and_done, &n, &wg);
		}
		gort_waitgroup_wait(&wg);
		printf("%d\n", atomic_load(&n));
	}
}

static void
wait_and_tell(gort_waitgroup *wg, gort_chan *out)
{
	gort_waitgroup_wait(wg);
	send(out, 1);
}

static void
many_waiters(void)
{
	gort_waitgroup wg = {0};
	gort_chan *out = ints(5);
	int sum = 0;
	gort_waitgroup_add(&wg, 1);
	for (int i = 0; i < 5; i++)
		gort_go(wait_and_tell, &wg, out);
	gort_sleep(10 * MS);
	printf("%td\n", gort_chan_len(out));
	gort_waitgroup_done(&wg);
	for (int i = 0; i < 5; i++)
		sum += recv(out);
	printf("%d\n", sum);
}

static void
add_up(counter n, int i)
{
	atomic_fetch_add(n, i);
}

static void
waitgroup_go(void)
{
	gort_waitgroup wg = {0};
	atomic_int n = 0;
	for (int i = 1; i <= 4; i++)
		gort_waitgroup_go(&wg, add_up, &n, i);
	gort_waitgroup_wait(&wg);
	printf("%d\n", atomic_load(&n));
}

static void
say(void *text)
{
	printf("%s\n", (const char *)text);
}

static void
say_and_goexit(char *text)
{
	gort_on_exit(say, text);
	gort_goexit();
}

static void
waitgroup_go_goexit(void)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_go(&wg, say_and_goexit, "exit");
	gort_waitgroup_wait(&wg);
	printf("waited\n");
}

// ---- the end of goroutines and programs ----

static void
three_exits(gort_chan *done)
{
	gort_on_exit(tell, done);
	gort_on_exit(say, "exit 0");
	gort_on_exit(say, "exit 1");
	gort_on_exit(say, "exit 2");
	printf("body\n");
}

static void
exits_run_last_first(void)
{
	gort_chan *done = ints(0);
	gort_go(three_exits, done);
	drop(done);
}

static void
nested(void)
{
	gort_on_exit(say, "inner exit");
	gort_goexit();
}

static void
exit_from_nested(gort_chan *done)
{
	gort_on_exit(tell, done);
	gort_on_exit(say, "outer exit");
	nested();
	printf("not reached\n");
}

static void
goexit_from_deep(void)
{
	gort_chan *done = ints(0);
	gort_go(exit_from_nested, done);
	drop(done);
}

static void
close_at_exit(gort_chan *done)
{
	gort_on_exit(close_it, done);
	gort_goexit();
}

static void
goexit_after_others(void)
{
	gort_chan *done = ints(0);
	gort_go(close_at_exit, done);
	printf("%s\n", truth(gort_chan_recv(done, NULL)));
}

static void
say_later(char *text, int64_t ns)
{
	gort_sleep(ns);
	printf("%s\n", text);
}

static void
yield_for_ever(void)
{
	for (;;)
		gort_gosched();
}

static void
main_return_ends_all(void)
{
	gort_go(say_later, "not reached", HOUR);
	gort_go(yield_for_ever);
	printf("main returns\n");
}

static void
say_and_exit(char *text, int64_t ns, int status)
{
	gort_sleep(ns);
	printf("%s\n", text);
	exit(status);
}

static void
select_for_ever(void)
{
	gort_select_case none[1];
	gort_select(none, 0);
}

static void
exit_from_goroutine(void)
{
	gort_go(say_and_exit, "leaving", 0, 3);
	select_for_ever();
}

static void
main_goexit_others_go_on(void)
{
	gort_go(say_and_exit, "still here", 10 * MS, 0);
	gort_goexit();
}

static void
tell_and_wait(gort_chan *started, gort_chan *stop)
{
	send(started, 0);
	drop(stop);
}

static void
count_goroutines(void)
{
	gort_chan *stop = ints(0), *started = ints(0);
	int before = gort_num_goroutine();
	for (int i = 0; i < 5; i++) {
		gort_go(tell_and_wait, started, stop);
		drop(started);
	}
	printf("%d %d\n", before, gort_num_goroutine());
	gort_chan_close(stop);
	while (gort_num_goroutine() > 1)
		gort_sleep(MS);
	printf("%d\n", gort_num_goroutine());
}

static void
maxprocs_returns_old(void)
{
	gort_maxprocs(3);
	int a = gort_maxprocs(5), b = gort_maxprocs(0), c = gort_maxprocs(-1);
	printf("%d %d %d\n", a, b, c);
}

static void
yielding_lets_others_run(void)
{
	atomic_int n = 0;
	gort_maxprocs(1);
	for (int i = 0; i < 10; i++)
		gort_go(add_up, &n, 1);
	while (atomic_load(&n) < 10)
		gort_gosched();
	printf("%d\n", atomic_load(&n));
}

static void
loop_until(atomic_bool *stop, gort_chan *done)
{
	while (!atomic_load(stop))
		;
	send(done, 0);
}

static void
loop_is_preempted(void)
{
	atomic_bool stop = false;
	gort_chan *done = ints(0);
	gort_maxprocs(1);
	gort_go(loop_until, &stop, done);
	gort_sleep(5 * MS);
	atomic_store(&stop, true);
	drop(done);
	printf("stopped\n");
}

// ---- time ----

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

// ---- errors ----

static void
deadlock_recv(void)
{
	drop(ints(0));
}

static void
deadlock_send(void)
{
	send(ints(0), 1);
}

static void
deadlock_nil_recv(void)
{
	drop(NULL);
}

static void
deadlock_nil_send(void)
{
	send(NULL, 1);
}

static void
deadlock_full(void)
{
	gort_chan *c = ints(1);
	send(c, 1);
	printf("one fits\n");
	send(c, 2);
}

static void
deadlock_select_nil(void)
{
	gort_chan *c = NULL;
	int one = 1;
	gort_select_case cs[] = {GORT_RECV(c, NULL), GORT_SEND(c, &one)};
	gort_select(cs, 2);
}

static void
deadlock_mutex(void)
{
	gort_mutex mu = {0};
	gort_mutex_lock(&mu);
	gort_mutex_lock(&mu);
}

static void
deadlock_waitgroup(void)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, 1);
	gort_waitgroup_wait(&wg);
}

static void
deadlock_two(void)
{
	gort_chan *a = ints(0), *b = ints(0);
	gort_go(forward, a, b);
	drop(b);
}

static void
deadlock_after_sleep(void)
{
	gort_go(gort_sleep, 10 * MS);
	drop(ints(0));
}

static void
deadlock_range(void)
{
	gort_chan *c = ints(2);
	int v;
	send(c, 1);
	send(c, 2);
	while (gort_chan_recv(c, &v))
		printf("%d\n", v);
}

static void
goexit_of_main(void)
{
	gort_go(gort_sleep, 10 * MS);
	gort_goexit();
}

static void
send_on_closed(void)
{
	gort_chan *c = ints(1);
	gort_chan_close(c);
	send(c, 1);
}

static void
try_send_on_closed(void)
{
	gort_chan *c = ints(0);
	gort_chan_close(c);
	try_send(c, 1);
}

static void
select_send_on_closed(void)
{
	gort_chan *c = ints(0), *d = ints(0);
	int one = 1;
	gort_chan_close(c);
	gort_select_case cs[] = {GORT_SEND(c, &one), GORT_RECV(d, NULL)};
	gort_select(cs, 2);
}

static void
close_under_sender(void)
{
	gort_chan *c = ints(0);
	gort_go(close_later, c, 10 * MS);
	send(c, 1);
}

static void
close_under_select(void)
{
	gort_chan *c = ints(0), *d = ints(0);
	int one = 1;
	gort_go(close_later, c, 10 * MS);
	gort_select_case cs[] = {GORT_SEND(c, &one), GORT_RECV(d, NULL)};
	gort_select(cs, 2);
}

static void
close_twice(void)
{
	gort_chan *c = ints(0);
	gort_chan_close(c);
	gort_chan_close(c);
}

static void
close_nil(void)
{
	gort_chan_close(NULL);
}

static void
negative_waitgroup(void)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_done(&wg);
}

static void
unlock_unlocked(void)
{
	gort_mutex mu = {0};
	gort_mutex_unlock(&mu);
}

static void
go_nil(void)
{
	void (*volatile f)(void) = NULL;
	gort_go(f);
	gort_sleep(GORT_SECOND);
}

static void
make_negative(void)
{
	volatile ptrdiff_t n = -1;
	print_len_cap(ints(n));
}

static void
make_huge(void)
{
	volatile ptrdiff_t n = (ptrdiff_t)1 << 60;
	print_len_cap(gort_make_chan(int64_t, n));
}

static void
own_panic(void)
{
	gort_panic("%d is no good", 42);
}

static void
panic_now(void)
{
	gort_panic("in a goroutine");
}

static void
panic_elsewhere(void)
{
	gort_go(panic_now);
	gort_sleep(10 * GORT_SECOND);
}

static void
nil_dereference(void)
{
	int *volatile p = NULL;
	*(volatile int *)p = 1;
}

#define PROGRAMS(X)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         \
	X(unbuffered_echo)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  \
	X(buffered_is_fifo)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 \
	X(len_and_cap) X(nil_len_and_cap) X(full_with_waiters) X(recv_from_closed) X(close_keeps_the_buffer) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             \
		range_until_closed) X(try_on_buffered) X(try_on_unbuffered) X(try_on_closed) X(try_on_nil) X(unbuffered_send_waits)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         \
		X(buffered_send_does_not_wait) X(receivers_are_fifo) X(senders_are_fifo) X(close_wakes_receivers) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        \
			one_of_two_senders) X(struct_elements) X(large_elements) X(zeroed_by_close) X(channel_of_channels)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  \
			X(sieve) X(daisy_chain) X(pipeline) X(worker_pool) X(fan_in) X(semaphore_of_three) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               \
				message_passing) X(send_then_look) X(select_only_ready) X(select_either_ready)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              \
				X(select_is_fair) X(select_default) X(select_nil_is_never_ready) X(select_closed_is_ready) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               \
					select_until_both_closed) X(select_waits_for_receiver) X(select_woken_by_close) X(select_both_ways_on_one)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          \
					X(select_same_case_twice) X(select_many_waiters) X(select_with_timeout) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          \
						select_eight_cases) X(mutex_counter) X(mutex_try_lock) X(mutex_unlocked_by_another)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         \
						X(mutex_starved_waiter_gets_it) X(mutex_keeps_goroutines_out) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            \
							wait_on_zero) X(waitgroup_again) X(many_waiters) X(waitgroup_go)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    \
							X(waitgroup_go_goexit) X(exits_run_last_first) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                   \
								goexit_from_deep) X(goexit_after_others) X(main_return_ends_all)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            \
								X(exit_from_goroutine) X(main_goexit_others_go_on) X(count_goroutines) X(maxprocs_returns_old) X(yielding_lets_others_run) X(loop_is_preempted) X(sleeps_end_in_order) X(sleep_is_long_enough) X(sleep_of_nothing) X(later_sleeper_earlier) X(sleeper_and_loop) X(deadlock_recv) X(deadlock_send) X(deadlock_nil_recv) X(deadlock_nil_send) X(deadlock_full) X(deadlock_select_nil) X(deadlock_mutex) X(deadlock_waitgroup) X(deadlock_two) X(deadlock_after_sleep) X(deadlock_range) X(goexit_of_main) X(send_on_closed) X(try_send_on_closed) X(select_send_on_closed) X( \
									close_under_sender) X(close_under_select)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           \
									X(close_twice) X(close_nil) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      \
										negative_waitgroup) X(unlock_unlocked)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      \
										X(go_nil) X(make_negative) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               \
											make_huge)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          \
											X(own_panic) X(                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     \
												panic_elsewhere)                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            \
												X(nil_dereference)

static const struct {
	const char *name;
	void (*fn)(void);
} programs[] = {
#define PROGRAM(name) {#name, name},
	PROGRAMS(PROGRAM){"deadlock_select", select_for_ever},
};

static int
app(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
		if (argc < 2)
			printf("%s\n", programs[i].name);
		else if (strcmp(argv[1], programs[i].name) == 0) {
			programs[i].fn();
			return 0;
		}
	}
	return argc < 2 ? 0 : 1;
}
GORT_MAIN(app)
