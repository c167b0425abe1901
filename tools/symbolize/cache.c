// SPDX-License-Identifier: BSD-3-Clause
#include "cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"

#define MAGIC 0x31304d5953545247ull // "GRTSYM01"
#define MAX_FILE ((size_t)256 << 20)

struct header {
	uint64_t magic;
	uint32_t nseg, nplaces, nframes;
	uint32_t flags; // 1 lines, 2 inlines
	uint64_t strings; // bytes
};
// Then: segments, places by vaddr, frames, strings.
struct kept_place {
	uint64_t vaddr, entry;
	uint32_t first, n; // frames
};
struct kept_frame {
	uint32_t name, system_name, file; // offsets in strings; file 0: unknown
	int32_t line, start_line;
	uint32_t pad;
};

struct cache {
	const struct header *h;
	size_t size;
	const struct segment *seg;
	const struct kept_place *place;
	const struct kept_frame *frame;
	const char *strings;
};

// ---- where ----

// Only hex digits reach a path. False: no place for it.
static bool
file_name(const char *build_id, char *dir, size_t n, char *path, size_t m)
{
	const char *own = getenv("GORT_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	size_t len = strlen(build_id);
	if (len < 8 || len > 128 || strspn(build_id, "0123456789abcdef") != len)
		return false;
	if (own && *own)
		snprintf(dir, n, "%s", own);
	else if (xdg && xdg[0] == '/')
		snprintf(dir, n, "%s/gort", xdg);
	else if (home && home[0] == '/')
		snprintf(dir, n, "%s/.cache/gort", home);
	else
		return false;
	return (size_t)snprintf(path, m, "%s/%s.sym", dir, build_id) < m;
}

static void
make_dir(const char *dir)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s", dir);
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(path, 0700);
		*p = '/';
	}
	mkdir(path, 0700);
}

// ---- reading ----

static bool
strings_ok(const struct cache *c)
{
	uint64_t n = c->h->strings;
	return n && c->strings[0] == 0 && c->strings[n - 1] == 0;
}

static bool
contents_ok(const struct cache *c)
{
	const struct header *h = c->h;
	for (uint32_t i = 0; i < h->nplaces; i++)
		if (c->place[i].first > h->nframes || c->place[i].n > h->nframes - c->place[i].first ||
		    (i && c->place[i].vaddr <= c->place[i - 1].vaddr))
			return false;
	for (uint32_t i = 0; i < h->nframes; i++)
		if (c->frame[i].name >= h->strings || c->frame[i].system_name >= h->strings ||
		    c->frame[i].file >= h->strings)
			return false;
	return strings_ok(c);
}

static bool
layout(struct cache *c, const void *image, size_t size)
{
	const struct header *h = c->h = image;
	c->size = size;
	if (size < sizeof(*h) || h->magic != MAGIC)
		return false;
	uint64_t want = sizeof(*h) + h->nseg * (uint64_t)sizeof(*c->seg) + h->nplaces * (uint64_t)sizeof(*c->place) +
			h->nframes * (uint64_t)sizeof(*c->frame);
	if (h->strings > MAX_FILE || want + h->strings != size)
		return false;
	c->seg = (const void *)(h + 1);
	c->place = (const void *)(c->seg + h->nseg);
	c->frame = (const void *)(c->place + h->nplaces);
	c->strings = (const void *)(c->frame + h->nframes);
	return contents_ok(c);
}

struct cache *
cache_open(const char *build_id)
{
	char dir[3800], path[4096];
	struct stat st;
	struct cache *c = NULL;
	void *p = MAP_FAILED;
	if (!file_name(build_id, dir, sizeof(dir), path, sizeof(path)))
		return NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return NULL;
	// Nobody else's file tells what our functions are called.
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_size > 0 &&
	    (size_t)st.st_size <= MAX_FILE)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c || !layout(c, p, (size_t)st.st_size)) {
		munmap(p, (size_t)st.st_size);
		free(c);
		return NULL;
	}
	return c;
}

void
cache_close(struct cache *c)
{
	if (!c)
		return;
	munmap((void *)(uintptr_t)c->h, c->size);
	free(c);
}

bool
cache_vaddr(const struct cache *c, uint64_t off, uint64_t *vaddr)
{
	return segments_vaddr(c->seg, c->h->nseg, off, vaddr);
}

void
cache_info(const struct cache *c, struct object_info *info)
{
	info->functions = true;
	info->lines |= (c->h->flags & 1) != 0;
	info->inlines |= (c->h->flags & 2) != 0;
}

static int
by_vaddr(const void *key, const void *elem)
{
	uint64_t x = *(const uint64_t *)key, y = ((const struct kept_place *)elem)->vaddr;
	return x < y ? -1 : x > y;
}

bool
cache_find(const struct cache *c, struct place *p)
{
	const struct kept_place *k = bsearch(&p->vaddr, c->place, c->h->nplaces, sizeof(*k), by_vaddr);
	if (!k || k->n == 0)
		return false;
	struct frame *f = calloc(k->n, sizeof(*f));
	if (!f)
		return false;
	for (uint32_t i = 0; i < k->n; i++) {
		const struct kept_frame *from = &c->frame[k->first + i];
		f[i] = (struct frame){ c->strings + from->name, c->strings + from->system_name,
				       from->file ? c->strings + from->file : NULL, from->line, from->start_line };
	}
	p->frames = f;
	p->nframes = k->n;
	p->entry = k->entry;
	return true;
}

