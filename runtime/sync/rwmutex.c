// SPDX-License-Identifier: BSD-3-Clause
// RWMutex: what gort/sync.h does not inline.
//
// reader_count is the number of readers, those that wait included, less MAX_READERS while a writer has
// the lock or waits for it: a reader that sees it negative after adding itself sleeps on reader_sem. The
// writer holds w, subtracts MAX_READERS, and so learns how many readers are inside; it adds that number
// to reader_wait, which those readers take down when they leave (so it may be negative for a moment), and
// whoever brings it to zero (the last of them, or the writer itself when all have left in between)
// lets the writer go on: the others by writer_sem.
//
// Each reader that left before the subtraction is not counted, each that left after it sees a negative
// reader_count and takes itself off reader_wait: none is missed or counted twice.
//
// Go: sync/rwmutex.go.
#include <gort/sync.h>

#include "debug/throw.h"
#include "sched/proc.h"
#include "sync/sema.h"

#define MAX_READERS GORT_RWMUTEX_MAX_READERS_

static_assert(sizeof(gort_rwmutex) == 24, "as documented");

void
gort_rwmutex_rlock_slow_(gort_rwmutex *rw)
{
	rt_enter();
	rt_semacquire(&rw->reader_sem, false, RT_SEMA_BLOCK_PROFILE | RT_SEMA_MUTEX_PROFILE,
		      WAIT_RWMUTEX_RLOCK);
	rt_leave();
}

// count: reader_count as our departure left it.
void
gort_rwmutex_runlock_slow_(gort_rwmutex *rw, int32_t count)
{
	if (count + 1 == 0 || count + 1 == -MAX_READERS)
		rt_fatal("sync: RUnlock of unlocked RWMutex");
	// acq_rel: the last reader passes on to the writer what the others did.
	if (__atomic_sub_fetch(&rw->reader_wait, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	rt_enter();
	rt_semrelease(&rw->writer_sem, false, 1);
	rt_wakep(); // as in mutex.c: we go on running
	rt_leave();
}

void
gort_rwmutex_lock(gort_rwmutex *rw)
{
	gort_mutex_lock(&rw->w);
	// Acquire: pairs with the release of readers that have left.
	int32_t inside = __atomic_fetch_sub(&rw->reader_count, MAX_READERS, __ATOMIC_ACQ_REL);
	if (inside == 0 || __atomic_add_fetch(&rw->reader_wait, inside, __ATOMIC_ACQ_REL) == 0)
		return;
	rt_enter();
	rt_semacquire(&rw->writer_sem, false, RT_SEMA_BLOCK_PROFILE | RT_SEMA_MUTEX_PROFILE,
		      WAIT_RWMUTEX_LOCK);
	rt_leave();
}

bool
gort_rwmutex_try_lock(gort_rwmutex *rw)
{
	int32_t none = 0;
	if (!gort_mutex_try_lock(&rw->w))
		return false;
	if (__atomic_compare_exchange_n(&rw->reader_count, &none, -MAX_READERS, false,
					__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return true;
	gort_mutex_unlock(&rw->w);
	return false;
}

static RT_NOINLINE void
release_readers(gort_rwmutex *rw, int32_t n)
{
	rt_enter();
	for (; n > 0; n--)
		rt_semrelease(&rw->reader_sem, false, 2);
	rt_wakep();
	rt_leave();
	RT_KEEP_FRAME();
}

void
gort_rwmutex_unlock(gort_rwmutex *rw)
{
	// Release: pairs with the readers' acquire.
	int32_t waiting = __atomic_add_fetch(&rw->reader_count, MAX_READERS, __ATOMIC_RELEASE);
	if (rt_unlikely(waiting >= MAX_READERS))
		rt_fatal("sync: Unlock of unlocked RWMutex");
	if (waiting != 0)
		release_readers(rw, waiting);
	gort_mutex_unlock(&rw->w); // other writers come after the readers that waited
}
