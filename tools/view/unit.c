// SPDX-License-Identifier: BSD-3-Clause
#include "unit.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *shown;
	const char *spelling[3]; // lower case, singular
	double factor;
};

static const struct unit bytes[] = {
	{"B", {"b", "byte"}, 1},
	{"kB", {"kb", "kbyte", "kilobyte"}, 0x1p10},
	{"MB", {"mb", "mbyte", "megabyte"}, 0x1p20},
	{"GB", {"gb", "gbyte", "gigabyte"}, 0x1p30},
	{"TB", {"tb", "tbyte", "terabyte"}, 0x1p40},
	{"PB", {"pb", "pbyte", "petabyte"}, 0x1p50},
};

static const struct unit times[] = {
	{"ns", {"ns", "nanosecond"}, 1},    {"us", {"us", "\xce\xbcs", "microsecond"}, 1e3},
	{"ms", {"ms", "millisecond"}, 1e6}, {"s", {"s", "sec", "second"}, 1e9},
	{"hrs", {"hr", "hour"}, 3600e9},
};

// zero: the unit of what is too small for any.
static const struct family {
	const struct unit *units;
	size_t n, zero;
} families[] = {{bytes, 6, 0}, {times, 5, 3}};

static bool
is_spelt(const struct unit *u, const char *name)
{
	for (size_t i = 0; i < 3 && u->spelling[i]; i++)
		if (strcmp(u->spelling[i], name) == 0)
			return true;
	return false;
}

static const struct unit *
find(const char *name, const struct family **family)
{
	char low[16];
	size_t n = strlen(name);
	if (n >= sizeof(low))
		return NULL;
	for (size_t i = 0; i <= n; i++)
		low[i] = (char)tolower((unsigned char)name[i]);
	if (n > 2 && low[n - 1] == 's')
		low[n - 1] = 0;
	for (size_t f = 0; f < sizeof(families) / sizeof(*families); f++)
		for (size_t i = 0; i < families[f].n; i++)
			if (is_spelt(&families[f].units[i], low)) {
				*family = &families[f];
				return &families[f].units[i];
			}
	return NULL;
}

static const struct unit *
fitting(double value, const struct family *f)
{
	for (size_t i = f->n; i-- > 0;)
		if (fabs(value) / f->units[i].factor >= 1)
			return &f->units[i];
	return &f->units[f->zero];
}

const char *
unit_fitting(int64_t value, const char *unit)
{
	const struct family *f;
	const struct unit *u = find(unit, &f);
	return u ? fitting((double)value * u->factor, f)->shown : "";
}

static const char *
number(char text[UNIT_TEXT], double v, const char *unit)
{
	int n = snprintf(text, UNIT_TEXT, "%.2f", v);
	if (n > 3 && strcmp(text + n - 3, ".00") == 0)
		text[n -= 3] = 0;
	if (strcmp(text, "0") == 0 || strcmp(text, "-0") == 0)
		return "0";
	snprintf(text + n, UNIT_TEXT - (size_t)n, "%s", unit);
	return text;
}

const char *
unit_format(char text[UNIT_TEXT], int64_t value, const char *unit, const char *to)
{
	const struct family *f, *g;
	const struct unit *u = find(unit, &f);
	if (!u) {
		static const char *const plain[] = {"count", "sample", "unit"};
		const char *shown = to ? to : "";
		for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
			if (strcmp(shown, plain[i]) == 0)
				shown = "";
		return number(text, (double)value, shown);
	}
	double v = (double)value * u->factor;
	const struct unit *in = to && *to ? find(to, &g) : fitting(v, f);
	if (!in || (to && *to && g != f))
		in = &f->units[f->zero];
	return number(text, v / in->factor, in->shown);
}

int
unit_nanoseconds(int64_t value, const char *unit, double *ns)
{
	const struct family *f;
	const struct unit *u = find(unit, &f);
	if (!u || f->units != times)
		return 0;
	*ns = (double)value * u->factor;
	return 1;
}

const char *
unit_percent(char text[UNIT_TEXT], int64_t value, int64_t total)
{
	double p = total ? fabs((double)value / (double)total) * 100 : 0;
	if (p >= 99.95 && p <= 100.05)
		return "  100%";
	snprintf(text, UNIT_TEXT, p >= 1 ? "%5.2f%%" : "%5.2g%%", p);
	return text;
}
