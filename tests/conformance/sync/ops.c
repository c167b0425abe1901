// SPDX-License-Identifier: BSD-3-Clause
// The gort side of the comparison with Go of the sync, atomic and context packages. go/ops/ops.go does the
// same in the same order; test_sync.py compares what the two print.
//
//	ops map|rwmutex|atomic|context SEED COUNT	a digest after every 4096 random operations
//	ops misuse-NAME					a programming error: how the program ends
#include <gort.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../digest.h"

static int64_t count;

static void
progress(int64_t i)
{
	if (i % 4096 == 4095)
		printf("%lld %016llx\n", (long long)i + 1, (unsigned long long)digest);
}

// ---- sync.Map ----

static gort_any
key(uint64_t k)
{
	char text[32];
	switch (k % 4) {
	case 0:
		return gort_box(int64_t, (int64_t)k);
	case 1:
		snprintf(text, sizeof(text), "key %llu", (unsigned long long)k);
		return gort_box(gort_string, gort_string_from(text));
	case 2:
		return gort_box(double, (double)k / 8);
	default:
		return gort_box(bool, k % 8 == 3);
	}
}

static gort_any
value(uint64_t v)
{
	return v == 0 ? (gort_any){0} : gort_box(int64_t, (int64_t)v);
}

static uint64_t
number(gort_any v)
{
	return v.type ? (uint64_t)gort_unbox(int64_t, v) : 0;
}

static bool
add_up(gort_any k, gort_any v, void *arg)
{
	*(uint64_t *)arg += 1 + number(v) * 3;
	return true;
}

static void
map_operation(gort_sync_map *m, uint64_t nkeys)
{
	gort_any k = key(rnd(nkeys)), v = value(rnd(4)), w = value(rnd(4)), got = {0};
	bool ok = false;
	uint64_t what = rnd(1000), sum = 0;
	if (what < 150)
		gort_sync_map_store(m, k, v);
	else if (what < 250)
		ok = gort_sync_map_load_or_store(m, k, v, &got);
	else if (what < 350)
		ok = gort_sync_map_load_and_delete(m, k, &got);
	else if (what < 400)
		gort_sync_map_delete(m, k);
	else if (what < 500)
		ok = gort_sync_map_swap(m, k, v, &got);
	else if (what < 600)
		ok = gort_sync_map_compare_and_swap(m, k, v, w);
	else if (what < 700)
		ok = gort_sync_map_compare_and_delete(m, k, v);
	else if (what < 702)
		gort_sync_map_range(m, add_up, &sum);
	else if (what < 703)
		gort_sync_map_clear(m);
	else
		ok = gort_sync_map_load(m, k, &got);
	note((uint64_t)ok + number(got) * 2 + sum * 8);
}

static void
do_map(void)
{
	gort_sync_map *m = gort_new(gort_sync_map);
	for (int64_t i = 0; i < count; i++) {
		map_operation(m, i / 8192 % 2 ? 400 : 12);
		progress(i);
	}
}

// ---- locks ----

static void
do_rwmutex(void)
{
	gort_rwmutex rw = {0};
	gort_mutex mu = {0};
	int readers = 0, writer = 0, locked = 0;
	for (int64_t i = 0; i < count; i++) {
		bool ok = false;
		switch (rnd(8)) {
		case 0:
			ok = gort_rwmutex_try_lock(&rw);
			writer += ok;
			break;
		case 1:
			ok = gort_rwmutex_try_rlock(&rw);
			readers += ok;
			break;
		case 2:
			if (writer == 0) {
				gort_rwmutex_rlock(&rw);
				readers++;
			}
			break;
		case 3:
			if (writer + readers == 0) {
				gort_rwmutex_lock(&rw);
				writer = 1;
			}
			break;
		case 4:
			if (readers > 0) {
				gort_rwmutex_runlock(&rw);
				readers--;
			}
			break;
		case 5:
			if (writer > 0) {
				gort_rwmutex_unlock(&rw);
				writer = 0;
			}
			break;
		case 6:
			ok = gort_mutex_try_lock(&mu);
			locked += ok;
			break;
		default:
			if (locked > 0) {
				gort_mutex_unlock(&mu);
				locked = 0;
			}
		}
		note((uint64_t)ok + (uint64_t)readers * 2 + (uint64_t)writer * 1000 +
		     (uint64_t)locked * 5000);
		progress(i);
	}
}

// ---- atomics ----

#define OPERATION(X, T)                                                                            \
	static uint64_t X##_operation(gort_atomic_##X *a)                                          \
	{                                                                                          \
		T v = (T)((rnd(1u << 30) << 34) ^ rnd(1u << 30));                                  \
		switch (rnd(7)) {                                                                  \
		case 0:                                                                            \
			gort_atomic_##X##_store(a, v);                                             \
			return 0;                                                                  \
		case 1:                                                                            \
			return (uint64_t)gort_atomic_##X##_add(a, v);                              \
		case 2:                                                                            \
			return (uint64_t)gort_atomic_##X##_swap(a, v);                             \
		case 3:                                                                            \
			return gort_atomic_##X##_cas(a, gort_atomic_##X##_load(a), v);             \
		case 4:                                                                            \
			return gort_atomic_##X##_cas(a, v, 1);                                     \
		case 5:                                                                            \
			return (uint64_t)gort_atomic_##X##_and(a, v);                              \
		default:                                                                           \
			return (uint64_t)gort_atomic_##X##_or(a, v);                               \
		}                                                                                  \
	}
