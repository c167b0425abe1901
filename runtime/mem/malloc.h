// SPDX-License-Identifier: BSD-3-Clause
// The collected heap's entry points for the rest of the runtime. All at depth > 0, on a thread with a
// P; any of them may run a collection step. Everything returned is zeroed and conservative-safe.
#pragma once

#include <gort/type.h>

#include "base/base.h"

struct mcache;
struct p;
struct rt_mutex;

// Called once by gort_run, before the first P; then for each P made.
void rt_mallocinit(void);
struct mcache *rt_mcache_alloc(void);

// One object of size bytes. t NULL: scanned word by word; t noscan: never scanned; t precise: by its
// map, repeated every t->size bytes. Panics as Go when size is impossible; never returns NULL.
void *rt_mallocgc(size_t size, const gort_type *t);
// Pointer-free.
void *rt_mallocgc_noscan(size_t size);
// Pointer-free; the first raw bytes are not zeroed: the caller overwrites them at once.
void *rt_mallocgc_noscan_raw(size_t size, size_t raw);
// count objects of t; false when the product overflows or exceeds the address space.
bool rt_array_size(size_t elem, ptrdiff_t count, size_t *bytes);
// The size that an allocation of size bytes really gets (class or pages): for slice growth.
size_t rt_round_size(size_t size, bool noscan);

// The collector. rt_gc_collect: a full cycle, sweep included (gort_gc).
void rt_gcinit(void);
void rt_gc_collect(void);
// A cycle because the two-minute timer says so; on a goroutine.
void rt_gc_forced_by_timer(void);
int64_t rt_gc_last_end_ns(void); // rt_nanotime at the end of the last cycle, 0: none
