// SPDX-License-Identifier: BSD-3-Clause
// gort-symbolize: reads a profile on stdin, writes it with names, lines and inlined frames to stdout;
// with the argument "text" a profile's text form, with "lines" addresses, one a line; given files, each in
// place. The profiler starts it for as long as it writes one file. Writes everything or, with a status other
// than 0, nothing.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
symbolize_profile(int in, const char *name, int out)
{
	char err[256];
	pprof_profile *p = profile_read(in, err, sizeof(err));
	if (!p) {
		fprintf(stderr, "gort-symbolize: %s: %s\n", name, err);
		return 2;
	}
	profile_symbolize(p);
	if (is_heap(p))
		profile_hide_allocator(p);
	bool ok = profile_write(p, out);
	profile_free(p);
	return ok ? 0 : 1;
}

// The file is replaced by its successor in one step, or stays as it is.
static int
symbolize_file(const char *path)
{
	char tmp[4200];
	int in = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (in < 0 || fstat(in, &st) != 0) {
		fprintf(stderr, "gort-symbolize: %s: %s\n", path, strerror(errno));
		return 2;
	}
	snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path);
	int out = mkostemp(tmp, O_CLOEXEC);
	if (out < 0) {
		fprintf(stderr, "gort-symbolize: %s: %s\n", tmp, strerror(errno));
		return 1;
	}
	int rc = symbolize_profile(in, path, out);
	if (rc == 0 && (fchmod(out, st.st_mode & 0777) != 0 || rename(tmp, path) != 0)) {
		fprintf(stderr, "gort-symbolize: %s: %s\n", path, strerror(errno));
		rc = 1;
	}
	if (rc)
		unlink(tmp);
	close(out);
	close(in);
	return rc;
}

static int
usage(void)
{
	fputs("usage: gort-symbolize FILE...           profiles, each replaced by one with names and lines\n"
	      "       gort-symbolize <IN >OUT          one profile\n"
	      "       gort-symbolize text <IN >OUT     a text form of the profiler's\n"
	      "       gort-symbolize lines             addresses, one a line\n",
	      stderr);
	return 2;
}

int
main(int argc, char **argv)
{
	// Never over the network unasked.
	const char *servers = getenv("GORT_DEBUGINFOD");
	if (servers && *servers)
		setenv("DEBUGINFOD_URLS", servers, 1);
	else
		unsetenv("DEBUGINFOD_URLS");
	if (argc == 1)
		return isatty(0) ? usage() : symbolize_profile(0, "stdin", 1);
	if (argc == 2 && strcmp(argv[1], "text") == 0)
		return symbolize_text(0, 1);
	if (argc == 2 && strcmp(argv[1], "lines") == 0)
		return symbolize_lines(stdin, stdout);
	if (argv[1][0] == '-')
		return usage();
	int rc = 0;
	for (int i = 1; i < argc; i++)
		rc |= symbolize_file(argv[i]);
	return rc;
}
