// SPDX-License-Identifier: BSD-3-Clause
// gort_add_cleanup, gort_cleanup_stop.
#include "collecting.h"

#include <gort/metrics.h>

TestSuite(cleanup, .timeout = 60);

struct thing {
	struct thing *other;
	long id;
	char pad[500];
};
GORT_TYPE(struct thing, other)

static _Atomic int ran, wrong, finalized;
static gort_cleanup handles[MANY];
static struct thing *kept[MANY];

static void
count(void *arg)
{
	long *id = arg;
	if (id && *id != 42)
		atomic_fetch_add(&wrong, 1);
	if (rt_tls.depth & INT32_MAX)
		atomic_fetch_add(&wrong, 1);
	atomic_fetch_add(&ran, 1);
}

static uint64_t
metric(const char *name)
{
	gort_metric m = {.name = name};
	CHECK_EQ(gort_metrics_read(&m, 1), 1);
	return m.value.u64;
}

static long *
new_arg(void)
{
	long *arg = gort_new(long);
	*arg = 42;
	return arg;
}

static __attribute__((noinline)) void
make_with_three_each(void)
{
	for (int i = 0; i < MANY; i++) {
		struct thing *t = gort_new(struct thing);
		gort_add_cleanup(t, count, new_arg());
		gort_add_cleanup(&t->pad[100], count, new_arg()); // an inner pointer will do
		gort_add_cleanup(t, count, NULL);
	}
}

GORT_TEST(cleanup, each_runs_once_when_its_object_is_gone)
{
	make_with_three_each();
	CHECK_EQ(metric("/gc/cleanups/queued:cleanups"), 0);
	collect();
	CHECK(ran >= 3 * MOST && ran <= 3 * MANY);
	CHECK_EQ(metric("/gc/cleanups/queued:cleanups"), ran);
	CHECK_EQ(metric("/gc/cleanups/executed:cleanups"), ran);
	CHECK_EQ(metric("/gc/finalizers/queued:finalizers"), 0);
	CHECK_EQ(wrong, 0);
	collect();
	collect();
	CHECK(ran <= 3 * MANY);
	CHECK_EQ(gort_num_goroutine(), 1);
}

static __attribute__((noinline)) void
make_kept(void)
{
	for (int i = 0; i < MANY; i++) {
		kept[i] = gort_new(struct thing);
		handles[i] = gort_add_cleanup(kept[i], count, new_arg());
	}
}

GORT_TEST(cleanup, does_not_run_while_the_object_is_reachable_and_keeps_arg_until_it_does)
{
	make_kept();
	for (int i = 0; i < 3; i++)
		collect();
	CHECK_EQ(ran, 0);
	memset(kept, 0, sizeof kept);
	collect();
	CHECK(ran >= MOST && ran <= MANY);
	CHECK_EQ(wrong, 0);
}

GORT_TEST(cleanup, stopped_does_not_run)
{
	make_kept();
	for (int i = 0; i < MANY; i += 2) {
		gort_cleanup_stop(handles[i]);
		gort_cleanup_stop(handles[i]); // twice is once
	}
	memset(kept, 0, sizeof kept);
	collect();
	CHECK(ran >= MOST / 2 - 5 && ran <= MANY / 2);
	for (int i = 0; i < MANY; i++)
		gort_cleanup_stop(handles[i]); // too late is nothing
	gort_cleanup_stop((gort_cleanup){NULL, 0});
}

GORT_TEST(cleanup, a_stale_handle_stops_no_other)
{
	static gort_cleanup old[MANY];
	make_kept();
	memcpy(old, handles, sizeof old);
	for (int i = 0; i < MANY; i++)
		gort_cleanup_stop(old[i]);
	make_kept(); // their entries are the old ones
	for (int i = 0; i < MANY; i++)
		gort_cleanup_stop(old[i]);
	memset(kept, 0, sizeof kept);
	collect();
	CHECK(ran >= MOST && ran <= MANY);
}

