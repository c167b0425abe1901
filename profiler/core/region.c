// SPDX-License-Identifier: BSD-3-Clause
#include "core/region.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/labels.h"
#include "core/thread.h"

#define REGION_MIN (4u << 20)

// Ready once the magic word is in place: release, so that whoever sees it sees the rest.
static void
make_ready(struct rtp_region *r, size_t size)
{
	r->size = size;
	r->layout = sizeof(*r);
	r->pid = getpid();
	atomic_init(&r->used, rt_round_up(sizeof(*r), (size_t)64));
	__atomic_store_n(&r->magic, RTP_REGION_MAGIC, __ATOMIC_RELEASE);
}

struct rtp_region *
rtp_region_new(size_t size)
{
	for (; size >= REGION_MIN; size /= 2) {
		void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			continue;
		make_ready(p, size);
		return p;
	}
	return NULL;
}

struct rtp_region *
rtp_region_shared(size_t size, int *fd)
{
	void *p = MAP_FAILED;
	*fd = memfd_create("gort", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return NULL;
	// Sealed against shrinking: whoever maps it must not be at its owner's mercy.
	if (ftruncate(*fd, (off_t)size) == 0 && fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, *fd, 0);
	if (p == MAP_FAILED) {
		close(*fd);
		return NULL;
	}
	make_ready(p, size);
	return p;
}

struct rtp_region *
rtp_region_attach(int fd)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) != 0 ||
	    (size_t)st.st_size < sizeof(struct rtp_region))
		return NULL;
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	struct rtp_region *r = p;
	if (__atomic_load_n(&r->magic, __ATOMIC_ACQUIRE) != RTP_REGION_MAGIC ||
	    r->size != (size_t)st.st_size || r->layout != sizeof(*r)) {
		munmap(p, (size_t)st.st_size);
		return NULL;
	}
	return r;
}

// ---- is it sound? ----
// What a dying process left may be scribbled over. Every link of a sound region stays inside, every
// list ends, and every bucket is as long as it says.

static bool
inside(const struct rtp_region *r, uint64_t used, uint64_t off, size_t n)
{
	return off >= sizeof(*r) && off % 8 == 0 && off <= used && n <= used - off;
}

static bool
string_inside(struct rtp_region *r, uint64_t used, uint64_t off)
{
	return off >= sizeof(*r) && off < used && memchr((char *)r + off, 0, used - off);
}

static bool
labels_sound(struct rtp_region *r, uint64_t used, uint64_t off)
{
	const struct rtp_labels *l = rtp_at(r, off);
	if (!inside(r, used, off, sizeof(*l)) || l->n > RTP_MAX_LABELS ||
	    !inside(r, used, off, sizeof(*l) + l->bytes))
		return false;
	uint32_t nuls = 0;
	for (uint32_t i = 0; i < l->bytes; i++)
		nuls += l->text[i] == 0;
	return nuls >= 2 * l->n;
}

static bool
cells_sound(struct rtp_region *r, uint64_t used, uint64_t off)
{
	for (uint64_t n = 0; off; n++) {
		const struct rtp_cell *c = rtp_at(r, off);
		if (n > used / sizeof(*c) || !inside(r, used, off, sizeof(*c)))
			return false;
		off = c->next;
	}
	return true;
}

static bool
bucket_sound(struct rtp_region *r, uint64_t used, uint64_t off, enum rtp_kind kind)
{
	const struct rtp_bucket *b = rtp_at(r, off);
	if (!inside(r, used, off, sizeof(*b)) || b->kind != kind || b->nval != rtp_kind_nval(kind) ||
	    b->npc > RTP_MAX_FRAMES || b->ordinal >= rt_load(&r->nbuckets[kind]))
		return false;
	if (kind != RTP_HEAP && b->aux && !labels_sound(r, used, b->aux))
		return false;
	uint64_t cells = rt_load_acquire(&b->cells);
	if (cells && (rtp_kind_nval(kind) != RTP_LOCK_NVAL || !cells_sound(r, used, cells)))
		return false;
	return inside(r, used, off, sizeof(*b) + (b->nval + (size_t)b->npc) * 8);
}

