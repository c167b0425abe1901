// SPDX-License-Identifier: BSD-3-Clause
// The gort side of the comparison with Go: random operations on maps, slices, strings and interfaces.
// go/main.go does the same ones in the same order; test_data.py compares what the two print.
//
//	ops NAME SEED COUNT [buckets]	a digest after every 4096 operations
//	ops growth			a digest of all capacities for each element size
//	ops caps SIZE LO HI		those capacities, to find a difference
#include <gort.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/map.h"
#include "data/slice.h"

#include "../digest.h"

// ---- what both sides share ----

static uint64_t
mix(uint64_t x)
{
	x *= 0x9e3779b97f4a7c15;
	return x ^ x >> 32;
}

static gort_string
text(uint64_t k)
{
	char buf[80];
	int n = k == 0 ? 0 : snprintf(buf, sizeof(buf), "%llu", (unsigned long long)k);
	for (uint64_t i = 0; i < k % 45; i++)
		buf[n++] = (char)('a' + (k + i) % 26);
	return gort_string_of(buf, n);
}

static uint64_t
text_digest(gort_string s)
{
	uint64_t h = (uint64_t)s.len;
	for (ptrdiff_t i = 0; i < s.len; i++)
		h = mix(h ^ gort_string_at(s, i));
	return h;
}

// ---- maps ----

#define KEYS 20000

// A map of K to V; mk makes a key of a number, kd digests one (the same for equal keys), mv and vd the
// same for values.
#define MAP_OPS(name, K, V, mk, kd, mv, vd)                                                        \
	static void name##_iterate(gort_map *m)                                                    \
	{                                                                                          \
		uint64_t sum = 0, n = 0;                                                           \
		gort_map_iter it = gort_map_iterate(m);                                            \
		while (gort_map_next(&it)) {                                                       \
			sum += mix(kd(*(K *)it.key) * 31 + vd(*(V *)it.value));                    \
			n++;                                                                       \
		}                                                                                  \
		note(sum);                                                                         \
		note(n);                                                                           \
	}                                                                                          \
	/* Deletes each entry's neighbour, puts some that are there, and deletes itself. */        \
	static void name##_change(gort_map *m)                                                     \
	{                                                                                          \
		uint64_t n = 0;                                                                    \
		gort_map_iter it = gort_map_iterate(m);                                            \
		while (gort_map_next(&it)) {                                                       \
			K k = *(K *)it.key;                                                        \
			uint64_t d = kd(k);                                                        \
			if (d % 3 == 0)                                                            \
				gort_map_delete(K, m, k);                                          \
			else if (d % 3 == 1)                                                       \
				gort_set_value(V, gort_map_put(K, V, m, k), mv(d));                \
			n++;                                                                       \
		}                                                                                  \
		note(n);                                                                           \
		name##_iterate(m);                                                                 \
	}                                                                                          \
	static gort_map *name##_step(gort_map *m, uint64_t i)                                      \
	{                                                                                          \
		uint64_t what = rnd(100), n = rnd(KEYS);                                           \
		K k = mk(n);                                                                       \
		if (what < 45) {                                                                   \
			gort_set_value(V, gort_map_put(K, V, m, k), mv(i));                        \
		} else if (what < 70) {                                                            \
			V *p = gort_map_get(K, V, m, k);                                           \
			note(p ? vd(*p) : 1);                                                      \
		} else {                                                                           \
			gort_map_delete(K, m, k);                                                  \
		}                                                                                  \
		note((uint64_t)gort_map_len(m));                                                   \
		if (i % 50000 == 49999)                                                            \
			name##_iterate(m);                                                         \
		if (i % 150000 == 149999)                                                          \
			name##_change(m);                                                          \
		if (i % 400000 == 399999)                                                          \
			gort_map_clear(m);                                                         \
		if (i % 300000 == 299999)                                                          \
			m = gort_make_map(K, V, (ptrdiff_t)rnd(KEYS));                             \
		return m;                                                                          \
	}                                                                                          \
	static void name(uint64_t count)                                                           \
	{                                                                                          \
		gort_map *m = gort_make_map(K, V, 0);                                              \
		for (uint64_t i = 0; i < count; i++) {                                             \
			m = name##_step(m, i);                                                     \
			if (i % 4096 == 4095)                                                      \
				printf("%llu %016llx\n", (unsigned long long)i,                    \
				       (unsigned long long)digest);                                \
		}                                                                                  \
		name##_iterate(m);                                                                 \
		rt_check_map(m);                                                                   \
		printf("end %016llx\n", (unsigned long long)digest);                               \
	}

