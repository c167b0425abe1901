// SPDX-License-Identifier: BSD-3-Clause
#include "tree.h"

#include <stdlib.h>
#include <string.h>

struct builder {
	struct tree *t;
	const struct stacks *s;
	uint32_t *slot; // node, found by its parent and function; 0: empty
	size_t nslots;
};

static size_t
find_slot(const struct builder *b, uint32_t parent, uint32_t function)
{
	uint64_t h = ((uint64_t)parent << 32 | function) * 0x9e3779b97f4a7c15ull;
	size_t i = (h ^ h >> 32) & (b->nslots - 1);
	for (; b->slot[i]; i = (i + 1) & (b->nslots - 1)) {
		const struct tree_node *node = &b->t->nodes[b->slot[i]];
		if (node->parent == parent && node->function == function)
			break;
	}
	return i;
}

static void
grow(struct builder *b)
{
	b->nslots = b->nslots ? 2 * b->nslots : 4096;
	free(b->slot);
	b->slot = view_must(calloc(b->nslots, sizeof(*b->slot)));
	for (size_t i = 1; i < b->t->n; i++)
		b->slot[find_slot(b, b->t->nodes[i].parent, b->t->nodes[i].function)] = (uint32_t)i;
}

static uint32_t
add_node(struct tree *t, struct tree_node node)
{
	if (t->n == t->cap) {
		t->cap = 2 * t->cap + 1024;
		t->nodes = view_must(realloc(t->nodes, t->cap * sizeof(*t->nodes)));
		t->values = view_must(realloc(t->values, t->cap * t->width * sizeof(*t->values)));
	}
	t->nodes[t->n] = node;
	memset(tree_values(t, t->n), 0, t->width * sizeof(*t->values));
	return (uint32_t)t->n++;
}

static uint32_t
child_of(struct builder *b, uint32_t parent, uint32_t word)
{
	if (2 * (b->t->n + 1) > b->nslots)
		grow(b);
	size_t i = find_slot(b, parent, word >> 1);
	if (!b->slot[i]) {
		struct tree_node node = {
			.function = word >> 1, .inlined = word & 1, .parent = parent};
		b->slot[i] = add_node(b->t, node);
	}
	b->t->nodes[b->slot[i]].inlined &= word & 1;
	return b->slot[i];
}

static void
add_sample(struct builder *b, size_t i)
{
	const struct stacks_sample *sample = &b->s->samples[i];
	size_t columns = b->s->ncolumns;
	uint32_t at = 0;
	for (size_t k = 0; k < sample->n; k++)
		at = child_of(b, at, b->s->frames[sample->first + k]);
	int64_t *to = tree_values(b->t, at) + (sample->base ? columns : 0);
	for (size_t c = 0; c < columns; c++)
		to[c] = sum_of(to[c], stacks_value(b->s, i, c));
}

struct named {
	const char *name;
	uint32_t node;
};

static int
by_name_backwards(const void *a, const void *b)
{
	return strcmp(((const struct named *)b)->name, ((const struct named *)a)->name);
}

// Each node, last name first, becomes its parent's first child.
static void
link_children(struct tree *t, const struct stacks *s)
{
	struct named *order = view_must(calloc(t->n, sizeof(*order)));
	for (size_t i = 1; i < t->n; i++)
		order[i - 1] = (struct named){s->functions.v[t->nodes[i].function], (uint32_t)i};
	qsort(order, t->n - 1, sizeof(*order), by_name_backwards);
	for (size_t i = 0; i + 1 < t->n; i++) {
		struct tree_node *node = &t->nodes[order[i].node],
				 *parent = &t->nodes[node->parent];
		node->next = parent->child;
		parent->child = order[i].node;
		parent->nchildren++;
	}
	free(order);
}

void
tree_build(struct tree *t, const struct stacks *s, bool with_base)
{
	*t = (struct tree){.width = s->ncolumns * (with_base ? 2 : 1)};
	struct builder b = {.t = t, .s = s};
	add_node(t, (struct tree_node){0});
	for (size_t i = 0; i < s->nsamples; i++)
		add_sample(&b, i);
	free(b.slot);
	link_children(t, s);
}

void
tree_free(struct tree *t)
{
	free(t->nodes);
	free(t->values);
	*t = (struct tree){0};
}