static bool
mappings_sound(struct rtp_region *r, uint64_t used)
{
	uint64_t n = 0;
	for (uint64_t off = rt_load_acquire(&r->mappings); off; n++) {
		const struct rtp_mapping *m = rtp_at(r, off);
		if (n > used / sizeof(*m) || !inside(r, used, off, sizeof(*m)) ||
		    !string_inside(r, used, m->path) || m->build_id_len > sizeof(m->build_id))
			return false;
		off = m->next;
	}
	return true;
}

static bool
threads_sound(struct rtp_region *r, uint64_t used)
{
	uint64_t n = 0;
	for (uint64_t off = rt_load_acquire(&r->threads); off; n++) {
		struct rtp_thread *t = rtp_at(r, off);
		if (n > used / sizeof(*t) || !inside(r, used, off, sizeof(*t)))
			return false;
		uint64_t ring = rt_load(&t->ring);
		if (ring && !inside(r, used, ring, RTP_RING_WORDS * 8))
			return false;
		off = t->next;
	}
	return true;
}

// Chains are walked by rtp_bucket when rings are folded.
static bool
chains_sound(struct rtp_region *r, uint64_t used)
{
	uint64_t n = 0;
	for (size_t i = 0; i < RTP_HASH_SIZE; i++)
		for (uint64_t off = rt_load_acquire(&r->hash[i]); off; n++) {
			const struct rtp_bucket *b = rtp_at(r, off);
			if (n > used / sizeof(*b) || !inside(r, used, off, sizeof(*b)) ||
			    b->npc > RTP_MAX_FRAMES || b->kind >= RTP_KINDS ||
			    !inside(r, used, off, sizeof(*b) + (b->nval + (size_t)b->npc) * 8))
				return false;
			off = b->next;
		}
	return true;
}

bool
rtp_region_sound(struct rtp_region *r)
{
	uint64_t used = rt_load_acquire(&r->used);
	if (used > r->size || r->mappings_of || !mappings_sound(r, used) ||
	    !threads_sound(r, used) || !chains_sound(r, used))
		return false;
	for (int kind = 0; kind < RTP_KINDS; kind++) {
		uint64_t n = 0;
		for (uint64_t off = rt_load_acquire(&r->list[kind]); off; n++) {
			if (n > used / sizeof(struct rtp_bucket) || !bucket_sound(r, used, off, kind))
				return false;
			off = ((const struct rtp_bucket *)rtp_at(r, off))->all;
		}
	}
	return true;
}

void
rtp_region_free(struct rtp_region *r)
{
	if (r)
		munmap(r, r->size);
}

void *
rtp_alloc(struct rtp_region *r, size_t n)
{
	n = rt_round_up(n, (size_t)16);
	uint64_t at = rt_load(&r->used);
	do {
		if (n > r->size - at)
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(&r->used, &at, at + n, memory_order_relaxed,
							memory_order_relaxed));
	return (char *)r + at;
}

int
rtp_kind_nval(enum rtp_kind kind)
{
	switch (kind) {
	case RTP_CPU:
	case RTP_WALL:
		return RTP_CPU_NVAL;
	case RTP_HEAP:
		return RTP_HEAP_NVAL;
	case RTP_BLOCK:
	case RTP_MUTEX:
		return RTP_LOCK_NVAL;
	default:
		return RTP_COUNT_NVAL;
	}
}

