// SPDX-License-Identifier: BSD-3-Clause
// Readers of one RWMutex on several CPUs. Each of them would write to the word that counts them, and the line
// would go from CPU to CPU: slower than the rest of a short read lock. So a lock at which readers have met
// becomes *biased* towards them: they are counted in cells, one for each CPU, by plain instructions in a
// restartable sequence (arch.h). Bits 28 and 29 of the word, the *state*:
//
//   0            plain      as watch.h says; 1 is a reader whose unlock is a plain store
//   WATCHED      changing   under the watchlock; whoever must know more waits for that
//   both         contended  the word counts the readers; all of them change it atomically
//   CONTENDED    biased     readers inside = the word's count - RT_ZERO + the cells' sum
//
//   contended -> biased:              the set of cells is the lock's own, and 0; count += RT_ZERO
//   biased -> changing -> contended:  state = changing;  fence;  count += sum of the cells - RT_ZERO
//
// Nobody is missed or counted twice. A sequence adds to a cell only if it finds the state to be biased and
// the cell the lock's, and the fence comes after the change of state: by then each has added, and is in the
// sum, or will fail, and goes by the word. The fence is also what a reader spares: what a reader who is
// counted reads after it comes after its counting; and what those who have left read came before.
//
// A reader leaves by this CPU's cell if that counts somebody, whoever it was, else by the word. RT_ZERO is so
// large that the word's part may go below it, by those who leave atomically without having seen the bias.
// Cells are never negative. So who would leave by neither, as the cell is 0 and the word's part too, has
// entered elsewhere or not at all, and makes the lock contended first: then the whole sum is looked at.
//
// All locks share 256 sets of cells. A set's owner is the address of a word; a lock that dies biased leaves
// it there. Whoever wants a set that another owns takes the owner out of its cells, and it is his if the
// sum after the fence is 0. A word that is biased without owning its set has nobody in the cells: its own count
// is all, less RT_ZERO.
//
// A fence interrupts all CPUs that run this process, so it must be rare: after one, a set rests for a hundred
// times as long as it took (a fifth of a millisecond or so). (Dave Dice and Alex Kogan, BRAVO - Biased
// Locking for Reader-Writer Locks, 2019, have the bias and the rest; there readers write their lock's
// address into a table, by an atomic instruction.) The protocol is searched in tests/models/bias.pml.
#pragma once

#include "os/os.h"
#include "sync/watch.h"

enum {
	RT_COUNT = (1 << 28) - 1,
	RT_ZERO = 1 << 27,
	RT_STATE = 3 << 28,
	RT_BIASED = 2 << 28, // CONTENDED without WATCHED
};

struct rt_cell {
	const int32_t *owner;
	int64_t n;
} RT_HOT_LINE;

// Set once, before any word is biased.
extern struct rt_cells {
	struct rt_cell *cell; // [set][cpu]
	uint32_t ncpu;
} rt_cells;

// A word that is not negative: no writer.
RT_INLINE bool
rt_is_biased(int32_t count)
{
	return (count & RT_STATE) == RT_BIASED;
}

RT_INLINE struct rt_cell *
rt_cells_of(const int32_t *word)
{
	return rt_cells.cell + (rt_hash_of_word(word) >> 56) * rt_cells.ncpu;
}

// word was seen to be biased. False: it is not any more, or its set is another's, or this thread was
// interrupted.
RT_INLINE bool
rt_biased_enter(int32_t *word)
{
	RT_RSEQ_ADD_IF(rt_rseq_offset, word, RT_STATE, RT_BIASED, rt_cells_of(word), rt_cells.ncpu, 0, 1,
		       failed);
	return true;
failed:
	return false;
}

// ... or nobody has entered on this CPU.
RT_INLINE bool
rt_biased_leave(int32_t *word)
{
	RT_RSEQ_ADD_IF(rt_rseq_offset, word, RT_STATE, RT_BIASED, rt_cells_of(word), rt_cells.ncpu, 1, -1,
		       failed);
	return true;
failed:
	return false;
}

// Both at depth > 0, where they may block the thread for some microseconds.
// Makes a contended word biased, if its set is to be had and either more than one reader is inside or it has
// been biased since the last writer. Tells whether that is true of it now: it shall not become plain then,
// which the next two readers to meet would pay for with a fence.
bool rt_bias(int32_t *word);
// Makes a biased word contended; fatal when it counts less than no reader.
void rt_unbias(int32_t *word, bool for_writer);
