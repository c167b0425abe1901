// SPDX-License-Identifier: BSD-3-Clause
// Strings: copies, concatenation, comparison, UTF-8 in both directions, the builder.
//
// Bytes of strings are pointer-free objects that are written once, before anybody else sees them.
// Go: runtime/string.go, unicode/utf8, strings/builder.go.
#include <gort/string.h>

#include <string.h>

#include "debug/throw.h"
#include "gc/barrier.h"
#include "mem/malloc.h"
#include "sched/tls.h"

static const gort_type bytetype = {
	.size = 1, .align = 1, .kind = GORT_KIND_INT, .flags = GORT_TYPE_NOSCAN, .name = "uint8_t"};
static const gort_type runetype = {.size = 4,
				   .align = 4,
				   .kind = GORT_KIND_INT,
				   .flags = GORT_TYPE_NOSCAN | GORT_TYPE_SIGNED,
				   .name = "int32_t"};

// n bytes that the caller fills at once.
static char *
rawbytes(size_t n)
{
	rt_enter();
	char *p = rt_mallocgc_noscan_raw(n, n);
	rt_leave();
	return p;
}

gort_string
gort_string_of(const void *bytes, ptrdiff_t n)
{
	if (rt_unlikely(n < 0))
		rt_panic("runtime error: makeslice: len out of range");
	if (n == 0)
		return (gort_string){NULL, 0};
	return (gort_string){memcpy(rawbytes((size_t)n), bytes, (size_t)n), n};
}

gort_string
gort_string_from(const char *cstr)
{
	return gort_string_of(cstr, cstr ? (ptrdiff_t)strlen(cstr) : 0);
}

char *
gort_string_cstr(gort_string s)
{
	char *p = rawbytes((size_t)s.len + 1);
	if (s.len > 0)
		memcpy(p, s.str, (size_t)s.len);
	p[s.len] = 0;
	return p;
}

gort_string
gort_string_concat_n(const gort_string *parts, ptrdiff_t n)
{
	ptrdiff_t len = 0, count = 0, last = 0;
	for (ptrdiff_t i = 0; i < n; i++) {
		if (parts[i].len == 0)
			continue;
		if (__builtin_add_overflow(len, parts[i].len, &len))
			rt_fatal("string concatenation too long");
		count++;
		last = i;
	}
	if (count == 0)
		return (gort_string){NULL, 0};
	if (count == 1)
		return parts[last];
	char *p = rawbytes((size_t)len), *q = p;
	for (ptrdiff_t i = 0; i < n; i++) {
		if (parts[i].len == 0)
			continue;
		memcpy(q, parts[i].str, (size_t)parts[i].len);
		q += parts[i].len;
	}
	return (gort_string){p, len};
}

gort_string
gort_string_concat(gort_string a, gort_string b)
{
	return gort_string_concat_n((gort_string[]){a, b}, 2);
}

int
gort_string_compare(gort_string a, gort_string b)
{
	size_t n = (size_t)rt_min(a.len, b.len);
	int c = n && a.str != b.str ? memcmp(a.str, b.str, n) : 0;
	if (c != 0)
		return c < 0 ? -1 : 1;
	return (a.len > b.len) - (a.len < b.len);
}

gort_slice
gort_string_bytes(gort_string s)
{
	gort_slice b = {NULL, 0, 0};
	if (s.len == 0)
		return gort_make_slice_(&bytetype, 0, 0);
	return gort_append_(&bytetype, b, s.str, s.len);
}

gort_string
gort_string_from_bytes(gort_slice bytes)
{
	return gort_string_of(bytes.array, bytes.len);
}

_Noreturn void
gort_panic_string_slice_(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t len)
{
	if (hi > len)
		rt_panic("runtime error: slice bounds out of range [:%td] with length %td", hi,
			 len);
	gort_panic_slice_(lo, hi, len);
}

// ---- UTF-8 ----

// Is p[i] there and of the form 10xxxxxx?
static bool
continuation(gort_string s, ptrdiff_t i)
{
	return i < s.len && ((unsigned char)s.str[i] & 0xC0) == 0x80;
}

