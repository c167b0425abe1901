// SPDX-License-Identifier: BSD-3-Clause
#include "encode/profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/labels.h"
#include "core/math.h"
#include "core/sort.h"

// Field numbers of proto/profile.proto.
enum {
	PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE = 2, PROFILE_MAPPING = 3, PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5, PROFILE_STRING_TABLE = 6, PROFILE_TIME_NANOS = 9,
	PROFILE_DURATION_NANOS = 10, PROFILE_PERIOD_TYPE = 11, PROFILE_PERIOD = 12,
	PROFILE_COMMENT = 13, PROFILE_DEFAULT_SAMPLE_TYPE = 14,
	VALUE_TYPE = 1, VALUE_UNIT = 2,
	SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3,
	LABEL_KEY = 1, LABEL_STR = 2, LABEL_NUM = 3,
	MAPPING_ID = 1, MAPPING_START = 2, MAPPING_LIMIT = 3, MAPPING_OFFSET = 4, MAPPING_FILE = 5,
	MAPPING_BUILD_ID = 6, MAPPING_HAS_FUNCTIONS = 7,
	LOCATION_ID = 1, LOCATION_MAPPING = 2, LOCATION_ADDRESS = 3, LOCATION_LINE = 4,
	LINE_FUNCTION = 1,
	FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_SYSTEM_NAME = 3,
};

struct value_type {
	const char *type, *unit;
};
struct kind_desc {
	struct value_type values[4];
	int nvalues;
	struct value_type period;
};
static const struct kind_desc kinds[RTP_KINDS] = {
	[RTP_CPU] = { { { "samples", "count" }, { "cpu", "nanoseconds" } }, 2, { "cpu", "nanoseconds" } },
	[RTP_HEAP] = { { { "alloc_objects", "count" },
			 { "alloc_space", "bytes" },
			 { "inuse_objects", "count" },
			 { "inuse_space", "bytes" } },
		       4,
		       { "space", "bytes" } },
	[RTP_BLOCK] = { { { "contentions", "count" }, { "delay", "nanoseconds" } }, 2, { "contentions", "count" } },
	[RTP_MUTEX] = { { { "contentions", "count" }, { "delay", "nanoseconds" } }, 2, { "contentions", "count" } },
	[RTP_GOROUTINE] = { { { "goroutine", "count" } }, 1, { "goroutine", "count" } },
	[RTP_THREADCREATE] = { { { "threadcreate", "count" } }, 1, { "threadcreate", "count" } },
	[RTP_WALL] = { { { "samples", "count" }, { "wall", "nanoseconds" } }, 2, { "wall", "nanoseconds" } },
	[RTP_GOROUTINELEAK] = { { { "goroutineleak", "count" } }, 1, { "goroutineleak", "count" } },
	[RTP_CUSTOM] = { { { NULL, "count" } }, 1, { NULL, "count" } }, // by the profile's name
};

static const char *const marker_names[RTP_PC_MARKERS] = {
	[RTP_PC_TRUNCATED] = "[truncated]",
	[RTP_PC_LOST] = "[lost samples]",
	[RTP_PC_RUNNING] = "[running]",
};

// ---- tables of the writer ----

struct string {
	uint64_t off, len; // in chars
};

struct loc {
	uint64_t addr;
	uint32_t id; // 0: free
	uint32_t pad;
};

struct writer {
	struct rtp_region *r;
	const struct rtp_profile_args *a;
	struct rtp_out *o;
	struct rtp_vec strings, chars; // struct string, bytes
	struct rtp_vec string_index;   // uint32_t, open addressing, power of two
	struct rtp_vec locs;           // struct loc, open addressing, power of two
	struct rtp_vec functions;      // uint32_t: function id by string id
	struct rtp_vec maps;           // struct rtp_mapping *, in load order
	uint32_t nstrings, nlocs, nfunctions;
	int err;
	struct rtp_msg msg, sub; // too large for a goroutine's frames to hold many
};

static void *
push_or_fail(struct writer *w, struct rtp_vec *v, size_t n)
{
	void *p = rtp_vec_push(v, n);
	if (!p)
		w->err = -ENOMEM;
	return p;
}

static uint64_t
hash_bytes(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325ull;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * 0x100000001b3ull;
	return h ^ h >> 29;
}

