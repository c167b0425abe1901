// SPDX-License-Identifier: BSD-3-Clause
// One input for everything that gort top, diff and flame do with a file they did not write. libFuzzer calls
// this with inputs of its own; corpus.c with the corpus and mutations of it, as a test.
#include <stdio.h>
#include <stdlib.h>

#include "page.h"
#include "top.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
show(FILE *out, const struct stacks *s)
{
	for (size_t column = 0; column < s->ncolumns; column++) {
		top_print(out, s, &(struct top_options){.column = column});
		top_print(out, s,
			  &(struct top_options){.column = column, .by_cum = true, .limit = 3});
	}
}

static void
draw(FILE *out, const struct stacks *s, const char *base)
{
	struct page_options o = {.title = s->program, .base = base, .column = s->shown};
	if (!page_write(out, s, &o))
		abort();
}

static void
use(FILE *out, const pprof_profile *p)
{
	char err[256];
	struct stacks s = {0};
	if (stacks_add(&s, p, false, err, sizeof(err))) {
		show(out, &s);
		draw(out, &s, NULL);
		// Its own base: legal for every profile that could be added once, except that frames may run out.
		if (stacks_add(&s, p, true, err, sizeof(err))) {
			show(out, &s);
			draw(out, &s, "base");
		}
	}
	stacks_free(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *out;
	char err[256] = "";
	if (!out && !(out = fopen("/dev/null", "w")))
		abort();
	pprof_profile *p = profile_parse(data, size, err, sizeof(err));
	if (p)
		use(out, p);
	else if (!*err)
		abort(); // refused without a word
	if (p)
		profile_free(p);
	return 0;
}
