// SPDX-License-Identifier: BSD-3-Clause
#include <stdlib.h>
#include <string.h>

#include "symbolize.h"
#include "text_io.h"

#define MAX_OBJECTS 64

struct known {
	char *path;
	struct object *o; // NULL: cannot be used
};

static struct object *
open_once(struct known *k, size_t *n, const char *path)
{
	struct object_info info;
	for (size_t i = 0; i < *n; i++)
		if (strcmp(k[i].path, path) == 0)
			return k[i].o;
	if (*n == MAX_OBJECTS)
		return NULL;
	k[*n] = (struct known){ strdup(path), object_open(path, "", &info) };
	return k[*n].path ? k[(*n)++].o : NULL;
}

static void
answer(struct object *o, uint64_t vaddr, FILE *out)
{
	struct object_info info = { 0 };
	struct place p = { .vaddr = vaddr };
	if (o)
		object_symbolize(o, &p, 1, &info);
	for (size_t i = 0; i < p.nframes; i++) {
		const struct frame *f = &p.frames[i];
		if (f->file && f->line)
			fprintf(out, "%s\t%s:%d\n", f->name, f->file, f->line);
	}
	free(p.frames);
	fputc('\n', out);
	fflush(out);
}

int
symbolize_lines(FILE *in, FILE *out)
{
	static struct known known[MAX_OBJECTS];
	char line[5000];
	size_t n = 0;
	while (fgets(line, sizeof(line), in)) {
		char *path;
		uint64_t vaddr = strtoull(line, &path, 16);
		line[strcspn(line, "\n")] = 0;
		answer(*path == ' ' ? open_once(known, &n, path + 1) : NULL, vaddr, out);
	}
	return ferror(out) ? 1 : 0;
}