static bool
rehash_strings(struct writer *w)
{
	size_t slots = w->string_index.len / 4 * 2;
	if (slots == 0)
		slots = 1024;
	struct rtp_vec fresh = { 0 };
	uint32_t *slot = push_or_fail(w, &fresh, slots * 4);
	if (!slot)
		return false;
	const struct string *s = (const void *)w->strings.p;
	for (uint32_t id = 0; id < w->nstrings; id++) {
		uint64_t i = hash_bytes(w->chars.p + s[id].off, s[id].len) & (slots - 1);
		while (slot[i])
			i = (i + 1) & (slots - 1);
		slot[i] = id + 1;
	}
	rtp_vec_free(&w->string_index);
	w->string_index = fresh;
	return true;
}

static uint32_t
string_id(struct writer *w, const char *s, size_t n)
{
	if (w->nstrings * 2ul >= w->string_index.len / 4 && !rehash_strings(w))
		return 0;
	uint32_t *slot = (void *)w->string_index.p;
	size_t mask = w->string_index.len / 4 - 1;
	uint64_t i = hash_bytes(s, n) & mask;
	for (; slot[i]; i = (i + 1) & mask) {
		const struct string *old = (const struct string *)(const void *)w->strings.p + (slot[i] - 1);
		if (old->len == n && memcmp(w->chars.p + old->off, s, n) == 0)
			return slot[i] - 1;
	}
	struct string *fresh = push_or_fail(w, &w->strings, sizeof(*fresh));
	char *bytes = n ? push_or_fail(w, &w->chars, n) : w->chars.p;
	if (!fresh || (n && !bytes))
		return 0;
	if (n)
		memcpy(bytes, s, n);
	*fresh = (struct string){ w->chars.len - n, n };
	slot[i] = ++w->nstrings;
	return w->nstrings - 1;
}

static uint32_t
cstring_id(struct writer *w, const char *s)
{
	return string_id(w, s, strlen(s));
}

static void
begin(struct rtp_msg *m)
{
	m->len = 0;
	m->bad = false;
}

static void
write_value_type(struct writer *w, int field, const struct value_type *t)
{
	uint32_t type = cstring_id(w, t->type ? t->type : w->a->name), unit = cstring_id(w, t->unit);
	begin(&w->msg);
	rtp_msg_uint(&w->msg, VALUE_TYPE, type);
	rtp_msg_uint(&w->msg, VALUE_UNIT, unit);
	rtp_out_msg(w->o, field, &w->msg);
}

// ---- mappings ----

static struct rtp_region *
mapping_region(const struct writer *w)
{
	return w->r->mappings_of ? w->r->mappings_of : w->r;
}

static void
collect_mappings(struct writer *w)
{
	size_t n = 0;
	struct rtp_region *r = mapping_region(w);
	for (uint64_t off = rt_load_acquire(&r->mappings); off;) {
		struct rtp_mapping *m = rtp_at(r, off), **slot;
		if (!(slot = push_or_fail(w, &w->maps, sizeof(*slot))))
			return;
		*slot = m;
		n++;
		off = m->next;
	}
	struct rtp_mapping **m = (void *)w->maps.p; // newest first: reverse, the program comes first
	for (size_t i = 0; i < n / 2; i++) {
		struct rtp_mapping *t = m[i];
		m[i] = m[n - 1 - i];
		m[n - 1 - i] = t;
	}
}

// 1-based id of the mapping that holds addr, the latest and a loaded one by preference; 0 none.
static uint32_t
mapping_of(struct writer *w, uint64_t addr)
{
	struct rtp_mapping **m = (void *)w->maps.p;
	uint32_t gone = 0;
	for (size_t i = w->maps.len / sizeof(*m); i > 0; i--) {
		if (addr < m[i - 1]->lo || addr >= m[i - 1]->hi)
			continue;
		if (!rt_load(&m[i - 1]->gone))
			return (uint32_t)i;
		if (!gone)
			gone = (uint32_t)i;
	}
	return gone;
}

static void
write_mapping(struct writer *w, const struct rtp_mapping *m, uint32_t id)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * sizeof(m->build_id)];
	for (int i = 0; i < m->build_id_len; i++) {
		hex[2 * i] = digits[m->build_id[i] >> 4];
		hex[2 * i + 1] = digits[m->build_id[i] & 15];
	}
	uint32_t file = cstring_id(w, rtp_at(mapping_region(w), m->path));
	uint32_t build = string_id(w, hex, 2ul * m->build_id_len);
	begin(&w->msg);
	rtp_msg_uint(&w->msg, MAPPING_ID, id);
	rtp_msg_uint(&w->msg, MAPPING_START, m->lo);
	rtp_msg_uint(&w->msg, MAPPING_LIMIT, m->hi);
	rtp_msg_uint(&w->msg, MAPPING_OFFSET, m->off);
	rtp_msg_uint(&w->msg, MAPPING_FILE, file);
	rtp_msg_uint(&w->msg, MAPPING_BUILD_ID, build);
	const char *path = rtp_at(mapping_region(w), m->path);
	rtp_msg_uint(&w->msg, MAPPING_HAS_FUNCTIONS, w->a->names && (w->a->all_named || path[0] == '['));
	rtp_out_msg(w->o, PROFILE_MAPPING, &w->msg);
}

