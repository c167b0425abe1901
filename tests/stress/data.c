// SPDX-License-Identifier: BSD-3-Clause
// Maps, slices and strings of pointers under constant collection. Each goroutine changes structures of
// its own and a sharded map of all; whatever they hold is only reachable through them, knows its own
// checksum, and is overwritten when it is freed (clobberfree). The map engine follows from the seed.
#include "stress.h"

#include <string.h>

#include <gort/iface.h>
#include <gort/map.h>
#include <gort/mem.h>
#include <gort/slice.h>
#include <gort/string.h>

#include "data/map.h"

#define WORKERS 6
#define KEYS 700

struct item {
	uint64_t id, sum;
	struct item *peer;
};

struct wide { // above 128 bytes: lies in an object of its own
	uint64_t id;
	struct item *item;
	uint64_t pad[20];
};
GORT_TYPE(struct wide, item)

struct pair { // conservative
	struct item *item;
	uint64_t id;
};

static gort_sharded_map *shared;
static _Atomic int running = WORKERS;
static _Atomic bool enough; // time is over, and the collector has run some times
static _Atomic uint64_t operations;

static struct item *
item(uint64_t id)
{
	struct item *p = gort_new(struct item);
	p->id = id;
	p->sum = id * 0x9e3779b97f4a7c15u ^ 1;
	return p;
}

static void
check(const struct item *p, uint64_t id)
{
	STRESS_CHECK(p->id == id && p->sum == (id * 0x9e3779b97f4a7c15u ^ 1),
		     "item %llu reads %llu, %llu", (unsigned long long)id, (unsigned long long)p->id,
		     (unsigned long long)p->sum);
}

static gort_string
text(uint64_t id)
{
	char buf[80];
	int n = snprintf(buf, sizeof(buf), "%llu:", (unsigned long long)id);
	for (uint64_t i = 0; i < id % 50; i++)
		buf[n++] = (char)('a' + (id + i) % 26);
	return gort_string_of(buf, n);
}

static void
check_text(gort_string s, uint64_t id)
{
	STRESS_CHECK(gort_string_equal(s, text(id)), "string %llu reads %.*s",
		     (unsigned long long)id, GORT_STRING_ARG(s));
}

// ---- one goroutine's structures ----

struct own {
	struct rng r;
	uint64_t salt;
	gort_map *pointers; // uint64_t -> struct item *
	gort_map *strings;  // gort_string -> struct pair
	gort_map *wides;    // struct wide -> struct wide
	gort_map *anys;     // gort_any -> gort_any
	gort_slice list;    // of struct item *, ids ascending by one from first
	uint64_t first, next;
};

static uint64_t
key(struct own *o)
{
	return rng_below(&o->r, KEYS) + o->salt;
}

static void
step_pointers(struct own *o)
{
	uint64_t k = key(o);
	struct item **p = gort_map_get(uint64_t, struct item *, o->pointers, k);
	if (p)
		check(*p, k);
	if (p && rng_below(&o->r, 4) == 0) {
		STRESS_CHECK(gort_map_delete(uint64_t, o->pointers, k), "key was there");
		return;
	}
	struct item *fresh = item(k);
	gort_set(gort_map_put(uint64_t, struct item *, o->pointers, k), fresh);
}

static void
step_strings(struct own *o)
{
	uint64_t k = key(o);
	gort_string s = text(k);
	struct pair *p = gort_map_get(gort_string, struct pair, o->strings, s);
	if (p)
		check(p->item, p->id);
	if (p && rng_below(&o->r, 4) == 0) {
		gort_map_delete(gort_string, o->strings, s);
		return;
	}
	struct pair v = {item(k + 5), k + 5};
	gort_set_value(struct pair, gort_map_put(gort_string, struct pair, o->strings, s), v);
}

static void
step_wides(struct own *o)
{
	// The key's pointer takes part in equality, so each key is found through an iterator only.
	struct wide k = {.id = key(o)};
	k.item = item(k.id);
	struct wide v = {.id = k.id + 1, .item = item(k.id + 1)};
	gort_set_value(struct wide, gort_map_put(struct wide, struct wide, o->wides, k), v);
	if (gort_map_len(o->wides) < 200)
		return;
	gort_map_iter it = gort_map_iterate(o->wides);
	for (int n = 0; gort_map_next(&it); n++) {
		struct wide have = *(struct wide *)it.key, *value = it.value;
		check(have.item, have.id);
		check(value->item, have.id + 1);
		if (n % 2)
			STRESS_CHECK(gort_map_delete(struct wide, o->wides, have), "it was there");
	}
}

static void
step_anys(struct own *o)
{
	uint64_t k = key(o);
	gort_any by_text = gort_box(gort_string, text(k)), by_id = gort_box(uint64_t, k);
	gort_any *p = gort_map_get(gort_any, gort_any, o->anys, by_text);
	if (p)
		check(gort_unbox(struct pair, *p).item, k);
	p = gort_map_get(gort_any, gort_any, o->anys, by_id);
	if (p)
		check(gort_unbox(struct item *, *p), k);
	gort_any pair = gort_box(struct pair, ((struct pair){item(k), k}));
	gort_set_value(gort_any, gort_map_put(gort_any, gort_any, o->anys, by_text), pair);
	gort_any single = gort_box(struct item *, item(k));
	gort_set_value(gort_any, gort_map_put(gort_any, gort_any, o->anys, by_id), single);
	if (gort_map_len(o->anys) > KEYS)
		gort_map_clear(o->anys);
}

