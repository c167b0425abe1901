// SPDX-License-Identifier: BSD-3-Clause
// A group of goroutines that do parts of one thing, of which each may fail. Go: golang.org/x/sync/errgroup.
//
//	gort_errgroup g = {0};
//	gort_context *ctx = gort_errgroup_with_context(&g, gort_context_background());
//	for (int i = 0; i < n; i++)
//		gort_errgroup_go(&g, fetch, new_job(ctx, i));	// int fetch(void *job)
//	int err = gort_errgroup_wait(&g);			// 0, or what the first one that failed returned
//
// Each function may be called from any goroutine, go and try_go also from those of the group. They allocate;
// go and wait block the goroutine. None is async-signal-safe.
#pragma once

#include <gort/base.h>
#include <gort/chan.h>
#include <gort/context.h>
#include <gort/sync.h>

GORT_BEGIN_DECLS

// Zero: ready for use, without a context or a limit. Not to be copied; must lie where the collector looks.
typedef struct gort_errgroup {
	gort_waitgroup wg;
	int err;	   // of the first that failed
	gort_context *ctx; // cancelled by it
	gort_chan *sem;	   // with a limit: holds a token for each that runs
} gort_errgroup;

// gort_errgroup_with_context makes a child of parent that is cancelled when a function of the group fails
// (its cause is what that returned) or gort_errgroup_wait returns. Before the first goroutine.
// Go: errgroup.WithContext.
GORT_API gort_context *gort_errgroup_with_context(gort_errgroup *g, gort_context *parent);

// gort_errgroup_set_limit lets at most n goroutines of the group run at a time; negative: any number.
// Panics with Go's text while some run. Go: SetLimit.
GORT_API void gort_errgroup_set_limit(gort_errgroup *g, int n);

// gort_errgroup_go starts a goroutine that calls fn(arg), waiting first until the limit allows one more.
// fn returns 0, or a negative errno value. One that calls gort_goexit counts as having returned 0.
// Go: Go.
GORT_API void gort_errgroup_go(gort_errgroup *g, int (*fn)(void *arg), void *arg);

// gort_errgroup_try_go does the same if the limit allows it now, and tells whether it did. Go: TryGo.
GORT_API bool gort_errgroup_try_go(gort_errgroup *g, int (*fn)(void *arg), void *arg);

// gort_errgroup_wait waits until all of them have ended, cancels the context, and returns the error of the
// first one that failed, 0 if none did. Go: Wait.
GORT_API int gort_errgroup_wait(gort_errgroup *g);

GORT_END_DECLS
