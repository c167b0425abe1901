// SPDX-License-Identifier: BSD-3-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gort/gort.h"
#include "gort/view.h"
#include "view/page.h"

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

static int
write_page(const struct stacks *s, const struct page_options *p, const char *path)
{
	bool output = strcmp(path, "-") == 0;
	FILE *out = output ? stdout : fopen(path, "w");
	errno = out ? 0 : errno;
	bool ok = out && page_write(out, s, p);
	if (out && !output && fclose(out) != 0)
		ok = false;
	if (!ok)
		say("%s: %s", path, errno ? strerror(errno) : "cannot compress the data");
	return ok ? 0 : 1;
}

static int
draw(const struct stacks *s, const struct view_options *o, const char *file)
{
	int column = view_column(s, o);
	if (column < 0)
		return 2;
	char title[512];
	const char *name = *s->program ? s->program : "profile";
	snprintf(title, sizeof(title), "%s: %s", name, base_name(file));
	struct page_options p = {.title = o->title ? o->title : title,
				 .base = o->base ? base_name(o->base) : NULL,
				 .column = (size_t)column};
	return write_page(s, &p, o->out);
}

int
cmd_flame(int argc, char **argv)
{
	static const char use[] =
		"flame [-base BASE] [-sample_index TYPE] [-title TEXT] FILE -o OUT.html\n"
		"  FILE           a pprof profile, gzipped or not; - reads stdin\n"
		"  -o             the page to write; - is stdout\n"
		"  -base          colours by what FILE has more (red) and less (blue) of than "
		"BASE\n"
		"  -sample_index  the sample type shown first, by name or number\n";
	struct view_options o = {0};
	struct stacks s = {0};
	const char *file;
	if (!view_parse(&o, " base sample_index title o ", use, argc, argv, &file, 1))
		return o.status;
	if (!o.out) {
		say("flame: -o says where the page goes");
		return 2;
	}
	int status = view_load(&s, file, false) && (!o.base || view_load(&s, o.base, true))
			     ? draw(&s, &o, file)
			     : 1;
	stacks_free(&s);
	return status;
}
