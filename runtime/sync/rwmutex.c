// SPDX-License-Identifier: BSD-3-Clause
// RWMutex: what gort/sync.h does not inline.
//
// reader_count is the number of readers, those that wait included, less WRITER while a writer has
// the lock or waits for it: a reader that sees it negative after adding itself sleeps on reader_sem. The
// writer holds w, subtracts WRITER, and so learns how many readers are inside; it adds that number
// to reader_wait, which those readers take down when they leave (so it may be negative for a moment), and
// whoever brings it to zero (the last of them, or the writer itself when all have left in between)
// lets the writer go on: the others by writer_sem.
//
// Each reader that left before the subtraction is not counted, each that left after it sees a negative
// reader_count and takes itself off reader_wait: none is missed or counted twice.
//
// A single reader leaves by a plain store (watch.h): a word that is exactly 1 is changed by that reader
// and by rt_watch alone. So whoever finds 1 and wants to add something makes the lock contended first;
// one that is no such word is changed by compare-and-swap. Not by addition, though contended be set when one
// looked: the word may have become plain before the addition, and 1, which a reader then takes to be
// its own. Leaving readers may subtract: who finds another word than 1 is not alone, or becomes so
// after the subtraction of the others, which was atomic too.
//
// Where several readers meet again and again, reader_count is not all: bias.h. While it is biased there is no
// writer, and a writer begins by making it contended.
//
// Go: sync/rwmutex.go.
#define GORT_UNLOCK_BY_CALL_ 1 // here is what is called
#include <gort/sync.h>

#include "debug/throw.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sync/bias.h"
#include "sync/sema.h"
#include "sync/watch.h"

enum { READER = 1, READERS = RT_COUNT, WATCHED = 1 << 28, CONTENDED = 1 << 29 };
#define WRITER (1 << 30)
#define INSIDE INT32_MAX // no value of reader_count

static_assert(sizeof(gort_rwmutex) == 24, "as documented");

// Whether count counts all readers, and may be changed by compare-and-swap.
RT_INLINE bool
is_settled(int32_t count)
{
	return count != READER && (count & RT_STATE) != WATCHED && !rt_is_biased(count);
}

// Nor is there a writer.
RT_INLINE bool
is_contended(int32_t count)
{
	return count >> 28 == 3;
}

// Changes a count that is not settled.
static RT_NOINLINE void
settle(gort_rwmutex *rw, int32_t count, bool for_writer)
{
	rt_enter();
	if (rt_is_biased(count))
		rt_unbias(&rw->reader_count, for_writer);
	else
		rt_watch(&rw->reader_count, READER, WATCHED, CONTENDED);
	rt_leave();
}

