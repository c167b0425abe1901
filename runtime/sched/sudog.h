// SPDX-License-Identifier: BSD-3-Clause
// A sudog stands for a goroutine in a wait queue: of a channel, a semaphore, a condition. A value of
// up to 128 bytes travels in it, so nobody ever writes another goroutine's parked stack.
#pragma once

#include "base/base.h"

struct g;
struct hchan;

#define SUDOG_INLINE_VALUE 128

struct sudog {
	struct g *g;
	struct sudog *next, *prev; // the object's queue
	struct hchan *c;           // the channel, if it is one
	void *elem;                // where the value is: value[] below, or the user's memory if larger
	int64_t acquiretime;       // cputicks when it began to wait; 0 not sampled
	int64_t releasetime;       // set by the waker when asked for (-1 in, time out)
	uint32_t ticket;           // semaphores: treap priority, hand-off flag
	bool isselect;             // one of several: g->selectdone decides who wins
	bool success;              // woken by a value, not by close
	uint16_t casei;            // select: index of the case
	uint32_t waiters;          // semaphores: length of the waitlink list, on the head
	struct sudog *parent;      // semaphores: treap
	struct sudog *waitlink;    // select: g->waiting list; semaphores: same-address list
	struct sudog *waittail;
	uint64_t value[SUDOG_INLINE_VALUE / 8];
};
