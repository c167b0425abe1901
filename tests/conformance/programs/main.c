// SPDX-License-Identifier: BSD-3-Clause
// conformance_programs NAME: runs one of the programs. test_programs.py compares what it prints with what
// Go's prints; without a name it lists them.
#include "programs.h"

static const struct named *const lists[] = {
	chan_programs, goroutines_programs, select_programs, locks_programs,
	time_programs, errors_programs,
};

static int
app(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		for (const struct named *p = lists[i]; p->name; p++) {
			if (argc < 2) {
				printf("%s\n", p->name);
			} else if (strcmp(argv[1], p->name) == 0) {
				p->fn();
				return 0;
			}
		}
	}
	return argc < 2 ? 0 : 1;
}
GORT_MAIN(app)
