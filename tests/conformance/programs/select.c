// SPDX-License-Identifier: BSD-3-Clause
// Select.
#include "programs.h"

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

const struct named select_programs[] = {
	P(select_only_ready), P(select_either_ready), P(select_is_fair), P(select_default),
	P(select_nil_is_never_ready), P(select_closed_is_ready), P(select_until_both_closed),
	P(select_waits_for_receiver), P(select_woken_by_close), P(select_both_ways_on_one),
	P(select_same_case_twice), P(select_many_waiters), P(select_with_timeout),
	P(select_eight_cases), {0},
};
