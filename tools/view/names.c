// SPDX-License-Identifier: BSD-3-Clause
#include "names.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *
view_must(void *p)
{
	if (!p) {
		fprintf(stderr, "gort: out of memory\n");
		exit(1);
	}
	return p;
}

static uint64_t
hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull;
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	return h ^ h >> 31;
}

static size_t
find_slot(const struct names *t, const char *s)
{
	size_t i = hash(s) & (t->nslots - 1);
	while (t->slot[i] && strcmp(t->v[t->slot[i] - 1], s) != 0)
		i = (i + 1) & (t->nslots - 1);
	return i;
}

static void
grow(struct names *t)
{
	t->nslots = t->nslots ? 2 * t->nslots : 1024;
	free(t->slot);
	t->slot = view_must(calloc(t->nslots, sizeof(*t->slot)));
	for (size_t i = 0; i < t->n; i++)
		t->slot[find_slot(t, t->v[i])] = (uint32_t)i + 1;
}

// Bytes of the UTF-8 character at s; 0 when there is none. A NUL ends every comparison in time.
static size_t
utf8_length(const uint8_t *s)
{
	size_t n = s[0] < 0x80	 ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0; // too long a spelling, a surrogate, beyond U+10FFFF
	return n;
}

static bool
is_control(const uint8_t *s)
{
	return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

static char *
printable(const char *s)
{
	char *copy = view_must(strdup(s));
	for (uint8_t *p = (uint8_t *)copy; *p;) {
		size_t n = utf8_length(p);
		if (n == 0 || is_control(p)) {
			*p = '?';
			n = 1;
		}
		p += n;
	}
	return copy;
}

uint32_t
names_id(struct names *t, const char *s)
{
	if (2 * (t->n + 1) > t->nslots)
		grow(t);
	char *copy = printable(s);
	size_t i = find_slot(t, copy);
	if (t->slot[i]) {
		free(copy);
		return t->slot[i] - 1;
	}
	if (t->n == t->cap) {
		t->cap = 2 * t->cap + 64;
		t->v = view_must(realloc(t->v, t->cap * sizeof(*t->v)));
	}
	t->v[t->n++] = copy;
	t->slot[i] = (uint32_t)t->n;
	return (uint32_t)t->n - 1;
}

void
names_free(struct names *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i]);
	free(t->v);
	free(t->slot);
	*t = (struct names){0};
}