GORT_TEST(cleanup, added_and_stopped_a_million_times_leaves_nothing)
{
	static gort_mem_stats s0, s1;
	kept[0] = gort_new(struct thing);
	gort_read_mem_stats(&s0);
	for (int i = 0; i < 1000000; i++)
		gort_cleanup_stop(gort_add_cleanup(kept[0], count, NULL));
	gort_read_mem_stats(&s1);
	CHECK(s1.other_sys - s0.other_sys <= (64 << 10));
}

static __attribute__((noinline)) void
make_rings(void)
{
	for (int i = 0; i < MANY; i++) {
		struct thing *a = gort_new(struct thing), *b = gort_new(struct thing);
		gort_set(&a->other, b);
		gort_set(&b->other, a);
		gort_add_cleanup(a, count, NULL);
		gort_add_cleanup(b, count, NULL);
	}
}

GORT_TEST(cleanup, runs_for_rings_unlike_finalizers)
{
	make_rings();
	collect();
	CHECK(ran >= 2 * MOST && ran <= 2 * MANY);
}

static __attribute__((noinline)) void
make_self_referring(void)
{
	for (int i = 0; i < MANY; i++) {
		struct thing *t = gort_new(struct thing), *arg = gort_new(struct thing);
		gort_set(&arg->other, t);
		gort_add_cleanup(t, count, &arg->other);
	}
}

GORT_TEST(cleanup, never_where_arg_leads_to_the_object)
{
	make_self_referring();
	collect();
	collect();
	CHECK_EQ(ran, 0);
}

// arg: a long in which its finalizer says that it has run.
static void
finalize(void *obj, void *arg)
{
	(void)obj;
	*(long *)arg = 42;
	atomic_fetch_add(&finalized, 1);
}

static __attribute__((noinline)) void
make_with_finalizer(void)
{
	for (int i = 0; i < MANY; i++) {
		struct thing *t = gort_new(struct thing);
		long *flag = gort_new(long);
		gort_add_cleanup(t, count, flag);
		gort_set_finalizer(t, finalize, flag);
	}
}

GORT_TEST(cleanup, after_the_finalizer_a_cycle_later)
{
	make_with_finalizer();
	collect();
	CHECK(finalized >= MOST);
	CHECK_EQ(metric("/gc/finalizers/queued:finalizers"), finalized);
	CHECK_EQ(metric("/gc/finalizers/executed:finalizers"), finalized);
	CHECK_EQ(ran, 0);
	collect();
	CHECK(ran >= MOST && ran <= MANY);
	CHECK_EQ(wrong, 0);
}

static __attribute__((noinline)) void
make_tiny_and_large(void)
{
	for (int i = 0; i < MANY; i++)
		gort_add_cleanup(gort_new_bytes(4), count, NULL); // an arg could share its block
	for (int i = 0; i < 40; i++)
		gort_add_cleanup(gort_new_bytes(100000), count, new_arg());
}

GORT_TEST(cleanup, of_tiny_and_of_large_objects)
{
	make_tiny_and_large();
	collect();
	CHECK(ran >= MOST + 30 && ran <= MANY + 40);
	CHECK_EQ(wrong, 0);
}

GORT_TEST(cleanup, globals_never_die)
{
	static struct thing global;
	gort_cleanup c = gort_add_cleanup(&global, count, NULL);
	CHECK(!c.entry);
	collect();
	CHECK_EQ(ran, 0);
}

GORT_DEATH_TEST(cleanup, of_nil, "panic: runtime.AddCleanup: ptr is nil")
{
	gort_add_cleanup(NULL, count, NULL);
}

GORT_DEATH_TEST(cleanup, of_foreign_memory, "panic: runtime.AddCleanup: ptr not in allocated block")
{
	gort_add_cleanup(calloc(1, 100), count, NULL);
}

GORT_DEATH_TEST(cleanup, with_itself_as_arg,
		"panic: runtime.AddCleanup: ptr is equal to arg, cleanup will never run")
{
	struct thing *t = gort_new(struct thing);
	gort_add_cleanup(t, count, t);
}

GORT_DEATH_TEST(cleanup, with_a_part_of_itself_as_arg,
		"panic: runtime.AddCleanup: ptr is within arg, cleanup will never run")
{
	struct thing *t = gort_new(struct thing);
	gort_add_cleanup(t, count, &t->pad);
}
