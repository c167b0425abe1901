// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/procmaps.h"
#include "core/rtlink.h"
#include "core/thread.h"
#include "http/http.h"
#include "http/page.h"
#include "symbol/symtab.h"
#include "unwind/modules.h"

// ---- writing ----

static void
flush(struct rtp_page *p)
{
	for (size_t at = 0; at < p->len && !p->err;) {
		ssize_t n = write(p->fd, p->buf + at, p->len - at);
		if (n > 0)
			at += (size_t)n;
		else if (errno != EINTR)
			p->err = -errno;
	}
	p->len = 0;
}

void
rtp_page_put(struct rtp_page *p, const char *s, size_t n)
{
	while (n > 0) {
		size_t k = rt_min(n, sizeof(p->buf) - p->len);
		memcpy(p->buf + p->len, s, k);
		p->len += k;
		s += k;
		n -= k;
		if (p->len == sizeof(p->buf))
			flush(p);
	}
}

void
rtp_page_puts(struct rtp_page *p, const char *s)
{
	rtp_page_put(p, s, strlen(s));
}

void
rtp_page_printf(struct rtp_page *p, const char *fmt, ...)
{
	char s[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	rtp_page_put(p, s, (size_t)rt_min(n, (int)sizeof(s) - 1));
}

void
rtp_page_quoted(struct rtp_page *p, const char *s)
{
	rtp_page_puts(p, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			rtp_page_printf(p, "\\%c", c);
		else if (c < 0x20)
			rtp_page_printf(p, "\\u%04x", c);
		else
			rtp_page_put(p, s, 1);
	}
	rtp_page_puts(p, "\"");
}

void
rtp_page_html(struct rtp_page *p, const char *s)
{
	for (; *s; s++) {
		const char *e = *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : *s == '&' ? "&amp;" : *s == '\'' ? "&#39;" : NULL;
		rtp_page_put(p, e ? e : s, e ? strlen(e) : 1);
	}
}

int
rtp_page_end(struct rtp_page *p)
{
	flush(p);
	return p->err;
}

// ---- the index ----

static const struct {
	const char *name, *text;
} descriptions[] = {
	{ "allocs", "Where memory was allocated, since the start; sampled" },
	{ "block", "Where goroutines waited for channels and locks; sampled by gort_set_block_profile_rate" },
	{ "cmdline", "The program's arguments" },
	{ "goroutine", "Stacks of all goroutines; debug=2 prints each one like a panic does" },
	{ "goroutineleak", "Goroutines that wait for what nobody can do any more; collects to find them" },
	{ "heap", "Where the memory in use was allocated; gc=1 collects first" },
	{ "mutex", "Who held locks that others waited for; sampled by gort_set_mutex_profile_fraction" },
	{ "profile", "CPU time, for as many seconds as the parameter says (30)" },
	{ "threadcreate", "The number of threads" },
	{ "wall", "Where goroutines or threads spend time, running or waiting, for as many seconds as the parameter says (30)" },
};

static const char *
describe(const char *name)
{
	for (size_t i = 0; i < rt_nelem(descriptions); i++)
		if (strcmp(descriptions[i].name, name) == 0)
			return descriptions[i].text;
	return "A profile of the program's own";
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct rtp_listed *)a)->name, ((const struct rtp_listed *)b)->name);
}

