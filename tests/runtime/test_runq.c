// SPDX-License-Identifier: BSD-3-Clause
// runtime/sched/runq.c alone: no runtime is started, Gs are just memory.
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"
#include "sched/sched.h"

static struct p *
new_p(void)
{
	struct p *pp = aligned_alloc(_Alignof(struct p), sizeof *pp);
	memset(pp, 0, sizeof *pp);
	return pp;
}

static struct g *gs;

static void
setup(void)
{
	gs = calloc(2048, sizeof *gs);
	gomaxprocs = 2;
	rt_runqinit();
}

TestSuite(runq, .init = setup, .timeout = 20);

Test(runq, first_in_first_out)
{
	struct p *pp = new_p();
	bool inherit;
	for (int i = 0; i < 200; i++)
		rt_runqput(pp, &gs[i], false);
	cr_assert_eq(rt_runqsize(pp), 200);
	for (int i = 0; i < 200; i++) {
		cr_assert_eq(rt_runqget(pp, &inherit), &gs[i]);
		cr_assert_not(inherit);
	}
	cr_assert_null(rt_runqget(pp, &inherit));
	cr_assert(rt_runqempty(pp));
}

Test(runq, runnext_comes_first_and_its_predecessor_goes_to_the_tail)
{
	struct p *pp = new_p();
	bool inherit;
	rt_runqput(pp, &gs[0], false);
	rt_runqput(pp, &gs[1], true);
	rt_runqput(pp, &gs[2], true);
	cr_assert_eq(rt_runqget(pp, &inherit), &gs[2]);
	cr_assert(inherit);
	cr_assert_eq(rt_runqget(pp, &inherit), &gs[0]);
	cr_assert_not(inherit);
	cr_assert_eq(rt_runqget(pp, &inherit), &gs[1]);
}

Test(runq, a_full_ring_gives_half_and_the_new_one_to_the_global_queue)
{
	struct p *pp = new_p();
	for (unsigned i = 0; i < RUNQ_LEN; i++)
		rt_runqput(pp, &gs[i], false);
	cr_assert_eq(rt_load(&sched.runqsize), 0);
	rt_runqput(pp, &gs[RUNQ_LEN], false);
	cr_assert_eq(rt_load(&sched.runqsize), (int)RUNQ_LEN / 2 + 1);
	cr_assert_eq(rt_runqsize(pp), RUNQ_LEN / 2);
	// The oldest went, in order, with the newest behind them.
	struct p *other = new_p();
	for (unsigned i = 0; i < RUNQ_LEN / 2; i++)
		cr_assert_eq(rt_globrunqget_locked(other, 1), &gs[i]);
	cr_assert_eq(rt_globrunqget_locked(other, 1), &gs[RUNQ_LEN]);
	cr_assert_null(rt_globrunqget_locked(other, 1));
}

Test(runq, a_share_of_the_global_queue_is_taken_at_once)
{
	struct p *pp = new_p();
	for (int i = 0; i < 100; i++)
		rt_globrunqput_locked(&gs[i]);
	cr_assert_eq(rt_globrunqget_locked(pp, 0), &gs[0]);
	cr_assert_eq(rt_runqsize(pp), 100 / gomaxprocs); // size/gomaxprocs + 1, one of them returned
	cr_assert_eq(rt_load(&sched.runqsize), 100 - 100 / gomaxprocs - 1);
}

Test(runq, the_global_queue_keeps_its_order_over_all_lengths)
{
	struct p *pp = new_p();
	int in = 0, out = 0;
	for (int most = 1; most <= 1000; most = most * 3 / 2 + 1) {
		while (in - out < most)
			rt_globrunqput_locked(&gs[in++ % 2048]);
		for (int least = most / 3; in - out > least; out++)
			cr_assert_eq(rt_globrunqget_locked(pp, 1), &gs[out % 2048], "number %d", out);
		cr_assert_eq(rt_load(&sched.runqsize), in - out);
	}
	while (out < in)
		cr_assert_eq(rt_globrunqget_locked(pp, 1), &gs[out++ % 2048]);
	cr_assert_null(rt_globrunqget_locked(pp, 1));
	cr_assert(rt_runqempty(pp));
}

