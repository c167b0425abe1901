// SPDX-License-Identifier: BSD-3-Clause
// A table of distinct strings, numbered 0, 1, 2, ... in the order in which they come.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct names {
	char **v;
	size_t n, cap;
	uint32_t *slot; // index + 1; open addressing, nslots a power of two
	size_t nslots;
};

// The number of s. What a terminal or a page could take for more than text (control characters,
// bytes that are not UTF-8) becomes '?'.
uint32_t names_id(struct names *t, const char *s);
void names_free(struct names *t);

// p, or the end of the program when memory is used up: the tools have nothing else to do then.
void *view_must(void *p);
