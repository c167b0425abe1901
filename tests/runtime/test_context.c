// SPDX-License-Identifier: BSD-3-Clause
#include <gort/context.h>
#include <gort/mem.h>
#include <gort/sync.h>
#include <gort/time.h>

#include <errno.h>
#include <stdint.h>

#include "on_gort.h"

TestSuite(context, .timeout = 30);

static bool
is_done(gort_context *ctx)
{
	char c;
	return gort_chan_try_recv(gort_context_done(ctx), &c) == GORT_CLOSED;
}

GORT_TEST(context, background_is_never_done)
{
	gort_context *bg = gort_context_background();
	int64_t at;
	CHECK(gort_context_done(bg) == NULL);
	CHECK_EQ(gort_context_err(bg), 0);
	CHECK_EQ(gort_context_cause(bg), 0);
	CHECK(!gort_context_deadline(bg, &at));
	CHECK(gort_context_value(bg, &at) == NULL);
	CHECK(gort_context_done(gort_context_with_value(bg, &at, &at)) == NULL);
}

GORT_TEST(context, cancel_reaches_all_below_and_none_above)
{
	static const char key;
	gort_context *root = gort_context_with_cancel(gort_context_background());
	gort_context *a = gort_context_with_cancel(root);
	gort_context *v = gort_context_with_value(a, &key, root);
	gort_context *leaf = gort_context_with_cancel(v);
	gort_context *other = gort_context_with_cancel(root);
	gort_chan *done = gort_context_done(leaf);
	CHECK(done == gort_context_done(leaf));
	CHECK(!is_done(leaf));
	gort_context_cancel(a);
	CHECK(is_done(a) && is_done(v) && is_done(leaf));
	CHECK_EQ(gort_context_err(leaf), -ECANCELED);
	CHECK_EQ(gort_context_err(v), -ECANCELED);
	CHECK(!is_done(root) && !is_done(other));
	CHECK_EQ(gort_context_err(root), 0);
	gort_context_cancel(a); // again: nothing
	gort_context_cancel(root);
	CHECK(is_done(other));
	// What is derived from a cancelled one is cancelled.
	CHECK(is_done(gort_context_with_cancel(leaf)));
	CHECK_EQ(gort_context_err(gort_context_with_timeout(leaf, GORT_SECOND)), -ECANCELED);
}

GORT_TEST(context, cause_is_that_of_who_cancelled_first)
{
	gort_context *a = gort_context_with_cancel(gort_context_background());
	gort_context *b = gort_context_with_cancel(a);
	gort_context *c = gort_context_with_cancel(a);
	gort_context_cancel_cause(b, -EPIPE);
	gort_context_cancel_cause(a, -ENOENT);
	gort_context_cancel_cause(a, -EIO);
	CHECK_EQ(gort_context_cause(b), -EPIPE);
	CHECK_EQ(gort_context_cause(a), -ENOENT);
	CHECK_EQ(gort_context_cause(c), -ENOENT);
	CHECK_EQ(gort_context_err(c), -ECANCELED);
}

GORT_TEST(context, values_are_those_of_the_nearest)
{
	static const char k1, k2;
	int x, y, z;
	gort_context *a = gort_context_with_value(gort_context_background(), &k1, &x);
	gort_context *b = gort_context_with_value(gort_context_with_cancel(a), &k2, &y);
	gort_context *c = gort_context_with_value(b, &k1, &z);
	CHECK(gort_context_value(a, &k1) == &x && gort_context_value(a, &k2) == NULL);
	CHECK(gort_context_value(b, &k1) == &x && gort_context_value(b, &k2) == &y);
	CHECK(gort_context_value(c, &k1) == &z && gort_context_value(c, &k2) == &y);
}

GORT_TEST(context, deadline_may_be_any_number)
{
	gort_context *bg = gort_context_background();
	CHECK_EQ(gort_context_err(gort_context_with_deadline(bg, INT64_MIN)), -ETIMEDOUT);
	CHECK_EQ(gort_context_err(gort_context_with_timeout(bg, INT64_MIN)), -ETIMEDOUT);
	CHECK_EQ(gort_context_err(gort_context_with_deadline(bg, INT64_MAX)), 0);
	CHECK_EQ(gort_context_err(gort_context_with_timeout(bg, INT64_MAX)), 0);
}

GORT_TEST(context, deadline_passes)
{
	int64_t start = gort_nanotime(), at;
	gort_context *a =
		gort_context_with_timeout(gort_context_background(), 20 * GORT_MILLISECOND);
	gort_context *b = gort_context_with_timeout(a, GORT_SECOND * 100); // a's comes first
	CHECK(gort_context_deadline(b, &at));
	CHECK(at - start >= 20 * GORT_MILLISECOND && at - start < GORT_SECOND * 100);
	gort_chan_recv(gort_context_done(b), NULL);
	CHECK(gort_nanotime() >= at);
	CHECK_EQ(gort_context_err(a), -ETIMEDOUT);
	CHECK_EQ(gort_context_err(b), -ETIMEDOUT);
	CHECK_EQ(gort_context_cause(b), -ETIMEDOUT);
	gort_context_cancel(a);
	CHECK_EQ(gort_context_err(a), -ETIMEDOUT);
}

