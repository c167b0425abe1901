// SPDX-License-Identifier: BSD-3-Clause
#include "stacks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- ids ----

// From the ids of a profile to indices of its arrays. Ids are nearly always 1, 2, 3, ...
struct id {
	uint64_t id;
	size_t index;
};

static int
by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct id *)a)->id, y = ((const struct id *)b)->id;
	return x < y ? -1 : x > y;
}

static size_t
index_of(const struct id *ids, size_t n, uint64_t id)
{
	if (id - 1 < n && ids[id - 1].id == id)
		return ids[id - 1].index;
	struct id key = {.id = id};
	const struct id *at = n ? bsearch(&key, ids, n, sizeof(*ids), by_id) : NULL;
	return at ? at->index : SIZE_MAX;
}

#define SORTED_IDS(ARRAY, N)                                                                       \
	({                                                                                         \
		struct id *ids_ = view_must(calloc((N) + 1, sizeof(*ids_)));                       \
		for (size_t i_ = 0; i_ < (N); i_++)                                                \
			ids_[i_] = (struct id){.id = (ARRAY)[i_]->id, .index = i_};                \
		if (N)                                                                             \
			qsort(ids_, (N), sizeof(*ids_), by_id);                                    \
		ids_;                                                                              \
	})

// ---- functions ----

struct loader {
	struct stacks *s;
	const pprof_profile *p;
	struct id *functions, *locations, *mappings;
	uint32_t *name;	   // of each function, by index
	uint32_t **frames; // of each location, innermost first
	size_t *nframes;
};

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

// The name of code without one: its file.
static uint32_t
nameless(struct loader *l, uint64_t mapping_id)
{
	size_t m = index_of(l->mappings, l->p->n_mapping, mapping_id);
	const char *file = m != SIZE_MAX ? profile_string(l->p, l->p->mapping[m]->filename) : "";
	if (!*file)
		return names_id(&l->s->functions, "<unknown>");
	size_t n = strlen(file) + 3;
	char *text = view_must(malloc(n));
	snprintf(text, n, "[%s]", base_name(file));
	uint32_t id = names_id(&l->s->functions, text);
	free(text);
	return id;
}

static void
load_location(struct loader *l, size_t i)
{
	const pprof_location *at = l->p->location[i];
	size_t n = at->n_line ? at->n_line : 1;
	l->frames[i] = view_must(malloc(n * sizeof(**l->frames)));
	l->nframes[i] = n;
	if (at->n_line == 0)
		l->frames[i][0] = nameless(l, at->mapping_id) << 1;
	for (size_t k = 0; k < at->n_line; k++) {
		size_t f = index_of(l->functions, l->p->n_function, at->line[k]->function_id);
		const char *name = profile_string(l->p, l->p->function[f]->name);
		uint32_t id = *name ? l->name[f] : nameless(l, at->mapping_id);
		l->frames[i][k] = id << 1 | (k + 1 < at->n_line);
	}
}

static void
load_names(struct loader *l)
{
	const pprof_profile *p = l->p;
	l->functions = SORTED_IDS(p->function, p->n_function);
	l->locations = SORTED_IDS(p->location, p->n_location);
	l->mappings = SORTED_IDS(p->mapping, p->n_mapping);
	l->name = view_must(calloc(p->n_function + 1, sizeof(*l->name)));
	l->frames = view_must(calloc(p->n_location + 1, sizeof(*l->frames)));
	l->nframes = view_must(calloc(p->n_location + 1, sizeof(*l->nframes)));
	for (size_t i = 0; i < p->n_function; i++) {
		const char *name = profile_string(p, p->function[i]->name);
		if (*name)
			l->name[i] = names_id(&l->s->functions, name);
	}
	for (size_t i = 0; i < p->n_location; i++)
		load_location(l, i);
}

static void
unload(struct loader *l)
{
	for (size_t i = 0; i < l->p->n_location; i++)
		free(l->frames[i]);
	free(l->frames);
	free(l->nframes);
	free(l->name);
	free(l->functions);
	free(l->locations);
	free(l->mappings);
}

// ---- samples ----

static bool
add_location(struct loader *l, uint64_t id)
{
	struct stacks *s = l->s;
	size_t at = index_of(l->locations, l->p->n_location, id);
	size_t n = l->nframes[at];
	if (s->nframes + n > STACKS_MAX_FRAMES)
		return false;
	if (s->nframes + n > s->cap_frames) {
		s->cap_frames = 2 * (s->nframes + n) + 1024;
		s->frames = view_must(realloc(s->frames, s->cap_frames * sizeof(*s->frames)));
	}
	while (n--)
		s->frames[s->nframes++] = l->frames[at][n];
	return true;
}

