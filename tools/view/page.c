// SPDX-License-Identifier: BSD-3-Clause
// The page is flame.html with flame.css, flame.js and the data put in; embed.py makes the three into
// page_head (up to the title), page_middle (up to the data) and page_tail. The data: base64 of gzip of
//
//   varint length, JSON: {"columns": [[type, unit], ...], "shown": column, "names": [...], "title": "",
//                         "base": "" or null}
//   for each node in preorder, the root first:
//     varint name << 1 | inlined, varint number of children,
//     varint mask: bit i for the i-th value that is not 0, then those values as zigzag varints
//
// flame.js reads it.
#include "page.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "flame_page.h"
#include "tree.h"

struct buffer {
	uint8_t *p;
	size_t n, cap;
};

static void
put(struct buffer *b, const void *p, size_t n)
{
	if (b->n + n > b->cap) {
		b->cap = 2 * (b->n + n) + 256;
		b->p = view_must(realloc(b->p, b->cap));
	}
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
}

static void
put_string(struct buffer *b, const char *s)
{
	put(b, s, strlen(s));
}

static void
put_varint(struct buffer *b, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (uint8_t)(v | 0x80);
	bytes[n++] = (uint8_t)v;
	put(b, bytes, n);
}

// s has no control characters: names_id saw to that.
static void
put_json(struct buffer *b, const char *s)
{
	put_string(b, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			put_string(b, "\\");
		put(b, s, 1);
	}
	put_string(b, "\"");
}

// What comes from the command line is not checked yet.
static void
put_text(struct buffer *b, const char *s)
{
	struct names one = {0};
	names_id(&one, s);
	put_json(b, one.v[0]);
	names_free(&one);
}

static void
put_meta(struct buffer *b, const struct stacks *s, const struct page_options *o)
{
	struct buffer j = {0};
	char number[32];
	put_string(&j, "{\"columns\":[");
	for (size_t i = 0; i < s->ncolumns; i++) {
		put_string(&j, i ? ",[" : "[");
		put_json(&j, s->columns[i].type);
		put_string(&j, ",");
		put_json(&j, s->columns[i].unit);
		put_string(&j, "]");
	}
	snprintf(number, sizeof(number), "],\"shown\":%zu", o->column);
	put_string(&j, number);
	put_string(&j, ",\"title\":");
	put_text(&j, o->title);
	put_string(&j, ",\"base\":");
	if (o->base)
		put_text(&j, o->base);
	else
		put_string(&j, "null");
	put_string(&j, ",\"names\":[");
	for (size_t i = 0; i < s->functions.n; i++) {
		if (i)
			put_string(&j, ",");
		put_json(&j, s->functions.v[i]);
	}
	put_string(&j, "]}");
	put_varint(b, j.n);
	put(b, j.p, j.n);
	free(j.p);
}

static void
put_node(struct buffer *b, const struct tree *t, size_t i)
{
	const struct tree_node *node = &t->nodes[i];
	const int64_t *values = tree_values(t, i);
	uint64_t mask = 0;
	put_varint(b, (uint64_t)node->function << 1 | node->inlined);
	put_varint(b, node->nchildren);
	for (size_t k = 0; k < t->width; k++)
		mask |= (uint64_t)(values[k] != 0) << k;
	put_varint(b, mask);
	for (size_t k = 0; k < t->width; k++)
		if (values[k])
			put_varint(b, (uint64_t)values[k] << 1 ^ (uint64_t)(values[k] >> 63));
}

// Preorder without recursion: stacks may be as deep as the file is long.
static void
put_tree(struct buffer *b, const struct tree *t)
{
	uint32_t at = 0;
	do {
		put_node(b, t, at);
		if (t->nodes[at].child) {
			at = t->nodes[at].child;
			continue;
		}
		while (at && !t->nodes[at].next)
			at = t->nodes[at].parent;
		at = t->nodes[at].next;
	} while (at);
}

static bool
compress_buffer(const struct buffer *in, struct buffer *out)
{
	z_stream z = {0};
	if (in->n > UINT32_MAX / 2 ||
	    deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	out->cap = deflateBound(&z, in->n);
	out->p = view_must(malloc(out->cap));
	z.next_in = in->p;
	z.avail_in = (uInt)in->n;
	z.next_out = out->p;
	z.avail_out = (uInt)out->cap;
	bool ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
	out->n = out->cap - z.avail_out;
	deflateEnd(&z);
	return ok;
}

static void
write_base64(FILE *out, const struct buffer *b)
{
	static const char digit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < b->n; i += 3) {
		size_t left = b->n - i;
		uint32_t v = (uint32_t)b->p[i] << 16 | (uint32_t)(left > 1 ? b->p[i + 1] : 0) << 8 |
			     (left > 2 ? b->p[i + 2] : 0);
		char text[4] = {digit[v >> 18], digit[v >> 12 & 63],
				left > 1 ? digit[v >> 6 & 63] : '=',
				left > 2 ? digit[v & 63] : '='};
		fwrite(text, 1, 4, out);
		if (i % 90 == 87)
			putc('\n', out);
	}
}

static void
write_html(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", out);
		else if (*s == '&')
			fputs("&amp;", out);
		else
			putc(*s, out);
	}
}

bool
page_write(FILE *out, const struct stacks *s, const struct page_options *o)
{
	struct tree t;
	struct buffer data = {0}, packed = {0};
	tree_build(&t, s, o->base != NULL);
	put_meta(&data, s, o);
	put_tree(&data, &t);
	tree_free(&t);
	bool ok = compress_buffer(&data, &packed);
	if (ok) {
		fputs(page_head, out);
		write_html(out, o->title);
		fputs(page_middle, out);
		write_base64(out, &packed);
		fputs(page_tail, out);
	}
	free(data.p);
	free(packed.p);
	return ok && fflush(out) == 0 && !ferror(out);
}
