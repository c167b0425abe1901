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
// Go: sync/rwmutex.go.
#include <gort/sync.h>

#include "debug/throw.h"
#include "os/os.h"
#include "sched/proc.h"
#include "sync/sema.h"
#include "sync/watch.h"

enum { READER = 1, READERS = (1 << 28) - 1, WATCHED = 1 << 28, CONTENDED = 1 << 29 };
#define WRITER (1 << 30)

static_assert(sizeof(gort_rwmutex) == 24, "as documented");

// Adds delta to reader_count if that is *count and may be changed so; else *count is what it is now.
static bool
try_add(gort_rwmutex *rw, int32_t *count, int32_t delta)
{
	if (*count == READER || (*count & (WATCHED | CONTENDED)) == WATCHED) {
		rt_enter();
		rt_watch(&rw->reader_count, READER, WATCHED, CONTENDED);
		rt_leave();
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

void
gort_rwmutex_rlock_wait_(gort_rwmutex *rw)
{
	rt_enter();
	rt_semacquire(&rw->reader_sem, false, RT_SEMA_BLOCK_PROFILE | RT_SEMA_MUTEX_PROFILE,
		      WAIT_RWMUTEX_RLOCK);
	rt_leave();
}

void
gort_rwmutex_rlock_slow_(gort_rwmutex *rw)
{
	if (add(rw, READER) < 0)
		gort_rwmutex_rlock_wait_(rw);
}

bool
gort_rwmutex_try_rlock(gort_rwmutex *rw)
{
	int32_t count = __atomic_load_n(&rw->reader_count, __ATOMIC_RELAXED);
	while (count >= 0)
		if (try_add(rw, &count, READER))
			return true;
	return false;
}

// count: reader_count as our departure left it, with a writer or wrong.
static RT_NOINLINE void
runlock_slow(gort_rwmutex *rw, int32_t count)
{
	if ((count & READERS) == READERS)
		rt_fatal("sync: RUnlock of unlocked RWMutex");
	// acq_rel: the last reader passes on to the writer what the others did.
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
	if (rt_likely(off != 0)) {
		RT_RSEQ_STORE_IF(off, &rw->reader_count, READER, 0, atomically);
		return;
	}
atomically:
	if (rt_calm_down(&rw->reader_count, READER | WATCHED | CONTENDED))
		return;
	int32_t count = __atomic_sub_fetch(&rw->reader_count, READER, __ATOMIC_RELEASE);
	if (rt_unlikely(count < 0 || (count & READERS) == READERS))
		runlock_slow(rw, count);
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
	int32_t free = __atomic_load_n(&rw->reader_count, __ATOMIC_RELAXED) & ~READERS;
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
