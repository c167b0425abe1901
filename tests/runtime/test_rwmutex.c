// SPDX-License-Identifier: BSD-3-Clause
#include <gort/sync.h>
#include <gort/time.h>

#include "on_gort.h"
#include "sync/bias.h"

TestSuite(rwmutex, .timeout = 30);

static gort_rwmutex rw;
static int state, steps; // state: readers, or -1 for a writer

static void
reader(gort_waitgroup *wg, int n)
{
	for (int i = 0; i < n; i++) {
		gort_rwmutex_rlock(&rw);
		int s = __atomic_add_fetch(&state, 1, __ATOMIC_RELAXED);
		CHECK(s >= 1);
		if (i % 100 == 0)
			gort_gosched();
		__atomic_sub_fetch(&state, 1, __ATOMIC_RELAXED);
		gort_rwmutex_runlock(&rw);
	}
	gort_waitgroup_done(wg);
}

static void
writer(gort_waitgroup *wg, int n)
{
	for (int i = 0; i < n; i++) {
		gort_rwmutex_lock(&rw);
		CHECK_EQ(__atomic_exchange_n(&state, -1000000, __ATOMIC_RELAXED), 0);
		steps++;
		if (i % 10 == 0)
			gort_gosched();
		CHECK_EQ(__atomic_exchange_n(&state, 0, __ATOMIC_RELAXED), -1000000);
		gort_rwmutex_unlock(&rw);
	}
	gort_waitgroup_done(wg);
}

// Go: sync/rwmutex_test.go HammerRWMutex.
GORT_TEST(rwmutex, writers_exclude_everybody_and_readers_only_writers)
{
	static const int procs[] = {1, 4, 10};
	static const int readers[] = {1, 3, 10};
	for (int k = 0; k < 9; k++) {
		gort_waitgroup wg = {0};
		gort_maxprocs(procs[k / 3]);
		int n = readers[k % 3];
		gort_waitgroup_add(&wg, n + 2);
		gort_go(writer, &wg, 200);
		for (int i = 0; i < n / 2; i++)
			gort_go(reader, &wg, 2000);
		gort_go(writer, &wg, 200);
		for (int i = n / 2; i < n; i++)
			gort_go(reader, &wg, 2000);
		gort_waitgroup_wait(&wg);
	}
	CHECK_EQ(steps, 9 * 400);
	gort_rwmutex_lock(&rw); // counts the readers that are counted elsewhere
	gort_rwmutex_unlock(&rw);
	CHECK_EQ(rw.reader_count & ~(3 << 28), 0); // all but the bits of contention
	CHECK_EQ(rw.reader_wait, 0);
}

static gort_waitgroup inside;

static void
read_together(gort_waitgroup *wg)
{
	gort_rwmutex_rlock(&rw);
	gort_waitgroup_done(&inside);
	gort_waitgroup_wait(&inside); // returns only if all readers are in at once
	gort_rwmutex_runlock(&rw);
	gort_waitgroup_done(wg);
}

GORT_TEST(rwmutex, readers_are_inside_at_the_same_time)
{
	gort_waitgroup wg = {0};
	gort_waitgroup_add(&inside, 10);
	gort_waitgroup_add(&wg, 10);
	for (int i = 0; i < 10; i++)
		gort_go(read_together, &wg);
	gort_waitgroup_wait(&wg);
}

static char order[8];
static int norder;

static void
write_once(void)
{
	gort_rwmutex_lock(&rw);
	order[norder++] = 'w';
	gort_rwmutex_unlock(&rw);
}

static void
read_once(void)
{
	gort_rwmutex_rlock(&rw);
	order[norder++] = 'r';
	gort_rwmutex_runlock(&rw);
}

GORT_TEST(rwmutex, a_waiting_writer_comes_before_new_readers)
{
	gort_maxprocs(1);
	gort_rwmutex_rlock(&rw);
	gort_go(write_once);
	while (__atomic_load_n(&rw.reader_count, __ATOMIC_RELAXED) >= 0)
		gort_gosched();
	CHECK(!gort_rwmutex_try_rlock(&rw));
	gort_go(read_once);
	yield_to_others();
	CHECK_EQ(norder, 0);
	gort_rwmutex_runlock(&rw);
	while (norder < 2)
		gort_gosched();
	CHECK(memcmp(order, "wr", 2) == 0);
}

GORT_TEST(rwmutex, readers_that_wait_come_before_the_next_writer)
{
	gort_maxprocs(1);
	gort_rwmutex_lock(&rw);
	gort_go(write_once);
	gort_go(read_once);
	gort_go(read_once);
	while (rw.w.state >> 5 != 1 || (rw.reader_count & ((1 << 28) - 1)) != 2)
		gort_gosched();
	CHECK_EQ(norder, 0);
	gort_rwmutex_unlock(&rw);
	while (norder < 3)
		gort_gosched();
	CHECK(memcmp(order, "rrw", 3) == 0);
}

GORT_TEST(rwmutex, try_locks)
{
	CHECK(gort_rwmutex_try_lock(&rw));
	CHECK(!gort_rwmutex_try_lock(&rw));
	CHECK(!gort_rwmutex_try_rlock(&rw));
	gort_rwmutex_unlock(&rw);
	CHECK(gort_rwmutex_try_rlock(&rw));
	CHECK(gort_rwmutex_try_rlock(&rw));
	CHECK(!gort_rwmutex_try_lock(&rw));
	gort_rwmutex_runlock(&rw);
	CHECK(!gort_rwmutex_try_lock(&rw));
	gort_rwmutex_runlock(&rw);
	CHECK(gort_rwmutex_try_lock(&rw));
	gort_rwmutex_unlock(&rw);
}

