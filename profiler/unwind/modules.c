// SPDX-License-Identifier: BSD-3-Clause
#include "unwind/modules.h"

#include <elf.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/thread.h"
#include "unwind/unwind.h"

#define MAX_MODULES 4096u

_Atomic bool rtp_modules_stale;

static _Atomic(struct rtp_modules *) current;
// Readers by the parity of the epoch in which they entered.
static _Atomic uint32_t epoch;
static _Atomic int32_t inside[2];
static pthread_mutex_t refreshing = PTHREAD_MUTEX_INITIALIZER;
static unsigned long long seen_adds, seen_subs;

const struct rtp_modules *
rtp_modules_enter(unsigned *token)
{
	// The count is raised before the table is read; seq_cst on both sides orders that against the
	// writer's publish-then-look (quiesce), so a reader is either counted or has the new table.
	unsigned e = atomic_load(&epoch) & 1;
	atomic_fetch_add(&inside[e], 1);
	*token = e;
	return atomic_load(&current);
}

void
rtp_modules_leave(unsigned token)
{
	atomic_fetch_sub_explicit(&inside[token], 1, memory_order_release);
}

const struct rtp_module *
rtp_module_of(const struct rtp_modules *t, uintptr_t pc)
{
	uint32_t lo = 0, n = t ? t->n : 0;
	while (n > 0) {
		uint32_t half = n / 2;
		if (t->m[lo + half].lo <= pc) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return lo && pc < t->m[lo - 1].hi ? &t->m[lo - 1] : NULL;
}

// Waits until no reader that entered before is inside; false when one does not leave within 100 ms
// (a thread frozen in its handler): the caller then keeps the old table for good.
static bool
quiesce(void)
{
	for (int flip = 0; flip < 2; flip++) {
		// Twice: a reader may have read the epoch before a flip and counted itself after it.
		unsigned old = atomic_fetch_add(&epoch, 1) & 1;
		for (int ms = 0; atomic_load(&inside[old]) != 0; ms++) {
			if (ms == 100)
				return false;
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		}
	}
	return true;
}

// ---- reading the loader's list ----

struct scan {
	struct rtp_region *region;
	struct rtp_modules *next;
	const struct rtp_modules *old;
	bool changed, first;
};

// What one object's program headers say.
struct object {
	struct rtp_image img;
	uintptr_t lo, hi; // executable
	uintptr_t hdr;    // .eh_frame_hdr
	size_t hdr_len;
	const uint8_t *build_id;
	size_t build_id_len;
};

static void
find_build_id(struct object *o, uintptr_t p, size_t n)
{
	while (n >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;
		memcpy(&h, (const void *)p, sizeof(h));
		size_t name = rt_round_up((size_t)h.n_namesz, (size_t)4);
		size_t desc = rt_round_up((size_t)h.n_descsz, (size_t)4);
		if (name + desc > n - sizeof(h))
			return;
		const char *s = (const char *)p + sizeof(h);
		if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && h.n_descsz <= 32 &&
		    memcmp(s, "GNU", 4) == 0) {
			o->build_id = (const uint8_t *)s + name;
			o->build_id_len = h.n_descsz;
			return;
		}
		p += sizeof(h) + name + desc;
		n -= sizeof(h) + name + desc;
	}
}

static void
load_segment(struct object *o, const struct dl_phdr_info *info, const ElfW(Phdr) * ph)
{
	uintptr_t lo = info->dlpi_addr + ph->p_vaddr, hi = lo + ph->p_memsz;
	if (!o->img.hi || lo < o->img.lo)
		o->img.lo = o->img.base = lo;
	if (hi > o->img.hi)
		o->img.hi = hi;
	if (ph->p_flags & PF_X) {
		if (!o->hi || lo < o->lo)
			o->lo = lo;
		if (hi > o->hi)
			o->hi = hi;
	}
}

