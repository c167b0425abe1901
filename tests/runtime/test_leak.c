// SPDX-License-Identifier: BSD-3-Clause
// Goroutines that nobody can wake are found, and no others. What is meant to be unreachable is made by a
// goroutine that ends: no word of it is left on a stack that is read.
#include "on_gort.h"

#include <gort/chan.h>
#include <gort/mem.h>
#include <gort/sync.h>
#include <gort/time.h>

#include "debug/hooks.h"
#include "debug/traceback.h"
#include "gc/gc.h"
#include "sched/proc.h"

TestSuite(leak, .timeout = 60);

static _Atomic int ndone;

static int
find_leaked(void)
{
	return gort_introspect()->find_leaked();
}

static void
count_waiting(struct g *gp, void *arg)
{
	if (rt_gstatus(gp) == Gwaiting && gp->waitreason != WAIT_NONE && !gp->is_system)
		++*(int *)arg;
}

// Until n goroutines of the program wait, and the one that made them is gone.
static void
await_waiting(int n)
{
	for (int have = -1; have != n || gort_num_goroutine() != n + 1; gort_sleep(GORT_MILLISECOND)) {
		have = 0;
		rt_for_each_g(count_waiting, &have);
	}
}

// ---- leaks ----

static void
select_nothing(void)
{
	gort_select(NULL, 0);
}

static void
receive_nil(void)
{
	gort_recv(int, (gort_chan *)NULL);
}

static void
send_one(gort_chan *c)
{
	gort_send(int, c, 1);
}

static void
receive_one(gort_chan *c)
{
	gort_recv(int, c);
	ndone++;
}

static void
receive_then_send(gort_chan *from, gort_chan *to)
{
	gort_recv(int, from);
	gort_send(int, to, 1);
	ndone++;
}

static void
select_two(gort_chan *a, gort_chan *b)
{
	gort_select_case cases[] = {{.kind = GORT_SELECT_RECV, .chan = a},
				    {.kind = GORT_SELECT_RECV, .chan = b}};
	gort_select(cases, 2);
	ndone++;
}

static void
lock(gort_mutex *mu)
{
	gort_mutex_lock(mu);
	ndone++;
}

static void
wait_group(gort_waitgroup *wg)
{
	gort_waitgroup_wait(wg);
	ndone++;
}

struct monitor {
	gort_mutex mu;
	gort_cond cond;
};

static void
wait_cond(struct monitor *m)
{
	gort_mutex_lock(&m->mu);
	gort_cond_wait(&m->cond);
	ndone++;
}

static void
make_leaks(void)
{
	gort_chan *a = gort_make_chan(int, 0), *b = gort_make_chan(int, 0);
	gort_mutex *mu = gort_new(gort_mutex);
	gort_waitgroup *wg = gort_new(gort_waitgroup);
	struct monitor *m = gort_new(struct monitor);

	gort_go(select_nothing);
	gort_go(receive_nil);
	gort_go(send_one, gort_make_chan(int, 0));
	gort_go(receive_one, gort_make_chan(int, 0));
	gort_go(receive_then_send, a, b); // each waits for the other
	gort_go(receive_then_send, b, a);
	gort_go(select_two, gort_make_chan(int, 0), gort_make_chan(int, 3));
	gort_mutex_lock(mu);
	gort_go(lock, mu);
	gort_waitgroup_add(wg, 1);
	gort_go(wait_group, wg);
	m->cond.L = &m->mu;
	gort_go(wait_cond, m);
}
enum { LEAKS = 10 };

static void
check_text(struct g *gp, void *arg)
{
	if (!gp->leaked)
		return;
	const char *text = rt_gstate_text(gp);
	size_t n = strlen(text);
	CHECK(n > 9 && strcmp(text + n - 9, " (leaked)") == 0);
	++*(int *)arg;
}

GORT_TEST(leak, each_kind_is_found)
{
	int n = 0;
	gort_go(make_leaks);
	await_waiting(LEAKS);
	CHECK_EQ(gort_introspect()->num_leaked(), 0); // does not look
	CHECK_EQ(find_leaked(), LEAKS);
	CHECK_EQ(gort_introspect()->num_leaked(), LEAKS);
	rt_for_each_g(check_text, &n);
	CHECK_EQ(n, LEAKS);
	gort_gc();
	CHECK_EQ(find_leaked(), LEAKS);
	CHECK_EQ(ndone, 0);
}

// ---- what can still be woken ----

static gort_chan *in_global;
static struct {
	gort_chan *c;
} *in_object;
static gort_mutex global_mutex;
static uintptr_t disguised;

static void
sleep_and_send(gort_chan *c, int64_t *ns)
{
	gort_sleep(*ns);
	gort_send(int, c, 1);
	ndone++;
}

static void
wait_for_timer(void)
{
	gort_recv(int64_t, gort_after(3600 * GORT_SECOND));
	ndone++;
}

static void
wait_for_children(void)
{
	gort_waitgroup wg = {0}; // on this stack
	gort_waitgroup_add(&wg, 1);
	gort_go(receive_one, in_global);
	gort_waitgroup_go(&wg, receive_one, in_global);
	gort_waitgroup_done(&wg);
	gort_waitgroup_wait(&wg);
	ndone++;
}

