// SPDX-License-Identifier: BSD-3-Clause
// The stack arena; picture and rules in stack.h.
//
// Guards: MADV_GUARD_INSTALL (Linux 6.13) makes pages fault without splitting the mapping. Before it,
// PROT_NONE pages cost two mappings each and the kernel allows 65,530 a process, so the first
// PROT_NONE_SLOTS slots get them; the others have a canary: the lowest word of the stack, zero until
// something ran over it, looked at when the goroutine stops running.
#include "sched/stack.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/print.h"
#include "debug/env.h"
#include "debug/throw.h"
#include "os/os.h"
#include "sched/proc.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define DEFAULT_STACK ((size_t)192 << 10)
#define MIN_STACK ((size_t)64 << 10)
#define ARENA_BYTES ((size_t)512 << 30)
#define MIN_ARENA_BYTES ((size_t)1 << 30)
#define PAGE ((size_t)4096)
#define PROT_NONE_SLOTS 16384u
#define COLOURS 16u

size_t rt_stack_bytes;

static size_t slot_bytes;
static uintptr_t arena_lo, arena_hi;
static _Atomic uint64_t next_slot;
static bool guard_by_madvise;

// Big stacks. The list only grows; entries of freed stacks have hi 0 and are reused.
struct bigstack {
	struct bigstack *next;
	_Atomic uintptr_t lo, hi; // usable bytes; hi 0: free
	struct g g;
};
static _Atomic(struct bigstack *) bigstacks;
static struct rt_mutex biglock;

// Sets the sizes: the top page has room for the g and colour, and what a goroutine starts with.
static void
size_stacks(void)
{
	static_assert(sizeof(struct g) + COLOURS * RT_CACHE_LINE + 512 <= PAGE, "the top page");
	// ASan's red zones make frames several times larger.
	size_t bytes = rt_env_stack() ? rt_max(rt_env_stack(), MIN_STACK)
				      : DEFAULT_STACK * (RT_ASAN || RT_TSAN ? 4 : 1);
	rt_stack_bytes = rt_round_up(bytes, PAGE);
	size_t pages = (RT_STACK_GUARD + rt_stack_bytes) / PAGE + 1;
	slot_bytes = (pages | 1) * PAGE;
}

// The slot that addr, in the arena, lies in.
static uintptr_t
slot_of(uintptr_t addr)
{
	return addr - (addr - arena_lo) % slot_bytes;
}

static bool
install_guard(uintptr_t p)
{
	return madvise((void *)p, RT_STACK_GUARD, MADV_GUARD_INSTALL) == 0;
}

void
rt_stackinit(void)
{
	size_stacks();
	size_t got;
	char *p = rt_os_reserve(ARENA_BYTES, MIN_ARENA_BYTES, PAGE, &got);
	if (!p)
		rt_fatal("runtime: cannot reserve %zu bytes of address space for goroutine stacks",
			 MIN_ARENA_BYTES);
	arena_lo = (uintptr_t)p;
	arena_hi = arena_lo + got / slot_bytes * slot_bytes;
	rt_os_hugepage(p, got, false);
	int saved = errno;
	guard_by_madvise = install_guard(arena_lo);
	errno = saved;
}

static void
guard_slot(uintptr_t slot, uint64_t index)
{
	int saved = errno;
	if (guard_by_madvise)
		install_guard(slot);
	else if (index < PROT_NONE_SLOTS)
		mprotect((void *)slot, RT_STACK_GUARD, PROT_NONE);
	errno = saved;
}

struct g *
rt_stack_new_g(void)
{
	uint64_t i = atomic_fetch_add_explicit(&next_slot, 1, memory_order_relaxed);
	uintptr_t slot = arena_lo + i * slot_bytes;
	if (slot >= arena_hi)
		return NULL;
	guard_slot(slot, i);
	uintptr_t top = slot + slot_bytes - (i % COLOURS) * RT_CACHE_LINE;
	struct g *gp = (struct g *)rt_round_down(top - sizeof(struct g), (uintptr_t)RT_CACHE_LINE);
	gp->stack.lo = slot + RT_STACK_GUARD;
	gp->stack.hi = (uintptr_t)gp;
	return gp;
}

