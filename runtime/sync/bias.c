// SPDX-License-Identifier: BSD-3-Clause
// How an RWMutex becomes biased towards readers, and how it ceases to be: bias.h.
// Lock: the word's watchlock, which all words of one set share; nothing else is taken under it. It guards
// the set, and who may write to its cells: sequences while the owner stands there and its word is biased, the
// holder otherwise.
#include "sync/bias.h"

#include "base/lock.h"
#include "debug/throw.h"

enum { NSETS = 256 };

struct rt_cells rt_cells;

static struct set {
	const int32_t *owner;
	int64_t rests; // until rt_nanotime has come so far
} sets[NSETS];

static struct set *
set_of(const int32_t *word)
{
	return &sets[rt_hash_of_word(word) >> 56];
}

static bool
have_cells(void)
{
	static struct rt_mutex lock;
	static bool tried;

	rt_lock(&lock);
	if (!tried && rt_rseq_offset != 0) {
		size_t ncpu = (size_t)rt_os_cpu_ids(), n = NSETS * ncpu * sizeof(struct rt_cell);
		rt_cells.cell = ncpu ? rt_os_reserve(n, n, sizeof(struct rt_cell), &n) : NULL;
		rt_cells.ncpu = (uint32_t)ncpu;
	}
	tried = true;
	rt_unlock(&lock);
	return rt_cells.cell != NULL;
}

static void
set_owner(struct rt_cell *c, const int32_t *owner)
{
	for (uint32_t i = 0; i < rt_cells.ncpu; i++)
		__atomic_store_n(&c[i].owner, owner, __ATOMIC_RELAXED);
}

// After a fence, when no sequence adds to them any more.
static int64_t
sum(const struct rt_cell *c)
{
	int64_t n = 0;
	for (uint32_t i = 0; i < rt_cells.ncpu; i++)
		n += c[i].n;
	return n;
}

static void
clear(struct rt_cell *c)
{
	for (uint32_t i = 0; i < rt_cells.ncpu; i++)
		c[i].n = 0;
}

// Makes the set word's, all cells 0. word is not biased, though it may be the owner: from before, or a lock
// which was here before.
static bool
claim(struct set *s, const int32_t *word)
{
	struct rt_cell *c = rt_cells_of(word);

	if (s->owner && s->owner != word) {
		set_owner(c, NULL);
		s->rests = rt_fence_and_rest();
		if (sum(c) != 0) {
			set_owner(c, s->owner);
			return false;
		}
	}
	clear(c);
	set_owner(c, word);
	s->owner = word;
	return true;
}

// Contended, and no writer.
static bool
readers_only(int32_t count)
{
	return count >= 0 && (count & RT_STATE) == RT_STATE;
}

RT_COLD bool
rt_bias(int32_t *word)
{
	struct rt_mutex *l = rt_watchlock(word);
	struct set *s = set_of(word);

	if (!have_cells())
		return false;
	rt_lock(l);
	int32_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
	// Now that we have the lock, nobody else makes it biased.
	if (readers_only(old) && ((old & RT_COUNT) > 1 || s->owner == word) && rt_nanotime() >= s->rests &&
	    claim(s, word))
		// Release: the cells are seen by whoever sees the state.
		while (readers_only(old) &&
		       !__atomic_compare_exchange_n(word, &old, (old & RT_COUNT) + RT_ZERO + RT_BIASED, false,
						    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			;
	bool ours = s->owner == word;
	rt_unlock(l);
	return ours;
}

// Under the watchlock: takes the readers out of the cells of a word that is biased no more.
static int64_t
take_readers(struct set *s, const int32_t *word)
{
	if (s->owner != word)
		return 0; // it has lost the set, when nobody was in
	struct rt_cell *c = rt_cells_of(word);
	s->rests = rt_fence_and_rest();
	int64_t n = sum(c);
	clear(c);
	return n;
}

RT_COLD void
rt_unbias(int32_t *word, bool for_writer)
{
	struct rt_mutex *l = rt_watchlock(word);
	struct set *s = set_of(word);
	int64_t n = 0;

	rt_lock(l);
	int32_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
	while (rt_is_biased(old) && !__atomic_compare_exchange_n(word, &old, old ^ RT_STATE, false,
								 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	if (rt_is_biased(old)) {
		// Acquire: a writer that comes after us sees what readers did who left by the cells.
		int32_t delta = (int32_t)take_readers(s, word) - RT_ZERO;
		old = __atomic_fetch_add(word, delta + RT_BIASED, __ATOMIC_ACQ_REL);
		n = (int64_t)(old & RT_COUNT) + delta;
		if (for_writer && s->owner == word)
			s->owner = NULL;
	}
	rt_unlock(l);
	if (rt_unlikely(n < 0))
		rt_fatal("sync: RUnlock of unlocked RWMutex");
}
