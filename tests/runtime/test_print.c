// SPDX-License-Identifier: BSD-3-Clause
// runtime/base/print.c against libc's printf, for everything that print.h promises.
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/print.h"

#define SAME(...)                                                                                  \
	do {                                                                                       \
		char ours[256], libc[256];                                                         \
		size_t n = rt_snprintf(ours, sizeof ours, __VA_ARGS__);                            \
		int m = snprintf(libc, sizeof libc, __VA_ARGS__);                                  \
		cr_assert_str_eq(ours, libc);                                                      \
		cr_assert_eq(n, (size_t)m);                                                        \
	} while (0)

Test(print, integers_as_libc_prints_them)
{
	SAME("%d %i %u", -5, 7, 4000000000u);
	SAME("%ld %lu %zu %jd %td", INT64_MIN, UINT64_MAX, (size_t)3, (intmax_t)-9, (ptrdiff_t)-1);
	SAME("%lld|%llu", -1LL, 18446744073709551615ULL);
	SAME("%x %X %#x %lx", 0xbeefu, 0xbeefu, 0x10u, 0xdeadbeefcafeUL);
	SAME("[%5d] [%-5d] [%05d] [%*d]", 42, 42, 42, 7, 42);
	SAME("%d%%", 100);
}

Test(print, strings_characters_and_pointers_as_libc_prints_them)
{
	SAME("%s|%8s|%-8s|%.3s|%.*s", "a", "right", "left", "abcdef", 2, "xyz");
	SAME("%c%c%p", 'o', 'k', (void *)libc);
}

Test(print, doubles_with_a_precision)
{
	SAME("%.3f %.1f %.0f %f", 3.14159, -2.26, 10.0, 0.125);
}

Test(print, a_short_buffer_is_cut_and_the_whole_length_returned)
{
	char buf[6];
	cr_assert_eq(rt_snprintf(buf, sizeof buf, "%s", "much longer"), 11);
	cr_assert_str_eq(buf, "much ");
	cr_assert_eq(rt_snprintf(NULL, 0, "abc"), 3);
}
