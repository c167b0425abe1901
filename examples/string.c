// SPDX-License-Identifier: BSD-3-Clause
// <gort/string.h>: strings are {str, len} values; bytes are counted, not terminated.
#include <gort.h>
#include <stdio.h>

static void
print(const char *what, gort_string s)
{
	printf("%-8s %td bytes \"%.*s\"\n", what, s.len, GORT_STRING_ARG(s));
}

static int
app(int argc, char **argv)
{
	gort_string hello = gort_str("hello"); // a literal, not copied
	char buf[] = ", world";
	gort_string world = gort_string_from(buf); // a copy
	buf[2] = 'W';
	gort_string both = gort_string_concat(hello, world);
	print("both", both);
	print("[7:12]", gort_string_slice(both, 7, 12));
	print("[0:5]", gort_string_of("hello, gopher", 5));
	printf("equal %d %d\n", gort_string_equal(hello, gort_string_slice(both, 0, 5)),
	       gort_string_equal(hello, world));
	int less = gort_string_compare(gort_str("abc"), gort_str("abd"));
	int prefix = gort_string_compare(gort_str("ab"), gort_str("abc"));
	int same = gort_string_compare(hello, gort_str("hello"));
	printf("compare %s %s %s\n", less < 0 ? "<" : "?", prefix < 0 ? "<" : "?",
	       same == 0 ? "=" : "?");
	return 0;
}
GORT_MAIN(app)
