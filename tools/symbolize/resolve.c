// SPDX-License-Identifier: BSD-3-Clause
#include "resolve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"
#include "symbolize.h"
#include "text/frames.h"

struct resolver {
	pprof_profile *p;
	struct strings *strings;
	// Functions by (name, system name, file, start line); open addressing over function[].
	uint32_t *slot;
	size_t nslots, functions_cap, comments_cap;
	uint64_t last_id;
};

struct want {
	pprof_location *loc;
	uint64_t vaddr;
};

static void *
must(void *p)
{
	if (!p)
		abort(); // the helper's exit status tells the profiler to do without
	return p;
}

static size_t
function_slot(const struct resolver *r, const pprof_function *f)
{
	uint64_t h = (uint64_t)f->name * 0x9e3779b97f4a7c15ull ^ (uint64_t)f->filename * 0xff51afd7ed558ccdull ^
		     (uint64_t)f->system_name << 20 ^ (uint64_t)f->start_line;
	size_t i = (h ^ h >> 31) & (r->nslots - 1);
	for (; r->slot[i]; i = (i + 1) & (r->nslots - 1)) {
		const pprof_function *g = r->p->function[r->slot[i] - 1];
		if (g->name == f->name && g->system_name == f->system_name && g->filename == f->filename &&
		    g->start_line == f->start_line)
			break;
	}
	return i;
}

static void
rehash(struct resolver *r, size_t nslots)
{
	free(r->slot);
	r->slot = must(calloc(nslots, sizeof(*r->slot)));
	r->nslots = nslots;
	for (size_t i = 0; i < r->p->n_function; i++)
		r->slot[function_slot(r, r->p->function[i])] = (uint32_t)i + 1;
}

static uint64_t
function_id(struct resolver *r, const struct frame *fr)
{
	pprof_profile *p = r->p;
	pprof_function f = PERFTOOLS__PROFILES__FUNCTION__INIT;
	f.name = strings_id(r->strings, fr->name);
	f.system_name = strings_id(r->strings, fr->system_name);
	f.filename = strings_id(r->strings, fr->file);
	f.start_line = fr->start_line;
	size_t i = function_slot(r, &f);
	if (r->slot[i])
		return p->function[r->slot[i] - 1]->id;
	if (p->n_function == r->functions_cap) {
		r->functions_cap = 2 * r->functions_cap + 64;
		p->function = must(realloc(p->function, r->functions_cap * sizeof(*p->function)));
	}
	f.id = ++r->last_id;
	pprof_function *copy = must(malloc(sizeof(*copy)));
	*copy = f;
	p->function[p->n_function++] = copy;
	r->slot[i] = (uint32_t)p->n_function;
	if (2 * p->n_function > r->nslots)
		rehash(r, 2 * r->nslots);
	return f.id;
}

static void
set_lines(struct resolver *r, pprof_location *loc, const struct place *pl)
{
	if (loc->n_line)
		return; // named already
	loc->line = must(calloc(pl->nframes ? pl->nframes : 1, sizeof(*loc->line)));
	for (size_t i = 0; i < pl->nframes; i++) {
		pprof_line *line = must(malloc(sizeof(*line)));
		perftools__profiles__line__init(line);
		line->function_id = function_id(r, &pl->frames[i]);
		line->line = pl->frames[i].line;
		loc->line[loc->n_line++] = line;
	}
}

static void
comment(struct resolver *r, const char *text)
{
	pprof_profile *p = r->p;
	if (p->n_comment == r->comments_cap) {
		r->comments_cap = 2 * r->comments_cap + 8;
		p->comment = must(realloc(p->comment, r->comments_cap * sizeof(*p->comment)));
	}
	char line[512];
	snprintf(line, sizeof(line), "gort: %s", text);
	p->comment[p->n_comment++] = strings_id(r->strings, line);
}

