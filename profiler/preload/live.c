// SPDX-License-Identifier: BSD-3-Clause
// Sampled blocks by address. A free of any other block costs one load from the filter; an address that
// may be in takes its chain's lock. Where that is not to be had a record is lost.
#include <string.h>
#include <sys/mman.h>

#include "preload/preload.h"

_Atomic uint8_t preload_filter[1 << LIVE_FILTER_BITS];
#define FILTER_STUCK 255 // from here the count is unknown, so it stays

#define CHAIN_BITS 14
#define MAX_NODES (4u << 20)

struct node {
	uintptr_t p;
	struct preload_block b;
	uint32_t next;
};

static struct chain {
	preload_chain_lock lock;
	_Atomic uint32_t head;
} chains[1 << CHAIN_BITS];

static _Atomic(struct node *) nodes; // [MAX_NODES], address space until used; index 0 is nobody's
static _Atomic uint32_t unused = 1;  // first index never handed out
static _Atomic uint64_t freelist;    // index, and a tag against its coming back meanwhile, << 32

static _Atomic uint8_t *
counter(const void *p)
{
	return &preload_filter[preload_hash(p) >> (64 - LIVE_FILTER_BITS)];
}

static struct chain *
lock_chain(const void *p)
{
	struct chain *c = &chains[preload_hash(p) >> (64 - CHAIN_BITS)];
	return preload_chain_enter(&c->lock) ? c : NULL;
}

static struct node *
all_nodes(void)
{
	struct node *all = rt_load_acquire(&nodes);
	if (all)
		return all;
	void *p = mmap(NULL, MAX_NODES * sizeof(struct node), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (!atomic_compare_exchange_strong(&nodes, &all, p)) {
		munmap(p, MAX_NODES * sizeof(struct node));
		return all;
	}
	return p;
}

static uint32_t
take_node(struct node *all)
{
	uint64_t head = rt_load_acquire(&freelist);
	while ((uint32_t)head) {
		uint64_t next = (head >> 32) + 1;
		next = next << 32 | all[(uint32_t)head].next;
		if (atomic_compare_exchange_weak_explicit(&freelist, &head, next, memory_order_acquire,
							  memory_order_acquire))
			return (uint32_t)head;
	}
	uint32_t i = atomic_fetch_add_explicit(&unused, 1, memory_order_relaxed);
	if (i < MAX_NODES)
		return i;
	atomic_fetch_sub_explicit(&unused, 1, memory_order_relaxed);
	return 0;
}

static void
give_node(struct node *all, uint32_t i)
{
	uint64_t head = rt_load(&freelist), next;
	do {
		all[i].next = (uint32_t)head;
		next = ((head >> 32) + 1) << 32 | i;
	} while (!atomic_compare_exchange_weak_explicit(&freelist, &head, next, memory_order_release,
							memory_order_relaxed));
}

static void
count_up(const void *p)
{
	_Atomic uint8_t *c = counter(p);
	uint8_t v = rt_load(c);
	while (v != FILTER_STUCK &&
	       !atomic_compare_exchange_weak_explicit(c, &v, v + 1, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

static void
count_down(const void *p)
{
	_Atomic uint8_t *c = counter(p);
	uint8_t v = rt_load(c);
	while (v != FILTER_STUCK && v != 0 &&
	       !atomic_compare_exchange_weak_explicit(c, &v, v - 1, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void
preload_live_mark(const void *p)
{
	rt_store(counter(p), FILTER_STUCK);
}

bool
preload_live_add(const void *p, struct preload_block b)
{
	struct node *all = all_nodes();
	uint32_t i = all ? take_node(all) : 0;
	struct chain *c = i ? lock_chain(p) : NULL;
	if (!c) {
		if (i)
			give_node(all, i);
		return false;
	}
	all[i] = (struct node){ (uintptr_t)p, b, rt_load(&c->head) };
	rt_store(&c->head, i);
	preload_chain_leave(&c->lock);
	// Counted before the block is handed to the program: whoever frees it got it from us.
	count_up(p);
	return true;
}

bool
preload_live_take(const void *p, struct preload_block *b)
{
	struct node *all = rt_load_acquire(&nodes);
	struct chain *c = all ? lock_chain(p) : NULL;
	if (!c)
		return false;
	uint32_t i = rt_load(&c->head), before = 0;
	for (; i && all[i].p != (uintptr_t)p; i = all[i].next)
		before = i;
	if (i && before)
		all[before].next = all[i].next;
	else if (i)
		rt_store(&c->head, all[i].next);
	preload_chain_leave(&c->lock);
	if (!i)
		return false;
	*b = all[i].b;
	give_node(all, i);
	count_down(p);
	return true;
}

void
preload_live_forget(void)
{
	bool used = rt_load(&unused) > 1;
	if (!used)
		return;
	for (size_t i = 0; i < rt_nelem(preload_filter); i++)
		if (rt_load(&preload_filter[i]) != 0 && rt_load(&preload_filter[i]) != FILTER_STUCK)
			rt_store(&preload_filter[i], 0);
	memset(chains, 0, sizeof(chains));
	rt_store(&freelist, 0);
	rt_store(&unused, 1);
}
