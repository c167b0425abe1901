// SPDX-License-Identifier: BSD-3-Clause
// Once: what gort/sync.h does not inline. done is set after fn, not before, so that those who come while
// fn runs wait for it, on the mutex. A goroutine that fn ends (gort_goexit) leaves by its exit functions:
// one of ours, on its own stack, finishes the once as a return would. Go: sync/once.go, sync/oncefunc.go.
#include <gort/sync.h>

#include "debug/throw.h"
#include "gc/barrier.h"
#include "sched/proc.h"

static void
finish(void *arg)
{
	gort_once *once = arg;
	// Release: pairs with the acquire in gort_once_do.
	__atomic_store_n(&once->done, 1, __ATOMIC_RELEASE);
	gort_mutex_unlock(&once->m);
}

static void
link_exit(struct on_exit *e)
{
	rt_enter();
	struct g *gp = rt_getg();
	e->next = gp->exits;
	gp->exits = e;
	rt_leave();
}

// fn may have registered exit functions of its own, which stay.
static void
unlink_exit(struct on_exit *e)
{
	rt_enter();
	struct on_exit **link = &rt_getg()->exits;
	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	rt_leave();
}

void
gort_once_do_slow_(gort_once *once, void (*fn)(void *arg), void *arg)
{
	gort_mutex_lock(&once->m);
	if (__atomic_load_n(&once->done, __ATOMIC_RELAXED)) {
		gort_mutex_unlock(&once->m);
		return;
	}
	struct on_exit e = {.fn = finish, .arg = once};
	link_exit(&e);
	fn(arg);
	unlink_exit(&e);
	finish(once);
}

struct make_value {
	gort_once_value *o;
	void *(*fn)(void *);
	void *arg;
};

static void
make_value(void *p)
{
	struct make_value *m = p;
	m->o->value = m->fn(m->arg); // was NULL: no barrier
}

void
gort_once_value_slow_(gort_once_value *o, void *(*fn)(void *arg), void *arg)
{
	struct make_value m = {o, fn, arg};
	gort_once_do(&o->once, make_value, &m);
}

struct make_values {
	gort_once_values *o;
	void (*fn)(void *, void **, void **);
	void *arg;
};

static void
make_values(void *p)
{
	struct make_values *m = p;
	void *v1 = NULL, *v2 = NULL;
	m->fn(m->arg, &v1, &v2);
	m->o->value[0] = v1; // were NULL: no barrier
	m->o->value[1] = v2;
}

void
gort_once_values_slow_(gort_once_values *o, void (*fn)(void *arg, void **v1, void **v2), void *arg)
{
	struct make_values m = {o, fn, arg};
	gort_once_do(&o->once, make_values, &m);
}
