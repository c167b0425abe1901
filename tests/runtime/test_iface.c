// SPDX-License-Identifier: BSD-3-Clause
#include <gort.h>

#include <math.h>

#include "data/map.h"
#include "mem/typename.h"
#include "on_gort.h"

#include "base/base.h"

TestSuite(iface, .timeout = 60);

struct big {
	uint64_t words[20];
};
struct named {
	gort_string name;
	double where[2];
	gort_any tag;
};
GORT_KEY(struct named, name, where, tag);
struct withslice {
	int id;
	gort_slice s;
};
GORT_KEY(struct withslice, id, s);

#define SHAPE(M) M(double, area) M(void, scale, double) M(int, add, int, int)
GORT_INTERFACE(shape, SHAPE)
#define NAMER(M) M(const char *, name)
GORT_INTERFACE(namer, NAMER)
#define NAMEDSHAPE(M) SHAPE(M) NAMER(M)
GORT_INTERFACE(namedshape, NAMEDSHAPE)
#define EMPTY(M)
GORT_INTERFACE(empty, EMPTY)
#define AREA(M) M(double, area)
GORT_INTERFACE(hasarea, AREA)
#define INTAREA(M) M(int, area)
GORT_INTERFACE(hasintarea, INTAREA)

typedef struct square {
	double side;
} square;
static double
square_area(const square *s)
{
	return s ? s->side * s->side : -1;
}
static void
square_scale(square *s, double k)
{
	s->side *= k;
}
static int
square_add(square *s, int a, int b)
{
	return (int)s->side + a + b;
}
static const char *
square_name(square *s)
{
	(void)s;
	return "square";
}
GORT_IMPLEMENTS(shape, SHAPE, square, square)
GORT_IMPLEMENTS(namer, NAMER, square, square)

struct circle {
	double r;
};
static double
round_area(struct circle *c)
{
	return 3 * c->r * c->r;
}
static void
round_scale(struct circle *c, double k)
{
	c->r *= k;
}
static int
round_add(struct circle *c, int a, int b)
{
	return (int)c->r * a * b;
}
GORT_IMPLEMENTS(shape, SHAPE, struct circle, round)

// ---- any ----

GORT_TEST(iface, a_box_gives_back_what_went_in)
{
	struct big b = {{1, 2, 3}}, c;
	int x;
	CHECK(gort_unbox(int, gort_box(int, -42)) == -42);
	CHECK(gort_unbox(bool, gort_box(bool, true)));
	CHECK(gort_unbox(double, gort_box(double, 1.5)) == 1.5);
	CHECK(gort_unbox(char *, gort_box(char *, (char *)&x)) == (char *)&x);
	CHECK(gort_string_equal(gort_unbox(gort_string, gort_box(gort_string, gort_str("x"))),
				gort_str("x")));
	b.words[19] = 20;
	gort_any a = gort_box(struct big, b);
	b.words[19] = 0; // the box is a copy
	c = gort_unbox(struct big, a);
	CHECK(c.words[2] == 3 && c.words[19] == 20);
	CHECK(((const struct big *)gort_any_data(&a))->words[19] == 20);
	a = gort_box(short, 7);
	CHECK(*(const short *)gort_any_data(&a) == 7);
}

GORT_TEST(iface, is_and_assert_ok_tell_types_apart)
{
	gort_any a = gort_box(int, 42), nil = {0};
	long l = 5;
	int i = 5;
	CHECK(gort_is(int, a));
	CHECK(!gort_is(long, a) && !gort_is(unsigned, a) && !gort_is(int *, a));
	CHECK(!gort_is(int, nil) && gort_is_nil(nil) && !gort_is_nil(a));
	CHECK(gort_assert_ok(int, a, &i) && i == 42);
	CHECK(!gort_assert_ok(long, a, &l) && l == 0);
	CHECK(!gort_assert_ok(int, nil, &i) && i == 0);
	CHECK(strcmp(gort_any_type_name(a), "int") == 0 &&
	      strcmp(gort_any_type_name(nil), "nil") == 0);
}

