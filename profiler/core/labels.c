// SPDX-License-Identifier: BSD-3-Clause
#include "core/labels.h"

#include <string.h>

// Label values are often request ids, without end; the table of stacks needs its room too.
#define MAX_BYTES ((uint64_t)32 << 20)

struct set {
	struct rtp_label l[RTP_MAX_LABELS];
	int n;
};

// Keeps the set sorted; a set is small.
static bool
put(struct set *s, struct rtp_label l)
{
	int i = 0;
	while (i < s->n && strcmp(s->l[i].key, l.key) < 0)
		i++;
	if (i < s->n && strcmp(s->l[i].key, l.key) == 0) {
		s->l[i] = l;
		return true;
	}
	if (s->n == RTP_MAX_LABELS)
		return false;
	memmove(&s->l[i + 1], &s->l[i], (size_t)(s->n - i) * sizeof(s->l[0]));
	s->l[i] = l;
	s->n++;
	return true;
}

static size_t
text_size(const struct set *s)
{
	size_t n = 0;
	for (int i = 0; i < s->n; i++)
		n += strlen(s->l[i].key) + strlen(s->l[i].value) + 2;
	return n;
}

static uint64_t
hash_set(const struct set *s)
{
	uint64_t h = 0xcbf29ce484222325ull;
	for (int i = 0; i < s->n; i++)
		for (int part = 0; part < 2; part++)
			for (const char *p = part ? s->l[i].value : s->l[i].key;; p++) {
				h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
				if (!*p)
					break;
			}
	return h ^ h >> 29;
}

static bool
equal(const struct rtp_labels *a, const struct set *s)
{
	const char *p = a->text;
	if (a->n != (uint32_t)s->n)
		return false;
	for (int i = 0; i < s->n; i++) {
		if (strcmp(p, s->l[i].key) != 0 || strcmp(rtp_label_skip(p), s->l[i].value) != 0)
			return false;
		p = rtp_label_skip(rtp_label_skip(p));
	}
	return true;
}

static struct rtp_labels *
make(struct rtp_region *r, const struct set *s, uint64_t hash)
{
	size_t bytes = text_size(s);
	if (rt_load(&r->labels_bytes) + bytes > MAX_BYTES)
		return NULL;
	struct rtp_labels *a = rtp_alloc(r, sizeof(*a) + bytes);
	if (!a)
		return NULL;
	rtp_add(&r->labels_bytes, sizeof(*a) + bytes);
	a->hash = hash;
	a->n = (uint32_t)s->n;
	a->bytes = (uint32_t)bytes;
	char *p = a->text;
	for (int i = 0; i < s->n; i++) {
		p = stpcpy(p, s->l[i].key) + 1;
		p = stpcpy(p, s->l[i].value) + 1;
	}
	return a;
}

static const struct rtp_labels *
intern(struct rtp_region *r, const struct set *s)
{
	uint64_t hash = hash_set(s);
	_Atomic uint64_t *chain = &r->labels[hash % RTP_LABELS_HASH];
	// acquire: pairs with the release below; the set behind the link is whole.
	uint64_t head = rt_load_acquire(chain), seen = 0;
	struct rtp_labels *fresh = NULL;
	for (;;) {
		for (uint64_t off = head; off != seen;) {
			const struct rtp_labels *a = rtp_at(r, off);
			if (a->hash == hash && equal(a, s))
				return a; // ours, if it was made, stays unused
			off = a->next;
		}
		if (!fresh && !(fresh = make(r, s, hash)))
			return NULL;
		fresh->next = seen = head;
		if (atomic_compare_exchange_strong_explicit(chain, &head, rtp_off(r, fresh), memory_order_release,
							    memory_order_acquire))
			return fresh;
	}
}

const struct rtp_labels *
rtp_labels_with(struct rtp_region *r, const struct rtp_labels *base, const struct rtp_label *l, int n)
{
	struct set s;
	bool all = true;
	s.n = 0;
	const char *p = base ? base->text : NULL;
	for (uint32_t i = 0; base && i < base->n; i++) {
		all &= put(&s, (struct rtp_label){ p, rtp_label_skip(p) });
		p = rtp_label_skip(rtp_label_skip(p));
	}
	for (int i = 0; i < n; i++)
		all &= put(&s, l[i]);
	const struct rtp_labels *set = s.n ? intern(r, &s) : NULL;
	if (!all || (s.n && !set))
		rtp_add(&r->labels_lost, 1);
	return set;
}
