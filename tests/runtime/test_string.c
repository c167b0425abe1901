// SPDX-License-Identifier: BSD-3-Clause
#include <gort/string.h>

#include "on_gort.h"

TestSuite(string, .timeout = 60);

#define IS(s, lit) CHECK(gort_string_equal((s), gort_str(lit)))

GORT_TEST(string, literals_and_copies)
{
	char buf[] = "hello";
	gort_string a = gort_string_from(buf), b = gort_string_of(buf + 1, 3);
	memset(buf, 'x', 5);
	IS(a, "hello");
	IS(b, "ell");
	CHECK_EQ(gort_string_from("").len, 0);
	CHECK_EQ(gort_string_from(NULL).len, 0);
	CHECK_EQ(gort_str("a\0b").len, 3);
	CHECK(strcmp(gort_string_cstr(gort_string_slice(a, 1, 3)), "el") == 0);
	CHECK(strcmp(gort_string_cstr((gort_string){0}), "") == 0);
}

GORT_TEST(string, concat)
{
	gort_string a = gort_str("ab"), e = {0};
	IS(gort_string_concat(a, gort_str("cd")), "abcd");
	CHECK(gort_string_concat(a, e).str == a.str);
	CHECK(gort_string_concat(e, a).str == a.str);
	gort_string parts[] = {gort_str("x"), e, gort_str("yz"), gort_str("!")};
	IS(gort_string_concat_n(parts, 4), "xyz!");
	CHECK_EQ(gort_string_concat_n(parts, 0).len, 0);
}

GORT_TEST(string, equal_and_compare)
{
	gort_string a = gort_string_from("abc"), b = gort_string_from("abc");
	CHECK(a.str != b.str && gort_string_equal(a, b));
	CHECK(!gort_string_equal(a, gort_str("abd")));
	CHECK(!gort_string_equal(a, gort_str("ab")));
	CHECK_EQ(gort_string_compare(a, b), 0);
	CHECK_EQ(gort_string_compare(a, gort_str("abd")), -1);
	CHECK_EQ(gort_string_compare(gort_str("b"), a), 1);
	CHECK_EQ(gort_string_compare(gort_str("ab"), a), -1);
	CHECK_EQ(gort_string_compare(a, (gort_string){0}), 1);
	CHECK_EQ(gort_string_compare(gort_str("\xff"), gort_str("a")), 1);
}

GORT_TEST(string, bytes_are_copies_both_ways)
{
	gort_string a = gort_str("abc");
	gort_slice b = gort_string_bytes(a);
	*gort_at(char, b, 0) = 'X';
	IS(a, "abc");
	gort_string c = gort_string_from_bytes(b);
	*gort_at(char, b, 1) = 'Y';
	IS(c, "Xbc");
}

// Go: range over a string; expected values from the language's rules.
GORT_TEST(string, range_over_runes)
{
	gort_rune_iter it = gort_string_iterate(gort_str("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
							 "z"));
	static const int32_t runes[] = {'a', 0xe9, 0x20ac, 0x1f600, 'z'};
	static const ptrdiff_t at[] = {0, 1, 3, 6, 10};
	int n = 0;
	while (gort_rune_next(&it)) {
		CHECK_EQ(it.rune, runes[n]);
		CHECK_EQ(it.index, at[n]);
		n++;
	}
	CHECK_EQ(n, 5);
}

GORT_TEST(string, an_invalid_byte_is_one_error_rune)
{
	static const struct {
		gort_string s;
		int runes;
	} bad[] = {
		{{"\xff", 1}, 1},
		{{"\x80\x80", 2}, 2},
		{{"\xc0\x80", 2}, 2},         // overlong
		{{"\xe0\x9f\xbf", 3}, 3},     // overlong
		{{"\xed\xa0\x80", 3}, 3},     // surrogate
		{{"\xf4\x90\x80\x80", 4}, 4}, // beyond the last
		{{"\xf5\x80\x80\x80", 4}, 4},
		{{"\xe2\x82", 2}, 2}, // cut off
		{{"\xf0\x9f\x98", 3}, 3},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		gort_rune_iter it = gort_string_iterate(bad[i].s);
		int n = 0;
		for (; gort_rune_next(&it); n++) {
			CHECK_EQ(it.rune, GORT_RUNE_ERROR);
			CHECK_EQ(it.index, n);
		}
		CHECK_EQ(n, bad[i].runes);
	}
	gort_rune_iter it = gort_string_iterate(gort_str("\xe2\x82z"));
	gort_rune_next(&it);
	gort_rune_next(&it);
	CHECK(gort_rune_next(&it) && it.rune == 'z' && it.index == 2);
}

GORT_TEST(string, every_rune_goes_round)
{
	for (int32_t r = 0; r <= 0x10ffff; r++) {
		char buf[4];
		ptrdiff_t width;
		int n = gort_encode_rune(buf, r);
		bool surrogate = r >= 0xd800 && r <= 0xdfff;
		CHECK_EQ(gort_string_decode_rune((gort_string){buf, n}, &width),
			 surrogate ? GORT_RUNE_ERROR : r);
		CHECK_EQ(width, n);
	}
	char buf[4];
	CHECK_EQ(gort_encode_rune(buf, -1), 3);
	CHECK_EQ(gort_encode_rune(buf, 0x110000), 3);
}

GORT_TEST(string, rune_slices)
{
	gort_slice r = gort_string_runes(gort_str("\xc3\xa9\xff"));
	CHECK_EQ(r.len, 2);
	CHECK_EQ(*gort_at(int32_t, r, 0), 0xe9);
	CHECK_EQ(*gort_at(int32_t, r, 1), GORT_RUNE_ERROR);
	IS(gort_string_from_runes(r), "\xc3\xa9\xef\xbf\xbd");
}

GORT_TEST(string, builder)
{
	gort_string_builder b = {0};
	gort_string_builder_grow(&b, 100);
	CHECK(b.buf.cap >= 100);
	gort_string_builder_write(&b, gort_str("ab"));
	gort_string early = gort_string_builder_string(&b);
	gort_string_builder_write_byte(&b, 'c');
	gort_string_builder_write_rune(&b, 0x20ac);
	IS(early, "ab");
	IS(gort_string_builder_string(&b), "abc\xe2\x82\xac");
	CHECK_EQ(gort_string_builder_len(&b), 6);
	gort_string_builder_reset(&b);
	CHECK_EQ(gort_string_builder_len(&b), 0);
	gort_string_builder_write(&b, gort_str("z"));
	IS(early, "ab");
	for (int i = 0; i < 10000; i++)
		gort_string_builder_write_byte(&b, (char)('a' + i % 26));
	CHECK_EQ(gort_string_at(gort_string_builder_string(&b), 10000), 'a' + 9999 % 26);
}

static volatile ptrdiff_t five = 5, minus = -1;

GORT_DEATH_TEST(string, slice_hi, "panic: runtime error: slice bounds out of range [:5] with length 3")
{
	gort_string_slice(gort_str("abc"), 0, five);
}

GORT_DEATH_TEST(string, slice_lo, "panic: runtime error: slice bounds out of range [5:3]")
{
	gort_string_slice(gort_str("abc"), five, 3);
}

GORT_DEATH_TEST(string, slice_negative, "panic: runtime error: slice bounds out of range [-1:]")
{
	gort_string_slice(gort_str("abc"), minus, 3);
}

GORT_DEATH_TEST(string, index, "panic: runtime error: index out of range [5] with length 3")
{
	gort_string_at(gort_str("abc"), five);
}
