// SPDX-License-Identifier: BSD-3-Clause
// <gort/iface.h>: values of any type, and interfaces with methods.
#include <gort.h>
#include <stdio.h>

#define SHAPE(M) M(double, area) M(void, scale, double) // result, name, parameters
GORT_INTERFACE(shape, SHAPE)				// type shape interface { ... }

struct square {
	double side;
};
static double
square_area(const struct square *s)
{
	return s->side * s->side;
}
static void
square_scale(struct square *s, double k)
{
	s->side *= k;
}
GORT_IMPLEMENTS(shape, SHAPE, struct square, square)

struct rectangle {
	double a, b;
};
static double
rect_area(const struct rectangle *r)
{
	return r->a * r->b;
}
static void
rect_scale(struct rectangle *r, double k)
{
	r->a *= k;
	r->b *= k;
}
GORT_IMPLEMENTS(shape, SHAPE, struct rectangle, rect)

static void
describe(gort_any a) // switch v := a.(type)
{
	switch (gort_type_switch(a, int, gort_string, shape)) {
	case 0:
		printf("an int, %d\n", gort_unbox(int, a));
		break;
	case 1:
		printf("a string, %.*s\n", GORT_STRING_ARG(gort_unbox(gort_string, a)));
		break;
	case 2:
		printf("a shape, area %.1f\n", gort_call(gort_assert(shape, a), area));
		break;
	default:
		printf("something else: %s\n", gort_any_type_name(a));
	}
}

static int
app(int argc, char **argv)
{
	struct square sq = {3};
	struct rectangle re = {2, 5};
	shape shapes[] = {gort_iface(shape, square, &sq), gort_iface(shape, rect, &re)};
	for (int i = 0; i < 2; i++) {
		gort_call(shapes[i], scale, 2.0);
		printf("area %.1f\n", gort_call(shapes[i], area));
	}
	struct square *q = gort_assert(struct square *, shapes[0]); // shapes[0].(*square)
	struct square *no;
	printf("side %.1f, rectangle is square: %d\n", q->side,
	       gort_assert_ok(struct square *, shapes[1], &no));

	describe(gort_box(int, 42));
	describe(gort_box(gort_string, gort_str("hello")));
	describe(gort_box(struct square *, &sq));
	describe(gort_box(double, 1.5));
	describe((gort_any){0});

	shape nil = {0}, null = gort_iface(shape, square, NULL);
	printf("nil %d, holding a null pointer: nil %d\n", gort_is_nil(nil), gort_is_nil(null));

	gort_map *m = gort_make_map(gort_any, int, 0); // make(map[any]int)
	*gort_map_put(gort_any, int, m, gort_box(int, 1)) = 10;
	*gort_map_put(gort_any, int, m, gort_box(int64_t, 1)) = 20;
	*gort_map_put(gort_any, int, m, gort_box(gort_string, gort_str("1"))) = 30;
	printf("%td keys, 1 is %d\n", gort_map_len(m), *gort_map_get(gort_any, int, m, gort_box(int, 1)));
	return 0;
}
GORT_MAIN(app)
