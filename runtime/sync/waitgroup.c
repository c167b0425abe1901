// SPDX-License-Identifier: BSD-3-Clause
// WaitGroup: what gort/sync.h does not inline. state holds the counter (upper 32 bits, signed) and the
// number of goroutines that wait (lower 32); a waiter counts itself in with the same compare-and-swap
// that sees the counter non-zero, so the done that brings it to zero knows how many to release. It sets
// the word to zero first: from then on the group may be used again.
//
// Nothing of the group is touched after the last unit of sema went out, since it may lie on the stack of
// the goroutine that waits.
//
// Go: sync/waitgroup.go.
#include <gort/sync.h>

#include "debug/throw.h"
#include "mem/malloc.h"
#include "sched/proc.h"
#include "sync/sema.h"

void
gort_waitgroup_add_slow_(gort_waitgroup *wg, int32_t n, uint64_t state)
{
	int32_t count = (int32_t)(state >> 32);
	uint32_t waiters = (uint32_t)state;

	if (count < 0)
		rt_panic("sync: negative WaitGroup counter");
	if (waiters != 0 && n > 0 && count == n)
		rt_panic("sync: WaitGroup misuse: Add called concurrently with Wait");
	if (count > 0 || waiters == 0)
		return;
	// The counter is zero and there are waiters: with correct use nobody changes state now.
	if (__atomic_load_n(&wg->state, __ATOMIC_RELAXED) != state)
		rt_panic("sync: WaitGroup misuse: Add called concurrently with Wait");
	__atomic_store_n(&wg->state, 0, __ATOMIC_RELAXED);
	rt_enter();
	for (; waiters != 0; waiters--)
		rt_semrelease(&wg->sema, false, 1);
	rt_leave();
}

void
gort_waitgroup_wait_slow_(gort_waitgroup *wg)
{
	uint64_t state = __atomic_load_n(&wg->state, __ATOMIC_ACQUIRE);
	do {
		if (state >> 32 == 0)
			return;
	} while (!__atomic_compare_exchange_n(&wg->state, &state, state + 1, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_ACQUIRE));
	rt_enter();
	rt_semacquire(&wg->sema, false, RT_SEMA_BLOCK_PROFILE, WAIT_WAITGROUP);
	if (__atomic_load_n(&wg->state, __ATOMIC_ACQUIRE) != 0)
		rt_panic("sync: WaitGroup is reused before previous Wait has returned");
	rt_leave();
}

static void
done(void *wg)
{
	gort_waitgroup_done(wg);
}

// Between the two halves of gort_go the new goroutine hangs on g->newg and does not run. The done is the
// first of its on_exit functions, so it runs after those that the goroutine itself registers.
void
gort_waitgroup_start_(gort_waitgroup *wg, void (*fn)(void))
{
	rt_enter();
	struct on_exit *e = rt_mallocgc(sizeof(*e), NULL);
	*e = (struct on_exit){.fn = done, .arg = wg};
	rt_getg()->newg->exits = e;
	rt_leave();
	gort_waitgroup_add(wg, 1);
	gort_go_start_(fn, 0);
}