// Words in another order and spaces make no other type; a typedef does.
GORT_TEST(iface, types_are_known_by_their_spelling)
{
	CHECK(gort_is(unsigned int, gort_box(unsigned, 1)));
	CHECK(gort_is(long unsigned int, gort_box(unsigned long, 1)));
	CHECK(gort_is(square*, gort_box(square *, NULL)));
	CHECK(gort_is(const int, gort_box(int const, 1)));
	CHECK(!gort_is(struct square, gort_box(square, ((square){1}))));
	CHECK(!gort_is(int64_t, gort_box(long, 1)));
	CHECK(gort_is(_Bool, gort_box(bool, 1)));
}

GORT_TEST(iface, boxing_an_interface_passes_its_value_on)
{
	square q = {2};
	gort_any a = gort_box(gort_any, gort_box(int, 3));
	CHECK(gort_is(int, a) && gort_unbox(int, gort_unbox(gort_any, a)) == 3);
	CHECK(gort_is_nil(gort_box(gort_any, ((gort_any){0}))));
	shape s = gort_iface(shape, square, &q), none = {0};
	CHECK(gort_unbox(square *, gort_box(shape, s)) == &q);
	CHECK(gort_is_nil(gort_box(shape, none)));
}

GORT_TEST(iface, equality_is_of_type_and_value)
{
	gort_any nil = {0};
	gort_string x = gort_string_concat(gort_str("a"), gort_str("b"));
	CHECK(gort_any_equal(nil, nil));
	CHECK(!gort_any_equal(nil, gort_box(int, 0)));
	CHECK(gort_any_equal(gort_box(int, 1), gort_box(int, 1)));
	CHECK(!gort_any_equal(gort_box(int, 1), gort_box(long, 1)));
	CHECK(!gort_any_equal(gort_box(int, 1), gort_box(int, 2)));
	CHECK(gort_any_equal(gort_box(double, 0.0), gort_box(double, -0.0)));
	CHECK(!gort_any_equal(gort_box(double, NAN), gort_box(double, NAN)));
	CHECK(gort_any_equal(gort_box(gort_string, x), gort_box(gort_string, gort_str("ab"))));
	struct big b = {{1}};
	CHECK(gort_any_equal(gort_box(struct big, b), gort_box(struct big, b)));
}

GORT_TEST(iface, key_fields_compare_element_by_element)
{
	struct named a = {gort_str("n"), {0.0, 1.0}, gort_box(int, 1)};
	struct named b = {gort_string_from("n"), {-0.0, 1.0}, gort_box(int, 1)};
	struct named c = {gort_str("n"), {0.0, 1.0}, gort_box(long, 1)};
	struct named d = {gort_str("n"), {0.0, NAN}, gort_box(int, 1)};
	CHECK(gort_any_equal(gort_box(struct named, a), gort_box(struct named, b)));
	CHECK(!gort_any_equal(gort_box(struct named, a), gort_box(struct named, c)));
	CHECK(!gort_any_equal(gort_box(struct named, d), gort_box(struct named, d)));
	gort_map *m = gort_make_map(struct named, int, 0);
	*gort_map_put(struct named, int, m, a) = 1;
	*gort_map_put(struct named, int, m, b) += 1;
	*gort_map_put(struct named, int, m, c) = 7;
	*gort_map_put(struct named, int, m, d) = 8;
	*gort_map_put(struct named, int, m, d) = 9;
	CHECK_EQ(gort_map_len(m), 4);
	CHECK_EQ(*gort_map_get(struct named, int, m, b), 2);
	CHECK_EQ(*gort_map_get(struct named, int, m, c), 7);
}

static void
fill_any_map(void)
{
	gort_map *m = gort_make_map(gort_any, int, 0);
	for (int i = 0; i < 5000; i++) {
		*gort_map_put(gort_any, int, m, gort_box(int, i)) = i;
		*gort_map_put(gort_any, int, m, gort_box(long, i)) = -i;
		*gort_map_put(gort_any, int, m, gort_box(double, i)) = 2 * i;
		char text[16];
		snprintf(text, sizeof(text), "%d", i);
		*gort_map_put(gort_any, int, m, gort_box(gort_string, gort_string_from(text))) =
			3 * i;
	}
	*gort_map_put(gort_any, int, m, ((gort_any){0})) = 99;
	rt_check_map(m);
	gort_gc();
	CHECK_EQ(gort_map_len(m), 20001);
	for (int i = 0; i < 5000; i++) {
		char text[16];
		snprintf(text, sizeof(text), "%d", i);
		gort_any s = gort_box(gort_string, gort_string_from(text));
		CHECK_EQ(*gort_map_get(gort_any, int, m, gort_box(int, i)), i);
		CHECK_EQ(*gort_map_get(gort_any, int, m, gort_box(long, i)), -i);
		CHECK_EQ(*gort_map_get(gort_any, int, m, gort_box(double, i)), 2 * i);
		CHECK_EQ(*gort_map_get(gort_any, int, m, s), 3 * i);
		CHECK(gort_map_delete(gort_any, m, s));
		CHECK(!gort_map_get(gort_any, int, m, gort_box(int64_t, i)));
	}
	CHECK_EQ(*gort_map_get(gort_any, int, m, ((gort_any){0})), 99);
	CHECK_EQ(gort_map_len(m), 15001);
}