static uint64_t
same(uint64_t x)
{
	return x;
}

MAP_OPS(u64, uint64_t, uint64_t, mix, same, same, same)

struct two {
	uint32_t a, b;
	uint64_t c;
};
static int32_t
mk_i32(uint64_t n)
{
	return (int32_t)n - KEYS / 2;
}
static uint64_t
kd_i32(int32_t k)
{
	return (uint64_t)(int64_t)k;
}
static struct two
mv_two(uint64_t n)
{
	return (struct two){(uint32_t)n, (uint32_t)(n >> 3), n * 7};
}
static uint64_t
vd_two(struct two t)
{
	return mix(t.a) ^ mix(t.b + 1) ^ t.c;
}
MAP_OPS(i32, int32_t, struct two, mk_i32, kd_i32, mv_two, vd_two)

MAP_OPS(str, gort_string, gort_string, text, text_digest, text, text_digest)

static int8_t
mk_i8(uint64_t n)
{
	return (int8_t)n;
}
static uint64_t
kd_i8(int8_t k)
{
	return (uint64_t)(int64_t)k;
}
static bool
mv_bool(uint64_t n)
{
	return n % 3 == 0;
}
static uint64_t
vd_bool(bool b)
{
	return b;
}
MAP_OPS(i8, int8_t, bool, mk_i8, kd_i8, mv_bool, vd_bool)

static double
mk_f64(uint64_t n)
{
	switch (n % 500) {
	case 0:
		return 0.0;
	case 1:
		return -0.0;
	case 2:
		return n < 1000 ? NAN : INFINITY;
	default:
		return (double)n / 4 - 1000;
	}
}
static uint64_t
kd_f64(double k)
{
	uint64_t bits;
	if (k != k)
		return 5;
	k += 0.0; // -0 is 0
	if (k == 0)
		return 6;
	memcpy(&bits, &k, 8);
	return mix(bits);
}
MAP_OPS(f64, double, uint64_t, mk_f64, kd_f64, same, same)

struct key {
	int16_t a;
	gort_string s;
	float f;
};
GORT_KEY(struct key, a, s, f);
static struct key
mk_key(uint64_t n)
{
	struct key k;
	memset(&k, (int)(n & 255), sizeof(k)); // padding does not matter
	k.a = (int16_t)(n % 100);
	k.s = text(n / 100 % 50);
	k.f = n % 3 == 1 ? -0.0f : n % 3 == 2 ? 0.0f : (float)n;
	return k;
}
static uint64_t
kd_key(struct key k)
{
	return mix((uint64_t)k.a) ^ text_digest(k.s) ^ kd_f64(k.f);
}
MAP_OPS(fields, struct key, uint64_t, mk_key, kd_key, same, same)

struct large {
	uint64_t w[25];
};
static struct large
mk_large(uint64_t n)
{
	struct large l = {{0}};
	l.w[n % 25] = n;
	return l;
}
static uint64_t
kd_large(struct large l)
{
	uint64_t h = 0;
	for (int i = 0; i < 25; i++)
		h = mix(h ^ l.w[i]);
	return h;
}
MAP_OPS(big, struct large, struct large, mk_large, kd_large, mk_large, kd_large)

struct point {
	int32_t x, y;
};
static gort_any
mk_any(uint64_t n)
{
	switch (n % 8) {
	case 0:
		return gort_box(int64_t, (int64_t)n);
	case 1:
		return gort_box(int32_t, (int32_t)n - 1);
	case 2:
		return gort_box(gort_string, text(n));
	case 3:
		return gort_box(double, mk_f64(n));
	case 4:
		return gort_box(struct point, ((struct point){(int32_t)n, 4}));
	case 5:
		return gort_box(bool, n % 16 == 5);
	case 6:
		return gort_box(struct large, mk_large(n));
	default:
		return (gort_any){0};
	}
}
static uint64_t
kd_any(gort_any a)
{
	switch (gort_type_switch(a, int64_t, int32_t, gort_string, double, struct point, bool,
				 struct large)) {
	case 0:
		return mix((uint64_t)gort_unbox(int64_t, a));
	case 1:
		return mix((uint64_t)gort_unbox(int32_t, a)) + 1;
	case 2:
		return text_digest(gort_unbox(gort_string, a));
	case 3:
		return kd_f64(gort_unbox(double, a));
	case 4:
		return mix((uint64_t)gort_unbox(struct point, a).x);
	case 5:
		return gort_unbox(bool, a) ? 8 : 9;
	case 6:
		return kd_large(gort_unbox(struct large, a));
	default:
		return 10;
	}
}
MAP_OPS(any, gort_any, gort_any, mk_any, kd_any, mk_any, kd_any)

