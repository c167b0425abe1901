// SPDX-License-Identifier: BSD-3-Clause
// gort symbolize: gort-symbolize, found wherever the profiler finds it.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gort/gort.h"
#include "symbol/helper.h"

int
cmd_symbolize(int argc, char **argv)
{
	char path[PATH_MAX];
	if (argc < 2 || argv[1][0] == '-') {
		bool help = argc > 1 && (strcmp(argv[1], "-help") == 0 || strcmp(argv[1], "--help") == 0);
		fputs("usage: gort symbolize FILE...\n\n"
		      "Gives profiles the functions, files, lines and inlined frames that they lack (written with\n"
		      "GORT_SYMBOLIZE=none), from the programs and libraries that they name, or what the cache knows of\n"
		      "their build ids. Each FILE is replaced.\n",
		      help ? stdout : stderr);
		return help ? 0 : 2;
	}
	if (!rtp_helper_find(path, sizeof(path))) {
		say("gort-symbolize is not where it should be; GORT_SYMBOLIZER may name it");
		return 1;
	}
	argv[0] = path;
	execv(path, argv);
	say("%s: %s", path, strerror(errno));
	return 1;
}
