// SPDX-License-Identifier: BSD-3-Clause
// Unlocking by a plain store. A locked instruction costs as much as all the rest of an uncontended lock
// and unlock, so an unlock that finds its word to be exactly `held` (locked by us, and nothing else)
// stores 0 by a restartable sequence (arch.h): no locked instruction, and nothing of the lock touched
// afterwards, when it may be gone. Its price: what another one writes into the word between the sequence's
// load and its store is lost. A lock by compare-and-swap from 0 cannot fall there. So only a word that is
// exactly `held` is in danger, and besides its owner rt_watch alone changes such a word:
//
//   under watchlock:  held -> held|watched;  fence;  if watched is still there: add contended
//
// A sequence that loaded the word before `watched` was set has, after the fence, done its store (then
// watched is gone, we see that, and the lock is free) or failed. One that loads it later finds another
// value than `held`. Under the lock nobody else sets watched, so the bit we find is the one we set.
// Hence: while contended is set, no sequence can store, and whatever else is in the word is not lost.
// Unlocks are atomic then. The two bits go together, now and then, by an unlock that finds nothing else:
// not at once, for the fence costs some microseconds, of all CPUs, and a lock that was contended mostly will
// be again. Words that share a watchlock get no more than one in a hundred times as long as it took.
//
// Whoever finds watched without contended calls rt_watch too, and so waits for the one that is in it.
#pragma once

#include "base/base.h"
#include "base/lock.h"
#include "sched/tls.h"

// One atomic unlock in so many tries to make the next ones plain again.
#define RT_CALM_DOWN 256

// Makes a word that is `held` contended; returns without that when it is free meanwhile, or something
// else. At depth > 0, where it may block the thread for some microseconds.
void rt_watch(int32_t *word, int32_t held, int32_t watched, int32_t contended);

// Restarts the sequences under way. The time until which there shall be no other one for the same thing: a
// hundred times as long as it took.
int64_t rt_fence_and_rest(void);
extern int64_t rt_rest; // that hundred; less where a test wants locks to change more often

// Good for anything that picks by the upper bits.
RT_INLINE uint64_t
rt_hash_of_word(const int32_t *word)
{
	return ((uintptr_t)word >> 3) * 0x9e3779b97f4a7c15u;
}

// Under which word changes its state. Chosen by the upper 6 bits of the hash.
struct rt_mutex *rt_watchlock(const int32_t *word);

// In an unlock, at depth 0, before its atomic instruction: true now and then.
RT_INLINE bool
rt_time_to_calm_down_soon(void)
{
	return rt_unlikely(RT_TLS_DEC32_NEGATIVE(offsetof(struct rt_tls, calm)));
}

// The same; the next one is far off again.
RT_INLINE bool
rt_time_to_calm_down(void)
{
	if (!rt_time_to_calm_down_soon())
		return false;
	RT_TLS_WRITE32(offsetof(struct rt_tls, calm), RT_CALM_DOWN - 1); // the thread's own counter
	return true;
}

// True if it has unlocked the word, which was `held` with both bits and is 0 now. Not soon after a fence.
bool rt_calm_down(int32_t *word, int32_t held);
