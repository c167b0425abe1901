// SPDX-License-Identifier: BSD-3-Clause
// errgroup: a WaitGroup, the first error, a context to cancel with it, and a channel that is full when as
// many run as may. A goroutine gives its token back as an exit function, which runs before the WaitGroup's
// done, so nothing of the group is touched after gort_errgroup_wait has returned.
#include <gort/errgroup.h>

#include <gort/mem.h>
#include <gort/sched.h>

#include "debug/throw.h"

static void
give_back(void *sem)
{
	gort_chan_recv(sem, NULL);
}

static void
run(gort_errgroup *g, int (*fn)(void *), void *arg)
{
	int none = 0;
	if (g->sem)
		gort_on_exit(give_back, g->sem);
	int err = fn(arg);
	if (err == 0 || !__atomic_compare_exchange_n(&g->err, &none, err, false, __ATOMIC_RELAXED,
						     __ATOMIC_RELAXED))
		return;
	if (g->ctx)
		gort_context_cancel_cause(g->ctx, err);
}

gort_context *
gort_errgroup_with_context(gort_errgroup *g, gort_context *parent)
{
	gort_set(&g->ctx, gort_context_with_cancel(parent));
	return g->ctx;
}

void
gort_errgroup_set_limit(gort_errgroup *g, int n)
{
	ptrdiff_t active = gort_chan_len(g->sem);
	if (active != 0)
		rt_panic(
			"errgroup: modify limit while %td goroutines in the group are still active",
			active);
	gort_set(&g->sem, n < 0 ? NULL : gort_make_chan(char, n));
}

void
gort_errgroup_go(gort_errgroup *g, int (*fn)(void *arg), void *arg)
{
	if (g->sem)
		gort_chan_send(g->sem, &(char){0});
	gort_waitgroup_go(&g->wg, run, g, fn, arg);
}

bool
gort_errgroup_try_go(gort_errgroup *g, int (*fn)(void *arg), void *arg)
{
	if (g->sem && !gort_chan_try_send(g->sem, &(char){0}))
		return false;
	gort_waitgroup_go(&g->wg, run, g, fn, arg);
	return true;
}

int
gort_errgroup_wait(gort_errgroup *g)
{
	gort_waitgroup_wait(&g->wg);
	if (g->ctx)
		gort_context_cancel_cause(g->ctx, g->err);
	return g->err;
}
