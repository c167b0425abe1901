// SPDX-License-Identifier: BSD-3-Clause
#include "gort/view.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gort/gort.h"

static const struct option all_options[] = {
	{"cum", no_argument, NULL, 'c'},
	{"n", required_argument, NULL, 'n'},
	{"sample_index", required_argument, NULL, 's'},
	{"o", required_argument, NULL, 'o'},
	{"base", required_argument, NULL, 'b'},
	{"title", required_argument, NULL, 't'},
	{"help", no_argument, NULL, 'h'},
};
#define NOPTIONS (sizeof(all_options) / sizeof(*all_options))

static void
choose(struct option *to, const char *wanted)
{
	size_t n = 0;
	for (size_t i = 0; i < NOPTIONS; i++) {
		char word[32];
		snprintf(word, sizeof(word), " %s ", all_options[i].name);
		if (all_options[i].val == 'h' || strstr(wanted, word))
			to[n++] = all_options[i];
	}
	to[n] = (struct option){0};
}

static bool
parse_limit(struct view_options *o, const char *command, const char *text)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	if (*end || end == text || *text == '-' || errno) {
		fprintf(stderr, "gort %s: -n %s: not a number of rows\n", command, text);
		return false;
	}
	o->limit = n;
	return true;
}

static bool
take(struct view_options *o, const char *command, int option)
{
	switch (option) {
	case 'c':
		o->by_cum = true;
		return true;
	case 'n':
		return parse_limit(o, command, optarg);
	case 's':
		o->sample_index = optarg;
		return true;
	case 'o':
		o->out = optarg;
		return true;
	case 'b':
		o->base = optarg;
		return true;
	default:
		o->title = optarg;
		return true;
	}
}

bool
view_parse(struct view_options *o, const char *wanted, const char *use, int argc, char **argv,
	   const char **files, int nfiles)
{
	struct option options[NOPTIONS + 1];
	char *const command = argv[0];
	char prefix[32];
	choose(options, wanted);
	snprintf(prefix, sizeof(prefix), "gort %s", command);
	argv[0] = prefix; // getopt's messages begin with it
	o->status = 2;
	bool ok = true;
	for (int c; ok && (c = getopt_long_only(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'h')
			o->status = 0;
		ok = c != 'h' && c != '?' && take(o, command, c);
	}
	argv[0] = command;
	if (ok && argc - optind == nfiles) {
		for (int i = 0; i < nfiles; i++)
			files[i] = argv[optind + i];
		return true;
	}
	fprintf(o->status ? stderr : stdout, "usage: gort %s", use);
	return false;
}

bool
view_load(struct stacks *s, const char *path, bool base)
{
	char err[256] = "";
	bool input = strcmp(path, "-") == 0;
	int fd = input ? 0 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		say("%s: %s", path, strerror(errno));
		return false;
	}
	pprof_profile *p = profile_read(fd, err, sizeof(err));
	if (!input)
		close(fd);
	bool ok = p && stacks_add(s, p, base, err, sizeof(err));
	if (p)
		profile_free(p);
	if (!ok)
		say("%s: %s", input ? "stdin" : path, err);
	return ok;
}

int
view_column(const struct stacks *s, const struct view_options *o)
{
	int column = stacks_column(s, o->sample_index);
	if (column >= 0)
		return column;
	fprintf(stderr, "gort: -sample_index %s: the profile has", o->sample_index);
	for (size_t i = 0; i < s->ncolumns; i++)
		fprintf(stderr, "%s %s", i ? "," : "", s->columns[i].type);
	fprintf(stderr, "\n");
	return -1;
}