GORT_TEST(rwmutex, may_be_unlocked_by_another_goroutine)
{
	gort_waitgroup wg = {0};
	gort_rwmutex_lock(&rw);
	gort_waitgroup_go(&wg, gort_rwmutex_unlock, &rw);
	gort_rwmutex_rlock(&rw);
	gort_waitgroup_wait(&wg);
	gort_rwmutex_runlock(&rw);
}

GORT_DEATH_TEST(rwmutex, unlock_of_unlocked, "fatal error: sync: Unlock of unlocked RWMutex")
{
	gort_rwmutex_unlock(&rw);
}

GORT_DEATH_TEST(rwmutex, unlock_of_read_locked, "fatal error: sync: Unlock of unlocked RWMutex")
{
	gort_rwmutex_rlock(&rw);
	gort_rwmutex_unlock(&rw);
}

GORT_DEATH_TEST(rwmutex, runlock_of_unlocked, "fatal error: sync: RUnlock of unlocked RWMutex")
{
	gort_rwmutex_runlock(&rw);
}

GORT_DEATH_TEST(rwmutex, runlock_of_write_locked, "fatal error: sync: RUnlock of unlocked RWMutex")
{
	gort_rwmutex_lock(&rw);
	gort_rwmutex_runlock(&rw);
}

// ---- a lock that is biased towards readers ----

// Two readers are inside afterwards. They meet, and some hundred more reads make the lock biased.
static bool
make_biased(gort_rwmutex *lock)
{
	gort_rwmutex_rlock(lock);
	gort_rwmutex_rlock(lock);
	for (int i = 0; i < 2 * RT_CALM_DOWN; i++) {
		gort_rwmutex_rlock(lock);
		gort_rwmutex_runlock(lock);
	}
	bool biased = rt_is_biased(lock->reader_count);
	CHECK_EQ(biased, rt_rseq_offset != 0);
	return biased;
}

GORT_TEST(rwmutex, a_biased_lock_counts_its_readers)
{
	make_biased(&rw);
	CHECK(gort_rwmutex_try_rlock(&rw));
	CHECK(!gort_rwmutex_try_lock(&rw));
	gort_rwmutex_runlock(&rw);
	gort_rwmutex_runlock(&rw);
	CHECK(!gort_rwmutex_try_lock(&rw));
	gort_rwmutex_runlock(&rw);
	CHECK(gort_rwmutex_try_lock(&rw));
	CHECK(!gort_rwmutex_try_rlock(&rw));
	gort_rwmutex_unlock(&rw);
}

GORT_TEST(rwmutex, a_writer_waits_for_the_readers_of_a_biased_lock)
{
	gort_maxprocs(1);
	make_biased(&rw);
	gort_go(write_once);
	while (__atomic_load_n(&rw.reader_count, __ATOMIC_RELAXED) >= 0)
		gort_gosched();
	CHECK(!gort_rwmutex_try_rlock(&rw));
	gort_rwmutex_runlock(&rw);
	yield_to_others();
	CHECK_EQ(norder, 0);
	gort_rwmutex_runlock(&rw);
	while (norder < 1)
		gort_gosched();
}

GORT_DEATH_TEST(rwmutex, runlock_of_unlocked_biased, "fatal error: sync: RUnlock of unlocked RWMutex")
{
	make_biased(&rw);
	for (int i = 0; i < 3; i++)
		gort_rwmutex_runlock(&rw);
}

GORT_DEATH_TEST(rwmutex, unlock_of_unlocked_biased, "fatal error: sync: Unlock of unlocked RWMutex")
{
	make_biased(&rw);
	gort_rwmutex_unlock(&rw);
}

// A lock that died biased keeps the set of cells until another one wants it; one that is alive then goes on
// without.
GORT_TEST(rwmutex, a_set_of_cells_goes_from_lock_to_lock)
{
	enum { N = 4096 };
	static gort_rwmutex locks[N];
	gort_rwmutex *a = &locks[0], *b = a;
	do
		b++;
	while (b < locks + N &&
	       rt_hash_of_word(&b->reader_count) >> 56 != rt_hash_of_word(&a->reader_count) >> 56);
	CHECK(b < locks + N);
	if (!make_biased(a))
		return;
	gort_sleep(5 * GORT_MILLISECOND);
	for (int i = 0; i < 2 * RT_CALM_DOWN; i++) {
		gort_rwmutex_rlock(b);
		gort_rwmutex_rlock(b);
		gort_rwmutex_runlock(b);
		gort_rwmutex_runlock(b);
	}
	gort_rwmutex_runlock(a);
	gort_rwmutex_runlock(a);
	gort_sleep(5 * GORT_MILLISECOND);
	make_biased(b); // nobody is in a
	CHECK(rt_is_biased(a->reader_count));
	gort_rwmutex_rlock(a);
	CHECK(!gort_rwmutex_try_lock(a));
	gort_rwmutex_runlock(a);
	CHECK(gort_rwmutex_try_lock(a));
	CHECK(!gort_rwmutex_try_lock(b));
	gort_rwmutex_runlock(b);
	gort_rwmutex_runlock(b);
	CHECK(gort_rwmutex_try_lock(b));
}