OPERATION(int32, int32_t)
OPERATION(int64, int64_t)
OPERATION(uint32, uint32_t)
OPERATION(uint64, uint64_t)

static void
do_atomic(void)
{
	gort_atomic_int32 i32 = {0};
	gort_atomic_int64 i64 = {0};
	gort_atomic_uint32 u32 = {0};
	gort_atomic_uint64 u64 = {0};
	for (int64_t i = 0; i < count; i++) {
		switch (rnd(4)) {
		case 0:
			note(int32_operation(&i32));
			break;
		case 1:
			note(int64_operation(&i64));
			break;
		case 2:
			note(uint32_operation(&u32));
			break;
		default:
			note(uint64_operation(&u64));
		}
		progress(i);
	}
}

// ---- contexts: random trees ----

enum { NODES = 24 };
static const char keys[4];

static uint64_t
describe(gort_context *c)
{
	uint64_t x = (uint64_t)(gort_context_err(c) != 0);
	x = x * 2 + gort_context_deadline(c, NULL);
	x = x * 2 + (gort_context_done(c) != NULL);
	for (int k = 0; k < 4; k++)
		x = x * 16 + (uint64_t)(uintptr_t)gort_context_value(c, &keys[k]);
	return x;
}

static void
context_tree(void)
{
	gort_context *node[NODES] = {gort_context_background()};
	bool cancellable[NODES] = {false};
	for (int n = 1; n < NODES; n++) {
		gort_context *parent = node[rnd((uint64_t)n)];
		switch (rnd(5)) {
		case 0: {
			const char *k = &keys[rnd(4)];
			node[n] = gort_context_with_value(parent, k, (void *)(uintptr_t)rnd(16));
			break;
		}
		case 1:
			node[n] = gort_context_without_cancel(parent);
			break;
		case 2:
			node[n] = gort_context_with_timeout(parent, 3600 * GORT_SECOND);
			cancellable[n] = true;
			break;
		default:
			node[n] = gort_context_with_cancel(parent);
			cancellable[n] = true;
		}
		int victim = (int)rnd((uint64_t)n + 1);
		if (rnd(3) == 0 && cancellable[victim])
			gort_context_cancel(node[victim]);
		for (int k = 0; k <= n; k++)
			note(describe(node[k]));
	}
	for (int n = 1; n < NODES; n++)
		if (cancellable[n])
			gort_context_cancel(node[n]);
}

static void
do_context(void)
{
	for (int64_t i = 0; i < count / 100; i++) {
		context_tree();
		progress(i);
	}
}

// ---- misuse ----

static void
nothing(void)
{
}

static void
misuse(const char *name)
{
	gort_mutex mu = {0};
	gort_rwmutex rw = {0};
	gort_waitgroup wg = {0};
	gort_cond c, copy;
	if (strcmp(name, "unlock") == 0) {
		gort_mutex_unlock(&mu);
	} else if (strcmp(name, "runlock") == 0) {
		gort_rwmutex_runlock(&rw);
	} else if (strcmp(name, "runlock-of-lock") == 0) {
		gort_rwmutex_lock(&rw);
		gort_rwmutex_runlock(&rw);
	} else if (strcmp(name, "rwunlock") == 0) {
		gort_rwmutex_unlock(&rw);
	} else if (strcmp(name, "rwunlock-of-rlock") == 0) {
		gort_rwmutex_rlock(&rw);
		gort_rwmutex_unlock(&rw);
	} else if (strcmp(name, "negative") == 0) {
		gort_waitgroup_add(&wg, 1);
		gort_waitgroup_done(&wg);
		gort_waitgroup_done(&wg);
	} else if (strcmp(name, "cond-copy") == 0) {
		gort_cond_init(&c, &mu);
		gort_cond_signal(&c);
		copy = c;
		gort_cond_signal(&copy);
	} else if (strcmp(name, "deadlock") == 0) {
		gort_mutex_lock(&mu);
		gort_mutex_lock(&mu);
	} else if (strcmp(name, "nil-context") == 0) {
		gort_context_with_cancel(NULL);
	}
	nothing();
}

static int
app(int argc, char **argv)
{
	if (argc == 2 && strncmp(argv[1], "misuse-", 7) == 0) {
		misuse(argv[1] + 7);
		return 0;
	}
	if (argc != 4)
		return 3;
	state = strtoull(argv[2], NULL, 0) | 1;
	count = atoll(argv[3]);
	if (strcmp(argv[1], "map") == 0)
		do_map();
	else if (strcmp(argv[1], "rwmutex") == 0)
		do_rwmutex();
	else if (strcmp(argv[1], "atomic") == 0)
		do_atomic();
	else if (strcmp(argv[1], "context") == 0)
		do_context();
	else
		return 3;
	printf("end %016llx\n", (unsigned long long)digest);
	return 0;
}
GORT_MAIN(app)