GORT_TEST(context, earlier_deadline_of_a_child_spares_the_parent)
{
	gort_context *a = gort_context_with_timeout(gort_context_background(), GORT_SECOND * 100);
	gort_context *b = gort_context_with_timeout(a, 5 * GORT_MILLISECOND);
	gort_chan_recv(gort_context_done(b), NULL);
	CHECK_EQ(gort_context_err(b), -ETIMEDOUT);
	CHECK_EQ(gort_context_err(a), 0);
	CHECK_EQ(gort_context_err(gort_context_with_timeout(a, -1)), -ETIMEDOUT);
	gort_context_cancel(a);
	CHECK_EQ(gort_context_err(a), -ECANCELED);
}

GORT_TEST(context, cancelled_in_time_is_not_timed_out)
{
	gort_context *a;
	int64_t deadline;
	do { // again when it took so long to cancel it
		a = gort_context_with_timeout(gort_context_background(), 5 * GORT_MILLISECOND);
		gort_context_cancel(a);
		gort_context_deadline(a, &deadline);
	} while (gort_nanotime() >= deadline);
	gort_sleep(10 * GORT_MILLISECOND);
	CHECK_EQ(gort_context_err(a), -ECANCELED);
}

GORT_TEST(context, without_cancel_keeps_values_only)
{
	static const char key;
	gort_context *a = gort_context_with_timeout(gort_context_background(), GORT_SECOND);
	gort_context *b =
		gort_context_without_cancel(gort_context_with_value(a, &key, (void *)&key));
	gort_context *c = gort_context_with_cancel(b);
	gort_context_cancel(a);
	CHECK(gort_context_done(b) == NULL && gort_context_err(b) == 0);
	CHECK(!gort_context_deadline(c, NULL));
	CHECK(gort_context_value(c, &key) == &key);
	CHECK_EQ(gort_context_err(c), 0);
	gort_context_cancel(c);
	CHECK_EQ(gort_context_err(c), -ECANCELED);
}

static gort_chan *ran;

static void
tell(void *arg)
{
	gort_send(intptr_t, ran, (intptr_t)arg);
}

GORT_TEST(context, after_func_runs_when_cancelled_unless_stopped)
{
	ran = gort_make_chan(intptr_t, 4);
	gort_context *a = gort_context_with_cancel(gort_context_background());
	gort_context_func *f1 = gort_context_after_func(a, tell, (void *)1);
	gort_context_func *f2 = gort_context_after_func(a, tell, (void *)2);
	CHECK(gort_context_func_stop(f1));
	CHECK(!gort_context_func_stop(f1));
	gort_context_cancel(a);
	CHECK_EQ(gort_recv(intptr_t, ran), 2);
	CHECK(!gort_context_func_stop(f2));
	gort_context_func *f3 = gort_context_after_func(a, tell, (void *)3);
	CHECK_EQ(gort_recv(intptr_t, ran), 3);
	CHECK(!gort_context_func_stop(f3));
	CHECK_EQ(gort_chan_len(ran), 0);
	gort_context_func *f4 = gort_context_after_func(gort_context_background(), tell, NULL);
	CHECK(gort_context_func_stop(f4));
	CHECK(!gort_context_func_stop(f4));
}

static void
derive_and_cancel(gort_context *root, gort_waitgroup *wg)
{
	for (int i = 0; i < 2000; i++) {
		gort_context *a = gort_context_with_timeout(root, GORT_SECOND * 100);
		gort_context *b = gort_context_with_cancel(a);
		gort_context_done(b);
		if (i % 3 == 0)
			gort_context_cancel(b);
		gort_context_cancel(a);
		CHECK(gort_context_err(b) != 0);
	}
	gort_waitgroup_done(wg);
}

GORT_TEST(context, many_goroutines_derive_from_one_and_leave_nothing)
{
	gort_waitgroup wg = {0};
	gort_maxprocs(4);
	gort_context *root = gort_context_with_cancel(gort_context_background());
	gort_waitgroup_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		gort_go(derive_and_cancel, root, &wg);
	gort_waitgroup_wait(&wg);
	gort_gc();
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	CHECK(s.heap_objects < 2000); // 16000 contexts and their channels are gone
	CHECK_EQ(gort_context_err(root), 0);
	gort_context_cancel(root);
}

GORT_DEATH_TEST(context, nil_parent, "panic: cannot create context from nil parent")
{
	gort_context_with_cancel(NULL);
}

GORT_DEATH_TEST(context, nil_key, "panic: nil key")
{
	gort_context_with_value(gort_context_background(), NULL, NULL);
}

GORT_DEATH_TEST(context, cancel_of_background,
		"panic: gort_context_cancel of a context that cannot be cancelled")
{
	gort_context_cancel(gort_context_background());
}