// ---- locations ----

static uint32_t
function_id(struct writer *w, const char *name, size_t len)
{
	uint32_t s = string_id(w, name, len);
	while (w->functions.len / 4 <= s)
		if (!push_or_fail(w, &w->functions, 4096))
			return 0;
	uint32_t *id = (uint32_t *)(void *)w->functions.p + s;
	if (*id)
		return *id;
	*id = ++w->nfunctions;
	begin(&w->sub);
	rtp_msg_uint(&w->sub, FUNCTION_ID, *id);
	rtp_msg_uint(&w->sub, FUNCTION_NAME, s);
	rtp_msg_uint(&w->sub, FUNCTION_SYSTEM_NAME, s);
	rtp_out_msg(w->o, PROFILE_FUNCTION, &w->sub);
	return *id;
}

static uint32_t
name_of(struct writer *w, uint64_t addr)
{
	if (addr && addr < RTP_PC_MARKERS)
		return function_id(w, marker_names[addr], strlen(marker_names[addr]));
	if (!w->a->names)
		return 0;
	size_t len;
	const char *name = w->a->names->name(w->a->names->arg, addr, &len);
	return name ? function_id(w, name, len) : 0;
}

static void
write_location(struct writer *w, uint64_t addr, uint32_t id)
{
	uint32_t fn = name_of(w, addr);
	begin(&w->msg);
	rtp_msg_uint(&w->msg, LOCATION_ID, id);
	if (addr >= RTP_PC_MARKERS) {
		rtp_msg_uint(&w->msg, LOCATION_MAPPING, mapping_of(w, addr));
		rtp_msg_uint(&w->msg, LOCATION_ADDRESS, addr);
	}
	if (fn) {
		begin(&w->sub);
		rtp_msg_uint(&w->sub, LINE_FUNCTION, fn);
		rtp_msg_bytes(&w->msg, LOCATION_LINE, w->sub.b, w->sub.len);
	}
	rtp_out_msg(w->o, PROFILE_LOCATION, &w->msg);
}

static bool
rehash_locs(struct writer *w)
{
	size_t slots = w->locs.len / sizeof(struct loc) * 2;
	if (slots == 0)
		slots = 4096;
	struct rtp_vec fresh = { 0 };
	struct loc *to = push_or_fail(w, &fresh, slots * sizeof(struct loc));
	if (!to)
		return false;
	const struct loc *from = (const void *)w->locs.p;
	for (size_t k = 0; k < w->locs.len / sizeof(*from); k++) {
		if (!from[k].id)
			continue;
		uint64_t i = (from[k].addr * 0x9e3779b97f4a7c15ull >> 20) & (slots - 1);
		while (to[i].id)
			i = (i + 1) & (slots - 1);
		to[i] = from[k];
	}
	rtp_vec_free(&w->locs);
	w->locs = fresh;
	return true;
}

// The id of addr's location, which is written when it is new.
static uint32_t
location_id(struct writer *w, uint64_t addr)
{
	if (w->nlocs * 2ul >= w->locs.len / sizeof(struct loc) && !rehash_locs(w))
		return 0;
	struct loc *l = (void *)w->locs.p;
	size_t mask = w->locs.len / sizeof(*l) - 1;
	uint64_t i = (addr * 0x9e3779b97f4a7c15ull >> 20) & mask;
	for (; l[i].id; i = (i + 1) & mask)
		if (l[i].addr == addr)
			return l[i].id;
	l[i].addr = addr;
	uint32_t id = l[i].id = ++w->nlocs;
	write_location(w, addr, id);
	return id;
}

// ---- samples ----

static void
write_label_num(struct writer *w, const char *key, int64_t num)
{
	if (num == 0)
		return;
	uint32_t k = cstring_id(w, key);
	begin(&w->sub);
	rtp_msg_uint(&w->sub, LABEL_KEY, k);
	rtp_msg_uint(&w->sub, LABEL_NUM, (uint64_t)num);
	rtp_msg_bytes(&w->msg, SAMPLE_LABEL, w->sub.b, w->sub.len);
}