static void
step_list(struct own *o)
{
	struct item *fresh = item(o->next++);
	gort_append(struct item *, &o->list, fresh);
	if (rng_below(&o->r, 3) == 0)
		gort_append_slice(struct item *, &o->list, (gort_slice){0});
	ptrdiff_t i = rng_below(&o->r, (uint32_t)o->list.len);
	check(*gort_at(struct item *, o->list, i), o->first + (uint64_t)i);
	if (o->list.len > 500) { // the front goes, the array stays until the next growth
		o->list = gort_subslice(struct item *, o->list, 300, o->list.len);
		o->first += 300;
	}
	if (rng_below(&o->r, 200) == 0) { // what lies behind len is overwritten by later appends
		o->list = gort_subslice(struct item *, o->list, 0, o->list.len / 2 + 1);
		o->next = o->first + (uint64_t)o->list.len;
		gort_slice copy = gort_make_slice(struct item *, o->list.len, o->list.len);
		gort_copy(struct item *, copy, o->list);
		gort_set_value(gort_slice, &o->list, copy);
	}
}

static void
step_builder(struct own *o)
{
	gort_string_builder b = {{0}};
	uint64_t ids[20];
	int n = (int)rng_below(&o->r, 20);
	ptrdiff_t at = 0;
	for (int i = 0; i < n; i++) {
		ids[i] = key(o);
		gort_string_builder_write(&b, gort_string_concat(text(ids[i]), gort_str("")));
	}
	gort_string all = gort_string_builder_string(&b);
	for (int i = 0; i < n; i++) {
		ptrdiff_t len = text(ids[i]).len;
		check_text(gort_string_slice(all, at, at + len), ids[i]);
		at += len;
	}
}

static void
replace(void *value, bool present, void *arg)
{
	struct pair *p = value;
	if (present)
		check(p->item, p->id);
	gort_set_value(struct pair, p, *(struct pair *)arg);
}

static void
step_shared(struct own *o)
{
	uint64_t k = rng_below(&o->r, KEYS);
	struct pair v = {item(k + o->salt), k + o->salt}, got;
	switch (rng_below(&o->r, 4)) {
	case 0:
		gort_sharded_map_store(uint64_t, struct pair, shared, k, v);
		break;
	case 1:
		gort_sharded_map_update(uint64_t, struct pair, shared, k, replace, &v);
		break;
	case 2:
		gort_sharded_map_delete(uint64_t, shared, k);
		break;
	default:
		if (gort_sharded_map_load(uint64_t, struct pair, shared, k, &got))
			check(got.item, got.id);
	}
}

static void
audit(struct own *o)
{
	gort_map_iter it = gort_map_iterate(o->pointers);
	while (gort_map_next(&it))
		check(*(struct item **)it.value, *(uint64_t *)it.key);
	it = gort_map_iterate(o->strings);
	while (gort_map_next(&it)) {
		struct pair *p = it.value;
		check(p->item, p->id);
		check_text(*(gort_string *)it.key, p->id - 5);
	}
	for (ptrdiff_t i = 0; i < o->list.len; i++)
		check(*gort_at(struct item *, o->list, i), o->first + (uint64_t)i);
	rt_check_map(o->pointers);
	rt_check_map(o->strings);
	rt_check_map(o->wides);
	rt_check_map(o->anys);
}

static void
worker(int id)
{
	static void (*const steps[])(struct own *) = {step_pointers, step_strings, step_wides, step_anys,
						      step_list,     step_builder, step_shared};
	struct own *o = gort_new(struct own);
	uint64_t n = 0;
	o->r = rng_for((uint64_t)id);
	o->salt = (uint64_t)id * 1000000;
	gort_set(&o->pointers, gort_make_map(uint64_t, struct item *, id % 2 ? KEYS : 0));
	gort_set(&o->strings, gort_make_map(gort_string, struct pair, 0));
	gort_set(&o->wides, gort_make_map(struct wide, struct wide, 0));
	gort_set(&o->anys, gort_make_map(gort_any, gort_any, 0));
	for (; n % 64 || !enough; n++) {
		steps[rng_below(&o->r, sizeof(steps) / sizeof(steps[0]))](o);
		if (n % 4096 == 4095)
			audit(o);
		if (n % 10000 == 9999)
			gort_map_clear(o->strings);
	}
	audit(o);
	operations += n;
	running--;
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	rt_map_engine = (int)(stress_seed & 1);
	printf("engine: %s\n", rt_map_engine == MAP_SWISS ? "groups" : "buckets");
	gort_set_gc_percent(1);
	int collections = 0;
	shared = gort_make_sharded_map(uint64_t, struct pair, 5);
	for (int i = 0; i < WORKERS; i++)
		gort_go(worker, i);
	while (running > 0) {
		gort_gc();
		gort_sleep(200 * GORT_MICROSECOND);
		if (++collections > 5 && !stress_time_left())
			enough = true;
	}
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	printf("%llu operations, %u collections, heap %llu KiB\n", (unsigned long long)operations,
	       s.num_gc, (unsigned long long)s.heap_alloc >> 10);
	return 0;
}

int
main(int argc, char **argv)
{
	setenv("GORT_DEBUG", "clobberfree=1", 0);
	return gort_run(app, argc, argv);
}
