// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profile_io.h"
#include "source.h"
#include "symbolize.h"
#include "text/frames.h"
#include "text_io.h"

struct mapping {
	uint64_t lo, hi, off;
	bool gone;
	char build_id[130];
	const char *path;
	struct source *o;
	struct place *places; // sorted, distinct
	size_t nplaces;
	uint64_t *pcs; // of places
};

struct text {
	char *in;
	struct mapping *maps;
	size_t nmaps;
	uint64_t *pcs;
	size_t npcs, cap;
	FILE *out;
};

static void *
must(void *p)
{
	if (!p)
		abort(); // the exit status tells the profiler to do without
	return p;
}

// ---- reading ----

static void
add_mapping(struct text *t, char *s)
{
	t->maps = must(realloc(t->maps, (t->nmaps + 1) * sizeof(*t->maps)));
	struct mapping *m = &t->maps[t->nmaps];
	int gone, at = 0;
	*m = (struct mapping){ 0 };
	if (sscanf(s, "%" SCNx64 " %" SCNx64 " %" SCNx64 " %d %129s %n", &m->lo, &m->hi, &m->off, &gone, m->build_id,
		   &at) != 5 ||
	    !at)
		return;
	if (strcmp(m->build_id, "-") == 0)
		m->build_id[0] = 0;
	m->gone = gone;
	m->path = s + at;
	t->nmaps++;
}

static void
add_pc(struct text *t, uint64_t pc)
{
	if (t->npcs == t->cap) {
		t->cap = 2 * t->cap + 1024;
		t->pcs = must(realloc(t->pcs, t->cap * sizeof(*t->pcs)));
	}
	t->pcs[t->npcs++] = pc;
}

static void
add_pcs(struct text *t, const char *s)
{
	for (char *end;; s = end) {
		uint64_t pc = strtoull(s, &end, 16);
		if (end == s)
			return;
		add_pc(t, pc);
	}
}

// Calls fn for each line without its newline.
static void
each_line(struct text *t, size_t len, void (*fn)(struct text *t, char *line))
{
	for (char *s = t->in, *end = s + len; s < end;) {
		char *nl = memchr(s, '\n', (size_t)(end - s));
		if (!nl)
			nl = end; // read_whole ended it with a NUL
		*nl = 0;
		fn(t, s);
		if (nl < end)
			*nl = '\n';
		s = nl + 1;
	}
}

static void
collect(struct text *t, char *line)
{
	if (line[0] != RTX_MARK)
		return;
	if (line[1] == 'M')
		add_mapping(t, must(strdup(line + 2)));
	else if (line[1] == 'C')
		add_pcs(t, strchr(line + 3, ' ') ? strchr(line + 3, ' ') : "");
	else
		add_pcs(t, line + 2);
}

// ---- symbols ----

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

// The newest come first; a loaded one is preferred.
static struct mapping *
mapping_of(struct text *t, uint64_t pc)
{
	struct mapping *gone = NULL;
	for (size_t i = 0; i < t->nmaps; i++) {
		struct mapping *m = &t->maps[i];
		if (pc < m->lo || pc >= m->hi)
			continue;
		if (!m->gone)
			return m;
		if (!gone)
			gone = m;
	}
	return gone;
}

static void
open_mapping(struct mapping *m)
{
	struct object_info info;
	if (m->path[0] == '/' && !m->o)
		m->o = source_open(m->path, m->build_id, &info);
}

// pcs ascending and in one mapping are ascending file addresses.
static void
symbolize(struct text *t)
{
	size_t n = 0;
	if (t->npcs)
		qsort(t->pcs, t->npcs, sizeof(*t->pcs), by_value);
	for (size_t i = 0; i < t->npcs; i++)
		if (n == 0 || t->pcs[n - 1] != t->pcs[i])
			t->pcs[n++] = t->pcs[i];
	t->npcs = n;
	for (size_t i = 0; i < n; i++) {
		struct mapping *m = mapping_of(t, t->pcs[i]);
		uint64_t vaddr;
		if (!m)
			continue;
		open_mapping(m);
		if (!m->o || !source_vaddr(m->o, t->pcs[i] - m->lo + m->off, &vaddr))
			continue;
		if (!m->places) {
			m->places = must(calloc(n - i, sizeof(*m->places)));
			m->pcs = must(calloc(n - i, sizeof(*m->pcs)));
		}
		m->places[m->nplaces].vaddr = vaddr;
		m->pcs[m->nplaces++] = t->pcs[i];
	}
	for (size_t i = 0; i < t->nmaps; i++) {
		struct object_info info = { 0 };
		if (t->maps[i].nplaces)
			source_symbolize(t->maps[i].o, t->maps[i].places, t->maps[i].nplaces, &info);
	}
}

// ---- writing ----

struct frames {
	struct rtx_frame *f;
	size_t n, cap;
};

static void
add_frame(struct frames *fs, struct rtx_frame f)
{
	if (fs->n == fs->cap) {
		fs->cap = 2 * fs->cap + 64;
		fs->f = must(realloc(fs->f, fs->cap * sizeof(*fs->f)));
	}
	fs->f[fs->n++] = f;
}

static void
add_frames(struct text *t, struct frames *fs, uint64_t pc)
{
	struct mapping *m = mapping_of(t, pc);
	uint64_t *at = m && m->nplaces ? bsearch(&pc, m->pcs, m->nplaces, sizeof(pc), by_value) : NULL;
	if (!at) {
		add_frame(fs, (struct rtx_frame){ .pc = pc, .module = m ? m->path : NULL });
		return;
	}
	const struct place *p = &m->places[at - m->pcs];
	for (size_t i = 0; i < p->nframes; i++) {
		const struct frame *f = &p->frames[i];
		add_frame(fs, (struct rtx_frame){ .pc = pc, .entry = p->entry ? pc - (p->vaddr - p->entry) : 0,
						  .name = f->name, .file = f->file, .line = f->line,
						  .inlined = i + 1 < p->nframes, .module = m->path });
	}
}

static void
sink(void *to, const char *s, size_t n)
{
	fwrite(s, 1, n, to);
}

static void
put(struct text *t, char *line)
{
	struct rtx_sink to = { sink, t->out };
	struct frames fs = { 0 };
	if (line[0] != RTX_MARK) {
		fputs(line, t->out);
		fputc('\n', t->out);
		return;
	}
	char *s = line + 2, *end;
	uint64_t goid = line[1] == 'C' ? strtoull(s, &s, 10) : 0;
	if (line[1] == 'M')
		return;
	for (;; s = end) {
		uint64_t pc = strtoull(s, &end, 16);
		if (end == s)
			break;
		add_frames(t, &fs, pc);
	}
	if (line[1] == 'C')
		rtx_created_by(&to, fs.f, fs.n, goid);
	else if (line[1] == 'T')
		rtx_traceback(&to, fs.f, fs.n);
	else
		rtx_debug1(&to, fs.f, fs.n, line[1] == 'H');
	free(fs.f);
}

int
symbolize_text(int in, int out)
{
	struct text t = { 0 };
	size_t len;
	t.in = read_whole(in, &len);
	if (!t.in)
		return 2;
	each_line(&t, len, collect);
	symbolize(&t);
	t.out = fdopen(out, "w");
	if (!t.out)
		return 1;
	each_line(&t, len, put);
	return fclose(t.out) == 0 ? 0 : 1;
}