static void
write_labels(struct writer *w, uint64_t off)
{
	const struct rtp_labels *l = rtp_labels_at(mapping_region(w), off);
	const char *p = l ? l->text : NULL;
	for (uint32_t i = 0; l && i < l->n; i++) {
		uint32_t key = cstring_id(w, p), value = cstring_id(w, rtp_label_skip(p));
		begin(&w->sub);
		rtp_msg_uint(&w->sub, LABEL_KEY, key);
		rtp_msg_uint(&w->sub, LABEL_STR, value);
		rtp_msg_bytes(&w->msg, SAMPLE_LABEL, w->sub.b, w->sub.len);
		p = rtp_label_skip(rtp_label_skip(p));
	}
}

// Heap buckets are kept apart by the object's size, which is their label; others by their label set.
static void
write_sample(struct writer *w, const struct rtp_bucket *b, const int64_t *values, int nvalues, int64_t size)
{
	const uint64_t *pcs = rtp_bucket_pcs(b);
	int npc = b->npc;
	uint64_t ids[RTP_MAX_FRAMES], v[4];
	int n = 0;
	for (int i = 0; i < npc; i++)
		if (pcs[i] < w->r->entry_lo || pcs[i] >= w->r->entry_hi)
			ids[n++] = location_id(w, pcs[i]);
	for (int i = 0; i < nvalues; i++)
		v[i] = (uint64_t)values[i];
	begin(&w->msg);
	rtp_msg_packed(&w->msg, SAMPLE_LOCATION, ids, (size_t)n);
	rtp_msg_packed(&w->msg, SAMPLE_VALUE, v, (size_t)nvalues);
	if (b->kind == RTP_HEAP)
		write_label_num(w, "bytes", size);
	else
		write_labels(w, b->aux);
	rtp_out_msg(w->o, PROFILE_SAMPLE, &w->msg);
}

static void
unbias(int64_t n, int64_t bytes, double mean, int64_t rate, int64_t *n_out, int64_t *bytes_out)
{
	double scale = rate > 1 ? 1 / rtp_one_minus_exp(mean / (double)rate) : 1;
	*n_out = (int64_t)((double)n * scale);
	*bytes_out = (int64_t)((double)bytes * scale);
}

void
rtp_heap_unbias_as(int64_t n, int64_t bytes, int64_t weight, int64_t rate, int64_t *n_out, int64_t *bytes_out)
{
	*n_out = *bytes_out = 0;
	if (n != 0 && bytes != 0)
		unbias(n, bytes, (double)weight, rate, n_out, bytes_out);
}

void
rtp_heap_unbias(int64_t n, int64_t bytes, int64_t rate, int64_t *n_out, int64_t *bytes_out)
{
	*n_out = *bytes_out = 0;
	if (n != 0 && bytes != 0)
		unbias(n, bytes, (double)bytes / (double)n, rate, n_out, bytes_out);
}

void
rtp_heap_read(const struct rtp_region *r, const struct rtp_bucket *b, uint64_t col[RTP_HEAP_NCOL])
{
	int slots = rt_load(&r->heap_published) ? 1 : 4;
	for (int c = 0; c < RTP_HEAP_NCOL; c++) {
		col[c] = 0;
		for (int s = 0; s < slots; s++)
			col[c] += rt_load(&b->v[s * RTP_HEAP_NCOL + c]);
	}
}

static const uint64_t *
in_base(const struct rtp_base *base, const struct rtp_bucket *b)
{
	return base && b->ordinal < base->n ? base->v + (size_t)b->ordinal * b->nval : NULL;
}

static void
write_heap(struct writer *w, const struct rtp_bucket *b, const uint64_t *base, const uint64_t *upto)
{
	uint64_t col[RTP_HEAP_NCOL];
	int64_t v[4];
	if (upto)
		memcpy(col, upto, sizeof(col));
	else
		rtp_heap_read(w->r, b, col);
	int64_t used = (int64_t)(col[RTP_ALLOCS] - col[RTP_FREES]);
	int64_t used_bytes = (int64_t)(col[RTP_ALLOC_BYTES] - col[RTP_FREE_BYTES]);
	int64_t allocs = (int64_t)col[RTP_ALLOCS], bytes = (int64_t)col[RTP_ALLOC_BYTES];
	int64_t size = allocs ? bytes / allocs : 0, weight = b->aux ? (int64_t)b->aux : size;
	if (w->a->base) { // what was allocated since; what is in use now
		allocs -= base ? (int64_t)base[RTP_ALLOCS] : 0;
		bytes -= base ? (int64_t)base[RTP_ALLOC_BYTES] : 0;
		if (allocs == 0 && used == 0)
			return;
	}
	rtp_heap_unbias_as(allocs, bytes, weight, w->r->mem_rate, &v[0], &v[1]);
	rtp_heap_unbias_as(used, used_bytes, weight, w->r->mem_rate, &v[2], &v[3]);
	write_sample(w, b, v, 4, size);
}