// ---- equality of interfaces ----

static void
equality(uint64_t count)
{
	gort_slice anys = gort_make_slice(gort_any, 0, 0);
	for (uint64_t i = 0; i < 200; i++)
		gort_append(gort_any, &anys, mk_any(rnd(64)));
	for (uint64_t i = 0; i < count; i++) {
		gort_any a = *gort_at(gort_any, anys, (ptrdiff_t)rnd(200));
		gort_any b = *gort_at(gort_any, anys, (ptrdiff_t)rnd(200));
		int64_t n = -1;
		note(gort_any_equal(a, b));
		note(gort_assert_ok(int64_t, a, &n));
		note((uint64_t)n);
		note(kd_any(b));
		if (rnd(10) == 0)
			gort_set_value(gort_any, gort_at(gort_any, anys, (ptrdiff_t)rnd(200)),
				       mk_any(rnd(64)));
		if (i % 4096 == 4095)
			printf("%llu %016llx\n", (unsigned long long)i, (unsigned long long)digest);
	}
	printf("end %016llx\n", (unsigned long long)digest);
}

// ---- slices ----

#define SLICES 8
#define MAXLEN 3000

#define SLICE_OPS(name, T, mv, vd)                                                                 \
	static void name##_note(gort_slice s)                                                      \
	{                                                                                          \
		note((uint64_t)s.len);                                                             \
		note((uint64_t)s.cap);                                                             \
		for (ptrdiff_t i = s.len > 4 ? s.len - 4 : 0; i < s.len; i++)                      \
			note(vd(*gort_at(T, s, i)));                                               \
	}                                                                                          \
	static void name##_step(gort_slice *s, uint64_t i)                                         \
	{                                                                                          \
		ptrdiff_t a = (ptrdiff_t)rnd(SLICES), b = (ptrdiff_t)rnd(SLICES), lo, hi, max;     \
		switch (rnd(12)) {                                                                 \
		case 0:                                                                            \
			hi = (ptrdiff_t)rnd((uint64_t)s[a].cap + 1);                               \
			lo = (ptrdiff_t)rnd((uint64_t)hi + 1);                                     \
			s[b] = gort_subslice(T, s[a], lo, hi);                                     \
			break;                                                                     \
		case 1:                                                                            \
			max = (ptrdiff_t)rnd((uint64_t)s[a].cap + 1);                              \
			hi = (ptrdiff_t)rnd((uint64_t)max + 1);                                    \
			lo = (ptrdiff_t)rnd((uint64_t)hi + 1);                                     \
			s[b] = gort_subslice3(T, s[a], lo, hi, max);                               \
			break;                                                                     \
		case 2:                                                                            \
			note((uint64_t)gort_copy(T, s[a], s[b]));                                  \
			break;                                                                     \
		case 3:                                                                            \
			if (s[a].len + s[b].len < MAXLEN)                                          \
				gort_append_slice(T, &s[a], s[b]);                                 \
			break;                                                                     \
		case 4:                                                                            \
			lo = (ptrdiff_t)rnd(40);                                                   \
			hi = lo + (ptrdiff_t)rnd(40);                                              \
			s[a] = gort_make_slice(T, lo, hi);                                         \
			break;                                                                     \
		case 5:                                                                            \
			gort_append(T, &s[a], mv(i), mv(i + 1), mv(i + 2));                        \
			break;                                                                     \
		case 6:                                                                            \
			if (s[a].len > 0)                                                          \
				*gort_at(T, s[a], (ptrdiff_t)rnd((uint64_t)s[a].len)) = mv(i);     \
			break;                                                                     \
		case 7:                                                                            \
			if (rnd(20) == 0)                                                          \
				s[a] = (gort_slice){0};                                            \
			break;                                                                     \
		case 8: {                                                                          \
			gort_slice more = gort_make_slice(T, (ptrdiff_t)rnd(300), 300);            \
			if (s[a].len < MAXLEN)                                                     \
				gort_append_slice(T, &s[a], more);                                 \
			break;                                                                     \
		}                                                                                  \
		default:                                                                           \
			if (s[a].len < MAXLEN)                                                     \
				gort_append(T, &s[a], mv(i));                                      \
		}                                                                                  \
		name##_note(s[a]);                                                                 \
		name##_note(s[b]);                                                                 \
	}                                                                                          \
	static void name(uint64_t count)                                                           \
	{                                                                                          \
		gort_slice s[SLICES] = {{0}};                                                      \
		for (uint64_t i = 0; i < count; i++) {                                             \
			name##_step(s, i);                                                         \
			if (i % 4096 == 4095)                                                      \
				printf("%llu %016llx\n", (unsigned long long)i,                    \
				       (unsigned long long)digest);                                \
		}                                                                                  \
		printf("end %016llx\n", (unsigned long long)digest);                               \
	}

