// SPDX-License-Identifier: BSD-3-Clause
// Contexts: tell a tree of goroutines when to stop, and what they work for. Go: package context.
//
//	gort_context *ctx = gort_context_with_timeout(gort_context_background(), GORT_SECOND);
//	gort_go(work, ctx);
//	...
//	gort_context_cancel(ctx);		// always, at the end: it frees the timer and its place
//
//	static void work(gort_context *ctx)
//	{
//		gort_select_case cs[] = { GORT_RECV(in, &v), GORT_RECV(gort_context_done(ctx), NULL) };
//		if (gort_select(cs, 2) == 1)
//			return;			// gort_context_err(ctx) says why
//		...
//
// A context is derived from a parent and is cancelled when the parent is, when its deadline passes, or by
// gort_context_cancel; cancelling never affects the parent. Contexts are collected memory, immutable but
// for being cancelled, and safe in any number of goroutines at once. A cancellable one that is not
// cancelled is kept alive by its parent. Functions allocate unless they say otherwise; none may be called
// from a signal handler.
#pragma once

#include <gort/base.h>
#include <gort/chan.h>

GORT_BEGIN_DECLS

typedef struct gort_context gort_context;

// gort_context_background returns the root of all: never cancelled, no deadline, no values.
// Go: context.Background, TODO.
GORT_API gort_context *gort_context_background(void);

// gort_context_with_cancel returns a child of parent that gort_context_cancel cancels.
// Go: WithCancel, WithCancelCause.
GORT_API gort_context *gort_context_with_cancel(gort_context *parent);

// gort_context_with_deadline returns a child that is also cancelled, with -ETIMEDOUT, at the time abs_ns
// on gort_nanotime's clock (at once if that has passed), or at its parent's deadline if that is earlier.
// gort_context_with_timeout counts from now. Go: WithDeadline, WithTimeout.
GORT_API gort_context *gort_context_with_deadline(gort_context *parent, int64_t abs_ns);
GORT_API gort_context *gort_context_with_timeout(gort_context *parent, int64_t ns);

// gort_context_with_value returns a child in which key maps to value. Keys are addresses: a static
// variable of the file that uses it makes one that nobody else has. Go: WithValue.
GORT_API gort_context *gort_context_with_value(gort_context *parent, const void *key, void *value);

// gort_context_without_cancel returns a child with parent's values that is not cancelled with it and has
// no deadline. Go: WithoutCancel.
GORT_API gort_context *gort_context_without_cancel(gort_context *parent);

// gort_context_cancel cancels ctx and all that derive from it, with -ECANCELED. Does nothing when it is
// cancelled already. ctx must come from gort_context_with_cancel, _deadline or _timeout: panics
// otherwise. gort_context_cancel_cause does the same and says why: a negative errno value, which
// gort_context_cause returns; 0 means -ECANCELED. Go: CancelFunc, CancelCauseFunc.
GORT_API void gort_context_cancel(gort_context *ctx);
GORT_API void gort_context_cancel_cause(gort_context *ctx, int cause);

// gort_context_done returns a channel that is closed when ctx is cancelled (its elements are bytes, none
// is ever sent), the same for each call; NULL when ctx can never be cancelled. Go: Done.
GORT_API gort_chan *gort_context_done(gort_context *ctx);

// gort_context_err returns 0 until ctx is cancelled, then -ECANCELED or -ETIMEDOUT. gort_context_cause
// returns 0 until then, and what gort_context_cancel_cause was given where that ended ctx or the ancestor
// that took it along. Neither allocates or blocks. Go: Err; context.Cause.
GORT_API int gort_context_err(gort_context *ctx);
GORT_API int gort_context_cause(gort_context *ctx);

// gort_context_deadline tells whether ctx has a deadline, and stores it in *abs_ns (not with NULL). Does
// not allocate or block. Go: Deadline.
GORT_API bool gort_context_deadline(gort_context *ctx, int64_t *abs_ns);

// gort_context_value returns what key maps to in ctx or the nearest ancestor that has it, else NULL. Does
// not allocate or block. Go: Value.
GORT_API void *gort_context_value(gort_context *ctx, const void *key);

// gort_context_after_func makes fn(arg) run in a goroutine of its own when ctx is cancelled, at once if
// it is. gort_context_func_stop undoes that: true if fn will not run, false if it has been started or
// stopped before. Go: AfterFunc.
typedef struct gort_context_func gort_context_func;
GORT_API gort_context_func *gort_context_after_func(gort_context *ctx, void (*fn)(void *arg),
						    void *arg);
GORT_API bool gort_context_func_stop(gort_context_func *f);

GORT_END_DECLS