int32_t
gort_string_decode_rune(gort_string s, ptrdiff_t *width)
{
	// By the first byte: how many follow, and the smallest rune that needs them.
	static const int32_t smallest[4] = {0, 0x80, 0x800, 0x10000};
	ptrdiff_t unused;
	if (!width)
		width = &unused;
	*width = s.len > 0;
	if (s.len <= 0)
		return GORT_RUNE_ERROR;
	unsigned char c = (unsigned char)s.str[0];
	if (c < 0x80)
		return c;
	int follow = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
	if (c < 0xC2 || c > 0xF4)
		return GORT_RUNE_ERROR;
	int32_t r = c & (0x3F >> follow);
	for (int i = 1; i <= follow; i++) {
		if (!continuation(s, i))
			return GORT_RUNE_ERROR;
		r = r << 6 | ((unsigned char)s.str[i] & 0x3F);
	}
	if (r < smallest[follow] || r > 0x10FFFF || (r >= 0xD800 && r <= 0xDFFF))
		return GORT_RUNE_ERROR;
	*width = follow + 1;
	return r;
}

int
gort_encode_rune(char buf[4], int32_t r)
{
	if (r < 0 || r > 0x10FFFF || (r >= 0xD800 && r <= 0xDFFF))
		r = GORT_RUNE_ERROR;
	if (r < 0x80) {
		buf[0] = (char)r;
		return 1;
	}
	int follow = r < 0x800 ? 1 : r < 0x10000 ? 2 : 3;
	// 110xxxxx, 1110xxxx, 11110xxx
	buf[0] = (char)((0xF0 << (3 - follow) & 0xF0) | r >> (6 * follow));
	for (int i = 1; i <= follow; i++)
		buf[i] = (char)(0x80 | (r >> (6 * (follow - i)) & 0x3F));
	return follow + 1;
}

ptrdiff_t
gort_string_rune_count(gort_string s)
{
	ptrdiff_t n = 0;
	for (gort_rune_iter it = gort_string_iterate(s); gort_rune_next(&it);)
		n++;
	return n;
}

gort_slice
gort_string_runes(gort_string s)
{
	ptrdiff_t n = gort_string_rune_count(s), i = 0;
	gort_slice runes = gort_make_slice_(&runetype, n, n);
	for (gort_rune_iter it = gort_string_iterate(s); gort_rune_next(&it);)
		((int32_t *)runes.array)[i++] = it.rune;
	return runes;
}

gort_string
gort_string_from_runes(gort_slice runes)
{
	gort_string_builder b = {{NULL, 0, 0}};
	for (ptrdiff_t i = 0; i < runes.len; i++)
		gort_string_builder_write_rune(&b, ((const int32_t *)runes.array)[i]);
	return gort_string_builder_string(&b);
}

// ---- builder ----

// The builder may lie in a collected object: the array it drops is logged.
static void
replacebuf(gort_string_builder *b, gort_slice buf)
{
	rt_enter();
	rt_barrier_before(NULL, &b->buf.array, sizeof(void *));
	b->buf = buf;
	rt_leave();
}

void
gort_string_builder_reset(gort_string_builder *b)
{
	replacebuf(b, (gort_slice){NULL, 0, 0});
}

void
gort_string_builder_write(gort_string_builder *b, gort_string s)
{
	replacebuf(b, gort_append_(&bytetype, b->buf, s.str, s.len));
}

void
gort_string_builder_write_byte(gort_string_builder *b, char c)
{
	gort_append(char, &b->buf, c);
}

void
gort_string_builder_write_rune(gort_string_builder *b, int32_t r)
{
	char buf[4];
	int n = gort_encode_rune(buf, r);
	replacebuf(b, gort_append_(&bytetype, b->buf, buf, n));
}

void
gort_string_builder_grow(gort_string_builder *b, ptrdiff_t n)
{
	if (rt_unlikely(n < 0))
		rt_panic("strings.Builder.Grow: negative count");
	if (b->buf.cap - b->buf.len >= n)
		return;
	ptrdiff_t cap;
	if (__builtin_add_overflow(b->buf.cap, b->buf.cap, &cap) ||
	    __builtin_add_overflow(cap, n, &cap))
		rt_panic("runtime error: makeslice: cap out of range");
	gort_slice s = gort_make_slice_(&bytetype, b->buf.len, cap);
	if (s.len > 0)
		memcpy(s.array, b->buf.array, (size_t)s.len);
	replacebuf(b, s);
}