static bool
read_object(struct object *o, const struct dl_phdr_info *info)
{
	*o = (struct object){ 0 };
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			load_segment(o, info, &info->dlpi_phdr[i]);
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + ph->p_vaddr;
		if (at < o->img.lo || at + ph->p_memsz > o->img.hi)
			continue;
		if (ph->p_type == PT_GNU_EH_FRAME) {
			o->hdr = at;
			o->hdr_len = ph->p_memsz;
		} else if (ph->p_type == PT_NOTE && !o->build_id) {
			find_build_id(o, at, ph->p_memsz);
		}
	}
	return o->hi != 0;
}

static const char *
object_path(const struct dl_phdr_info *info, const struct object *o, char *buf, size_t n)
{
	if (strncmp(info->dlpi_name, "linux-vdso", 10) == 0)
		return "[vdso]";
	if (info->dlpi_name[0])
		return info->dlpi_name;
	ssize_t len = readlink("/proc/self/exe", buf, n - 1);
	buf[len > 0 ? len : 0] = 0;
	return buf;
}

static struct rtp_mapping *
push_mapping(struct rtp_region *r, const struct object *o, const char *path, uintptr_t lo, uintptr_t hi,
	     uint64_t off)
{
	size_t len = strlen(path) + 1;
	char *s = rtp_alloc(r, len);
	struct rtp_mapping *m = rtp_alloc(r, sizeof(*m));
	if (!m || !s)
		return NULL;
	memcpy(s, path, len);
	m->path = rtp_off(r, s);
	m->lo = lo;
	m->hi = hi;
	m->off = off;
	if (o->build_id && o->build_id_len <= sizeof(m->build_id)) {
		m->build_id_len = (uint8_t)o->build_id_len;
		memcpy(m->build_id, o->build_id, o->build_id_len);
	}
	uint64_t head = rt_load(&r->mappings);
	do {
		m->next = head;
		// release: whoever follows the list sees the entry whole.
	} while (!atomic_compare_exchange_weak_explicit(&r->mappings, &head, rtp_off(r, m),
							memory_order_release, memory_order_relaxed));
	return m;
}

static struct rtp_mapping *
push_mappings(struct rtp_region *r, const struct dl_phdr_info *info, const struct object *o)
{
	char buf[4096];
	const char *path = object_path(info, o, buf, sizeof(buf));
	struct rtp_mapping *first = NULL;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
			continue;
		uintptr_t at = info->dlpi_addr + ph->p_vaddr, pad = at & 4095;
		struct rtp_mapping *m = push_mapping(r, o, path, at - pad,
						     rt_round_up(at + ph->p_memsz, (uintptr_t)4096),
						     ph->p_offset - pad);
		if (!first)
			first = m;
	}
	return first;
}

// The entry that the last table has for the same object, or NULL.
static const struct rtp_module *
known(const struct scan *s, const struct object *o)
{
	const struct rtp_module *m = rtp_module_of(s->old, o->lo);
	if (!m || m->lo != o->lo || m->hi != o->hi || m->base != o->img.base || !m->mapping)
		return NULL;
	// Another object at the same addresses differs at least in its build id.
	if (m->mapping->build_id_len != o->build_id_len)
		return NULL;
	if (o->build_id && memcmp(m->mapping->build_id, o->build_id, o->build_id_len) != 0)
		return NULL;
	return m;
}

static void
add_module(struct scan *s, struct rtp_module m)
{
	struct rtp_modules *t = s->next;
	if (t->n == MAX_MODULES)
		return;
	uint32_t i = t->n++;
	for (; i > 0 && t->m[i - 1].lo > m.lo; i--)
		t->m[i] = t->m[i - 1];
	t->m[i] = m;
}