static bool
add_sample(struct loader *l, const pprof_sample *from, bool base)
{
	struct stacks *s = l->s;
	if (s->nsamples == s->cap_samples) {
		s->cap_samples = 2 * s->cap_samples + 256;
		s->samples = view_must(realloc(s->samples, s->cap_samples * sizeof(*s->samples)));
		s->values = view_must(
			realloc(s->values, s->cap_samples * s->ncolumns * sizeof(*s->values)));
	}
	struct stacks_sample to = {.first = s->nframes, .base = base};
	for (size_t i = from->n_location_id; i-- > 0;)
		if (!add_location(l, from->location_id[i]))
			return false;
	to.n = s->nframes - to.first;
	memcpy(&s->values[s->nsamples * s->ncolumns], from->value,
	       s->ncolumns * sizeof(*s->values));
	s->samples[s->nsamples++] = to;
	return true;
}

// ---- headings ----

static char *
copy_of(const char *s)
{
	struct names one = {0};
	names_id(&one, s); // printable
	char *copy = view_must(strdup(one.v[0]));
	names_free(&one);
	return copy;
}

static bool
set_columns(struct stacks *s, const pprof_profile *p, char *err, size_t n)
{
	if (p->n_sample_type == 0 || p->n_sample_type > STACKS_MAX_COLUMNS) {
		snprintf(err, n, p->n_sample_type ? "more than %d sample types" : "no sample types",
			 STACKS_MAX_COLUMNS);
		return false;
	}
	s->ncolumns = p->n_sample_type;
	s->columns = view_must(calloc(s->ncolumns, sizeof(*s->columns)));
	s->shown = s->ncolumns - 1;
	const char *shown = profile_string(p, p->default_sample_type);
	for (size_t i = s->ncolumns; i-- > 0;) {
		const char *type = profile_string(p, p->sample_type[i]->type);
		s->columns[i].type = copy_of(type);
		s->columns[i].unit = copy_of(profile_string(p, p->sample_type[i]->unit));
		if (*shown && strcmp(type, shown) == 0)
			s->shown = i;
	}
	return true;
}

static bool
same_columns(const struct stacks *s, const pprof_profile *p)
{
	bool same = s->ncolumns == p->n_sample_type;
	for (size_t i = 0; same && i < s->ncolumns; i++) {
		char *type = copy_of(profile_string(p, p->sample_type[i]->type));
		char *unit = copy_of(profile_string(p, p->sample_type[i]->unit));
		same = strcmp(type, s->columns[i].type) == 0 &&
		       strcmp(unit, s->columns[i].unit) == 0;
		free(type);
		free(unit);
	}
	return same;
}

static void
set_heading(struct stacks *s, const pprof_profile *p)
{
	bool mapped = p->n_mapping > 0;
	s->program = copy_of(mapped ? base_name(profile_string(p, p->mapping[0]->filename)) : "");
	s->build_id = copy_of(mapped ? profile_string(p, p->mapping[0]->build_id) : "");
	s->doc_url = copy_of(profile_string(p, p->doc_url));
}

static void
join_heading(struct stacks *s, const pprof_profile *p)
{
	for (size_t i = 0; i < p->n_comment; i++)
		names_id(&s->comments, profile_string(p, p->comment[i]));
	if (p->time_nanos && (s->time_nanos == 0 || p->time_nanos < s->time_nanos))
		s->time_nanos = p->time_nanos;
	s->duration_nanos = sum_of(s->duration_nanos, p->duration_nanos);
}

bool
stacks_add(struct stacks *s, const pprof_profile *p, bool base, char *err, size_t n)
{
	if (!s->columns) {
		if (!set_columns(s, p, err, n))
			return false;
		set_heading(s, p);
	} else if (!same_columns(s, p)) {
		snprintf(err, n,
			 "its sample types are others than those of the profile it is compared "
			 "with");
		return false;
	}
	join_heading(s, p);
	struct loader l = {.s = s, .p = p};
	load_names(&l);
	bool ok = true;
	for (size_t i = 0; ok && i < p->n_sample; i++)
		ok = add_sample(&l, p->sample[i], base);
	unload(&l);
	if (!ok)
		snprintf(err, n, "its samples have more than %zu frames", STACKS_MAX_FRAMES);
	return ok;
}

void
stacks_free(struct stacks *s)
{
	for (size_t i = 0; s->columns && i < s->ncolumns; i++) {
		free(s->columns[i].type);
		free(s->columns[i].unit);
	}
	free(s->columns);
	free(s->frames);
	free(s->samples);
	free(s->values);
	free(s->program);
	free(s->build_id);
	free(s->doc_url);
	names_free(&s->comments);
	names_free(&s->functions);
	*s = (struct stacks){0};
}

int
stacks_column(const struct stacks *s, const char *name)
{
	if (!name || !*name)
		return (int)s->shown;
	char *end;
	unsigned long i = strtoul(name, &end, 10);
	if (*end == 0)
		return i < s->ncolumns ? (int)i : -1;
	const char *short_name =
		strncmp(name, "inuse_", 6) == 0 ? name + 6 : name; // as pprof has it
	for (i = 0; i < s->ncolumns; i++)
		if (strcmp(s->columns[i].type, name) == 0 ||
		    strcmp(s->columns[i].type, short_name) == 0)
			return (int)i;
	return -1;
}