static int64_t
ticks_to_ns(const struct writer *w, uint64_t ticks)
{
	return w->r->ticks_per_ns > 0 ? (int64_t)((double)ticks / w->r->ticks_per_ns) : (int64_t)ticks;
}

static void
write_bucket(struct writer *w, const struct rtp_bucket *b)
{
	const uint64_t *from = in_base(w->a->base, b), *upto = in_base(w->a->upto, b);
	uint64_t d[2] = { 0 };
	int64_t v[2];
	if (w->a->upto && !upto)
		return; // came later
	if (b->kind == RTP_HEAP) {
		write_heap(w, b, from, upto);
		return;
	}
	for (int i = 0; i < b->nval; i++)
		d[i] = (upto ? upto[i] : rtp_count(w->r, b, i)) - (from ? from[i] : 0);
	if (d[0] == 0)
		return;
	v[0] = (int64_t)d[0];
	v[1] = (int64_t)d[1];
	if (b->kind == RTP_BLOCK || b->kind == RTP_MUTEX) {
		v[0] = rt_max((int64_t)(d[0] >> 16), (int64_t)1);
		v[1] = ticks_to_ns(w, d[1]);
	}
	write_sample(w, b, v, kinds[b->kind].nvalues, 0);
}

static int64_t
weight(struct rtp_region *r, const struct rtp_bucket *b)
{
	uint64_t col[RTP_HEAP_NCOL];
	switch (b->kind) {
	case RTP_HEAP: // smallest first
		rtp_heap_read(r, b, col);
		return (int64_t)(col[RTP_FREE_BYTES] - col[RTP_ALLOC_BYTES]);
	case RTP_BLOCK:
	case RTP_MUTEX:
		return (int64_t)rtp_count(r, b, RTP_LOCK_TICKS);
	case RTP_WALL:
		return (int64_t)rt_load(&b->v[RTP_CPU_NS]);
	default:
		return (int64_t)rt_load(&b->v[0]);
	}
}

struct weighed {
	int64_t weight;
	struct rtp_bucket *b;
};

// Heaviest first; equal ones by their addresses.
static int
by_weight(const void *a, const void *b)
{
	const struct weighed *x = a, *y = b;
	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	const uint64_t *p = rtp_bucket_pcs(x->b), *q = rtp_bucket_pcs(y->b);
	for (int i = 0; i < x->b->npc && i < y->b->npc; i++)
		if (p[i] != q[i])
			return p[i] < q[i] ? -1 : 1;
	return x->b->npc - y->b->npc;
}

bool
rtp_sorted_buckets(struct rtp_region *r, enum rtp_kind kind, struct rtp_vec *list)
{
	struct rtp_vec v = { 0 };
	bool ok = true;
	rtp_for_buckets(b, r, kind) {
		struct weighed *slot = rtp_vec_push(&v, sizeof(*slot));
		if (!(ok = slot != NULL))
			break;
		*slot = (struct weighed){ weight(r, b), b };
	}
	struct weighed *x = (void *)v.p;
	size_t n = v.len / sizeof(*x);
	if (ok)
		rtp_sort(x, n, sizeof(*x), by_weight);
	for (size_t i = 0; ok && i < n; i++) {
		struct rtp_bucket **slot = rtp_vec_push(list, sizeof(*slot));
		if ((ok = slot != NULL))
			*slot = x[i].b;
	}
	rtp_vec_free(&v);
	return ok;
}

static void
write_samples(struct writer *w)
{
	struct rtp_vec list = { 0 };
	if (!rtp_sorted_buckets(w->r, w->a->kind, &list))
		w->err = -ENOMEM;
	struct rtp_bucket **b = (void *)list.p;
	for (size_t i = 0; i < list.len / sizeof(*b); i++)
		write_bucket(w, b[i]);
	rtp_vec_free(&list);
}

// ---- the whole ----