SLICE_OPS(slice8, uint64_t, same, same)

static uint8_t
mv_u8(uint64_t n)
{
	return (uint8_t)n;
}
static uint64_t
vd_u8(uint8_t b)
{
	return b;
}
SLICE_OPS(slice1, uint8_t, mv_u8, vd_u8)

struct three {
	uint32_t a, b, c;
};
static struct three
mv_three(uint64_t n)
{
	return (struct three){(uint32_t)n, (uint32_t)n + 1, (uint32_t)n + 2};
}
static uint64_t
vd_three(struct three t)
{
	return mix(t.a) + t.b + t.c;
}
SLICE_OPS(slice12, struct three, mv_three, vd_three)
SLICE_OPS(slice200, struct large, mk_large, kd_large)

// ---- strings ----

#define STRINGS 16

// Bytes of which many are no UTF-8, and many are.
static gort_string
random_bytes(void)
{
	static const unsigned char heads[] = {0x7f, 0xc3, 0xe2, 0xf0, 0xed, 0xf4, 0xc0, 0xff, 0x80, 0xa0};
	unsigned char buf[64];
	ptrdiff_t n = (ptrdiff_t)rnd(40);
	for (ptrdiff_t i = 0; i < n; i++) {
		switch (rnd(4)) {
		case 0:
			buf[i] = heads[rnd(sizeof(heads))];
			break;
		case 1:
			buf[i] = (unsigned char)(0x80 + rnd(64));
			break;
		default:
			buf[i] = (unsigned char)('a' + rnd(26));
		}
	}
	return gort_string_of(buf, n);
}

static int32_t
random_rune(void)
{
	switch (rnd(5)) {
	case 0:
		return (int32_t)rnd(0x80);
	case 1:
		return (int32_t)rnd(0x800);
	case 2:
		return (int32_t)rnd(0x10000);
	case 3:
		return (int32_t)rnd(0x120000);
	default:
		return (int32_t)rnd(0x2000) + 0xd000;
	}
}

static void
strings_step(gort_string *s, uint64_t i)
{
	ptrdiff_t a = (ptrdiff_t)rnd(STRINGS), b = (ptrdiff_t)rnd(STRINGS), lo, hi;
	switch (rnd(10)) {
	case 0:
		s[a] = random_bytes();
		break;
	case 1:
		if (s[a].len + s[b].len < 2000)
			s[a] = gort_string_concat(s[a], s[b]);
		break;
	case 2:
		hi = (ptrdiff_t)rnd((uint64_t)s[a].len + 1);
		lo = (ptrdiff_t)rnd((uint64_t)hi + 1);
		s[b] = gort_string_slice(s[a], lo, hi);
		break;
	case 3:
		note((uint64_t)gort_string_compare(s[a], s[b]));
		note(gort_string_equal(s[a], s[b]));
		break;
	case 4: {
		gort_rune_iter it = gort_string_iterate(s[a]);
		while (gort_rune_next(&it))
			note((uint64_t)it.index << 32 | (uint64_t)it.rune);
		note((uint64_t)gort_string_rune_count(s[a]));
		break;
	}
	case 5: {
		gort_slice r = gort_string_runes(s[a]);
		note((uint64_t)r.len);
		for (ptrdiff_t k = 0; k < 3; k++)
			gort_append(int32_t, &r, random_rune());
		s[b] = gort_string_from_runes(r);
		break;
	}
	case 6: {
		gort_slice bytes = gort_string_bytes(s[a]);
		gort_append(uint8_t, &bytes, (uint8_t)i);
		s[b] = gort_string_from_bytes(bytes);
		break;
	}
	case 7: {
		gort_string_builder w = {{0}};
		gort_string_builder_grow(&w, (ptrdiff_t)rnd(50));
		gort_string_builder_write(&w, s[a]);
		gort_string_builder_write_byte(&w, (char)i);
		gort_string_builder_write_rune(&w, random_rune());
		gort_string_builder_write(&w, text(i % 1000));
		s[b] = gort_string_builder_string(&w);
		break;
	}
	case 8: {
		ptrdiff_t width;
		note((uint64_t)gort_string_decode_rune(s[a], &width));
		note((uint64_t)width);
		if (s[a].len > 0)
			note(gort_string_at(s[a], (ptrdiff_t)rnd((uint64_t)s[a].len)));
		break;
	}
	default:
		s[a] = gort_string_concat_n((gort_string[]){s[b], gort_str("-"), text(i % 99)}, 3);
	}
	if (s[a].len > 1000)
		s[a] = gort_string_slice(s[a], s[a].len - 500, s[a].len);
	if (s[b].len > 1000)
		s[b] = gort_string_slice(s[b], 0, 500);
	note(text_digest(s[a]));
}

