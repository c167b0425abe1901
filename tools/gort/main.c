// SPDX-License-Identifier: BSD-3-Clause
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gort/gort.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "run", cmd_run, "run a program under the profilers" },
	{ "doctor", cmd_doctor, "say what stands in the way of profiling a program" },
	{ "top", cmd_top, "list the functions of a profile, the largest first" },
	{ "diff", cmd_diff, "list what one profile has more and less of than another" },
	{ "flame", cmd_flame, "draw a profile as a flame graph, one HTML page" },
	{ "symbolize", cmd_symbolize, "give profiles the names and lines they lack" },
};

void
say(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	fputs("gort: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
}

static int
usage(FILE *to, int status)
{
	fputs("usage: gort COMMAND [ARGUMENTS]\n\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].what);
	fputs("\ngort COMMAND -help says more.\n", to);
	return status;
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr, 2);
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "-help") == 0 || strcmp(argv[1], "--help") == 0)
		return usage(stdout, 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	say("there is no command \"%s\"", argv[1]);
	return usage(stderr, 2);
}
