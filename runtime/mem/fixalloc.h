// SPDX-License-Identifier: BSD-3-Clause
// A free list of fixed-size structures of the runtime's own (mspan, special). Memory comes from
// rt_persistent_alloc in 16 KiB chunks and stays here. Not locked: the owner's lock protects it.
// Go: runtime/mfixalloc.go.
#pragma once

#include "base/base.h"

struct fixalloc {
	size_t size;
	_Atomic uint64_t *stat; // bytes taken from the system
	void *list;             // freed ones, linked through their first word
	char *chunk;
	size_t nchunk;          // bytes left in chunk
	_Atomic uint64_t inuse; // bytes handed out; atomic for readers without the lock
};

void rt_fixalloc_init(struct fixalloc *f, size_t size, _Atomic uint64_t *stat);
// Zeroed. alloc ends the process when the machine has no memory, try returns NULL.
void *rt_fixalloc_alloc(struct fixalloc *f);
void *rt_fixalloc_try(struct fixalloc *f);
void rt_fixalloc_free(struct fixalloc *f, void *p);
