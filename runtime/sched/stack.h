// SPDX-License-Identifier: BSD-3-Clause
// Goroutine stacks. One NORESERVE arena of slots; each slot, from its low end:
//
//   | guard 64 KiB | stack ... grows down ... | struct g | colour |
//   slot          lo                         hi                  the next slot
//
// A slot has an odd number of pages. A parked goroutine is little more than its topmost page; with a power
// of two between them these pages would share the low bits of their numbers, and with them one or two sets
// of the TLB: with a hundred goroutines each visit would cost a walk through the page tables.
//
// The g lives at the top of its slot for ever, so stacks are reused as their g's are: LIFO, without a system
// call. Memory is committed by touching it and returned by the scavenger (rt_gfree_release). The colour shifts
// the top by up to 1 KiB within its page, so that hot lines of many goroutines do not share a cache set.
//
// Larger stacks (goroutine 1, gort_go_stack) are mappings of their own, their g's in persistent memory.
#pragma once

#include "base/base.h"

struct g;

#define RT_STACK_GUARD ((size_t)64 << 10)

// What a goroutine can use of a slot; set once by rt_stackinit.
extern size_t rt_stack_bytes;

void rt_stackinit(void);
// A fresh g with a stack from the arena; NULL when the address space is used up.
struct g *rt_stack_new_g(void);
// A g with at least bytes of stack; NULL when refused.
struct g *rt_stack_new_big_g(size_t bytes);
// Unmaps a dead big g's stack and keeps the g for the next.
void rt_stack_free_big_g(struct g *gp);

// Async-signal-safe. Bounds of the goroutine stack that contains sp (guard excluded).
bool rt_stack_bounds(uintptr_t sp, uintptr_t *lo, uintptr_t *hi);
// Async-signal-safe. Is addr in a guard: of which stack size (bytes usable), 0 if not.
size_t rt_stack_guard_hit(uintptr_t addr);
// Where guards are impossible the lowest word of a stack must stay 0: throws when it is not.
void rt_stack_check_canary(const struct g *gp);
// Returns the memory of a dead goroutine's stack below its top page; how many bytes of address space.
size_t rt_stack_release(struct g *gp);
