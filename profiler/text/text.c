// SPDX-License-Identifier: BSD-3-Clause
#include "text/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <gort/mem.h>

#include "core/goroutine.h"
#include "core/labels.h"
#include "core/rtlink.h"
#include "text/frames.h"

#define MAX_DUMP ((size_t)64 << 20) // Go: a dump of all goroutines ends there

#pragma weak gort_read_mem_stats

struct text {
	struct rtp_region *r;
	const struct rtp_profile_args *a;
	struct rtp_out *o;
	size_t written;
	char line[4096];
};

static void
put(struct text *t, const char *s, size_t n)
{
	rtp_out_bytes(t->o, s, n);
	t->written += n;
}

__attribute__((format(printf, 2, 3))) static void
putf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(t->line, sizeof(t->line), fmt, ap);
	va_end(ap);
	put(t, t->line, (size_t)rt_min(n, (int)sizeof(t->line) - 1));
}

static void
sink(void *to, const char *s, size_t n)
{
	put(to, s, n);
}

// ---- frames ----

static bool
is_entry(const struct text *t, uint64_t pc)
{
	return pc >= t->r->entry_lo && pc < t->r->entry_hi;
}

static const char *
module_of(struct text *t, uint64_t pc)
{
	struct rtp_region *r = t->r->mappings_of ? t->r->mappings_of : t->r;
	for (uint64_t off = rt_load_acquire(&r->mappings); off;) {
		const struct rtp_mapping *m = rtp_at(r, off);
		if (pc >= m->lo && pc < m->hi && !rt_load(&m->gone))
			return rtp_at(r, m->path);
		off = m->next;
	}
	return NULL;
}

// Named here: the physical functions only, without files.
static size_t
named(struct text *t, const uint64_t *pcs, int npc, struct rtx_frame *f, struct rtp_name_buffer *buf)
{
	size_t n = 0;
	for (int i = 0; i < npc; i++) {
		if (is_entry(t, pcs[i]))
			continue;
		f[n] = (struct rtx_frame){ .pc = pcs[i], .module = module_of(t, pcs[i]) };
		const struct rtp_names *names = t->a->names;
		size_t len = 0;
		const char *s = names->name(names->arg, pcs[i], &len);
		if (s && len < sizeof(buf->s[n])) {
			memcpy(buf->s[n], s, len);
			buf->s[n][len] = 0;
			f[n].name = buf->s[n];
			f[n].entry = names->start ? names->start(names->arg, pcs[i]) : 0;
		}
		n++;
	}
	return n;
}

static void
mark(struct text *t, char kind, const uint64_t *pcs, int npc)
{
	putf(t, "%c%c", RTX_MARK, kind);
	for (int i = 0; i < npc; i++)
		if (!is_entry(t, pcs[i]))
			putf(t, " %" PRIx64, pcs[i]);
	put(t, "\n", 1);
}

struct named_stack {
	struct rtx_frame f[RTP_MAX_FRAMES + 1];
	struct rtp_name_buffer names;
};

// how: as in a mark.
static void
put_frames(struct text *t, char how, const uint64_t *pcs, int npc)
{
	if (!t->a->names) {
		mark(t, how, pcs, npc);
		return;
	}
	struct named_stack *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return;
	struct rtx_sink to = { sink, t };
	size_t n = named(t, pcs, npc, s->f, &s->names);
	if (how == 'T')
		rtx_traceback(&to, s->f, n);
	else
		rtx_debug1(&to, s->f, n, how == 'H');
	munmap(s, sizeof(*s));
}

static void
put_creator(struct text *t, const struct rtp_goroutine *g)
{
	if (!g->gopc)
		return;
	uint64_t pc = g->gopc - 1;
	if (!t->a->names) {
		putf(t, "%cC %" PRIu64 " %" PRIx64 "\n", RTX_MARK, g->parent, pc);
		return;
	}
	struct rtx_frame f = { .pc = pc, .module = module_of(t, pc) };
	char name[512];
	size_t len = 0;
	const char *s = t->a->names->name(t->a->names->arg, pc, &len);
	if (s) {
		snprintf(name, sizeof(name), "%.*s", (int)len, s);
		f.name = name;
		f.entry = t->a->names->start ? t->a->names->start(t->a->names->arg, pc) : 0;
	}
	rtx_created_by(&(struct rtx_sink){ sink, t }, &f, 1, g->parent);
}

