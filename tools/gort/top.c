// SPDX-License-Identifier: BSD-3-Clause
#include <stdio.h>

#include "gort/gort.h"
#include "gort/view.h"
#include "view/top.h"

static int
show(const struct stacks *s, const struct view_options *o)
{
	int column = view_column(s, o);
	if (column < 0)
		return 2;
	struct top_options t = {.column = (size_t)column, .by_cum = o->by_cum, .limit = o->limit};
	top_print(stdout, s, &t);
	return fflush(stdout) ? 1 : 0;
}

int
cmd_top(int argc, char **argv)
{
	static const char use[] =
		"top [-cum] [-n ROWS] [-sample_index TYPE] FILE\n"
		"  FILE           a pprof profile, gzipped or not; - reads stdin\n"
		"  -cum           order by cum: a function with all it calls\n"
		"  -n             as many rows; otherwise all functions that reach 0.5 %\n"
		"  -sample_index  the sample type, by name or number\n";
	struct view_options o = {0};
	struct stacks s = {0};
	const char *file;
	if (!view_parse(&o, " cum n sample_index ", use, argc, argv, &file, 1))
		return o.status;
	int status = view_load(&s, file, false) ? show(&s, &o) : 1;
	stacks_free(&s);
	return status;
}

int
cmd_diff(int argc, char **argv)
{
	static const char use[] = "diff [-cum] [-n ROWS] [-sample_index TYPE] BASE NEW\n"
				  "  NEW less BASE, by function; percentages are of BASE's total\n"
				  "  options as those of gort top\n";
	struct view_options o = {0};
	struct stacks s = {0};
	const char *files[2];
	if (!view_parse(&o, " cum n sample_index ", use, argc, argv, files, 2))
		return o.status;
	int status =
		view_load(&s, files[1], false) && view_load(&s, files[0], true) ? show(&s, &o) : 1;
	stacks_free(&s);
	return status;
}
