// SPDX-License-Identifier: BSD-3-Clause
// The table of functions that `go tool pprof -top` prints, number for number.
#pragma once

#include <stdio.h>

#include "stacks.h"

struct top_options {
	size_t column;
	bool by_cum;  // order by cum, not by flat
	size_t limit; // rows; 0: all that reach half a per cent
};

// The values of base samples count negatively, and percentages are of the base when there is one.
void top_print(FILE *out, const struct stacks *s, const struct top_options *o);
