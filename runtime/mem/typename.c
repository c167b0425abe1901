// SPDX-License-Identifier: BSD-3-Clause
// Canonical spellings of types. A name is a head of words ("const unsigned long", "struct node") and
// a rest of anything else ("*", "(*)(int)", "[4]").
#include "mem/typename.h"

#include <string.h>

#include "base/base.h"

// The head, word by word.
struct head {
	int nlong, nshort, nchar, nint, nsigned, nunsigned;
	bool asis; // keep the order: "long double"
	char *out; // where the other words go
};

static bool
wordchar(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static bool
is(const char *p, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(p, word, n) == 0;
}

static char *
append(char *out, const char *p, size_t n)
{
	memcpy(out, p, n);
	return out + n;
}

static void
addword(struct head *h, const char *begin, const char *p, size_t n)
{
	if (!h->asis && is(p, n, "int")) {
		h->nint++;
	} else if (!h->asis && is(p, n, "long")) {
		h->nlong++;
	} else if (!h->asis && is(p, n, "short")) {
		h->nshort++;
	} else if (!h->asis && is(p, n, "char")) {
		h->nchar++;
	} else if (!h->asis && is(p, n, "signed")) {
		h->nsigned++;
	} else if (!h->asis && is(p, n, "unsigned")) {
		h->nunsigned++;
	} else {
		if (is(p, n, "_Bool")) {
			p = "bool";
			n = 4;
		}
		if (h->out != begin)
			*h->out++ = ' ';
		h->out = append(h->out, p, n);
	}
}

// The integer type that the words name; "" for none.
static const char *
integer(const struct head *h)
{
	bool u = h->nunsigned;
	if (h->nchar)
		return u ? "unsigned char" : h->nsigned ? "signed char" : "char";
	if (h->nshort)
		return u ? "unsigned short" : "short";
	if (h->nlong)
		return h->nlong > 1 ? (u ? "unsigned long long" : "long long")
				    : (u ? "unsigned long" : "long");
	if (u)
		return "unsigned";
	return h->nint || h->nsigned ? "int" : "";
}

// The rest: spaces only where two words would run together.
static char *
addrest(char *out, const char *p)
{
	bool space = false;
	for (; *p; p++) {
		if (*p == ' ' || *p == '\t' || *p == '\n') {
			space = true;
			continue;
		}
		if (space && wordchar(*p) && wordchar(out[-1]))
			*out++ = ' ';
		space = false;
		*out++ = *p;
	}
	return out;
}

bool
rt_type_spelling(char *buf, size_t n, const char *name)
{
	if (strlen(name) + 3 > n) // a canonical spelling is at most one space longer
		return false;
	struct head h = {.out = buf, .asis = strstr(name, "double") || strstr(name, "_Complex")};
	const char *p = name;
	for (;;) {
		p += strspn(p, " \t\n");
		size_t len = 0;
		while (wordchar(p[len]))
			len++;
		if (len == 0)
			break;
		addword(&h, buf, p, len);
		p += len;
	}
	const char *i = integer(&h);
	if (*i && h.out != buf)
		*h.out++ = ' ';
	h.out = append(h.out, i, strlen(i));
	if ((*p == '*' || *p == '(') && h.out != buf)
		*h.out++ = ' ';
	*addrest(h.out, p) = 0;
	return true;
}