static uint64_t
hash_stack(enum rtp_kind kind, uint64_t aux, const uintptr_t *pcs, int npc)
{
	uint64_t h = (aux + kind + 1) * 0x9e3779b97f4a7c15ull;
	for (int i = 0; i < npc; i++) {
		h ^= pcs[i];
		h *= 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return h;
}

static bool
same(const struct rtp_bucket *b, uint64_t hash, enum rtp_kind kind, uint64_t aux,
     const uintptr_t *pcs, int npc)
{
	return b->hash == hash && b->kind == kind && b->aux == aux && b->npc == npc &&
	       (npc == 0 || memcmp(rtp_bucket_pcs(b), pcs, (size_t)npc * sizeof(*pcs)) == 0);
}

// In the chain from `from` down to, not including, `until`.
static struct rtp_bucket *
find(struct rtp_region *r, uint64_t from, uint64_t until, uint64_t hash, enum rtp_kind kind,
     uint64_t aux, const uintptr_t *pcs, int npc)
{
	for (uint64_t off = from; off != until;) {
		struct rtp_bucket *b = rtp_at(r, off);
		if (same(b, hash, kind, aux, pcs, npc))
			return b;
		off = b->next;
	}
	return NULL;
}

static struct rtp_bucket *
make(struct rtp_region *r, uint64_t hash, enum rtp_kind kind, uint64_t aux, const uintptr_t *pcs,
     int npc)
{
	int nval = rtp_kind_nval(kind);
	struct rtp_bucket *b = rtp_alloc(r, sizeof(*b) + ((size_t)nval + (size_t)npc) * 8);
	if (!b)
		return NULL;
	b->hash = hash;
	b->aux = aux;
	b->kind = (uint8_t)kind;
	b->nval = (uint8_t)nval;
	b->npc = (uint16_t)npc;
	if (npc) // a count without a stack comes without an array, too
		memcpy((void *)rtp_bucket_pcs(b), pcs, (size_t)npc * sizeof(*pcs));
	return b;
}

// Links b into its kind's list. release: whoever walks the list sees the bucket whole.
static void
publish(struct rtp_region *r, struct rtp_bucket *b)
{
	b->ordinal = atomic_fetch_add_explicit(&r->nbuckets[b->kind], 1, memory_order_relaxed);
	uint64_t head = rt_load(&r->list[b->kind]);
	do {
		b->all = head;
	} while (!atomic_compare_exchange_weak_explicit(&r->list[b->kind], &head, rtp_off(r, b),
							memory_order_release, memory_order_relaxed));
}

struct rtp_bucket *
rtp_bucket(struct rtp_region *r, enum rtp_kind kind, uint64_t aux, const uintptr_t *pcs, int npc)
{
	uint64_t hash = hash_stack(kind, aux, pcs, npc);
	_Atomic uint64_t *chain = &r->hash[(hash >> 40) % RTP_HASH_SIZE];
	// acquire: pairs with the release below; the bucket behind the link is whole.
	uint64_t head = rt_load_acquire(chain);
	struct rtp_bucket *b = find(r, head, 0, hash, kind, aux, pcs, npc);
	if (b)
		return b;
	struct rtp_bucket *fresh = make(r, hash, kind, aux, pcs, npc);
	if (!fresh) {
		rtp_add(&r->no_memory[kind], 1);
		return NULL;
	}
	for (uint64_t seen = head;;) {
		fresh->next = head;
		if (atomic_compare_exchange_strong_explicit(chain, &head, rtp_off(r, fresh),
							    memory_order_acq_rel,
							    memory_order_acquire))
			break;
		// Others were pushed meanwhile, maybe this very stack; then ours stays unused.
		b = find(r, head, seen, hash, kind, aux, pcs, npc);
		if (b)
			return b;
		seen = head;
	}
	publish(r, fresh);
	return fresh;
}

struct rtp_cell *
rtp_cell(struct rtp_region *r, struct rtp_bucket *b, uint64_t owner)
{
	uint64_t head = rt_load_acquire(&b->cells);
	for (struct rtp_cell *c = rtp_at(r, head); c; c = rtp_at(r, c->next))
		if (c->owner == owner)
			return c;
	struct rtp_cell *c = rtp_alloc(r, sizeof(*c));
	if (!c)
		return NULL;
	c->owner = owner;
	do {
		c->next = head;
		// release: pairs with the acquire loads; the cell behind the link is whole.
	} while (!atomic_compare_exchange_weak_explicit(&b->cells, &head, rtp_off(r, c), memory_order_release,
							memory_order_relaxed));
	return c;
}

uint64_t
rtp_count(struct rtp_region *r, const struct rtp_bucket *b, int i)
{
	uint64_t n = rt_load(&b->v[i]);
	for (const struct rtp_cell *c = rtp_at(r, rt_load_acquire(&b->cells)); c; c = rtp_at(r, c->next))
		n += rt_load(&c->v[i]);
	return n;
}