Test(runq, half_a_ring_of_a_list_stays_and_all_keep_their_order)
{
	enum { N = 1000 };
	struct p *pp = new_p();
	for (int i = 0; i < N; i++) {
		rt_store(&gs[i].status, Gwaiting);
		gs[i].schedlink = i + 1 < N ? &gs[i + 1] : NULL;
	}
	rt_runqput_list(pp, gs);
	cr_assert_eq(rt_runqsize(pp), RUNQ_LEN / 2);
	cr_assert_eq(rt_load(&sched.runqsize), N - (int)RUNQ_LEN / 2);
	bool inherit;
	for (int i = 0; i < N; i++) {
		struct g *gp = rt_runqget(pp, &inherit);
		cr_assert_eq(gp ? gp : rt_globrunqget_locked(pp, 1), &gs[i]);
		cr_assert_eq(rt_gstatus(&gs[i]), Grunnable);
	}
}

Test(runq, a_thief_takes_half_rounded_up)
{
	struct p *from = new_p(), *pp = new_p();
	for (int i = 0; i < 9; i++)
		rt_runqput(from, &gs[i], false);
	cr_assert_eq(rt_runqsteal(pp, from, false), &gs[4]);
	cr_assert_eq(rt_runqsize(pp), 4);
	cr_assert_eq(rt_runqsize(from), 4);
}

// ---- in a pause of thefts ----

static _Atomic bool enough;

static void *
get_on(void *arg)
{
	struct p *pp = arg;
	while (!rt_load(&enough))
		RT_BUMP(&pp->straight, 1);
	return NULL;
}

static struct p *
p_with_three(enum pstatus st)
{
	struct p *pp = new_p();
	rt_store(&pp->status, st);
	for (int i = 0; i < 3; i++)
		rt_runqput(pp, &gs[i], false);
	rt_store(&sched.ringpause.until, UINT64_MAX);
	return pp;
}

Test(runq, in_a_pause_only_a_p_that_is_stuck_is_robbed)
{
	struct p *from = p_with_three(Prunning), *pp = new_p();
	cr_assert_null(rt_runqsteal(pp, from, false));
	cr_assert_eq(rt_runqsteal(pp, from, true), &gs[1]);
}

Test(runq, in_a_pause_a_p_that_gets_on_is_left_alone)
{
	struct p *from = p_with_three(Prunning), *pp = new_p();
	pthread_t t;
	pthread_create(&t, NULL, get_on, from);
	while (rt_load(&from->straight) == 0) {
	}
	bool left = false; // sooner or later: its thread may have to wait for a CPU
	for (int64_t late = rt_nanotime() + 10 * INT64_C(1000000000); !left && rt_nanotime() < late;) {
		struct g *gp = rt_runqsteal(pp, from, true);
		left = !gp;
		for (int k = 0; gp && k < 3; k++)
			rt_runqput(from, &gs[k], false);
		bool inherit;
		while (rt_runqget(pp, &inherit)) {
		}
	}
	rt_store(&enough, true);
	pthread_join(t, NULL);
	cr_assert(left);
}

Test(runq, in_a_pause_a_p_in_a_system_call_is_robbed)
{
	struct p *from = p_with_three(Psyscall), *pp = new_p();
	cr_assert_eq(rt_runqsteal(pp, from, false), &gs[1]);
}

// One owner puts and gets, two thieves steal: every G is seen exactly once.
#define MANY 2000000
static _Atomic uint32_t *seen;
static struct p *shared;
static _Atomic bool finished;

static void
mark_seen(struct g *gp)
{
	atomic_fetch_add(&seen[gp->goid], 1);
}

static void *
thief(void *arg)
{
	struct p *pp = arg;
	bool inherit, last = false;
	for (;;) {
		struct g *gp = rt_runqsteal(pp, shared, false);
		if (gp)
			mark_seen(gp);
		for (struct g *x; (x = rt_runqget(pp, &inherit));)
			mark_seen(x);
		if (last && !gp)
			return NULL;
		last = atomic_load(&finished);
	}
}

Test(runq, nothing_is_lost_or_doubled_between_owner_and_thieves)
{
	struct g *many = calloc(MANY, sizeof *many);
	seen = calloc(MANY, sizeof *seen);
	shared = new_p();
	pthread_t t[2];
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, thief, new_p());
	bool inherit;
	for (int i = 0; i < MANY; i++) {
		many[i].goid = (uint64_t)i;
		rt_runqput(shared, &many[i], i % 5 == 0);
		if (i % 3 == 0) {
			struct g *gp = rt_runqget(shared, &inherit);
			if (gp)
				mark_seen(gp);
		}
	}
	for (struct g *gp; (gp = rt_runqget(shared, &inherit));)
		mark_seen(gp);
	atomic_store(&finished, true);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (struct g *gp; (gp = rt_globrunqget_locked(shared, 1));)
		mark_seen(gp);
	for (int i = 0; i < MANY; i++)
		cr_assert_eq(seen[i], 1, "G %d seen %u times", i, seen[i]);
}
