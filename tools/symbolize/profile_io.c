// SPDX-License-Identifier: BSD-3-Clause
#include "profile_io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "bytes.h"

static bool
read_all(int fd, struct bytes *b)
{
	for (;;) {
		if (!bytes_reserve(b, 1 << 16))
			return false;
		ssize_t n = read(fd, b->p + b->len, b->cap - b->len);
		if (n == 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			b->len += (size_t)n;
	}
}

char *
read_whole(int fd, size_t *len)
{
	struct bytes b = { 0 };
	if (!read_all(fd, &b)) {
		free(b.p);
		return NULL;
	}
	b.p[b.len] = 0; // read_all keeps room
	*len = b.len;
	return (char *)b.p;
}

// NULL, or what is wrong.
static const char *
gunzip(const uint8_t *data, size_t len, struct bytes *out)
{
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)data, .avail_in = (uInt)len };
	if (len > UINT32_MAX || inflateInit2(&z, 15 + 16) != Z_OK)
		return "too large";
	int rc = Z_OK;
	while (rc == Z_OK && bytes_reserve(out, 1 << 16)) {
		z.next_out = out->p + out->len;
		z.avail_out = (uInt)(out->cap - out->len);
		uInt before = z.avail_out;
		rc = inflate(&z, Z_NO_FLUSH);
		out->len += before - z.avail_out;
		if (rc == Z_BUF_ERROR || (rc == Z_OK && z.avail_in == 0 && z.avail_out))
			break; // truncated
	}
	inflateEnd(&z);
	if (rc != Z_STREAM_END)
		return "damaged gzip data";
	return z.avail_in ? "more data after the profile's end" : NULL;
}

// Whether the message sets time_nanos twice, as two profiles one after the other do.
static bool
concatenated(const uint8_t *p, size_t len)
{
	int times = 0;
	for (const uint8_t *end = p + len; p < end;) { // protobuf-c has read it: it is well formed
		uint64_t v[2] = { 0 }; // tag; value or length
		for (int i = 0; i < 2; i++) {
			int shift = 0;
			if (i == 1 && (v[0] & 7) != 0 && (v[0] & 7) != 2)
				break;
			for (uint8_t b = 0x80; b & 0x80 && p < end; shift += 7)
				v[i] |= (uint64_t)((b = *p++) & 0x7f) << (shift < 64 ? shift : 63);
		}
		times += v[0] == (9 << 3);
		size_t skip = (v[0] & 7) == 1 ? 8 : (v[0] & 7) == 2 ? v[1] : (v[0] & 7) == 5 ? 4 : 0;
		p += skip < (size_t)(end - p) ? skip : (size_t)(end - p);
	}
	return times > 1;
}

// ---- checking ----

struct ids {
	uint64_t *v; // sorted
	size_t n;
};

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static bool
ids_ok(struct ids *t)
{
	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), by_value);
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i] == 0 || (i && t->v[i] == t->v[i - 1]))
			return false;
	return true;
}

static bool
has(const struct ids *t, uint64_t id)
{
	return t->n && bsearch(&id, t->v, t->n, sizeof(*t->v), by_value);
}

static const char *
check_locations(const pprof_profile *p, const struct ids *functions)
{
	for (size_t i = 0; i < p->n_location; i++)
		for (size_t k = 0; k < p->location[i]->n_line; k++)
			if (!has(functions, p->location[i]->line[k]->function_id))
				return "a line names no function";
	return NULL;
}

static const char *
check_samples(const pprof_profile *p, const struct ids *locations)
{
	for (size_t i = 0; i < p->n_sample; i++) {
		const pprof_sample *s = p->sample[i];
		if (s->n_value != p->n_sample_type)
			return "a sample has not one value a type";
		for (size_t k = 0; k < s->n_location_id; k++)
			if (!has(locations, s->location_id[k]))
				return "a sample names no location";
	}
	return NULL;
}

static const char *
check(const pprof_profile *p)
{
	const char *bad = NULL;
	struct ids f = { calloc(p->n_function + 1, 8), p->n_function };
	struct ids l = { calloc(p->n_location + 1, 8), p->n_location };
	struct ids m = { calloc(p->n_mapping + 1, 8), p->n_mapping };
	if (!f.v || !l.v || !m.v) {
		bad = "out of memory";
		goto out;
	}
	for (size_t i = 0; i < f.n; i++)
		f.v[i] = p->function[i]->id;
	for (size_t i = 0; i < l.n; i++)
		l.v[i] = p->location[i]->id;
	for (size_t i = 0; i < m.n; i++)
		m.v[i] = p->mapping[i]->id;
	if (p->n_string_table == 0 || p->string_table[0][0])
		bad = "the first string is not empty";
	else if (!ids_ok(&f) || !ids_ok(&l) || !ids_ok(&m))
		bad = "an id is 0 or stands twice";
	else if (!(bad = check_locations(p, &f)))
		bad = check_samples(p, &l);
out:
	free(f.v);
	free(l.v);
	free(m.v);
	return bad;
}

