// SPDX-License-Identifier: BSD-3-Clause
// How programs fail.
#include "programs.h"

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

const struct named errors_programs[] = {
	P(deadlock_recv), P(deadlock_send), P(deadlock_nil_recv), P(deadlock_nil_send),
	P(deadlock_full), P(deadlock_select_nil), P(deadlock_mutex), P(deadlock_waitgroup),
	P(deadlock_two), P(deadlock_after_sleep), P(deadlock_range), P(goexit_of_main),
	P(send_on_closed), P(try_send_on_closed), P(select_send_on_closed), P(close_under_sender),
	P(close_under_select), P(close_twice), P(close_nil), P(negative_waitgroup),
	P(unlock_unlocked), P(go_nil), P(make_negative), P(make_huge), P(own_panic),
	P(panic_elsewhere), P(nil_dereference), {0},
};