static void
put_mapping_mark(struct text *t, struct rtp_region *r, const struct rtp_mapping *m)
{
	char hex[2 * sizeof(m->build_id) + 1] = "-";
	for (int i = 0; i < m->build_id_len; i++)
		snprintf(hex + 2 * i, 3, "%02x", m->build_id[i]);
	putf(t, "%cM %" PRIx64 " %" PRIx64 " %" PRIx64 " %d %s ", RTX_MARK, m->lo, m->hi, m->off,
	     rt_load(&m->gone), hex);
	const char *path = rtp_at(r, m->path);
	put(t, path ? path : "", path ? strlen(path) : 0);
	put(t, "\n", 1);
}

static void
put_mapping_marks(struct text *t)
{
	struct rtp_region *r = t->r->mappings_of ? t->r->mappings_of : t->r;
	if (t->a->names)
		return;
	for (uint64_t off = rt_load_acquire(&r->mappings); off;) {
		const struct rtp_mapping *m = rtp_at(r, off);
		put_mapping_mark(t, r, m);
		off = m->next;
	}
}

// ---- labels: Go's %q ----

static int
utf8_length(const unsigned char *s)
{
	int n = s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
	for (int i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return s[0] >= 0xf5 || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
			       (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90)
		       ? 0
		       : n;
}

static void
put_quoted(struct text *t, const char *s)
{
	static const char plain[] = "\a\b\f\n\r\t\v\\\"", escaped[] = "abfnrtv\\\"";
	put(t, "\"", 1);
	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		const char *special = strchr(plain, *p);
		int n = *p >= 0x80 ? utf8_length(p) : 1;
		if (special)
			putf(t, "\\%c", escaped[special - plain]);
		else if (n == 0 || *p < 0x20 || *p == 0x7f)
			putf(t, "\\x%02x", *p);
		else if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0)
			putf(t, "\\u%04x", p[1]);
		else
			put(t, (const char *)p, (size_t)n);
		p += n ? n : 1;
	}
	put(t, "\"", 1);
}

static void
put_labels(struct text *t, uint64_t off)
{
	struct rtp_region *r = t->r->mappings_of ? t->r->mappings_of : t->r;
	const struct rtp_labels *l = rtp_labels_at(r, off);
	if (!l)
		return;
	put(t, "# labels: {", 11);
	const char *p = l->text;
	for (uint32_t i = 0; i < l->n; i++) {
		if (i)
			put(t, ", ", 2);
		put_quoted(t, p);
		put(t, ":", 1);
		p = rtp_label_skip(p);
		put_quoted(t, p);
		p = rtp_label_skip(p);
	}
	put(t, "}\n", 2);
}

// ---- debug=1 ----

// Return addresses, as Go's; pprof takes 1 off again. At least one, or pprof rejects the file.
static void
put_addresses(struct text *t, const struct rtp_bucket *b)
{
	const uint64_t *pcs = rtp_bucket_pcs(b);
	put(t, " @", 2);
	for (int i = 0; i < b->npc; i++)
		if (pcs[i] >= RTP_PC_MARKERS)
			putf(t, " %#" PRIx64, pcs[i] + 1);
	if (b->npc == 0)
		put(t, " 0x0", 4);
	put(t, "\n", 1);
}

static void
put_stack(struct text *t, const struct rtp_bucket *b, bool hide)
{
	if (b->npc == 0)
		put(t, "#\t0x0\n", 6);
	else
		put_frames(t, hide ? 'H' : 'F', rtp_bucket_pcs(b), b->npc);
	put(t, "\n", 1);
}

static void
write_counts(struct text *t, struct rtp_bucket **b, size_t n)
{
	int64_t total = 0;
	for (size_t i = 0; i < n; i++)
		total += (int64_t)rt_load(&b[i]->v[RTP_COUNT]);
	putf(t, "%s profile: total %" PRId64 "\n", t->a->name, total);
	put_mapping_marks(t);
	for (size_t i = 0; i < n; i++) {
		int64_t count = (int64_t)rt_load(&b[i]->v[RTP_COUNT]);
		if (count == 0)
			continue;
		putf(t, "%" PRId64, count);
		put_addresses(t, b[i]);
		if (t->a->kind == RTP_GOROUTINE || t->a->kind == RTP_GOROUTINELEAK)
			put_labels(t, b[i]->aux);
		put_stack(t, b[i], true);
	}
}