pprof_profile *
profile_parse(const uint8_t *data, size_t len, char *err, size_t n)
{
	struct bytes raw = { 0 };
	pprof_profile *p = NULL;
	const char *bad = NULL;
	if (len == 0)
		bad = "empty";
	else if (len < 2 || data[0] != 0x1f || data[1] != 0x8b)
		p = perftools__profiles__profile__unpack(NULL, len, data);
	else if (!(bad = gunzip(data, len, &raw)))
		p = perftools__profiles__profile__unpack(NULL, raw.len, raw.p);
	if (p && (raw.p ? concatenated(raw.p, raw.len) : concatenated(data, len)))
		bad = "several profiles one after the other";
	free(raw.p);
	if (!p && !bad)
		bad = "not a pprof profile";
	else if (!bad)
		bad = check(p);
	if (!bad)
		return p;
	snprintf(err, n, "%s", bad);
	if (p)
		profile_free(p);
	return NULL;
}

pprof_profile *
profile_read(int fd, char *err, size_t n)
{
	struct bytes b = { 0 };
	pprof_profile *p = NULL;
	if (read_all(fd, &b))
		p = profile_parse(b.p, b.len, err, n);
	else
		snprintf(err, n, "cannot read it");
	free(b.p);
	return p;
}

void
profile_free(pprof_profile *p)
{
	perftools__profiles__profile__free_unpacked(p, NULL);
}

bool
profile_write(const pprof_profile *p, int fd)
{
	size_t len = perftools__profiles__profile__get_packed_size(p);
	uint8_t *raw = malloc(len ? len : 1);
	if (!raw)
		return false;
	perftools__profiles__profile__pack(p, raw);
	z_stream z = { 0 };
	bool ok = deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	size_t cap = ok ? deflateBound(&z, len) : 0;
	uint8_t *gz = ok ? malloc(cap) : NULL;
	if (gz) {
		z.next_in = raw;
		z.avail_in = (uInt)len;
		z.next_out = gz;
		z.avail_out = (uInt)cap;
		ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
		deflateEnd(&z);
	}
	ok = ok && gz;
	for (size_t at = 0, n = ok ? cap - z.avail_out : 0; ok && at < n;) {
		ssize_t k = write(fd, gz + at, n - at);
		if (k > 0)
			at += (size_t)k;
		else if (errno != EINTR)
			ok = false;
	}
	free(gz);
	free(raw);
	return ok;
}

// ---- strings ----

struct strings {
	pprof_profile *p;
	size_t cap, nslots;
	uint32_t *slot; // id + 1
};

static size_t
find_slot(const struct strings *t, const char *s)
{
	size_t i = hash_string(s) & (t->nslots - 1);
	while (t->slot[i] && strcmp(t->p->string_table[t->slot[i] - 1], s) != 0)
		i = (i + 1) & (t->nslots - 1);
	return i;
}

static void
rehash(struct strings *t, size_t nslots)
{
	uint32_t *slot = calloc(nslots, sizeof(*slot));
	if (!slot)
		abort();
	free(t->slot);
	t->slot = slot;
	t->nslots = nslots;
	for (size_t id = 0; id < t->p->n_string_table; id++)
		t->slot[find_slot(t, t->p->string_table[id])] = (uint32_t)id + 1;
}

struct strings *
strings_new(pprof_profile *p)
{
	struct strings *t = calloc(1, sizeof(*t));
	size_t n = 1024;
	if (!t)
		abort();
	while (n < 4 * p->n_string_table)
		n *= 2;
	t->p = p;
	t->cap = p->n_string_table;
	rehash(t, n);
	return t;
}

int64_t
strings_id(struct strings *t, const char *s)
{
	pprof_profile *p = t->p;
	if (!s)
		s = "";
	size_t i = find_slot(t, s);
	if (t->slot[i])
		return t->slot[i] - 1;
	if (p->n_string_table == t->cap) {
		t->cap = 2 * t->cap + 16;
		char **grown = realloc(p->string_table, t->cap * sizeof(*grown));
		if (!grown)
			abort();
		p->string_table = grown;
	}
	char *copy = strdup(s);
	if (!copy)
		abort();
	p->string_table[p->n_string_table++] = copy;
	t->slot[i] = (uint32_t)p->n_string_table;
	if (2 * p->n_string_table > t->nslots)
		rehash(t, 2 * t->nslots);
	return (int64_t)p->n_string_table - 1;
}

void
strings_free(struct strings *t)
{
	free(t->slot);
	free(t);
}

const char *
profile_string(const pprof_profile *p, int64_t id)
{
	return id >= 0 && (uint64_t)id < p->n_string_table ? p->string_table[id] : "";
}