static void
strings(uint64_t count)
{
	gort_string s[STRINGS] = {{0}};
	for (uint64_t i = 0; i < count; i++) {
		strings_step(s, i);
		if (i % 4096 == 4095)
			printf("%llu %016llx\n", (unsigned long long)i, (unsigned long long)digest);
	}
	printf("end %016llx\n", (unsigned long long)digest);
}

// ---- growth ----

#define MAX_START 1000000
#define MAX_SIZE 64

static gort_type
bytes_type(size_t size)
{
	return (gort_type){.size = size, .align = 1, .kind = GORT_KIND_INT, .flags = GORT_TYPE_NOSCAN,
			   .name = "bytes"};
}

static ptrdiff_t
cap_after(const gort_type *t, ptrdiff_t n)
{
	size_t bytes;
	return rt_grown_cap(t, n + 1, n, &bytes);
}

// Real appends for short slices, the formula of appends for all.
static void
growth(void)
{
	static unsigned char zeros[MAX_SIZE];
	for (size_t size = 1; size <= MAX_SIZE; size++) {
		const gort_type t = bytes_type(size);
		digest = 0;
		for (ptrdiff_t n = 0; n < 1500; n++) {
			gort_slice s = gort_make_slice_(&t, n, n);
			note((uint64_t)gort_append_(&t, s, zeros, 1).cap);
		}
		printf("append %zu %016llx\n", size, (unsigned long long)digest);
		digest = 0;
		for (ptrdiff_t n = 0; n <= MAX_START; n++)
			note((uint64_t)cap_after(&t, n));
		printf("growth %zu %016llx\n", size, (unsigned long long)digest);
	}
}

static void
caps(size_t size, ptrdiff_t lo, ptrdiff_t hi)
{
	const gort_type t = bytes_type(size);
	for (ptrdiff_t n = lo; n < hi; n++)
		printf("%td %td\n", n, cap_after(&t, n));
}

// ---- main ----

static const struct {
	const char *name;
	void (*run)(uint64_t count);
} tests[] = {
	{"u64", u64},	      {"i32", i32},	    {"i8", i8},		{"str", str},
	{"f64", f64},	      {"fields", fields},   {"big", big},	{"any", any},
	{"equality", equality}, {"slice1", slice1}, {"slice8", slice8}, {"slice12", slice12},
	{"slice200", slice200}, {"strings", strings},
};

static int
app(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "growth")) {
		growth();
		return 0;
	}
	if (argc == 5 && !strcmp(argv[1], "caps")) {
		caps(strtoull(argv[2], NULL, 0), atoll(argv[3]), atoll(argv[4]));
		return 0;
	}
	if (argc < 4)
		return 1;
	state = strtoull(argv[2], NULL, 0) | 1;
	rt_map_engine = argc > 4 && !strcmp(argv[4], "buckets") ? MAP_BUCKETS : MAP_SWISS;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (!strcmp(tests[i].name, argv[1])) {
			tests[i].run(strtoull(argv[3], NULL, 0));
			return 0;
		}
	}
	return 1;
}
GORT_MAIN(app)
