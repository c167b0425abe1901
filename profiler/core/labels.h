// SPDX-License-Identifier: BSD-3-Clause
// Sets of labels, interned in a region: equal sets are one object, which is never changed or freed, so
// a sample refers to its set by an offset.
#pragma once

#include "core/region.h"

#define RTP_MAX_LABELS 64 // pairs in a set

struct rtp_labels {
	uint64_t next; // offset: same hash chain
	uint64_t hash;
	uint32_t n, bytes;
	char text[]; // key NUL value NUL, n times, ascending by key
};

struct rtp_label {
	const char *key, *value;
};

// The set that has base's pairs and the given ones; a given one replaces base's of the same key, the last
// of several counts. base may be NULL. NULL: no pairs, or no room (counted in r->labels_lost).
// Lock-free; not for signal handlers (it uses some KiB of stack).
const struct rtp_labels *rtp_labels_with(struct rtp_region *r, const struct rtp_labels *base,
					 const struct rtp_label *l, int n);

// The set at an offset that may be anything: NULL unless it lies in r.
RT_INLINE const struct rtp_labels *
rtp_labels_at(struct rtp_region *r, uint64_t off)
{
	return off && off < r->size ? rtp_at(r, off) : NULL;
}

// A goroutine's labels as an offset; 0 when they are of another region (before a fork).
RT_INLINE uint64_t
rtp_labels_off(struct rtp_region *r, const void *labels)
{
	return (uintptr_t)labels - (uintptr_t)r < r->size ? rtp_off(r, labels) : 0;
}

// For loops over a set's pairs: the first pair's key, a key's value, a value's next key.
RT_INLINE const char *
rtp_label_skip(const char *s)
{
	return s + __builtin_strlen(s) + 1;
}