static int
by_vaddr(const void *a, const void *b)
{
	const struct want *x = a, *y = b;
	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

static void
resolve_wanted(struct resolver *r, struct source *o, struct want *w, size_t n, struct object_info *info)
{
	struct place *places = must(calloc(n, sizeof(*places)));
	size_t k = 0;
	qsort(w, n, sizeof(*w), by_vaddr);
	for (size_t i = 0; i < n; i++)
		if (k == 0 || places[k - 1].vaddr != w[i].vaddr)
			places[k++].vaddr = w[i].vaddr;
	source_symbolize(o, places, k, info);
	k = 0;
	for (size_t i = 0; i < n; i++) {
		if (places[k].vaddr != w[i].vaddr)
			k++;
		set_lines(r, w[i].loc, &places[k]);
	}
	for (size_t i = 0; i <= k; i++)
		free(places[i].frames);
	free(places);
}

static bool
readable_file(const char *name)
{
	return name[0] == '/' && strncmp(name, "/dev/", 5) != 0 && strncmp(name, "/memfd:", 7) != 0 &&
	       strncmp(name, "//anon", 6) != 0;
}

static void
resolve_mapping(struct resolver *r, pprof_mapping *m)
{
	pprof_profile *p = r->p;
	const char *path = profile_string(p, m->filename);
	struct want *w = must(calloc(p->n_location + 1, sizeof(*w)));
	struct object_info info = { 0 };
	size_t n = 0;
	for (size_t i = 0; i < p->n_location; i++)
		if (p->location[i]->mapping_id == m->id)
			w[n++].loc = p->location[i];
	if (n == 0) { // nothing is missing: readers need not look for the file
		m->has_functions = m->has_filenames = m->has_line_numbers = m->has_inline_frames = true;
	} else if (!m->has_functions && readable_file(path)) {
		struct source *o = source_open(path, profile_string(p, m->build_id), &info);
		size_t k = 0;
		for (size_t i = 0; o && i < n; i++) {
			uint64_t off = w[i].loc->address - m->memory_start + m->file_offset;
			w[k].loc = w[i].loc;
			k += source_vaddr(o, off, &w[k].vaddr);
		}
		if (k)
			resolve_wanted(r, o, w, k, &info);
		if (o)
			source_close(o);
		m->has_functions = info.functions;
		m->has_filenames = m->has_line_numbers = info.lines;
		m->has_inline_frames = info.functions; // none is missing
		if (info.problem[0])
			comment(r, info.problem);
	}
	free(w);
}

void
profile_symbolize(pprof_profile *p)
{
	struct resolver r = { .p = p, .strings = strings_new(p), .functions_cap = p->n_function,
			      .comments_cap = p->n_comment };
	size_t slots = 1024;
	while (slots < 4 * p->n_function)
		slots *= 2;
	rehash(&r, slots);
	for (size_t i = 0; i < p->n_function; i++)
		if (p->function[i]->id > r.last_id)
			r.last_id = p->function[i]->id;
	for (size_t i = 0; i < p->n_mapping; i++)
		resolve_mapping(&r, p->mapping[i]);
	free(r.slot);
	strings_free(r.strings);
}

// ---- what is not shown ----

static const char *
mapping_path(const pprof_profile *p, uint64_t mapping)
{
	for (size_t i = 0; i < p->n_mapping; i++)
		if (p->mapping[i]->id == mapping)
			return profile_string(p, p->mapping[i]->filename);
	return "";
}

static int
by_id(const void *a, const void *b)
{
	const pprof_function *x = *(pprof_function *const *)a, *y = *(pprof_function *const *)b;
	return x->id < y->id ? -1 : x->id > y->id;
}

static const pprof_function *
function_by_id(const pprof_profile *p, uint64_t id)
{
	pprof_function key = { .id = id }, *k = &key;
	pprof_function **f = bsearch(&k, p->function, p->n_function, sizeof(*p->function), by_id);
	return f ? *f : NULL;
}

struct hiding {
	pprof_profile *p;
	bool *hidden;         // by location id: all of it is the runtime's
	pprof_location **own; // by location id: a copy without the runtime's inlined lines; NULL none needed
	size_t nlocs;         // of ids 1..nlocs; larger ones are other writers' and stay as they are
	uint64_t last_id;
};

// How many innermost lines of l are the runtime's.
static size_t
runtime_lines(const pprof_profile *p, const pprof_location *l)
{
	const char *path = mapping_path(p, l->mapping_id);
	size_t k = 0;
	for (; k < l->n_line; k++) {
		const pprof_function *f = function_by_id(p, l->line[k]->function_id);
		if (!f || !rtx_of_runtime(profile_string(p, f->name), profile_string(p, f->filename), path))
			break;
	}
	return k;
}

// What the public headers inlined into a user's function is left out where it is a stack's leaf; the same
// address further up in another stack keeps its lines. So the leaf gets a location of its own.
static pprof_location *
without_lines(struct hiding *h, const pprof_location *l, size_t k)
{
	pprof_location *c = must(malloc(sizeof(*c)));
	*c = *l;
	c->id = ++h->last_id;
	c->n_line = l->n_line - k;
	c->line = must(calloc(c->n_line, sizeof(*c->line)));
	for (size_t i = 0; i < c->n_line; i++) {
		c->line[i] = must(malloc(sizeof(*c->line[i])));
		*c->line[i] = *l->line[k + i];
	}
	return c;
}

static void
mark_hidden(struct hiding *h)
{
	pprof_profile *p = h->p;
	h->nlocs = p->n_location;
	h->hidden = must(calloc(p->n_location + 1, 1));
	h->own = must(calloc(p->n_location + 1, sizeof(*h->own)));
	if (p->n_function)
		qsort(p->function, p->n_function, sizeof(*p->function), by_id);
	for (size_t i = 0; i < p->n_location; i++)
		h->last_id = p->location[i]->id > h->last_id ? p->location[i]->id : h->last_id;
	for (size_t i = 0; i < p->n_location; i++) {
		const pprof_location *l = p->location[i];
		if (l->id > h->nlocs)
			continue;
		size_t k = runtime_lines(p, l);
		if (l->n_line == 0)
			h->hidden[l->id] = rtx_of_runtime(NULL, NULL, mapping_path(p, l->mapping_id));
		else if (k == l->n_line)
			h->hidden[l->id] = true;
		else if (k > 0)
			h->own[l->id] = without_lines(h, l, k);
	}
}

static void
add_locations(struct hiding *h)
{
	pprof_profile *p = h->p;
	p->location = must(realloc(p->location, 2 * (h->nlocs + 1) * sizeof(*p->location)));
	for (size_t i = 0; i <= h->nlocs; i++)
		if (h->own[i])
			p->location[p->n_location++] = h->own[i];
}

static void
hide_in(struct hiding *h, pprof_sample *s)
{
	size_t k = 0;
	while (k < s->n_location_id && s->location_id[k] <= h->nlocs && h->hidden[s->location_id[k]])
		k++;
	if (k == s->n_location_id)
		return; // nothing else: shown whole
	memmove(s->location_id, s->location_id + k, (s->n_location_id - k) * sizeof(*s->location_id));
	s->n_location_id -= k;
	if (s->location_id[0] <= h->nlocs && h->own[s->location_id[0]])
		s->location_id[0] = h->own[s->location_id[0]]->id;
}

void
profile_hide_allocator(pprof_profile *p)
{
	struct hiding h = { .p = p };
	mark_hidden(&h);
	add_locations(&h);
	for (size_t i = 0; i < p->n_sample; i++)
		hide_in(&h, p->sample[i]);
	free(h.hidden);
	free(h.own);
}
