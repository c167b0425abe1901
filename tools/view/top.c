// SPDX-License-Identifier: BSD-3-Clause
// A function's flat value is what was sampled in it, its cum value what was sampled in it or below it,
// each sample counted once however often it recurs. Functions below half a per cent are left out, and
// their samples then belong to nobody's flat value: that is what pprof prints, and what it is compared with.
#include "top.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "unit.h"

#define NODE_FRACTION 0.005
#define EDGE_FRACTION 0.001
#define NOBODY UINT32_MAX

struct node {
	int64_t flat, cum;
	size_t seen;	      // last sample that counted here, + 1
	bool inlined, called; // some edge to it is an inlined call, a real one
};

struct edge {
	uint64_t key; // caller << 32 | callee
	size_t seen;  // as above; 0: an empty slot
	int64_t weight;
	bool inlined; // at every place
};

struct edges {
	struct edge *slot;
	size_t n, nslots; // nslots a power of two
};

struct row {
	const char *name;
	uint32_t id;
	const struct node *node;
};

struct table {
	const struct stacks *s;
	const struct top_options *o;
	struct node *nodes; // by function
	struct edges edges;
	bool *kept; // NULL: all
	struct row *rows;
	size_t nrows, original, dropped;
	int64_t sum;	  // of all flat values
	int64_t total;	  // what percentages are of
	const char *unit; // of all rows
};

// ---- edges ----

static struct edge *
find_slot(const struct edges *t, uint64_t key)
{
	uint64_t h = key * 0x9e3779b97f4a7c15ull;
	size_t i = (h ^ h >> 32) & (t->nslots - 1);
	while (t->slot[i].seen && t->slot[i].key != key)
		i = (i + 1) & (t->nslots - 1);
	return &t->slot[i];
}

static void
grow(struct edges *t)
{
	struct edges old = *t;
	t->nslots = old.nslots ? 2 * old.nslots : 1024;
	t->slot = view_must(calloc(t->nslots, sizeof(*t->slot)));
	for (size_t i = 0; i < old.nslots; i++)
		if (old.slot[i].seen)
			*find_slot(t, old.slot[i].key) = old.slot[i];
	free(old.slot);
}

static void
add_edge(struct edges *t, uint64_t key, size_t sample, int64_t weight, bool inlined)
{
	if (2 * (t->n + 1) > t->nslots)
		grow(t);
	struct edge *e = find_slot(t, key);
	if (!e->seen) {
		*e = (struct edge){
			.key = key, .seen = sample, .weight = weight, .inlined = inlined};
		t->n++;
	} else if (e->seen != sample) {
		e->seen = sample;
		e->weight = sum_of(e->weight, weight);
		e->inlined &= inlined;
	}
}

// ---- counting ----

static int64_t
signed_value(const struct table *t, size_t i)
{
	int64_t v = stacks_value(t->s, i, t->o->column);
	return t->s->samples[i].base ? minus(v) : v;
}

static void
count_sample(struct table *t, size_t i, int64_t v)
{
	const struct stacks_sample *sample = &t->s->samples[i];
	uint32_t parent = NOBODY;
	bool skipped = false; // a frame since parent
	for (size_t k = 0; k < sample->n; k++) {
		uint32_t word = t->s->frames[sample->first + k], id = word >> 1;
		skipped = t->kept && !t->kept[id];
		if (skipped)
			continue;
		struct node *node = &t->nodes[id];
		if (node->seen != i + 1) {
			node->seen = i + 1;
			node->cum = sum_of(node->cum, v);
		}
		if (parent != NOBODY && parent != id)
			add_edge(&t->edges, (uint64_t)parent << 32 | id, i + 1, v, word & 1);
		parent = id;
	}
	if (parent != NOBODY && !skipped)
		t->nodes[parent].flat = sum_of(t->nodes[parent].flat, v);
}

static void
count(struct table *t)
{
	memset(t->nodes, 0, t->s->functions.n * sizeof(*t->nodes));
	if (t->edges.slot)
		memset(t->edges.slot, 0, t->edges.nslots * sizeof(*t->edges.slot));
	t->edges.n = 0;
	for (size_t i = 0; i < t->s->nsamples; i++) {
		int64_t v = signed_value(t, i);
		if (v)
			count_sample(t, i, v);
	}
}

