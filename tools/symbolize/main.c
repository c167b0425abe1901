// SPDX-License-Identifier: BSD-3-Clause
// gort-symbolize: reads a profile on stdin, writes it with names, lines and inlined frames to stdout;
// with the argument "text" a profile's text form, with "lines" addresses, one a line. The profiler starts it for as long as it writes one file. Writes everything or, with a status other
// than 0, nothing.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile_io.h"
#include "resolve.h"
#include "text_io.h"

static bool
is_heap(const pprof_profile *p)
{
	for (size_t i = 0; i < p->n_sample_type; i++)
		if (strcmp(profile_string(p, p->sample_type[i]->type), "alloc_space") == 0)
			return true;
	return false;
}

static int
symbolize_profile(void)
{
	char err[256];
	pprof_profile *p = profile_read(0, err, sizeof(err));
	if (!p) {
		fprintf(stderr, "gort-symbolize: stdin: %s\n", err);
		return 2;
	}
	profile_symbolize(p);
	if (is_heap(p))
		profile_hide_allocator(p);
	bool ok = profile_write(p, 1);
	profile_free(p);
	return ok ? 0 : 1;
}

int
main(int argc, char **argv)
{
	unsetenv("DEBUGINFOD_URLS"); // never over the network unasked
	const char *mode = argc > 1 ? argv[1] : "";
	if (strcmp(mode, "text") == 0)
		return symbolize_text(0, 1);
	if (strcmp(mode, "lines") == 0)
		return symbolize_lines(stdin, stdout);
	if (*mode) {
		fprintf(stderr, "usage: gort-symbolize [text | lines] <input >output\n");
		return 2;
	}
	return symbolize_profile();
}