GORT_TEST(iface, anys_are_map_keys)
{
	for (rt_map_engine = 0; rt_map_engine < MAP_ENGINES; rt_map_engine++)
		fill_any_map();
}

GORT_DEATH_TEST(iface, hashing_a_slice_panics, "panic: runtime error: hash of unhashable type gort_slice")
{
	gort_map *m = gort_make_map(gort_any, int, 0);
	gort_map_put(gort_any, int, m, gort_box(gort_slice, gort_make_slice(int, 1, 1)));
}

GORT_DEATH_TEST(iface, looking_up_a_slice_panics_in_an_empty_map, "panic: runtime error: hash of unhashable type gort_slice")
{
	gort_map *m = gort_make_map(gort_any, int, 0);
	rt_map_engine = MAP_BUCKETS;
	gort_map_get(gort_any, int, m, gort_box(gort_slice, gort_make_slice(int, 1, 1)));
}

GORT_DEATH_TEST(iface, looking_up_a_slice_panics_in_an_empty_hmap, "panic: runtime error: hash of unhashable type gort_slice")
{
	rt_map_engine = MAP_BUCKETS;
	gort_map *m = gort_make_map(gort_any, int, 0);
	gort_map_get(gort_any, int, m, gort_box(gort_slice, gort_make_slice(int, 1, 1)));
}

GORT_DEATH_TEST(iface, deleting_a_slice_panics_in_an_empty_hmap, "panic: runtime error: hash of unhashable type gort_slice")
{
	rt_map_engine = MAP_BUCKETS;
	gort_map *m = gort_make_map(gort_any, int, 0);
	gort_map_delete(gort_any, m, gort_box(gort_slice, gort_make_slice(int, 1, 1)));
}

GORT_DEATH_TEST(iface, comparing_slices_panics, "panic: runtime error: comparing uncomparable type gort_slice")
{
	gort_any a = gort_box(gort_slice, gort_make_slice(int, 1, 1));
	CHECK(!gort_any_equal(a, gort_box(int, 1)));
	gort_any_equal(a, a);
}

GORT_DEATH_TEST(iface, comparing_structs_with_slices_panics, "panic: runtime error: comparing uncomparable type struct withslice")
{
	gort_any a = gort_box(struct withslice, ((struct withslice){0}));
	gort_any_equal(a, a);
}

GORT_DEATH_TEST(iface, unboxing_another_type_panics, "panic: interface conversion: interface {} is gort_string, not int")
{
	gort_unbox(int, gort_box(gort_string, gort_str("x")));
}

GORT_DEATH_TEST(iface, unboxing_nil_panics, "panic: interface conversion: interface {} is nil, not int")
{
	gort_any nil = {0};
	gort_unbox(int, nil);
}

// ---- interfaces ----

GORT_TEST(iface, calls_reach_the_methods)
{
	square q = {2};
	struct circle c = {1};
	shape s[] = {gort_iface(shape, square, &q), gort_iface(shape, round, &c)};
	double sum = 0;
	for (int i = 0; i < 2; i++) {
		gort_call(s[i], scale, 2.0);
		sum += gort_call(s[i], area);
	}
	CHECK(q.side == 4 && c.r == 2 && sum == 16 + 12);
	CHECK_EQ(gort_call(s[0], add, 10, 20), 34);
	CHECK_EQ(gort_call(s[1], add, 10, 20), 400);
}