static int64_t
fraction(int64_t of, double f)
{
	return magnitude((int64_t)((double)of * f));
}

static void
label(struct table *t)
{
	int64_t least = fraction(t->sum, EDGE_FRACTION);
	for (size_t i = 0; i < t->edges.nslots; i++) {
		const struct edge *e = &t->edges.slot[i];
		if (!e->seen || magnitude(e->weight) < least)
			continue;
		struct node *callee = &t->nodes[(uint32_t)e->key];
		callee->inlined |= e->inlined;
		callee->called |= !e->inlined;
	}
}

static void
find_totals(struct table *t)
{
	int64_t all = 0, base = 0;
	for (size_t i = 0; i < t->s->nsamples; i++) {
		int64_t v = magnitude(stacks_value(t->s, i, t->o->column));
		all = sum_of(all, v);
		if (t->s->samples[i].base)
			base = sum_of(base, v);
	}
	t->total = base ? base : all;
	for (size_t i = 0; i < t->s->functions.n; i++)
		t->sum = sum_of(t->sum, t->nodes[i].flat);
}

// ---- choosing ----

static int
by_key(int64_t a, int64_t b, const struct row *x, const struct row *y)
{
	a = magnitude(a);
	b = magnitude(b);
	return a > b ? -1 : a < b ? 1 : strcmp(x->name, y->name);
}

static int
by_flat(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	return by_key(x->node->flat, y->node->flat, x, y);
}

static int
by_cum(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	return by_key(x->node->cum, y->node->cum, x, y);
}

static void
list(struct table *t)
{
	t->nrows = 0;
	for (size_t i = 0; i < t->s->functions.n; i++)
		if (t->nodes[i].flat || t->nodes[i].cum)
			t->rows[t->nrows++] =
				(struct row){t->s->functions.v[i], (uint32_t)i, &t->nodes[i]};
	if (t->nrows)
		qsort(t->rows, t->nrows, sizeof(*t->rows), t->o->by_cum ? by_cum : by_flat);
}

// Counts again with the first n rows alone.
static void
keep(struct table *t, size_t n)
{
	if (!t->kept)
		t->kept = view_must(malloc(t->s->functions.n + 1));
	memset(t->kept, 0, t->s->functions.n);
	for (size_t i = 0; i < n; i++)
		t->kept[t->rows[i].id] = true;
	count(t);
	list(t);
}

static void
drop_small(struct table *t)
{
	int64_t least = fraction(t->sum, NODE_FRACTION);
	size_t n = 0;
	for (size_t i = 0; i < t->nrows; i++)
		if (magnitude(t->rows[i].node->cum) >= least)
			t->rows[n++] = t->rows[i];
	t->dropped = t->nrows - n;
	if (t->dropped)
		keep(t, n);
}

static void
fill(struct table *t)
{
	t->nodes = view_must(calloc(t->s->functions.n + 1, sizeof(*t->nodes)));
	t->rows = view_must(calloc(t->s->functions.n + 1, sizeof(*t->rows)));
	count(t);
	find_totals(t);
	list(t);
	drop_small(t);
	t->original = t->nrows;
	if (t->o->limit && t->o->limit < t->nrows)
		keep(t, t->o->limit);
	label(t);
}

// ---- printing ----

// One unit for the whole table, in which the smallest value still shows; NULL for an empty one, where
// each value has its own.
static const char *
choose_unit(const struct table *t)
{
	const char *unit = t->s->columns[t->o->column].unit;
	int64_t least = 0;
	if (t->nrows == 0)
		return NULL;
	for (size_t i = 0; i < t->nrows; i++) {
		const struct node *node = t->rows[i].node;
		int64_t v = magnitude(node->flat ? node->flat : node->cum);
		if (v && (least == 0 || v < least))
			least = v;
	}
	if (least == 0)
		least = t->total;
	const char *small = unit_fitting(least, unit), *large = unit_fitting(t->total, unit);
	if (strcmp(small, large) != 0 && 100.0 * (double)least < (double)t->total)
		small = unit_fitting(100 * least, unit); // down to 0.01 of it
	return *small ? small : unit;
}