// Values stand for all events already; who reads the text multiplies by the period.
static void
write_locks(struct text *t, struct rtp_bucket **b, size_t n)
{
	double hz = t->r->ticks_per_ns > 0 ? t->r->ticks_per_ns * 1e9 : 1e9;
	uint64_t fraction = 1;
	putf(t, "--- %s:\ncycles/second=%" PRId64 "\n", t->a->kind == RTP_MUTEX ? "mutex" : "contention",
	     (int64_t)hz);
	if (t->a->kind == RTP_MUTEX) {
		fraction = (uint64_t)rt_max(t->r->mutex_fraction, (int64_t)1);
		putf(t, "sampling period=%" PRIu64 "\n", fraction);
	}
	put_mapping_marks(t);
	for (size_t i = 0; i < n; i++) {
		uint64_t count = rtp_count(t->r, b[i], RTP_LOCK_COUNT_FIX16) >> 16;
		uint64_t ticks = rtp_count(t->r, b[i], RTP_LOCK_TICKS);
		putf(t, "%" PRIu64 " %" PRIu64, ticks / fraction, rt_max(count / fraction, (uint64_t)1));
		put_addresses(t, b[i]);
		put_stack(t, b[i], false);
	}
}

struct heap_line {
	int64_t used, used_bytes, allocs, bytes;
};

static struct heap_line
heap_line(const struct text *t, const struct rtp_bucket *b)
{
	uint64_t c[RTP_HEAP_NCOL];
	rtp_heap_read(t->r, b, c);
	return (struct heap_line){ (int64_t)(c[RTP_ALLOCS] - c[RTP_FREES]),
				   (int64_t)(c[RTP_ALLOC_BYTES] - c[RTP_FREE_BYTES]),
				   (int64_t)c[RTP_ALLOCS], (int64_t)c[RTP_ALLOC_BYTES] };
}

static void
put_heap_line(struct text *t, const struct heap_line *h)
{
	putf(t, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "] @", h->used, h->used_bytes, h->allocs, h->bytes);
}

// Shortest form that reads back as the same number.
static void
put_double(struct text *t, const char *name, double v)
{
	char s[40];
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(s, sizeof(s), "%.*g", digits, v);
		double back;
		if (sscanf(s, "%lf", &back) == 1 && back == v)
			break;
	}
	putf(t, "# %s = %s\n", name, s);
}

static void
put_ring(struct text *t, const char *name, const uint64_t *v, size_t n)
{
	putf(t, "# %s = [", name);
	for (size_t i = 0; i < n; i++)
		putf(t, i ? " %" PRIu64 : "%" PRIu64, v[i]);
	put(t, "]\n", 2);
}

static void
read_mem_stats(void *s)
{
	gort_read_mem_stats(s);
}

static void
put_mem_stats(struct text *t)
{
	const struct rt_introspect *rt = rtp_runtime();
	if (!gort_read_mem_stats || !rt || !rt->started())
		return;
	struct gort_mem_stats *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return;
	rt->visit(read_mem_stats, m);
	const struct {
		const char *name;
		uint64_t v;
	} lines[] = { { "Alloc", m->alloc }, { "TotalAlloc", m->total_alloc }, { "Sys", m->sys },
		      { "Lookups", m->lookups }, { "Mallocs", m->mallocs }, { "Frees", m->frees },
		      { "HeapAlloc", m->heap_alloc }, { "HeapSys", m->heap_sys }, { "HeapIdle", m->heap_idle },
		      { "HeapInuse", m->heap_inuse }, { "HeapReleased", m->heap_released },
		      { "HeapObjects", m->heap_objects } },
	  rest[] = { { "BuckHashSys", m->buck_hash_sys }, { "GCSys", m->gc_sys }, { "OtherSys", m->other_sys },
		     { "NextGC", m->next_gc }, { "LastGC", m->last_gc } };
	put(t, "\n# runtime.MemStats\n", 20);
	for (size_t i = 0; i < rt_nelem(lines); i++)
		putf(t, "# %s = %" PRIu64 "\n", lines[i].name, lines[i].v);
	putf(t, "# Stack = %" PRIu64 " / %" PRIu64 "\n", m->stack_inuse, m->stack_sys);
	putf(t, "# MSpan = %" PRIu64 " / %" PRIu64 "\n", m->mspan_inuse, m->mspan_sys);
	putf(t, "# MCache = %" PRIu64 " / %" PRIu64 "\n", m->mcache_inuse, m->mcache_sys);
	for (size_t i = 0; i < rt_nelem(rest); i++)
		putf(t, "# %s = %" PRIu64 "\n", rest[i].name, rest[i].v);
	put_ring(t, "PauseNs", m->pause_ns, 256);
	put_ring(t, "PauseEnd", m->pause_end, 256);
	putf(t, "# NumGC = %u\n# NumForcedGC = %u\n", m->num_gc, m->num_forced_gc);
	put_double(t, "GCCPUFraction", m->gc_cpu_fraction);
	putf(t, "# DebugGC = %s\n", m->debug_gc ? "true" : "false");
	struct rusage ru = { 0 };
	getrusage(RUSAGE_SELF, &ru);
	putf(t, "# MaxRSS = %" PRId64 "\n", (int64_t)ru.ru_maxrss * 1024);
	munmap(m, sizeof(*m));
}