GORT_TEST(iface, assertion_to_the_dynamic_type)
{
	square q = {2};
	struct circle *c;
	shape s = gort_iface(shape, square, &q), nil = {0};
	CHECK(gort_assert(square *, s) == &q);
	CHECK(gort_is(square *, s) && !gort_is(struct circle *, s) && !gort_is(square, s));
	CHECK(!gort_assert_ok(struct circle *, s, &c) && c == NULL);
	CHECK(!gort_is(square *, nil));
	CHECK(gort_unbox(square *, gort_as_any(s)) == &q);
}

// namedshape was declared for no type: its itab is put together from what is known of square.
GORT_TEST(iface, assertion_to_an_interface_finds_the_methods)
{
	square q = {3};
	struct circle c = {1};
	shape s = gort_iface(shape, square, &q);
	namedshape n = gort_assert(namedshape, s);
	CHECK(strcmp(gort_call(n, name), "square") == 0 && gort_call(n, area) == 9);
	CHECK(gort_call(gort_assert(hasarea, gort_box(square *, &q)), area) == 9);
	CHECK(gort_assert(square *, n) == &q);
	s = gort_iface(shape, round, &c);
	CHECK(!gort_is(namedshape, s) && gort_is(hasarea, s) && !gort_is(hasintarea, s));
	CHECK(!gort_assert_ok(namedshape, s, &n) && gort_is_nil(n));
	CHECK(gort_is(empty, s) && gort_is(empty, gort_box(int, 1)));
	CHECK(!gort_is(empty, ((gort_any){0})));
}

GORT_TEST(iface, there_is_one_itab_for_each_pair)
{
	square q = {3};
	gort_any a = gort_box(square *, &q);
	CHECK(gort_assert(shape, a).tab == gort_iface(shape, square, &q).tab);
	CHECK(gort_assert(namedshape, a).tab == gort_assert(namedshape, a).tab);
	CHECK(gort_assert(shape, a).tab->itab.type == gort_type_of(square *)->ident);
}

GORT_TEST(iface, an_interface_with_a_null_pointer_is_not_nil)
{
	square *none = NULL;
	shape s = gort_iface(shape, square, none), nil = {0};
	CHECK(!gort_is_nil(s) && gort_is_nil(nil));
	CHECK(gort_call(s, area) == -1);
	CHECK(!gort_iface_equal(s, nil));
	CHECK(gort_assert(square *, s) == NULL);
}

GORT_TEST(iface, interfaces_compare_by_type_and_pointer)
{
	square q = {1}, r = {1};
	shape s = gort_iface(shape, square, &q);
	CHECK(gort_iface_equal(s, gort_iface(shape, square, &q)));
	CHECK(!gort_iface_equal(s, gort_iface(shape, square, &r)));
	CHECK(gort_iface_equal(s, gort_iface(namer, square, &q)));
	CHECK(gort_iface_equal(s, gort_box(square *, &q)));
	CHECK(!gort_iface_equal(s, gort_box(void *, &q)));
	gort_map *m = gort_make_map(shape, int, 0);
	*gort_map_put(shape, int, m, s) = 5;
	CHECK_EQ(*gort_map_get(shape, int, m, gort_assert(shape, gort_box(square *, &q))), 5);
	CHECK(!gort_map_get(shape, int, m, gort_iface(shape, square, &r)));
}

static int
classify(gort_any a)
{
	return gort_type_switch(a, int, gort_string, hasarea, struct big);
}

GORT_TEST(iface, type_switch_finds_the_first_that_fits)
{
	square q = {1};
	CHECK_EQ(classify(gort_box(int, 1)), 0);
	CHECK_EQ(classify(gort_box(gort_string, gort_str(""))), 1);
	CHECK_EQ(classify(gort_box(square *, &q)), 2);
	CHECK_EQ(classify(gort_box(struct big, ((struct big){0}))), 3);
	CHECK_EQ(classify(gort_box(long, 1)), -1);
	CHECK_EQ(classify((gort_any){0}), -1);
	CHECK_EQ(gort_type_switch(gort_iface(shape, square, &q), square *), 0);
}

GORT_DEATH_TEST(iface, asserting_another_type_panics, "panic: interface conversion: shape is square *, not struct circle *")
{
	square q = {1};
	shape s = gort_iface(shape, square, &q);
	gort_assert(struct circle *, s);
}