static int
visit(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct scan *s = arg;
	if (s->first) {
		s->first = false;
		if (s->old && info->dlpi_adds == seen_adds && info->dlpi_subs == seen_subs)
			return 1;
		seen_adds = info->dlpi_adds;
		seen_subs = info->dlpi_subs;
		s->changed = true;
	}
	struct object o;
	if (!read_object(&o, info))
		return 0;
	const struct rtp_module *old = known(s, &o);
	if (old) {
		add_module(s, *old);
		return 0;
	}
	struct rtp_module m = { .lo = o.lo, .hi = o.hi, .base = o.img.base };
	if (o.hdr)
		rtp_rows_parse(&m.rows, &o.img, o.hdr, o.hdr_len);
	m.mapping = push_mappings(s->region, info, &o);
	add_module(s, m);
	return 0;
}

static bool
kept(const struct rtp_modules *t, const struct rtp_module *m)
{
	const struct rtp_module *n = rtp_module_of(t, m->lo);
	return n && n->mapping == m->mapping && n->rows.row == m->rows.row;
}

static void
retire(struct rtp_modules *old, const struct rtp_modules *next)
{
	if (!old)
		return;
	bool gone = false;
	for (uint32_t i = 0; i < old->n; i++)
		if (!kept(next, &old->m[i])) {
			gone = true;
			if (old->m[i].mapping)
				rt_store(&old->m[i].mapping->gone, 1);
		}
	if (!quiesce())
		return;
	if (gone)
		rtp_rules_forget();
	for (uint32_t i = 0; i < old->n; i++)
		if (!kept(next, &old->m[i]))
			rtp_rows_free(&old->m[i].rows);
	munmap(old, old->bytes);
}

void
rtp_modules_refresh(struct rtp_region *r)
{
	size_t bytes = sizeof(struct rtp_modules) + MAX_MODULES * sizeof(struct rtp_module);
	if (!r || rtp_remote || pthread_mutex_trylock(&refreshing) != 0)
		return; // another thread is at it
	rt_store(&rtp_modules_stale, false);
	struct rtp_modules *old = atomic_load(&current);
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED) {
		struct scan s = { r, p, old, false, true };
		s.next->bytes = bytes;
		s.next->owner = r;
		dl_iterate_phdr(visit, &s);
		if (s.changed) {
			atomic_store(&current, s.next);
			retire(old, s.next);
		} else {
			munmap(p, bytes);
		}
	}
	pthread_mutex_unlock(&refreshing);
}

static struct rtp_mapping *
copy_mapping(struct rtp_region *to, struct rtp_region *from, const struct rtp_mapping *m)
{
	const char *path = rtp_at(from, m->path);
	size_t len = strlen(path) + 1;
	char *s = rtp_alloc(to, len);
	struct rtp_mapping *c = rtp_alloc(to, sizeof(*c));
	if (!s || !c)
		return NULL;
	memcpy(s, path, len);
	*c = *m;
	c->path = rtp_off(to, s);
	c->next = rt_load(&to->mappings);
	rt_store_release(&to->mappings, rtp_off(to, c));
	return c;
}

static void
copy_mappings(struct rtp_region *to, struct rtp_region *from)
{
	struct rtp_modules *t = atomic_load(&current);
	const struct rtp_mapping *list[4 * 256];
	int n = 0;
	for (uint64_t off = rt_load_acquire(&from->mappings); off && n < (int)rt_nelem(list);) {
		list[n++] = rtp_at(from, off);
		off = list[n - 1]->next;
	}
	while (n-- > 0) { // oldest first, as they came
		struct rtp_mapping *c = copy_mapping(to, from, list[n]);
		for (uint32_t i = 0; i < t->n; i++)
			if (t->m[i].mapping == list[n])
				t->m[i].mapping = c;
	}
}

void
rtp_modules_forked(struct rtp_region *r)
{
	struct rtp_modules *t = atomic_load(&current);
	struct rtp_region *from = t ? t->owner : NULL;
	atomic_store(&inside[0], 0);
	atomic_store(&inside[1], 0);
	pthread_mutex_init(&refreshing, NULL);
	if (r && from && from != r) {
		copy_mappings(r, from);
		t->owner = r;
	}
}