static int64_t
period(const struct writer *w)
{
	switch (w->a->kind) {
	case RTP_CPU:
		return w->a->hz > 0 ? 1000000000 / w->a->hz : 0;
	case RTP_WALL:
		return 10000000;
	case RTP_HEAP:
		return w->r->mem_rate;
	default:
		return 1;
	}
}

static void
write_comment(struct writer *w, const char *s)
{
	rtp_out_uint(w->o, PROFILE_COMMENT, cstring_id(w, s));
}

static void
count_comment(struct writer *w, const char *what, uint64_t n)
{
	char s[128];
	if (n == 0)
		return;
	snprintf(s, sizeof(s), "gort: %llu %s", (unsigned long long)n, what);
	write_comment(w, s);
}

static void
write_comments(struct writer *w)
{
	if (w->a->comment)
		write_comment(w, w->a->comment);
	count_comment(w, "events lost: the table of stacks is full", rt_load(&w->r->no_memory[w->a->kind]));
	count_comment(w, "label sets lost: too many or too large", rt_load(&mapping_region(w)->labels_lost));
	if (w->a->kind != RTP_CPU)
		return;
	count_comment(w, "samples lost: a ring was full", rt_load(&w->r->ring_full));
	count_comment(w, "stacks truncated", rt_load(&w->r->truncated));
	count_comment(w, "timer periods merged into others", rt_load(&w->r->overruns));
}

static void
write_strings(struct writer *w)
{
	for (uint32_t i = 0; i < w->nstrings; i++) {
		const struct string *s = (const struct string *)(const void *)w->strings.p + i;
		rtp_out_string(w->o, PROFILE_STRING_TABLE, w->chars.p + s->off, s->len);
	}
}

static void
write_all(struct writer *w)
{
	const struct kind_desc *k = &kinds[w->a->kind];
	cstring_id(w, "");
	collect_mappings(w);
	for (int i = 0; i < k->nvalues; i++)
		write_value_type(w, PROFILE_SAMPLE_TYPE, &k->values[i]);
	write_value_type(w, PROFILE_PERIOD_TYPE, &k->period);
	rtp_out_uint(w->o, PROFILE_PERIOD, (uint64_t)period(w));
	rtp_out_uint(w->o, PROFILE_TIME_NANOS, (uint64_t)w->a->time_ns);
	if (w->a->duration_ns)
		rtp_out_uint(w->o, PROFILE_DURATION_NANOS, (uint64_t)w->a->duration_ns);
	if (w->a->default_type)
		rtp_out_uint(w->o, PROFILE_DEFAULT_SAMPLE_TYPE, cstring_id(w, w->a->default_type));
	write_comments(w);
	write_samples(w);
	struct rtp_mapping **m = (void *)w->maps.p;
	for (size_t i = 0; i < w->maps.len / sizeof(*m); i++)
		write_mapping(w, m[i], (uint32_t)i + 1);
	write_strings(w);
}

int
rtp_profile_write(struct rtp_region *r, const struct rtp_profile_args *a, struct rtp_out *o)
{
	struct writer *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w == MAP_FAILED)
		return -ENOMEM;
	w->r = r;
	w->a = a;
	w->o = o;
	write_all(w);
	rtp_vec_free(&w->strings);
	rtp_vec_free(&w->chars);
	rtp_vec_free(&w->string_index);
	rtp_vec_free(&w->locs);
	rtp_vec_free(&w->functions);
	rtp_vec_free(&w->maps);
	int err = w->err;
	munmap(w, sizeof(*w));
	return err;
}

bool
rtp_base_take(struct rtp_base *base, struct rtp_region *r, enum rtp_kind kind)
{
	*base = (struct rtp_base){ 0 };
	uint32_t n = rt_load(&r->nbuckets[kind]);
	size_t nval = (size_t)rtp_kind_nval(kind);
	if (n == 0)
		return true;
	void *p = mmap(NULL, n * nval * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	*base = (struct rtp_base){ p, n, n * nval * 8 };
	rtp_for_buckets(b, r, kind) {
		if (b->ordinal >= n)
			continue;
		uint64_t *to = base->v + b->ordinal * nval;
		if (kind == RTP_HEAP)
			rtp_heap_read(r, b, to);
		else
			for (size_t i = 0; i < nval; i++)
				to[i] = rtp_count(r, b, (int)i);
	}
	return true;
}

void
rtp_base_free(struct rtp_base *base)
{
	if (base->bytes)
		munmap(base->v, base->bytes);
	*base = (struct rtp_base){ 0 };
}