static struct bigstack *
bigstack_get(void)
{
	rt_lock(&biglock);
	struct bigstack *b = rt_load(&bigstacks);
	while (b && rt_load_acquire(&b->lo) != 0) // acquire: with the release that frees it
		b = b->next;
	if (!b) {
		b = rt_persistent_alloc(sizeof *b, RT_CACHE_LINE, NULL);
		b->next = rt_load(&bigstacks);
		rt_store_release(&bigstacks, b); // readers walk without the lock
	}
	rt_store(&b->lo, 1); // taken
	rt_unlock(&biglock);
	return b;
}

struct g *
rt_stack_new_big_g(size_t bytes)
{
	bytes = rt_round_up(bytes, PAGE);
	size_t total = bytes + RT_STACK_GUARD;
	void *p = mmap(NULL, total, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	rt_os_hugepage(p, total, false);
	if (!guard_by_madvise || !install_guard((uintptr_t)p))
		mprotect(p, RT_STACK_GUARD, PROT_NONE);
	struct bigstack *b = bigstack_get();
	uintptr_t lo = (uintptr_t)p + RT_STACK_GUARD;
	b->g.stack = (struct stack){.lo = lo, .hi = lo + bytes};
	b->g.big = true;
	rt_store(&b->lo, lo);
	rt_store_release(&b->hi, lo + bytes);
	return &b->g;
}

void
rt_stack_free_big_g(struct g *gp)
{
	struct bigstack *b = rt_container_of(gp, struct bigstack, g);
	uintptr_t lo = gp->stack.lo - RT_STACK_GUARD, hi = gp->stack.hi;
	rt_store(&b->hi, 0);
	munmap((void *)lo, hi - lo);
	gp->stack = (struct stack){0};
	rt_store_release(&b->lo, 0); // free for bigstack_get
}

bool
rt_stack_bounds(uintptr_t sp, uintptr_t *lo, uintptr_t *hi)
{
	if (sp >= arena_lo && sp < arena_hi) {
		*lo = slot_of(sp) + RT_STACK_GUARD;
		// The g at the top may be read too: it is mapped, and no frame lies in it.
		*hi = slot_of(sp) + slot_bytes;
		return sp >= *lo;
	}
	for (struct bigstack *b = rt_load_acquire(&bigstacks); b; b = b->next) {
		*lo = rt_load(&b->lo);
		*hi = rt_load_acquire(&b->hi);
		if (sp >= *lo && sp < *hi)
			return true;
	}
	return false;
}

size_t
rt_stack_guard_hit(uintptr_t addr)
{
	if (addr >= arena_lo && addr < arena_hi)
		return addr - slot_of(addr) < RT_STACK_GUARD ? rt_stack_bytes : 0;
	for (struct bigstack *b = rt_load_acquire(&bigstacks); b; b = b->next) {
		uintptr_t lo = rt_load(&b->lo), hi = rt_load_acquire(&b->hi);
		if (hi && addr < lo && addr >= lo - RT_STACK_GUARD)
			return hi - lo;
	}
	return 0;
}

void
rt_stack_check_canary(const struct g *gp)
{
	if (guard_by_madvise || gp->big)
		return;
	if (*(const uint64_t *)gp->stack.lo != 0) {
		rt_printf("runtime: goroutine stack exceeds %zu-byte limit\n", rt_stack_bytes);
		rt_fatal("stack overflow");
	}
}

size_t
rt_stack_release(struct g *gp)
{
	if (gp->big)
		return 0;
	uintptr_t top = rt_round_down(gp->stack.hi, (uintptr_t)PAGE);
	rt_os_release((void *)gp->stack.lo, top - gp->stack.lo);
	return top - gp->stack.lo;
}
