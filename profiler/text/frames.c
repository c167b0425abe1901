// SPDX-License-Identifier: BSD-3-Clause
#include "text/frames.h"

#include <stdio.h>
#include <string.h>

#define TAB 8
#define INNER 50 // frames of a traceback before and after the gap
#define OUTER 50

static void
put(const struct rtx_sink *to, const char *s)
{
	to->write(to->to, s, strlen(s));
}

// ---- whose function ----

static bool
runtime_source(const char *file)
{
	static const char *const parts[] = { "base", "chan", "data", "debug", "gc", "mem", "os", "sched", "sync" };
	const char *at = NULL;
	for (const char *p = file; (p = strstr(p, "runtime/")); p++)
		at = p + 8;
	size_t len = strlen(file);
	if (!at || len < 2 || strcmp(file + len - 2, ".c") != 0)
		return false;
	const char *slash = strchr(at, '/');
	for (size_t i = 0; slash && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strlen(parts[i]) == (size_t)(slash - at) && strncmp(at, parts[i], (size_t)(slash - at)) == 0)
			return strchr(slash + 1, '/') == NULL;
	return false;
}

static bool
prefixed(const char *name)
{
	return strncmp(name, "rt_", 3) == 0 || strncmp(name, "gort_", 5) == 0 || strncmp(name, "rtp_", 4) == 0;
}

bool
rtx_of_runtime(const char *name, const char *file, const char *module)
{
	if (module) {
		const char *slash = strrchr(module, '/');
		if (strncmp(slash ? slash + 1 : module, "libgort", 7) == 0)
			return true;
	}
	return (name && prefixed(name)) || (file && runtime_source(file));
}

static bool
runtime_frame(const struct rtx_frame *f)
{
	return rtx_of_runtime(f->name, f->file, f->module);
}

// Frames to leave out at the leaf; 0 when no other frame would be left.
static size_t
leading(const struct rtx_frame *f, size_t n)
{
	size_t k = 0;
	while (k < n && runtime_frame(&f[k]))
		k++;
	return k == n ? 0 : k;
}

// ---- debug=1 ----

// Characters, not bytes: Go counts UTF-8 runes.
static size_t
width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void
function_cell(char *cell, size_t size, const struct rtx_frame *f)
{
	snprintf(cell, size, "%.900s+0x%llx", f->name, (unsigned long long)(f->entry ? f->pc - f->entry : 0));
}

static void
pc_cell(char *cell, size_t size, const struct rtx_frame *f)
{
	snprintf(cell, size, "0x%llx", (unsigned long long)f->pc);
}

static void
put_padded(const struct rtx_sink *to, const char *cell, size_t column)
{
	put(to, cell);
	size_t tabs = (column - width(cell) + TAB - 1) / TAB;
	while (tabs-- > 0)
		put(to, "\t");
}

static size_t
column_width(size_t longest)
{
	return (longest + 1 + TAB - 1) / TAB * TAB;
}

// A run of frames that all have names: their cells are aligned with each other.
static void
put_run(const struct rtx_sink *to, const struct rtx_frame *f, size_t n)
{
	char cell[1024];
	size_t w1 = 0, w2 = 0;
	for (size_t i = 0; i < n; i++) {
		pc_cell(cell, sizeof(cell), &f[i]);
		w1 = w1 > width(cell) ? w1 : width(cell);
		function_cell(cell, sizeof(cell), &f[i]);
		w2 = w2 > width(cell) ? w2 : width(cell);
	}
	for (size_t i = 0; i < n; i++) {
		put(to, "#\t");
		pc_cell(cell, sizeof(cell), &f[i]);
		put_padded(to, cell, column_width(w1));
		function_cell(cell, sizeof(cell), &f[i]);
		put_padded(to, cell, column_width(w2));
		snprintf(cell, sizeof(cell), ":%d\n", f[i].line);
		put(to, f[i].file ? f[i].file : "??");
		put(to, cell);
	}
}

void
rtx_debug1(const struct rtx_sink *to, const struct rtx_frame *f, size_t n, bool hide)
{
	for (size_t i = hide ? leading(f, n) : 0; i < n;) {
		size_t end = i;
		while (end < n && f[end].name)
			end++;
		put_run(to, f + i, end - i);
		if (end < n) {
			char line[64];
			snprintf(line, sizeof(line), "#\t0x%llx\n", (unsigned long long)f[end++].pc);
			put(to, line);
		}
		i = end;
	}
}

// ---- debug=2 ----

static void
put_place(const struct rtx_sink *to, const struct rtx_frame *f)
{
	char s[64];
	put(to, "\t");
	put(to, f->file ? f->file : f->module ? f->module : "?");
	snprintf(s, sizeof(s), ":%d", f->line);
	put(to, f->file ? s : "");
	snprintf(s, sizeof(s), " +0x%llx", (unsigned long long)(f->pc + 1 - f->entry));
	put(to, !f->inlined && f->entry ? s : "");
	put(to, "\n");
}

static void
put_name(const struct rtx_sink *to, const struct rtx_frame *f)
{
	char s[32];
	snprintf(s, sizeof(s), "0x%llx", (unsigned long long)f->pc);
	put(to, f->name ? f->name : s);
}

void
rtx_traceback(const struct rtx_sink *to, const struct rtx_frame *f, size_t n)
{
	size_t first = leading(f, n), last = n;
	if (last > first + 1 && f[last - 1].name && strcmp(f[last - 1].name, "rt_gomain") == 0)
		last--;
	for (size_t i = first; i < last; i++) {
		if (last - first > INNER + OUTER && i == first + INNER) {
			char s[64];
			snprintf(s, sizeof(s), "...%zu frames elided...\n", last - first - INNER - OUTER);
			put(to, s);
			i = last - OUTER;
		}
		put_name(to, &f[i]);
		put(to, "(...)\n");
		put_place(to, &f[i]);
	}
}

void
rtx_created_by(const struct rtx_sink *to, const struct rtx_frame *f, size_t n, uint64_t goid)
{
	char s[64];
	size_t k = leading(f, n);
	if (n == 0)
		return;
	put(to, "created by ");
	put_name(to, &f[k]);
	snprintf(s, sizeof(s), " in goroutine %llu\n", (unsigned long long)goid);
	put(to, s);
	struct rtx_frame outer = f[k];
	outer.inlined = false;
	put_place(to, &outer);
}