// ---- writing ----

struct writer {
	struct bytes places, frames, strings;
	uint32_t *slot; // string offsets by hash; 0 free
	size_t nslots, nstrings;
	bool bad; // no memory
};

static size_t
append(struct writer *w, struct bytes *b, const void *data, size_t n)
{
	if (w->bad || (w->bad = !bytes_reserve(b, n)))
		return 0;
	memcpy(b->p + b->len, data, n);
	b->len += n;
	return b->len - n;
}

static const char *
text_at(const struct writer *w, uint32_t off)
{
	return (const char *)w->strings.p + off;
}

static size_t
find_slot(const struct writer *w, const char *s)
{
	size_t i = hash_string(s) & (w->nslots - 1);
	while (w->slot[i] && strcmp(text_at(w, w->slot[i]), s) != 0)
		i = (i + 1) & (w->nslots - 1);
	return i;
}

static void
rehash(struct writer *w)
{
	uint32_t *old = w->slot;
	size_t n = w->nslots;
	w->nslots = n ? 2 * n : 4096;
	w->slot = calloc(w->nslots, sizeof(*w->slot));
	if (!w->slot) {
		w->slot = old;
		w->nslots = n;
		w->bad = true;
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (old[i])
			w->slot[find_slot(w, text_at(w, old[i]))] = old[i];
	free(old);
}

static uint32_t
string(struct writer *w, const char *s)
{
	if (!s || !*s || w->bad)
		return 0;
	if (2 * w->nstrings >= w->nslots)
		rehash(w);
	if (w->bad)
		return 0;
	size_t i = find_slot(w, s);
	if (!w->slot[i]) {
		w->slot[i] = (uint32_t)append(w, &w->strings, s, strlen(s) + 1);
		w->nstrings++;
	}
	return w->slot[i];
}

static void
add(struct writer *w, const struct place *p)
{
	struct kept_place k = { p->vaddr, p->entry, (uint32_t)(w->frames.len / sizeof(struct kept_frame)),
				(uint32_t)p->nframes };
	append(w, &w->places, &k, sizeof(k));
	for (size_t i = 0; i < p->nframes; i++) {
		const struct frame *f = &p->frames[i];
		struct kept_frame kf = { string(w, f->name), string(w, f->system_name), string(w, f->file), f->line,
					 f->start_line, 0 };
		append(w, &w->frames, &kf, sizeof(kf));
	}
}

static void
add_kept(struct writer *w, const struct cache *c, uint32_t i)
{
	struct place p = { .vaddr = c->place[i].vaddr };
	if (cache_find(c, &p))
		add(w, &p);
	free(p.frames);
}

// Both lists are sorted.
static void
merge(struct writer *w, const struct cache *c, const struct place *p, size_t n)
{
	uint32_t k = 0, nkept = c ? c->h->nplaces : 0;
	for (size_t i = 0; i < n; i++) {
		for (; k < nkept && c->place[k].vaddr < p[i].vaddr; k++)
			add_kept(w, c, k);
		if (k < nkept && c->place[k].vaddr == p[i].vaddr)
			k++;
		if (p[i].nframes)
			add(w, &p[i]);
	}
	for (; k < nkept; k++)
		add_kept(w, c, k);
}

static bool
write_file(const char *path, const struct header *h, const struct segment *seg, const struct writer *w)
{
	FILE *f = fopen(path, "wxe");
	if (!f)
		return false;
	fwrite(h, sizeof(*h), 1, f);
	fwrite(seg, sizeof(*seg), h->nseg, f);
	fwrite(w->places.p, 1, w->places.len, f);
	fwrite(w->frames.p, 1, w->frames.len, f);
	fwrite(w->strings.p, 1, w->strings.len, f);
	bool ok = !ferror(f);
	return fclose(f) == 0 && ok;
}

void
cache_save(const struct cache *c, const char *build_id, const struct segment *seg, size_t nseg,
	   const struct place *p, size_t n, const struct object_info *info)
{
	char dir[3800], path[4096], tmp[4200];
	struct writer w = { 0 };
	if (!file_name(build_id, dir, sizeof(dir), path, sizeof(path)))
		return;
	append(&w, &w.strings, "", 1);
	merge(&w, c, p, n);
	struct header h = { MAGIC, (uint32_t)nseg, (uint32_t)(w.places.len / sizeof(struct kept_place)),
			    (uint32_t)(w.frames.len / sizeof(struct kept_frame)),
			    (info->lines ? 1u : 0u) | (info->inlines ? 2u : 0u), w.strings.len };
	snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid());
	if (!w.bad && h.nplaces) {
		make_dir(dir);
		if (!write_file(tmp, &h, seg, &w) || rename(tmp, path) != 0)
			unlink(tmp);
	}
	free(w.places.p);
	free(w.frames.p);
	free(w.strings.p);
	free(w.slot);
}