static const char *
value_text(const struct table *t, char text[UNIT_TEXT], int64_t v)
{
	return unit_format(text, v, t->s->columns[t->o->column].unit, t->unit);
}

static void
print_duration(FILE *out, const struct table *t)
{
	char text[UNIT_TEXT];
	double ns;
	fprintf(out, "Duration: %s, ",
		unit_format(text, t->s->duration_nanos, "nanoseconds", NULL));
	fprintf(out, "Total samples = %s ", value_text(t, text, t->total));
	if (t->total && unit_nanoseconds(t->total, t->s->columns[t->o->column].unit, &ns) &&
	    ns < 0x1p62)
		fprintf(out, "(%s)", unit_percent(text, (int64_t)ns, t->s->duration_nanos));
	putc('\n', out);
}

static void
print_heading(FILE *out, const struct table *t)
{
	const struct stacks *s = t->s;
	if (*s->program)
		fprintf(out, "File: %s\n", s->program);
	if (*s->build_id)
		fprintf(out, "Build ID: %s\n", s->build_id);
	for (size_t i = 0; i < s->comments.n; i++)
		if (s->comments.v[i][0] != '#')
			fprintf(out, "%s\n", s->comments.v[i]);
	if (*s->columns[t->o->column].type)
		fprintf(out, "Type: %s\n", s->columns[t->o->column].type);
	if (*s->doc_url)
		fprintf(out, "Doc: %s\n", s->doc_url);
	time_t seconds = (time_t)(s->time_nanos / 1000000000);
	struct tm tm;
	char text[64];
	if (s->time_nanos && localtime_r(&seconds, &tm) &&
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm))
		fprintf(out, "Time: %s\n", text);
	if (s->duration_nanos)
		print_duration(out, t);
}

static void
print_accounting(FILE *out, const struct table *t)
{
	char text[UNIT_TEXT];
	int64_t shown = 0;
	for (size_t i = 0; i < t->nrows; i++)
		shown = sum_of(shown, t->rows[i].node->flat);
	fprintf(out, "Showing nodes accounting for %s, ", value_text(t, text, shown));
	const char *percent = unit_percent(text, shown, t->total);
	fprintf(out, "%s of ", percent + strspn(percent, " "));
	fprintf(out, "%s total\n", value_text(t, text, t->total));
	if (t->total && t->dropped)
		fprintf(out, "Dropped %zu node%s (cum <= %s)\n", t->dropped,
			t->dropped > 1 ? "s" : "",
			value_text(t, text, fraction(t->total, NODE_FRACTION)));
	if (t->total && t->nrows < t->original)
		fprintf(out, "Showing top %zu nodes out of %zu\n", t->nrows, t->original);
}

static void
print_row(FILE *out, const struct table *t, const struct row *r, int64_t sum)
{
	char text[UNIT_TEXT];
	const struct node *node = r->node;
	fprintf(out, "%10s ", value_text(t, text, node->flat));
	fprintf(out, "%s ", unit_percent(text, node->flat, t->total));
	fprintf(out, "%s ", unit_percent(text, sum, t->total));
	fprintf(out, "%10s ", value_text(t, text, node->cum));
	fprintf(out, "%s  %s%s\n", unit_percent(text, node->cum, t->total), r->name,
		!node->inlined ? ""
		: node->called ? " (partial-inline)"
			       : " (inline)");
}

void
top_print(FILE *out, const struct stacks *s, const struct top_options *o)
{
	struct table t = {.s = s, .o = o};
	fill(&t);
	t.unit = choose_unit(&t);
	print_heading(out, &t);
	print_accounting(out, &t);
	fprintf(out, "%10s %5s%% %5s%% %10s %5s%%\n", "flat", "flat", "sum", "cum", "cum");
	int64_t sum = 0;
	for (size_t i = 0; i < t.nrows; i++) {
		sum = sum_of(sum, t.rows[i].node->flat);
		print_row(out, &t, &t.rows[i], sum);
	}
	free(t.nodes);
	free(t.edges.slot);
	free(t.kept);
	free(t.rows);
}