static void
make_waiters(void)
{
	gort_chan *a = gort_make_chan(int, 0), *b = gort_make_chan(int, 0);
	int64_t *ns = gort_new(int64_t);
	*ns = 3600 * GORT_SECOND;
	gort_go(receive_one, b);          // woken by the next,
	gort_go(receive_then_send, a, b); // that by the next,
	gort_go(sleep_and_send, a, ns);   // and that by time
	gort_go(wait_for_timer);
	gort_go(wait_for_children);
	gort_go(receive_one, in_global);
	gort_go(receive_one, in_object->c);
	gort_go(select_two, gort_make_chan(int, 0), in_object->c);
	gort_go(lock, &global_mutex);
}
enum { WAITERS = 11, BY_TIME = 4 }; // the first four are woken by time, after this test

GORT_TEST(leak, who_can_be_woken_is_not)
{
	in_global = gort_make_chan(int, 0);
	in_object = gort_new(__typeof__(*in_object));
	gort_set(&in_object->c, gort_make_chan(int, 0));
	gort_mutex_lock(&global_mutex);
	gort_go(make_waiters);
	await_waiting(WAITERS);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(find_leaked(), 0);
	gort_chan_close(in_global);
	gort_chan_close(in_object->c);
	gort_mutex_unlock(&global_mutex);
	while (ndone < WAITERS - BY_TIME)
		gort_sleep(GORT_MILLISECOND);
	CHECK_EQ(find_leaked(), 0);
}

// Channels that nothing holds but what may run one day, or may be asked for.
static gort_weak *weak;
static struct weak_holder {
	gort_weak *w;
} *weak_holder;

static void
close_it(void *c)
{
	gort_chan_close(c);
}

static void
close_its(void *obj, void *c)
{
	(void)obj;
	gort_chan_close(c);
}

static void *volatile with_cleanup, *volatile with_finalizer;

// A word that points to an object's first byte keeps the one before it, too: it may mean that one's end. So none
// that is looked for lies before another.
static gort_chan *
apart(void)
{
	gort_make_chan(int, 0);
	gort_chan *c = gort_make_chan(int, 0);
	gort_make_chan(int, 0);
	return c;
}

static void
make_held_by_specials(void)
{
	gort_chan *c = apart();
	weak = gort_weak_make(c);
	gort_go(receive_one, c);
	c = apart();
	gort_set(&weak_holder->w, gort_weak_make(c));
	gort_go(receive_one, c);
	c = apart();
	with_cleanup = gort_new_bytes(100);
	gort_add_cleanup(with_cleanup, close_it, c);
	gort_go(receive_one, c);
	c = apart();
	with_finalizer = gort_new_bytes(100);
	gort_set_finalizer(with_finalizer, close_its, c);
	gort_go(receive_one, c);
}

GORT_TEST(leak, weak_pointers_cleanups_and_finalizers_can_still_wake)
{
	weak_holder = gort_new(struct weak_holder);
	gort_go(make_held_by_specials);
	await_waiting(4);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(find_leaked(), 0);
	gort_chan_close(gort_weak_value(weak));
	gort_chan_close(gort_weak_value(weak_holder->w));
	while (ndone < 2)
		gort_sleep(GORT_MILLISECOND);
	// Now or later, since a stale word may keep them; until then they are no leaks.
	with_cleanup = with_finalizer = NULL;
	gort_gc();
	CHECK_EQ(find_leaked(), 0);
}

static void
make_disguised(void)
{
	gort_chan *c = gort_make_chan(int, 0);
	disguised = ~(uintptr_t)c;
	gort_go(receive_one, c);
}

// The runtime is deceived; nothing that the goroutine has is freed for that, and the mark goes when it runs.
GORT_TEST(leak, a_mistake_does_no_harm)
{
	gort_go(make_disguised);
	await_waiting(1);
	CHECK_EQ(find_leaked(), 1);
	for (int i = 0; i < 1000; i++)
		gort_new_bytes(100);
	gort_gc();
	CHECK_EQ(gort_introspect()->num_leaked(), 1);
	gort_chan_close((gort_chan *)~disguised);
	while (ndone < 1)
		gort_sleep(GORT_MILLISECOND);
	CHECK_EQ(gort_introspect()->num_leaked(), 0);
	CHECK_EQ(find_leaked(), 0);
}

static gort_mutex gate;

static void
churn(void)
{
	static void *volatile keep;
	gort_mutex_lock(&gate);
	gort_mutex_unlock(&gate);
	for (int i = 0; i < 100000; i++)
		keep = gort_new_bytes(400);
	CHECK(keep != NULL);
	ndone++;
}

// While others allocate, collect, and look for leaks, too. No word of theirs may hide a leak: they have begun
// before, as the stack of the goroutine that makes the leaks keeps its words, and what they allocate has
// neither the size of a channel nor of a lock, since the address of an object keeps the one in front of it.
GORT_TEST(leak, beside_other_collections)
{
	gort_mutex_lock(&gate);
	gort_go(churn);
	gort_go(churn);
	await_waiting(2);
	gort_go(make_leaks);
	await_waiting(LEAKS + 2);
	gort_mutex_unlock(&gate);
	int looked = 0, most = 0;
	for (; ndone < 2 || looked < 10; looked++) { // a stale word may hide some for a while
		most = rt_max(most, find_leaked());
		CHECK(most <= LEAKS);
		gort_gosched();
	}
	CHECK(most > 0); // a select without cases, at least, is hidden by nothing
	for (int i = 0; i < 1000 && find_leaked() != LEAKS; i++)
		gort_sleep(GORT_MILLISECOND);
	CHECK_EQ(find_leaked(), LEAKS);
}