static void
write_heap(struct text *t, struct rtp_bucket **b, size_t n)
{
	struct heap_line sum = { 0 };
	for (size_t i = 0; i < n; i++) {
		struct heap_line h = heap_line(t, b[i]);
		sum.used += h.used;
		sum.used_bytes += h.used_bytes;
		sum.allocs += h.allocs;
		sum.bytes += h.bytes;
	}
	if (sum.used_bytes == sum.bytes)
		sum.bytes++; // old readers take equal columns for a profile of two
	put(t, "heap profile: ", 14);
	put_heap_line(t, &sum);
	putf(t, " heap/%" PRId64 "\n", 2 * t->r->mem_rate);
	put_mapping_marks(t);
	for (size_t i = 0; i < n; i++) {
		struct heap_line h = heap_line(t, b[i]);
		putf(t, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "]", h.used, h.used_bytes, h.allocs, h.bytes);
		put_addresses(t, b[i]);
		put_stack(t, b[i], true);
	}
	put_mem_stats(t);
}

static int
write_debug1(struct text *t)
{
	struct rtp_vec list = { 0 };
	if (!rtp_sorted_buckets(t->r, t->a->kind, &list))
		return -ENOMEM;
	struct rtp_bucket **b = (void *)list.p;
	size_t n = list.len / sizeof(*b);
	if (t->a->kind == RTP_HEAP)
		write_heap(t, b, n);
	else if (t->a->kind == RTP_MUTEX || t->a->kind == RTP_BLOCK)
		write_locks(t, b, n);
	else
		write_counts(t, b, n);
	rtp_vec_free(&list);
	return 0;
}

// ---- debug=2 ----

static void
put_goroutine(struct text *t, const struct rtp_goroutine *g, bool first)
{
	putf(t, "%sgoroutine %" PRIu64 " [%s", first ? "" : "\n", g->goid, g->state);
	if (g->waited_ns >= 60000000000)
		putf(t, ", %" PRId64 " minutes", g->waited_ns / 60000000000);
	putf(t, "%s]:\n", g->locked ? ", locked to thread" : "");
	put_frames(t, 'T', g->pcs, (int)g->npc);
	put_creator(t, g);
}

// The caller first, then in the order of creation.
static bool
before(const struct rtp_goroutine *a, const struct rtp_goroutine *b)
{
	return a->self != b->self ? a->self : a->goid < b->goid;
}

static void
sift_down(const struct rtp_goroutine **g, size_t i, size_t n)
{
	for (size_t c; (c = 2 * i + 1) < n; i = c) {
		if (c + 1 < n && before(g[c], g[c + 1]))
			c++;
		if (!before(g[i], g[c]))
			return;
		const struct rtp_goroutine *x = g[i];
		g[i] = g[c];
		g[c] = x;
	}
}

static void
sort_goroutines(const struct rtp_goroutine **g, size_t n)
{
	for (size_t i = n / 2; i > 0; i--)
		sift_down(g, i - 1, n);
	for (; n > 1; n--) {
		const struct rtp_goroutine *x = g[0];
		g[0] = g[n - 1];
		g[n - 1] = x;
		sift_down(g, 0, n - 1);
	}
}

static int
write_goroutines(struct text *t)
{
	struct rtp_vec list = { 0 };
	for (uint64_t off = rt_load(&t->r->goroutines); off;) {
		const struct rtp_goroutine *g = rtp_at(t->r, off), **slot = rtp_vec_push(&list, sizeof(*slot));
		if (!slot)
			break;
		*slot = g;
		off = g->next;
	}
	const struct rtp_goroutine **g = (void *)list.p;
	size_t n = list.len / sizeof(*g);
	sort_goroutines(g, n);
	put_mapping_marks(t);
	for (size_t i = 0; i < n && t->written < MAX_DUMP; i++)
		put_goroutine(t, g[i], i == 0);
	rtp_vec_free(&list);
	return 0;
}

int
rtp_text_write(struct rtp_region *r, const struct rtp_profile_args *a, int debug, struct rtp_out *o)
{
	struct text *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED)
		return -ENOMEM;
	*t = (struct text){ .r = r, .a = a, .o = o };
	bool each = debug >= 2 && (a->kind == RTP_GOROUTINE || a->kind == RTP_GOROUTINELEAK);
	int err = each ? write_goroutines(t) : write_debug1(t);
	munmap(t, sizeof(*t));
	return err;
}
