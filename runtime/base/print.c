// SPDX-License-Identifier: BSD-3-Clause
// A printf without stdio; see print.h for what it understands.
#include "base/print.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct sink {
	char *buf;
	size_t cap; // room for characters, the NUL not counted
	size_t len; // characters asked for
};

struct spec {
	bool left, zero, alt;
	int width, precision; // precision -1: none
	int longs;            // 0 int, 1 long and wider (all 64 bits here)
};

static void
put(struct sink *s, char c)
{
	if (s->len < s->cap)
		s->buf[s->len] = c;
	s->len++;
}

static void
put_padded(struct sink *s, const struct spec *sp, const char *text, size_t n)
{
	size_t pad = sp->width > 0 && (size_t)sp->width > n ? (size_t)sp->width - n : 0;
	for (size_t i = 0; !sp->left && i < pad; i++)
		put(s, sp->zero ? '0' : ' ');
	for (size_t i = 0; i < n; i++)
		put(s, text[i]);
	for (size_t i = 0; sp->left && i < pad; i++)
		put(s, ' ');
}

// Digits of v before end; returns where they start.
static char *
digits(char *end, uint64_t v, unsigned base, bool upper)
{
	const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	do {
		*--end = set[v % base];
		v /= base;
	} while (v);
	return end;
}

static void
put_signed(struct sink *s, const struct spec *sp, int64_t v)
{
	char buf[24], *end = buf + sizeof buf;
	char *p = digits(end, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, false);
	if (v < 0)
		*--p = '-';
	put_padded(s, sp, p, (size_t)(end - p));
}

static void
put_unsigned(struct sink *s, const struct spec *sp, uint64_t v, unsigned base, bool upper, bool prefix)
{
	char buf[24], *end = buf + sizeof buf;
	char *p = digits(end, v, base, upper);
	if (prefix) {
		*--p = 'x';
		*--p = '0';
	}
	put_padded(s, sp, p, (size_t)(end - p));
}

static void
put_double(struct sink *s, const struct spec *sp, double v)
{
	int prec = sp->precision < 0 ? 6 : rt_min(sp->precision, 9);
	uint64_t scale = 1;
	for (int i = 0; i < prec; i++)
		scale *= 10;
	bool neg = v < 0;
	if (neg)
		v = -v;
	if (v != v || v > 9e18 / (double)scale) {
		put_padded(s, sp, v != v ? "NaN" : neg ? "-Inf" : "Inf", v != v || !neg ? 3 : 4);
		return;
	}
	uint64_t n = (uint64_t)(v * (double)scale + 0.5);
	char buf[48], *end = buf + sizeof buf, *p = end;
	for (int i = 0; i < prec; i++, n /= 10)
		*--p = (char)('0' + n % 10);
	if (prec > 0)
		*--p = '.';
	p = digits(p, n, 10, false);
	if (neg)
		*--p = '-';
	put_padded(s, sp, p, (size_t)(end - p));
}

static const char *
parse_spec(const char *f, struct spec *sp, va_list *ap)
{
	*sp = (struct spec){.precision = -1};
	for (;; f++) {
		if (*f == '-')
			sp->left = true;
		else if (*f == '0')
			sp->zero = true;
		else if (*f == '#')
			sp->alt = true;
		else
			break;
	}
	if (*f == '*') {
		sp->width = va_arg(*ap, int);
		f++;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		sp->width = sp->width * 10 + (*f - '0');
	if (*f == '.') {
		sp->precision = 0;
		f++;
		if (*f == '*') {
			sp->precision = va_arg(*ap, int);
			f++;
		}
		for (; *f >= '0' && *f <= '9'; f++)
			sp->precision = sp->precision * 10 + (*f - '0');
	}
	for (; *f == 'l' || *f == 'z' || *f == 't' || *f == 'j'; f++)
		sp->longs = 1;
	return f;
}

static void
put_arg(struct sink *s, char letter, const struct spec *sp, va_list *ap)
{
	switch (letter) {
	case 'd':
	case 'i':
		put_signed(s, sp, sp->longs ? va_arg(*ap, int64_t) : va_arg(*ap, int));
		break;
	case 'u':
		put_unsigned(s, sp, sp->longs ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned), 10, false,
			     false);
		break;
	case 'x':
	case 'X':
		put_unsigned(s, sp, sp->longs ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned), 16,
			     letter == 'X', sp->alt);
		break;
	case 'p':
		put_unsigned(s, sp, (uintptr_t)va_arg(*ap, void *), 16, false, true);
		break;
	case 'c': {
		char c = (char)va_arg(*ap, int);
		put_padded(s, sp, &c, 1);
		break;
	}
	case 's': {
		const char *t = va_arg(*ap, const char *);
		if (!t)
			t = "(null)";
		size_t n = sp->precision < 0 ? strlen(t) : strnlen(t, (size_t)sp->precision);
		put_padded(s, sp, t, n);
		break;
	}
	case 'f':
		put_double(s, sp, va_arg(*ap, double));
		break;
	case '%':
		put(s, '%');
		break;
	default:
		put(s, '%');
		put(s, letter);
	}
}

size_t
rt_vsnprintf(char *buf, size_t n, const char *fmt, va_list ap)
{
	struct sink s = {.buf = buf, .cap = n > 0 ? n - 1 : 0};
	va_list args;
	va_copy(args, ap);
	for (const char *f = fmt; *f; f++) {
		if (*f != '%') {
			put(&s, *f);
			continue;
		}
		struct spec sp;
		f = parse_spec(f + 1, &sp, &args);
		if (!*f)
			break;
		put_arg(&s, *f, &sp, &args);
	}
	va_end(args);
	if (n > 0)
		buf[rt_min(s.len, n - 1)] = 0;
	return s.len;
}

size_t
rt_snprintf(char *buf, size_t n, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	size_t len = rt_vsnprintf(buf, n, fmt, ap);
	va_end(ap);
	return len;
}

void
rt_printf(const char *fmt, ...)
{
	char buf[4096];
	va_list ap;
	va_start(ap, fmt);
	size_t len = rt_min(rt_vsnprintf(buf, sizeof buf, fmt, ap), sizeof buf - 1);
	va_end(ap);
	rt_write_err(buf, len);
}

void
rt_write_err(const char *buf, size_t len)
{
	int saved = errno;
	for (size_t done = 0; done < len;) {
		ssize_t w = write(2, buf + done, len - done);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break;
		done += (size_t)w;
	}
	errno = saved;
}