int
rtp_page_index(int fd)
{
	struct rtp_page p = { .fd = fd };
	struct rtp_listed list[80];
	int n = rtp_profile_list(list, (int)rt_nelem(list) - 3);
	list[n++] = (struct rtp_listed){ "cmdline", 0 };
	list[n++] = (struct rtp_listed){ "profile", 0 };
	list[n++] = (struct rtp_listed){ "wall", 0 };
	qsort(list, (size_t)n, sizeof(list[0]), by_name);
	rtp_page_puts(&p, "<html>\n<head>\n<title>/debug/pprof/</title>\n<style>\n"
			  "body { font-family: sans-serif; margin: 2em; }\n"
			  "td, th { padding: 0 1em 0 0; text-align: left; }\n"
			  "td:first-child { text-align: right; }\n"
			  "li { margin: .3em 0; }\n</style>\n</head>\n<body>\n/debug/pprof/\n<br>\n"
			  "<p>Set debug=1 as a query parameter to export in legacy text format</p>\n"
			  "<br>\nTypes of profiles available:\n<table>\n"
			  "<thead><td>Count</td><td>Profile</td></thead>\n");
	for (int i = 0; i < n; i++) {
		rtp_page_printf(&p, "<tr><td>%" PRId64 "</td><td><a href='", list[i].count);
		rtp_page_html(&p, list[i].name);
		rtp_page_puts(&p, "?debug=1'>");
		rtp_page_html(&p, list[i].name);
		rtp_page_puts(&p, "</a></td></tr>\n");
	}
	rtp_page_puts(&p, "</table>\n<a href=\"goroutine?debug=2\">full goroutine stack dump</a>\n<br>\n"
			  "<p>\nProfile Descriptions:\n<ul>\n");
	for (int i = 0; i < n; i++) {
		rtp_page_puts(&p, "<li><b>");
		rtp_page_html(&p, list[i].name);
		rtp_page_puts(&p, ":</b> ");
		rtp_page_puts(&p, describe(list[i].name));
		rtp_page_puts(&p, "</li>\n");
	}
	rtp_page_puts(&p, "</ul>\n<p>Also here: <a href=\"/debug/vars\">/debug/vars</a> (JSON), "
			  "<a href=\"/metrics\">/metrics</a> (Prometheus).</p>\n</body>\n</html>\n");
	return rtp_page_end(&p);
}

// ---- the command line ----

// Arguments with NULs in between, none at the end.
int
rtp_page_cmdline(int fd)
{
	struct rtp_page p = { .fd = fd };
	char buf[4096];
	int in = rtp_open_proc("cmdline");
	bool pending = false;
	for (ssize_t n; in >= 0 && (n = read(in, buf, sizeof(buf))) > 0;)
		for (ssize_t i = 0; i < n; i++) {
			if (pending)
				rtp_page_put(&p, "", 1);
			pending = buf[i] == 0;
			if (!pending)
				rtp_page_put(&p, buf + i, 1);
		}
	if (in >= 0)
		close(in);
	return rtp_page_end(&p);
}

// ---- addresses to names ----

static uint64_t
parse_address(const char *s, size_t n)
{
	char word[72], *end;
	if (n == 0 || n >= sizeof(word))
		return 0;
	memcpy(word, s, n);
	word[n] = 0;
	bool binary = word[0] == '0' && (word[1] | 32) == 'b';
	unsigned long long v = strtoull(word + 2 * binary, &end, binary ? 2 : 0);
	return *end || word[0] == '-' ? 0 : v;
}

// One address a line, those that have a name.
int
rtp_page_symbol(int fd, const char *addresses, size_t n)
{
	struct rtp_page p = { .fd = fd };
	struct rtp_region *r = rtp_main();
	if (r)
		rtp_modules_refresh(r);
	struct rtp_symtab *s = r ? rtp_symtab_new(r, false) : NULL;
	rtp_page_puts(&p, "num_symbols: 1\n");
	for (size_t at = 0; s && at < n;) {
		size_t len = 0;
		while (at + len < n && !strchr("+& \r\n", addresses[at + len]))
			len++;
		uint64_t pc = parse_address(addresses + at, len);
		struct rtp_names names = rtp_symtab_names(s);
		size_t name_len;
		const char *name = pc ? names.name(names.arg, pc, &name_len) : NULL;
		if (name) {
			rtp_page_printf(&p, "%#" PRIx64 " ", pc);
			rtp_page_put(&p, name, name_len);
			rtp_page_puts(&p, "\n");
		}
		at += len + 1;
	}
	if (s)
		rtp_symtab_free(s);
	return rtp_page_end(&p);
}
