// SPDX-License-Identifier: BSD-3-Clause
// Mutexes and wait groups.
#include "programs.h"

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

const struct named locks_programs[] = {
	P(mutex_counter), P(mutex_try_lock), P(mutex_unlocked_by_another),
	P(mutex_starved_waiter_gets_it), P(mutex_keeps_goroutines_out), P(wait_on_zero),
	P(waitgroup_again), P(many_waiters), P(waitgroup_go), P(waitgroup_go_goexit), {0},
};
