// SPDX-License-Identifier: BSD-3-Clause
// <gort/slice.h>: append with Go's growth, subslices that share memory, copy.
#include <gort.h>
#include <stdio.h>

static void
print(const char *what, gort_slice s)
{
	printf("%-12s len %td cap %td:", what, s.len, s.cap);
	for (ptrdiff_t i = 0; i < s.len; i++)
		printf(" %d", *gort_at(int, s, i));
	printf("\n");
}

static int
app(int argc, char **argv)
{
	gort_slice s = gort_make_slice(int, 0, 4); // make([]int, 0, 4)
	for (int i = 1; i <= 4; i++)
		gort_append(int, &s, i * 10); // s = append(s, i*10)
	print("s", s);
	gort_slice u = gort_subslice(int, s, 1, 3); // s[1:3]
	print("s[1:3]", u);
	*gort_at(int, u, 0) = 99; // the same memory
	print("s", s);
	gort_append(int, &s, 50); // no room: moves
	*gort_at(int, u, 0) = 20;
	print("s grown", s);
	gort_slice v = gort_subslice3(int, s, 0, 2, 2); // s[0:2:2]
	gort_append_slice(int, &v, u);			// append(v, u...)
	print("v", v);
	ptrdiff_t n = gort_copy(int, s, v); // copy(s, v)
	printf("copied %td\n", n);
	print("s", s);

	gort_slice grown = {0}; // nil is ready for append
	printf("capacities:");
	for (int64_t i = 0, cap = -1; i < 1000; i++) {
		gort_append(int64_t, &grown, i);
		if (grown.cap != cap)
			printf(" %td", grown.cap);
		cap = grown.cap;
	}
	printf("\n");
	return 0;
}
GORT_MAIN(app)
