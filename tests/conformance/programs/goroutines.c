// SPDX-License-Identifier: BSD-3-Clause
// Programs of several goroutines, and how goroutines and programs end.
#include "programs.h"

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

const struct named goroutines_programs[] = {
	P(sieve), P(daisy_chain), P(pipeline), P(worker_pool), P(fan_in), P(semaphore_of_three),
	P(message_passing), P(send_then_look), P(exits_run_last_first), P(goexit_from_deep),
	P(goexit_after_others), P(main_return_ends_all), P(exit_from_goroutine),
	P(main_goexit_others_go_on), P(count_goroutines), P(maxprocs_returns_old),
	P(yielding_lets_others_run), P(loop_is_preempted), {"deadlock_select", select_for_ever},
	{0},
};
