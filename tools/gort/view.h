// SPDX-License-Identifier: BSD-3-Clause
// What top, diff and flame have in common: their options, and reading their files.
#pragma once

#include <stdbool.h>

#include "stacks.h"

struct view_options {
	bool by_cum;		  // -cum
	size_t limit;		  // -n
	const char *sample_index; // -sample_index
	const char *out;	  // -o
	const char *base;	  // -base
	const char *title;	  // -title
	int status;		  // of the program when view_parse fails: 0 for -help
};

// Takes the options named in wanted ("cum", "n", ... with blanks around each) from argv, with one dash or
// two, anywhere, and leaves nfiles paths in files. False after a message: exit with o->status.
bool view_parse(struct view_options *o, const char *wanted, const char *use, int argc, char **argv,
		const char **files, int nfiles);

// Adds the profile in the file path, or stdin for "-", to s; one line on stderr when it cannot.
bool view_load(struct stacks *s, const char *path, bool base);

// The column that o asks for; -1 after a message.
int view_column(const struct stacks *s, const struct view_options *o);
