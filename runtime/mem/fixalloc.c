// SPDX-License-Identifier: BSD-3-Clause
#include "mem/fixalloc.h"

#include <string.h>

#include "debug/throw.h"
#include "os/os.h"

#define CHUNK_BYTES ((size_t)16 << 10)

void
rt_fixalloc_init(struct fixalloc *f, size_t size, _Atomic uint64_t *stat)
{
	*f = (struct fixalloc){.size = rt_round_up(size, (size_t)16), .stat = stat};
}

void *
rt_fixalloc_try(struct fixalloc *f)
{
	void *p = f->list;
	if (p) {
		f->list = *(void **)p;
		memset(p, 0, f->size);
	} else {
		if (f->nchunk < f->size) {
			size_t n = rt_max(CHUNK_BYTES, f->size);
			f->chunk = rt_persistent_try(n, 64, f->stat);
			f->nchunk = f->chunk ? n : 0;
			if (!f->chunk)
				return NULL;
		}
		p = f->chunk;
		f->chunk += f->size;
		f->nchunk -= f->size;
	}
	atomic_fetch_add_explicit(&f->inuse, f->size, memory_order_relaxed);
	return p;
}

void *
rt_fixalloc_alloc(struct fixalloc *f)
{
	void *p = rt_fixalloc_try(f);
	if (!p)
		rt_fatal("runtime: cannot allocate memory");
	return p;
}

void
rt_fixalloc_free(struct fixalloc *f, void *p)
{
	*(void **)p = f->list;
	f->list = p;
	atomic_fetch_sub_explicit(&f->inuse, f->size, memory_order_relaxed);
}