// Adds delta to reader_count if that is *count and may be changed so; else *count is what it is now.
RT_INLINE bool
try_add(gort_rwmutex *rw, int32_t *count, int32_t delta)
{
	if (rt_unlikely(!is_settled(*count))) {
		settle(rw, *count, delta < 0);
		*count = __atomic_load_n(&rw->reader_count, __ATOMIC_RELAXED);
		return false;
	}
	// Acquire: pairs with the release of those that have left.
	return __atomic_compare_exchange_n(&rw->reader_count, count, *count + delta, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

// The value that it had before.
static int32_t
add(gort_rwmutex *rw, int32_t delta)
{
	int32_t count = __atomic_load_n(&rw->reader_count, __ATOMIC_RELAXED);
	while (!try_add(rw, &count, delta))
		;
	return count;
}

RT_INLINE bool
try_biased(gort_rwmutex *rw)
{
	// Acquire: pairs with the release in rt_bias; there are cells.
	return rt_is_biased(__atomic_load_n(&rw->reader_count, __ATOMIC_ACQUIRE)) &&
	       rt_biased_enter(&rw->reader_count);
}

// A frame of its own, which profiles hide.
static RT_NOINLINE void
rlock_shared(gort_rwmutex *rw)
{
	if (try_biased(rw) || add(rw, READER) >= 0) // once more: it may have been interrupted
		return;
	rt_enter();
	rt_semacquire(&rw->reader_sem, false, RT_SEMA_BLOCK_PROFILE | RT_SEMA_MUTEX_PROFILE,
		      WAIT_RWMUTEX_RLOCK);
	rt_leave();
}

void
gort_rwmutex_rlock_slow_(gort_rwmutex *rw)
{
	// Acquire: pairs with the release in rt_bias and of those that have left.
	int32_t count = __atomic_load_n(&rw->reader_count, __ATOMIC_ACQUIRE);
	if (is_contended(count) ? __atomic_compare_exchange_n(&rw->reader_count, &count, count + READER, false,
							      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
				: rt_is_biased(count) && rt_biased_enter(&rw->reader_count))
		return;
	rlock_shared(rw);
}

bool
gort_rwmutex_try_rlock(gort_rwmutex *rw)
{
	if (try_biased(rw))
		return true;
	int32_t count = __atomic_load_n(&rw->reader_count, __ATOMIC_RELAXED);
	while (count >= 0)
		if (try_add(rw, &count, READER))
			return true;
	return false;
}

// Leaves a biased lock when that has failed once: it was interrupted, or this CPU's cell counts nobody. Then
// we have entered elsewhere, or not at all.
static bool
runlock_biased(gort_rwmutex *rw)
{
	int32_t count = __atomic_load_n(&rw->reader_count, __ATOMIC_ACQUIRE);
	if (rt_is_biased(count) && rt_biased_leave(&rw->reader_count))
		return true;
	while (rt_is_biased(count) && (count & READERS) > RT_ZERO)
		if (__atomic_compare_exchange_n(&rw->reader_count, &count, count - READER, false,
						__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return true;
	if (rt_is_biased(count))
		settle(rw, count, false); // so that the word tells whether anybody is inside
	return false;
}

// A contended lock that readers have to themselves: biased, if that is possible and pays, else plain again,
// and unlocked, if we are alone.
static bool
calm_down(gort_rwmutex *rw)
{
	rt_enter();
	bool biased = rt_bias(&rw->reader_count);
	rt_leave();
	return !biased && rt_calm_down(&rw->reader_count, READER | WATCHED | CONTENDED);
}

// The word as our subtraction leaves it.
RT_INLINE int32_t
subtract(gort_rwmutex *rw)
{
	return __atomic_sub_fetch(&rw->reader_count, READER, __ATOMIC_RELEASE);
}

// Nobody waits, nothing is wrong.
RT_INLINE bool
is_calm(int32_t count)
{
	return count >= 0 && (count & READERS) != READERS;
}

// count: the word as our subtraction left it; INSIDE: not yet. A frame of its own, which mutex profiles hide.
static RT_NOINLINE void
runlock_slow(gort_rwmutex *rw, int32_t count)
{
	if (count == INSIDE) {
		if (runlock_biased(rw) || (rt_time_to_calm_down() && calm_down(rw)))
			return;
		count = subtract(rw);
	}
	if (is_calm(count))
		return;
	if ((count & READERS) == READERS)
		rt_fatal("sync: RUnlock of unlocked RWMutex");
	// A writer waits. acq_rel: the last reader passes on to it what the others did.
	if (__atomic_sub_fetch(&rw->reader_wait, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	rt_enter();
	rt_semrelease(&rw->writer_sem, false, 1);
	rt_wakep(); // as in mutex.c: we go on running
	rt_leave();
	RT_KEEP_FRAME();
}

void
gort_rwmutex_runlock(gort_rwmutex *rw)
{
	ptrdiff_t off = rt_rseq_offset;
	int32_t left = INSIDE;
	if (rt_likely(off != 0)) {
		int32_t count = __atomic_load_n(&rw->reader_count, __ATOMIC_ACQUIRE);
		if (rt_likely(count == READER)) {
			RT_RSEQ_STORE_IF(off, &rw->reader_count, READER, 0, slow);
			return;
		}
		if (rt_is_biased(count)) {
			if (rt_biased_leave(&rw->reader_count))
				return;
		} else if (!rt_time_to_calm_down_soon()) {
			left = subtract(rw);
			if (rt_likely(is_calm(left)))
				return;
		}
	}
slow:
	runlock_slow(rw, left);
	RT_KEEP_FRAME();
}

void
gort_rwmutex_lock(gort_rwmutex *rw)
{
	gort_mutex_lock(&rw->w);
	int32_t inside = add(rw, -WRITER) & READERS;
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
	if (!gort_mutex_try_lock(&rw->w))
		return false;
	int32_t free = __atomic_load_n(&rw->reader_count, __ATOMIC_RELAXED);
	while (rt_is_biased(free)) {
		settle(rw, free, true);
		free = __atomic_load_n(&rw->reader_count, __ATOMIC_RELAXED);
	}
	free &= ~READERS;
	if (__atomic_compare_exchange_n(&rw->reader_count, &free, free - WRITER, false,
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
	int32_t count = __atomic_add_fetch(&rw->reader_count, WRITER, __ATOMIC_RELEASE);
	if (rt_unlikely(count >= WRITER || count < 0))
		rt_fatal("sync: Unlock of unlocked RWMutex");
	if (count & READERS)
		release_readers(rw, count & READERS);
	gort_mutex_unlock(&rw->w); // other writers come after the readers that waited
}

void (*const gort_rwmutex_runlock_called_)(gort_rwmutex *rw) = gort_rwmutex_runlock;
