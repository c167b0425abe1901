// SPDX-License-Identifier: BSD-3-Clause
// What marking starts from, all read with the world stopped:
//   - writable data segments of the program and the libraries it has loaded, less RELRO, less GORT_NOSCAN
//     variables, less the C library and the loader, which never hold a collected pointer
//   - ranges the user registered (gort_add_root)
//   - goroutine stacks from sp - 128, registers of stopped threads (sched/stw.c knows where)
//   - what the runtime holds for goroutines: g fields, sudogs, Ps, timers
//
// The list of segments needs the loader's lock, which a stopped thread may hold: it is made before the
// stop; in the stop the link map is walked, without the lock, and compared with what it was then.
#include <link.h>
#include <string.h>

#include <gort/mem.h>

#include "base/print.h"
#include "debug/throw.h"
#include "gc/gc.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sched/sudog.h"
#include "sync/pool.h"

struct range {
	uintptr_t lo, hi;
};

struct ranges {
	struct range *v;
	size_t n, cap;
};

// Written by the thread that has the right to run a cycle.
static struct ranges segments;
static uint64_t linkmap_at_prepare;

// Under lock.
static struct rt_mutex lock;
static struct ranges user_roots;
static struct gort_noscan_range noscan = {&noscan, &noscan, NULL, 0};

// ---- growing arrays, outside of libc's heap ----

static void
reserve(struct ranges *r, size_t n)
{
	if (n <= r->cap)
		return;
	size_t cap = rt_max(r->cap * 2, (size_t)256);
	struct range *v = rt_os_alloc(cap * sizeof *v);
	if (!v)
		rt_fatal("out of memory (root list)");
	if (r->n)
		memcpy(v, r->v, r->n * sizeof *v);
	if (r->v)
		rt_os_free(r->v, r->cap * sizeof *v);
	atomic_fetch_add_explicit(&rt_sys_stats.gc, (cap - r->cap) * sizeof *v, memory_order_relaxed);
	r->v = v;
	r->cap = cap;
}

static void
append(struct ranges *r, uintptr_t lo, uintptr_t hi)
{
	if (lo >= hi)
		return;
	reserve(r, r->n + 1);
	r->v[r->n++] = (struct range){lo, hi};
}

static void
subtract(struct ranges *r, uintptr_t lo, uintptr_t hi)
{
	for (size_t i = 0; i < r->n; i++) {
		struct range was = r->v[i];
		if (hi <= was.lo || lo >= was.hi)
			continue;
		r->v[i] = (struct range){was.lo, rt_max(was.lo, lo)};
		append(r, hi, was.hi);
	}
}

// ---- data segments ----

static bool
has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

// Libraries that cannot hold collected pointers in their data: the C library's family and the loader.
static bool
is_system_library(const char *path)
{
	static const char *const names[] = {"libc.so", "libm.so", "ld-linux", "libpthread.so",
					    "libdl.so", "librt.so", "libgcc_s.so", "linux-vdso",
					    "libasan.so", "libubsan.so", "libtsan.so"};
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	for (size_t i = 0; i < rt_nelem(names); i++)
		if (has_prefix(base, names[i]))
			return true;
	return false;
}

static int
add_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	if (info->dlpi_name && is_system_library(info->dlpi_name))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_W))
			append(&segments, lo, lo + ph->p_memsz);
	}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
		// Only whole pages became read-only, so only those are unwritable now.
		if (ph->p_type == PT_GNU_RELRO)
			subtract(&segments, lo, rt_round_down(lo + ph->p_memsz, (uintptr_t)4096));
	}
	return 0;
}

// A checksum of which libraries are loaded where. Without the loader's lock: with the world stopped the
// list may be in the middle of a change, but its pointers are always whole, and a sum that differs only
// makes us try again.
static uint64_t
linkmap_sum(void)
{
	uint64_t sum = 0;
	for (const struct link_map *m = _r_debug.r_map; m; m = m->l_next)
		sum = (sum ^ m->l_addr ^ (uintptr_t)m->l_ld) * 0x9e3779b97f4a7c15ull + 1;
	return sum;
}