GORT_DEATH_TEST(iface, asserting_a_missing_method_panics, "panic: interface conversion: struct circle * is not namedshape: missing method name")
{
	struct circle c = {1};
	gort_assert(namedshape, gort_iface(shape, round, &c));
}

GORT_DEATH_TEST(iface, asserting_nil_to_an_interface_panics, "panic: interface conversion: interface is nil, not shape")
{
	shape s = {0};
	gort_assert(shape, s);
}

#if !RT_ASAN // UBSan in the caller is first
GORT_DEATH_TEST(iface, calling_nil_panics, "panic: runtime error: invalid memory address or nil pointer dereference")
{
	shape s = {0};
	gort_call(s, scale, 1.0);
}
#endif

// Many goroutines ask for new itabs while the table grows.
#define PAIR(n)                                                                                    \
	struct pair##n {                                                                           \
		int v;                                                                             \
	};                                                                                         \
	static double pair##n##_area(struct pair##n *p)                                            \
	{                                                                                          \
		return p->v;                                                                       \
	}                                                                                          \
	GORT_IMPLEMENTS(hasarea, AREA, struct pair##n, pair##n)
PAIR(0) PAIR(1) PAIR(2) PAIR(3) PAIR(4) PAIR(5) PAIR(6) PAIR(7)

static void
ask(gort_waitgroup *wg, int id)
{
	struct pair0 a = {id};
	struct pair7 b = {-id};
	for (int i = 0; i < 1000; i++) {
		CHECK(gort_call(gort_assert(hasarea, gort_box(struct pair0 *, &a)), area) == id);
		CHECK(gort_call(gort_assert(hasarea, gort_box(struct pair7 *, &b)), area) == -id);
		CHECK(!gort_is(shape, gort_box(struct pair3 *, NULL)));
		CHECK(!gort_is(namer, gort_box(struct pair4 *, NULL)));
	}
	gort_waitgroup_done(wg);
}

GORT_TEST(iface, goroutines_share_the_table)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&wg, 8);
	for (int i = 0; i < 8; i++)
		gort_go(ask, &wg, i);
	gort_waitgroup_wait(&wg);
}

// More pairs than the table begins with.
GORT_TEST(iface, the_table_grows)
{
	static gort_type types[2000];
	static char names[2000][16];
	const gort_type *inter = gort_type_of(hasarea);
	for (int i = 0; i < 2000; i++) {
		snprintf(names[i], sizeof(names[i]), "type%d *", i);
		types[i] = (gort_type){.size = 8, .kind = GORT_KIND_POINTER, .name = names[i],
				       .hash = (uint32_t)i % 100, .ident = &types[i]};
		CHECK(!gort_implements_(inter, &types[i]));
	}
	void (*f[])(void) = {(void (*)(void))square_area};
	const struct gort_itab *tab, *again;
	for (int i = 0; i < 2000; i++) {
		gort_itab_add_(&tab, inter, &types[i], f);
		CHECK(tab->missing == -1 && tab->type == &types[i]);
		gort_itab_add_(&again, inter, &types[i], f);
		CHECK(again == tab && gort_implements_(inter, &types[i]));
	}
}

static void
spelled(const char *name, const char *want)
{
	char buf[100];
	cr_assert(rt_type_spelling(buf, sizeof(buf), name));
	cr_assert_str_eq(buf, want, "%s", name);
}

Test(iface, spellings_are_canonical)
{
	spelled("int", "int");
	spelled("  struct   node*", "struct node *");
	spelled("struct node * *", "struct node **");
	spelled("long unsigned int", "unsigned long");
	spelled("unsigned", "unsigned");
	spelled("unsigned int const *", "const unsigned *");
	spelled("signed", "int");
	spelled("signed char", "signed char");
	spelled("short int", "short");
	spelled("long long int", "long long");
	spelled("long double", "long double");
	spelled("_Bool", "bool");
	spelled("char *const", "char *const");
	spelled("void (*)(int, struct x *)", "void (*)(int,struct x*)");
	spelled("int [4]", "int[4]");
	spelled("double _Complex", "double _Complex");
	char buf[8];
	cr_assert_not(rt_type_spelling(buf, sizeof(buf), "struct node"));
}
