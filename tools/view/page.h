// SPDX-License-Identifier: BSD-3-Clause
// A flame graph as one HTML page that needs nothing else, no network either.
#pragma once

#include <stdio.h>

#include "stacks.h"

struct page_options {
	const char *title; // of the page; UTF-8
	const char *base;  // what the profile is compared with, or NULL; s then has base samples
	size_t column;	   // shown first
};

// False when out of memory for compression or when out cannot be written.
bool page_write(FILE *out, const struct stacks *s, const struct page_options *o);
