// SPDX-License-Identifier: BSD-3-Clause
// Contexts: a tree by parent, and within it a second one of those that can be cancelled: each hangs in the
// children list of its nearest cancellable ancestor, so that cancelling one finds all that depend on it
// without looking at contexts that only carry values. A function to be run afterwards (after_func) is a
// child, too.
//
// Locks: ctx->mu guards err (read without it), cause, done, timer and the children; a child's next and
// prev are guarded by its ancestor's mu. Order: ancestor before child. A cancelled context has no children
// and gets none: whoever comes later finds err set. cancel() holds the mu of ctx over its children's, so
// that when it returns, all below ctx is cancelled.
//
// Go: context/context.go.
#include <gort/context.h>

#include <errno.h>

#include <gort/atomic.h>
#include <gort/mem.h>
#include <gort/sched.h>
#include <gort/sync.h>
#include <gort/time.h>

#include "debug/throw.h"
#include "mem/malloc.h"
#include "sched/tls.h"

enum kind { PLAIN, CANCEL, FUNC, WITHOUT_CANCEL };

struct gort_context {
	gort_context *parent;
	uint8_t kind; // enum kind
	bool has_deadline;
	int64_t deadline;
	const void *key; // NULL: carries no value
	void *value;

	// CANCEL and FUNC.
	gort_mutex mu;
	int err; // set once; released with cause before it
	int cause;
	gort_atomic_ptr done; // gort_chan *, made when first asked for
	gort_timer *timer;
	gort_context
		*ancestor; // whose child this is; NULL: nobody's (any more); under ancestor->mu
	gort_context *children, *next, *prev;
	void (*fn)(void *);
	void *arg;
};

static gort_context background;

static gort_context *
new_context(gort_context *parent, enum kind kind)
{
	if (!parent)
		rt_panic("cannot create context from nil parent");
	rt_enter();
	gort_context *ctx = rt_mallocgc(sizeof(*ctx), NULL);
	rt_leave();
	ctx->parent = parent;
	ctx->kind = (uint8_t)kind;
	if (kind != WITHOUT_CANCEL) {
		ctx->has_deadline = parent->has_deadline;
		ctx->deadline = parent->deadline;
	}
	return ctx;
}

// The nearest of ctx and its ancestors that can be cancelled, NULL if none.
static gort_context *
cancellable(gort_context *ctx)
{
	while (ctx && ctx->kind == PLAIN)
		ctx = ctx->parent;
	return ctx && ctx->kind == CANCEL ? ctx : NULL;
}

// Acquire: pairs with the release in cancel; cause is set.
static int
err_of(const gort_context *ctx)
{
	return __atomic_load_n(&ctx->err, __ATOMIC_ACQUIRE);
}

// ---- the children list ----

// a->mu held.
static void
link_child(gort_context *a, gort_context *child)
{
	child->ancestor = a; // fresh: no barrier
	child->next = a->children;
	if (a->children)
		gort_set(&a->children->prev, child);
	gort_set(&a->children, child);
}

// a->mu held.
static void
unlink_child(gort_context *a, gort_context *child)
{
	if (child->prev)
		gort_set(&child->prev->next, child->next);
	else
		gort_set(&a->children, child->next);
	if (child->next)
		gort_set(&child->next->prev, child->prev);
	gort_set(&child->next, (gort_context *)NULL);
	gort_set(&child->prev, (gort_context *)NULL);
	gort_set(&child->ancestor, (gort_context *)NULL);
}

// ctx and its ancestor never change; whether they are still linked is known under the ancestor's lock.
static bool
leave_ancestor(gort_context *ctx, gort_context *a)
{
	if (!a)
		return false;
	gort_mutex_lock(&a->mu);
	bool linked = ctx->ancestor == a;
	if (linked)
		unlink_child(a, ctx);
	gort_mutex_unlock(&a->mu);
	return linked;
}

// ---- cancelling ----

static void
set_done_locked(gort_context *ctx)
{
	gort_chan *done = gort_atomic_ptr_load(&ctx->done);
	if (done)
		gort_chan_close(done);
}

static void
cancel(gort_context *ctx, int err, int cause)
{
	if (ctx->kind == FUNC) {
		gort_go(ctx->fn, ctx->arg);
		return;
	}
	gort_mutex_lock(&ctx->mu);
	if (ctx->err != 0) {
		gort_mutex_unlock(&ctx->mu);
		return;
	}
	ctx->cause = cause;
	__atomic_store_n(&ctx->err, err, __ATOMIC_RELEASE);
	set_done_locked(ctx);
	for (gort_context *child; (child = ctx->children);) {
		unlink_child(ctx, child);
		cancel(child, err, cause);
	}
	gort_timer *timer = ctx->timer;
	gort_set(&ctx->timer, (gort_timer *)NULL);
	gort_mutex_unlock(&ctx->mu);
	if (timer)
		gort_timer_stop(timer);
}