void
rt_roots_prepare(void)
{
	segments.n = 0;
	linkmap_at_prepare = linkmap_sum();
	dl_iterate_phdr(add_module, NULL);
	rt_lock(&lock);
	for (struct gort_noscan_range *r = noscan.next; r != &noscan; r = r->next)
		subtract(&segments, (uintptr_t)r->p, (uintptr_t)r->p + r->n);
	rt_unlock(&lock);
	// The heap's own state: its address range and caches would pin what they point to.
	subtract(&segments, (uintptr_t)&rt_heap, (uintptr_t)(&rt_heap + 1));
	subtract(&segments, (uintptr_t)&rt_gc, (uintptr_t)(&rt_gc + 1));
}

bool
rt_roots_current(void)
{
	return linkmap_sum() == linkmap_at_prepare;
}

// ---- goroutines ----

struct marking {
	struct gcwork *w;
	uint64_t stack_bytes;
};

static void
mark_stack(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg)
{
	struct marking *m = arg;
	rt_mark_root_range(m->w, lo, hi);
	m->stack_bytes += hi - lo;
}

static void
mark_g(struct g *gp, void *arg)
{
	struct marking *m = arg;
	rt_mark_root_range(m->w, (uintptr_t)gp, (uintptr_t)(gp + 1));
	// A sudog may live outside of the heap; what it holds counts in any case.
	for (const struct sudog *sg = gp->waiting; sg; sg = sg->waitlink)
		rt_mark_root_range(m->w, (uintptr_t)sg, (uintptr_t)(sg + 1));
}

static void
mark_p(struct gcwork *w, struct p *pp)
{
	rt_mark_root_range(w, (uintptr_t)pp, (uintptr_t)(pp + 1));
	if (pp->timers)
		rt_mark_root_range(w, (uintptr_t)pp->timers, (uintptr_t)(pp->timers + pp->ntimers));
}

static void
mark_pool_range(uintptr_t lo, uintptr_t hi, void *w)
{
	rt_mark_root_range(w, lo, hi);
}

void
rt_roots_mark(struct gcwork *w, uint64_t *stack_bytes, uint64_t *global_bytes)
{
	uint64_t globals = 0;
	for (size_t i = 0; i < segments.n; i++) {
		rt_mark_root_range(w, segments.v[i].lo, segments.v[i].hi);
		globals += segments.v[i].hi - segments.v[i].lo;
	}
	// The world is stopped: whoever holds a lock of the runtime is at depth > 0 and would not be.
	for (size_t i = 0; i < user_roots.n; i++) {
		rt_mark_root_range(w, user_roots.v[i].lo, user_roots.v[i].hi);
		globals += user_roots.v[i].hi - user_roots.v[i].lo;
	}
	struct marking m = {.w = w};
	rt_for_each_stack(mark_stack, &m);
	rt_for_each_g(mark_g, &m);
	for (int32_t i = 0; i < nallp; i++)
		mark_p(w, allp[i]);
	rt_pool_cleanup();
	rt_pool_for_each_range(mark_pool_range, w);
	*stack_bytes = m.stack_bytes;
	*global_bytes = globals;
}

// ---- public ----

static size_t
find_root(uintptr_t lo)
{
	size_t i = 0;
	while (i < user_roots.n && user_roots.v[i].lo != lo)
		i++;
	return i;
}

void
gort_add_root(void *p, size_t n)
{
	bool in = rt_enter_if_started();
	rt_lock(&lock);
	size_t i = find_root((uintptr_t)p);
	if (i < user_roots.n)
		user_roots.v[i].hi = (uintptr_t)p + n;
	else
		append(&user_roots, (uintptr_t)p, (uintptr_t)p + n);
	rt_unlock(&lock);
	rt_leave_if(in);
}

void
gort_remove_root(void *p)
{
	bool in = rt_enter_if_started();
	rt_lock(&lock);
	size_t i = find_root((uintptr_t)p);
	if (i < user_roots.n)
		user_roots.v[i] = user_roots.v[--user_roots.n];
	rt_unlock(&lock);
	rt_leave_if(in);
}

void
gort_noscan_add_(struct gort_noscan_range *r)
{
	bool in = rt_enter_if_started();
	rt_lock(&lock);
	r->next = &noscan;
	r->prev = noscan.prev;
	noscan.prev->next = r;
	noscan.prev = r;
	rt_unlock(&lock);
	rt_leave_if(in);
}

void
gort_noscan_remove_(struct gort_noscan_range *r)
{
	bool in = rt_enter_if_started();
	rt_lock(&lock);
	r->prev->next = r->next;
	r->next->prev = r->prev;
	rt_unlock(&lock);
	rt_leave_if(in);
}
