// SPDX-License-Identifier: BSD-3-Clause
// Writes the buckets of a region as a profile.proto (proto/profile.proto), streaming: memory is a
// table of the addresses met. Sample types, units, scaling and labels are Go's, kind by kind.
#pragma once

#include "core/region.h"
#include "encode/out.h"

// Function names without DWARF; NULL: none known. symbol/symtab.h has the real one.
struct rtp_names {
	const char *(*name)(void *arg, uint64_t addr, size_t *len);
	uint64_t (*start)(void *arg, uint64_t addr); // address of that function; 0 unknown. May be NULL
	void *arg;
};
struct rtp_name_buffer {
	char s[RTP_MAX_FRAMES + 1][512];
};

// What the counters read at one moment; the difference of two is a session.
struct rtp_base {
	uint64_t *v; // nval words for each ordinal
	uint32_t n;  // ordinals
	size_t bytes;
};
// False when there is no memory.
bool rtp_base_take(struct rtp_base *base, struct rtp_region *r, enum rtp_kind kind);
void rtp_base_free(struct rtp_base *base);

struct rtp_profile_args {
	enum rtp_kind kind;
	const char *name;             // of a count profile; NULL: the kind's
	const char *default_type;     // "alloc_space" for allocs; NULL none
	const struct rtp_base *base;  // subtracted; NULL: since the beginning
	const struct rtp_base *upto;  // the counters as of then; NULL: as they are now
	int64_t time_ns;              // since 1970
	int64_t duration_ns;          // 0: meaningless
	int hz;                       // cpu: of this session
	const char *comment;          // NULL none
	const struct rtp_names *names; // NULL: addresses only
	bool all_named;               // names knows every object, not the vdso alone
};

// The kind's buckets (struct rtp_bucket *) in Go's order: counts and delays descending, objects in use
// ascending. False when there is no memory.
bool rtp_sorted_buckets(struct rtp_region *r, enum rtp_kind kind, struct rtp_vec *list);

// 0 or a negative errno value, as from rtp_out_close, which it does not call.
int rtp_profile_write(struct rtp_region *r, const struct rtp_profile_args *a, struct rtp_out *o);

// The unbiased estimate for n sampled objects of together `bytes`, taken at one sample a `rate` bytes.
void rtp_heap_unbias(int64_t n, int64_t bytes, int64_t rate, int64_t *n_out, int64_t *bytes_out);
// The same for objects that each had `weight` bytes' chance of being sampled, whatever they take.
void rtp_heap_unbias_as(int64_t n, int64_t bytes, int64_t weight, int64_t rate, int64_t *n_out,
			int64_t *bytes_out);

// The heap columns of a bucket that a profile reports: what is published, or everything when no
// collection was ever published.
void rtp_heap_read(const struct rtp_region *r, const struct rtp_bucket *b, uint64_t col[RTP_HEAP_NCOL]);