// Makes ctx a child of the nearest ancestor that can be cancelled, or cancels it if that is.
static void
join_ancestor(gort_context *ctx)
{
	gort_context *a = cancellable(ctx->parent);
	if (!a)
		return;
	gort_mutex_lock(&a->mu);
	int err = a->err, cause = a->cause;
	if (err == 0)
		link_child(a, ctx);
	gort_mutex_unlock(&a->mu);
	if (err != 0)
		cancel(ctx, err, cause);
}

static void
cancel_and_leave(gort_context *ctx, int err, int cause)
{
	cancel(ctx, err, cause);
	leave_ancestor(ctx, cancellable(ctx->parent));
}

void
gort_context_cancel_cause(gort_context *ctx, int cause)
{
	if (ctx->kind != CANCEL)
		rt_panic("gort_context_cancel of a context that cannot be cancelled");
	cancel_and_leave(ctx, -ECANCELED, cause ? cause : -ECANCELED);
}

void
gort_context_cancel(gort_context *ctx)
{
	gort_context_cancel_cause(ctx, 0);
}

// ---- making ----

gort_context *
gort_context_background(void)
{
	return &background;
}

gort_context *
gort_context_with_cancel(gort_context *parent)
{
	gort_context *ctx = new_context(parent, CANCEL);
	join_ancestor(ctx);
	return ctx;
}

static void
deadline_passed(void *ctx)
{
	cancel_and_leave(ctx, -ETIMEDOUT, -ETIMEDOUT);
}

static void
start_timer(gort_context *ctx, int64_t ns)
{
	gort_mutex_lock(&ctx->mu);
	if (ctx->err == 0)
		gort_set(&ctx->timer, gort_after_func(ns, deadline_passed, ctx));
	gort_mutex_unlock(&ctx->mu);
}

gort_context *
gort_context_with_deadline(gort_context *parent, int64_t abs_ns)
{
	gort_context *ctx = new_context(parent, CANCEL);
	bool earlier = !ctx->has_deadline || abs_ns < ctx->deadline;
	if (earlier) {
		ctx->has_deadline = true;
		ctx->deadline = abs_ns;
	}
	join_ancestor(ctx);
	if (!earlier)
		return ctx; // the ancestor's timer serves it
	int64_t now = gort_nanotime();
	if (abs_ns <= now)
		deadline_passed(ctx);
	else
		start_timer(ctx, abs_ns - now);
	return ctx;
}

gort_context *
gort_context_with_timeout(gort_context *parent, int64_t ns)
{
	int64_t at;
	if (__builtin_add_overflow(gort_nanotime(), ns, &at))
		at = ns > 0 ? INT64_MAX : INT64_MIN;
	return gort_context_with_deadline(parent, at);
}

gort_context *
gort_context_with_value(gort_context *parent, const void *key, void *value)
{
	if (!key)
		rt_panic("nil key");
	gort_context *ctx = new_context(parent, PLAIN);
	ctx->key = key;
	ctx->value = value;
	return ctx;
}

gort_context *
gort_context_without_cancel(gort_context *parent)
{
	return new_context(parent, WITHOUT_CANCEL);
}

// ---- asking ----

static gort_chan *
make_done(gort_context *ctx)
{
	gort_mutex_lock(&ctx->mu);
	gort_chan *done = gort_atomic_ptr_load(&ctx->done);
	if (!done) {
		done = gort_make_chan(char, 0);
		gort_atomic_ptr_store(&ctx->done, done);
		if (ctx->err != 0)
			gort_chan_close(done);
	}
	gort_mutex_unlock(&ctx->mu);
	return done;
}

gort_chan *
gort_context_done(gort_context *ctx)
{
	ctx = cancellable(ctx);
	if (!ctx)
		return NULL;
	gort_chan *done = gort_atomic_ptr_load(&ctx->done);
	return done ? done : make_done(ctx);
}

int
gort_context_err(gort_context *ctx)
{
	ctx = cancellable(ctx);
	return ctx ? err_of(ctx) : 0;
}

int
gort_context_cause(gort_context *ctx)
{
	ctx = cancellable(ctx);
	return ctx && err_of(ctx) ? ctx->cause : 0;
}

bool
gort_context_deadline(gort_context *ctx, int64_t *abs_ns)
{
	if (ctx->has_deadline && abs_ns)
		*abs_ns = ctx->deadline;
	return ctx->has_deadline;
}

void *
gort_context_value(gort_context *ctx, const void *key)
{
	for (; ctx; ctx = ctx->parent)
		if (ctx->key == key && key)
			return ctx->value;
	return NULL;
}

// ---- functions to be run afterwards ----

struct gort_context_func {
	gort_context ctx;
};

gort_context_func *
gort_context_after_func(gort_context *ctx, void (*fn)(void *arg), void *arg)
{
	gort_context *f = new_context(ctx, FUNC);
	f->fn = fn;
	f->arg = arg;
	join_ancestor(f);
	return (gort_context_func *)f;
}

bool
gort_context_func_stop(gort_context_func *f)
{
	gort_context *a = cancellable(f->ctx.parent);
	// Without one that can be cancelled, fn never runs; stopped is stopped only once all the same.
	if (!a)
		return __atomic_exchange_n(&f->ctx.err, -ECANCELED, __ATOMIC_ACQ_REL) == 0;
	return leave_ancestor(&f->ctx, a);
}
