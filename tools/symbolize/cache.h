// SPDX-License-Identifier: BSD-3-Clause
// What is known about an object's addresses, kept in a file named by its build id: a warm run opens
// neither the object nor its debug information. Objects without debug information are not kept, as some
// may turn up.
//
// A file is written whole under another name and renamed, so readers see a whole one; two writers at
// once lose one's additions. Every index in it is checked before it is used: it may be anything.
#pragma once

#include "symbolize.h"

struct cache;

// NULL: nothing kept, or no use of it.
struct cache *cache_open(const char *build_id);
void cache_close(struct cache *c);

bool cache_vaddr(const struct cache *c, uint64_t off, uint64_t *vaddr);
// Fills in p, whose frames are malloc'ed and whose strings live as long as c.
bool cache_find(const struct cache *c, struct place *p);
void cache_info(const struct cache *c, struct object_info *info);

// Adds places (sorted by vaddr, distinct) to what c, which may be NULL, holds. Failures are silent.
void cache_save(const struct cache *c, const char *build_id, const struct segment *seg, size_t nseg,
		const struct place *p, size_t n, const struct object_info *info);
