// SPDX-License-Identifier: BSD-3-Clause
// The calls of all samples as one tree, for the flame graph: stacks with equal beginnings share nodes.
#pragma once

#include "stacks.h"

struct tree_node {
	uint32_t function;
	bool inlined;		      // at every place
	uint32_t parent, child, next; // indices; 0 for none, which is the root's
	uint32_t nchildren;
};

struct tree {
	struct tree_node *nodes; // the root, which is no function, first
	size_t n, cap;
	size_t width;	 // values a node: the columns, then those of the base if there is one
	int64_t *values; // what was sampled in the node itself
};

// The tree of s, siblings in the order of their names.
void tree_build(struct tree *t, const struct stacks *s, bool with_base);
void tree_free(struct tree *t);

static inline int64_t *
tree_values(const struct tree *t, size_t node)
{
	return &t->values[node * t->width];
}
