// SPDX-License-Identifier: BSD-3-Clause
#include <criterion/criterion.h>

#include <gort/mem.h>

#include "mem/sizeclass.h"

struct gort_slice {
	void *array;
	ptrdiff_t len, cap;
};
struct gort_string {
	const char *str;
	ptrdiff_t len;
};
struct gort_any {
	const void *type, *data;
};

typedef struct node {
	struct node *left, *right;
	long value;
	void *items[3];
	struct {
		long n;
		void *next;
	} inner;
	struct gort_slice slice;
	struct gort_string name;
	struct gort_any any;
	char text[24];
} node;
GORT_TYPE(node, right, left, items, inner.next, slice, name, any)

struct plain {
	long a, b;
	char c[100];
};
GORT_TYPE(struct plain)

struct pair {
	void *a, *b;
};
GORT_TYPE(struct pair, a, b);

struct undeclared {
	void *p;
	long n;
};
typedef double matrix[4];
typedef void *four[4];
enum colour { red, green };

TestSuite(type, .init = rt_sizeclass_init);

Test(type, a_declared_map_lists_exactly_the_pointer_words)
{
	const gort_type *t = gort_type_of(node);
	const uint32_t want[] = {
		offsetof(node, left),	  offsetof(node, right),
		offsetof(node, items[0]), offsetof(node, items[1]),
		offsetof(node, items[2]), offsetof(node, inner.next),
		offsetof(node, slice),	  offsetof(node, name),
		offsetof(node, any),	  offsetof(node, any.data),
	};
	cr_assert(t->flags & GORT_TYPE_PRECISE);
	cr_assert_eq(t->size, sizeof(node));
	cr_assert_eq(t->nptrs, sizeof want / sizeof want[0]);
	cr_assert_arr_eq(t->ptrs, want, sizeof want);
	cr_assert_str_eq(t->name, "node");
	cr_assert_eq(rt_spanclasses[t->spanclass].type, t);
}

Test(type, no_field_means_pointer_free_and_all_fields_means_word_by_word)
{
	cr_assert(gort_type_of(struct plain)->flags & GORT_TYPE_NOSCAN);
	const gort_type *t = gort_type_of(struct pair);
	cr_assert_not(t->flags & (GORT_TYPE_NOSCAN | GORT_TYPE_PRECISE));
	cr_assert_eq(t->spanclass, RT_SPANCLASS(rt_sizeclass(16), 0));
}

Test(type, without_a_declaration_the_compiler_decides)
{
	cr_assert(gort_type_of(int)->flags & GORT_TYPE_NOSCAN);
	cr_assert(gort_type_of(int)->flags & GORT_TYPE_SIGNED);
	cr_assert_not(gort_type_of(unsigned)->flags & GORT_TYPE_SIGNED);
	cr_assert(gort_type_of(enum colour)->flags & GORT_TYPE_NOSCAN);
	cr_assert(gort_type_of(_Bool)->flags & GORT_TYPE_NOSCAN);
	cr_assert(gort_type_of(double)->flags & GORT_TYPE_NOSCAN);
	cr_assert_not(gort_type_of(struct undeclared)->flags & (GORT_TYPE_NOSCAN | GORT_TYPE_PRECISE));
	cr_assert_not(gort_type_of(void *)->flags & GORT_TYPE_NOSCAN);
	cr_assert_eq(gort_type_of(void *)->kind, GORT_KIND_POINTER);
}

Test(type, an_array_is_not_taken_for_a_pointer)
{
	cr_assert_eq(gort_type_of(four)->kind, GORT_KIND_STRUCT);
	cr_assert_not(gort_type_of(four)->flags & GORT_TYPE_NOSCAN);
	cr_assert_eq(gort_type_of(four)->size, 4 * sizeof(void *));
	cr_assert(gort_type_of(matrix)->flags & GORT_TYPE_NOSCAN);
	cr_assert(gort_type_of(char[100])->flags & GORT_TYPE_NOSCAN);
}

Test(type, one_spelling_with_one_map_is_one_descriptor)
{
	const gort_type *a = gort_type_of(node), *b = gort_type_of(node);
	cr_assert_eq(a, b);
	cr_assert_eq(gort_type_of(int), gort_type_of(int));
	cr_assert_neq(gort_type_of(int), gort_type_of(unsigned));
}
