// SPDX-License-Identifier: BSD-3-Clause
// Strings: an immutable {str, len} of bytes, by convention UTF-8. A value of 16 bytes, copied by
// assignment, sharing its bytes; there is no NUL at the end (gort_string_cstr makes one). The zero
// value is the empty string.
//
//	gort_string a = gort_str("hello, ");		// a literal: nothing is copied
//	gort_string b = gort_string_concat(a, gort_string_from(getenv("USER")));
//	printf("%.*s\n", GORT_STRING_ARG(b));
//
// Bytes that are made here lie in the collected heap and live as long as some string points at or
// into them. Functions that allocate may run a step of the collector. Nothing blocks; all may be
// called by any number of goroutines at once, as nothing here is ever changed (a builder has one
// user). Not async-signal-safe, except where it says so.
//
// A gort_string stored into a collected object needs gort_set_value (gort/mem.h).
#pragma once

#include <gort/base.h>
#include <gort/slice.h>

GORT_BEGIN_DECLS

typedef struct gort_string {
	const char *str; // first byte
	ptrdiff_t len;   // bytes
} gort_string;

// gort_string gort_str("literal"): no copy, a constant expression's cost.
#ifndef __cplusplus
#define gort_str(literal) ((gort_string){"" literal "", sizeof(literal) - 1})
#endif

// The two arguments of a "%.*s" in printf.
#define GORT_STRING_ARG(s) (int)(s).len, (s).str

// A copy of a NUL-terminated string (NULL: empty), or of n bytes. Panics when n is negative.
// Go: string(b).
GORT_API gort_string gort_string_from(const char *cstr);
GORT_API gort_string gort_string_of(const void *bytes, ptrdiff_t n);

// A NUL-terminated copy, collected. Bytes of 0 inside s stay what they are.
GORT_API char *gort_string_cstr(gort_string s);

// a followed by b; no copy when either is empty. Fatal "string concatenation too long". Go: a + b.
GORT_API gort_string gort_string_concat(gort_string a, gort_string b);
// n strings in a row, one allocation. Go: a + b + c + ...
GORT_API gort_string gort_string_concat_n(const gort_string *parts, ptrdiff_t n);

// Same bytes. Async-signal-safe. Go: a == b.
static inline bool
gort_string_equal(gort_string a, gort_string b)
{
	return a.len == b.len && (a.len == 0 || a.str == b.str ||
				  __builtin_memcmp(a.str, b.str, (size_t)a.len) == 0);
}

// Below 0, 0 or above 0: by bytes, a prefix before what it begins. Async-signal-safe.
// Go: strings.Compare(a, b).
GORT_API int gort_string_compare(gort_string a, gort_string b);

GORT_API GORT_NORETURN void gort_panic_string_slice_(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t len);

// Bytes lo to hi - 1, shared. Panics "slice bounds out of range ...". Go: s[lo:hi].
static inline gort_string
gort_string_slice(gort_string s, ptrdiff_t lo, ptrdiff_t hi)
{
	if (__builtin_expect((size_t)hi > (size_t)s.len || (size_t)lo > (size_t)hi, 0))
		gort_panic_string_slice_(lo, hi, s.len);
	return __extension__(gort_string){s.str + (hi > lo ? lo : 0), hi - lo};
}

// Byte i. Panics "index out of range [i] with length len". Go: s[i].
static inline unsigned char
gort_string_at(gort_string s, ptrdiff_t i)
{
	if (__builtin_expect((size_t)i >= (size_t)s.len, 0))
		gort_panic_index_(i, s.len);
	return (unsigned char)s.str[i];
}

// The bytes as a new slice of unsigned char, and back, copied each way.
// Go: []byte(s), string(b).
GORT_API gort_slice gort_string_bytes(gort_string s);
GORT_API gort_string gort_string_from_bytes(gort_slice bytes);

// ---- runes ----

// What stands for a byte that is no UTF-8. Go: utf8.RuneError.
#define GORT_RUNE_ERROR 0xFFFD

// The rune that s begins with, its width in bytes in *width (may be NULL). A byte that begins no
// valid encoding (overlong, surrogate, beyond 0x10FFFF, cut off) gives GORT_RUNE_ERROR and width 1;
// an empty s gives GORT_RUNE_ERROR and width 0. Async-signal-safe. Go: utf8.DecodeRuneInString.
GORT_API int32_t gort_string_decode_rune(gort_string s, ptrdiff_t *width);

// Goes over s rune by rune, as `for index, rune := range s`:
//
//	gort_rune_iter it = gort_string_iterate(s);
//	while (gort_rune_next(&it))
//		use(it.index, it.rune);
typedef struct gort_rune_iter {
	ptrdiff_t index; // of the rune's first byte
	int32_t rune;
	gort_string rest_; // not yet visited
	ptrdiff_t next_;
} gort_rune_iter;

static inline gort_rune_iter
gort_string_iterate(gort_string s)
{
	return __extension__(gort_rune_iter){0, 0, s, 0};
}

// False at the end. Async-signal-safe.
static inline bool
gort_rune_next(gort_rune_iter *it)
{
	ptrdiff_t width = 1;
	if (it->rest_.len <= 0)
		return false;
	it->index = it->next_;
	it->rune = (unsigned char)*it->rest_.str;
	if (it->rune >= 0x80)
		it->rune = gort_string_decode_rune(it->rest_, &width);
	it->rest_.str += width;
	it->rest_.len -= width;
	it->next_ += width;
	return true;
}

// How many runes, an invalid byte being one. Async-signal-safe. Go: utf8.RuneCountInString.
GORT_API ptrdiff_t gort_string_rune_count(gort_string s);
// All runes as a slice of int32_t, and the string of such a slice (what is no rune becomes
// GORT_RUNE_ERROR). Go: []rune(s), string(runes).
GORT_API gort_slice gort_string_runes(gort_string s);
GORT_API gort_string gort_string_from_runes(gort_slice runes);
// Writes r's encoding, up to 4 bytes, and returns its length; GORT_RUNE_ERROR's for what is no rune.
// Async-signal-safe. Go: utf8.EncodeRune.
GORT_API int gort_encode_rune(char buf[4], int32_t r);

// ---- builder ----

// Collects the pieces of a string; zero-initialised, one user at a time. Go: strings.Builder.
typedef struct gort_string_builder {
	gort_slice buf; // of char
} gort_string_builder;

// Appends a string, a byte, or a rune's encoding (GORT_RUNE_ERROR's for what is no rune). Panics
// "growslice: len out of range" when that is too long. Go: Builder.WriteString, WriteByte, WriteRune.
GORT_API void gort_string_builder_write(gort_string_builder *b, gort_string s);
GORT_API void gort_string_builder_write_byte(gort_string_builder *b, char c);
GORT_API void gort_string_builder_write_rune(gort_string_builder *b, int32_t r);
// Room for n more bytes. Panics "strings.Builder.Grow: negative count". Go: Builder.Grow.
GORT_API void gort_string_builder_grow(gort_string_builder *b, ptrdiff_t n);

// Bytes written so far. Go: Builder.Len.
static inline ptrdiff_t
gort_string_builder_len(const gort_string_builder *b)
{
	return b->buf.len;
}

// What has been written, not copied: later writes go behind it and leave it alone. Go: Builder.String.
static inline gort_string
gort_string_builder_string(const gort_string_builder *b)
{
	return __extension__(gort_string){(const char *)b->buf.array, b->buf.len};
}

// Empty again; strings taken before stay valid. Go: Builder.Reset.
GORT_API void gort_string_builder_reset(gort_string_builder *b);

GORT_END_DECLS
