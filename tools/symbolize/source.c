// SPDX-License-Identifier: BSD-3-Clause
#include "source.h"

#include <stdlib.h>
#include <string.h>

#include "cache.h"

struct source {
	char *path, *build_id;
	struct object *o; // NULL: not opened yet
	bool tried;
	struct cache *c;  // NULL: nothing kept
};

static struct object *
need_object(struct source *s, struct object_info *info)
{
	if (!s->tried)
		s->o = object_open(s->path, s->build_id, info);
	s->tried = true;
	return s->o;
}

struct source *
source_open(const char *path, const char *build_id, struct object_info *info)
{
	*info = (struct object_info){ 0 };
	struct source *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->path = strdup(path);
	s->build_id = strdup(build_id);
	if (s->path && s->build_id)
		s->c = cache_open(build_id);
	if (!s->c && !(s->path && s->build_id && need_object(s, info))) {
		source_close(s);
		return NULL;
	}
	return s;
}

void
source_close(struct source *s)
{
	if (s->o)
		object_close(s->o);
	cache_close(s->c);
	free(s->path);
	free(s->build_id);
	free(s);
}

bool
source_vaddr(struct source *s, uint64_t off, uint64_t *vaddr)
{
	return s->c ? cache_vaddr(s->c, off, vaddr) : object_vaddr(s->o, off, vaddr);
}

// The places that the cache does not have, in the same order.
static size_t
split(struct source *s, struct place *p, size_t n, struct place *missing)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		if (!s->c || !cache_find(s->c, &p[i]))
			missing[k++].vaddr = p[i].vaddr;
	return k;
}

static void
save(struct source *s, const struct place *found, size_t n, struct object_info *info)
{
	struct segment seg[MAX_SEGMENTS];
	size_t nseg = object_segments(s->o, seg);
	if (s->c)
		cache_info(s->c, info);
	if (object_has_debug_info(s->o))
		cache_save(s->c, s->build_id, seg, nseg, found, n, info);
}

void
source_symbolize(struct source *s, struct place *p, size_t n, struct object_info *info)
{
	struct place *missing = calloc(n + 1, sizeof(*missing));
	size_t k = missing ? split(s, p, n, missing) : 0;
	if (k == 0 && s->c)
		cache_info(s->c, info);
	if (k && need_object(s, info)) {
		object_symbolize(s->o, missing, k, info);
		save(s, missing, k, info);
	}
	for (size_t i = 0, m = 0; i < n && m < k; i++)
		if (p[i].vaddr == missing[m].vaddr)
			p[i] = missing[m++];
	free(missing);
}
