// SPDX-License-Identifier: BSD-3-Clause
// The bias of RWMutexes towards readers: runtime/sync/bias.c, and what rwmutex.c does with words that are, or
// are about to be, biased. Two locks share one set of cells, one cell a CPU; threads move between CPUs.
//
// A sequence looks at the word, at its cell's owner, and stores the cell's new number, unless it failed: a
// fence came, or another thread began on its CPU. What it stores lies in the CPU's store buffer until a fence,
// an atomic operation or a change of threads there, or by chance. The fence reaches one CPU after the other.
//
//   no reader is inside with the writer; a lock that is not biased counts its readers exactly
//   no word loses its bias, or a set its owner, over readers that nobody counts
//
// Each of these defines breaks one step; the model must then fail:
//   NO_FENCE        the bias is taken away without a fence
//   NO_DRAIN        the fence fails sequences but leaves store buffers as they are
//   NO_FAIL         the fence is a memory barrier only
//   STEAL_UNFENCED  a set is taken from its owner without a fence
//   STEAL_BLINDLY   ... without a look at its cells
//   CLAIM_BIASED    who waited for the lock to make a word biased does not look whether it is
//   ANY_OWNER       sequences do not look whose the cell is
//   NO_MARGIN       RT_ZERO is 0: a word that is biased cannot count below

#define NCPU 2
#define NT 3     // threads: two readers and a writer of lock 0; STEAL: the second reader is lock 1's
#define NONE 2
#ifdef NO_MARGIN
#define ZERO 0
#else
#define ZERO 4
#endif

mtype = { CONTENDED, CHANGING, BIASED };
mtype state[2] = CONTENDED;
short n[2];
bool writer[2];
bit watchlock;

byte setowner = NONE, owner[NCPU] = NONE;
short cell[NCPU];
bool pending[NCPU];
short stored[NCPU];   // in the store buffer

byte cpu[NT];
bool insequence[NT], failed[NT];
byte inside[2];       // what is true

inline drain(c) {
	d_step {
		if
		:: pending[c] -> cell[c] = stored[c]; pending[c] = false; stored[c] = 0
		:: else
		fi
	}
}

inline fail_on(c) {
	d_step {
		for (t : 0 .. NT - 1) {
			failed[t] = failed[t] || (insequence[t] && cpu[t] == c)
		}
		t = 0
	}
}

// The thread goes on on some CPU: it has left another one by a switch, and whoever ran here too.
inline move() {
	if
	:: atomic { c = 1 - cpu[me]; drain(cpu[me]); drain(c); fail_on(c); cpu[me] = c }
	:: c = cpu[me]
	fi
}

inline fence() {
	c = 0;
	do
	:: c < NCPU ->
		atomic {
#ifndef NO_DRAIN
			drain(c);
#endif
#ifndef NO_FAIL
			fail_on(c);
#endif
			c++
		}
	:: else -> break
	od;
	c = cpu[me]
}

inline lock() { atomic { watchlock == 0 -> watchlock = 1; drain(cpu[me]) } }
inline unlock() { watchlock = 0 }

inline unbias() {
	lock();
	if
	:: atomic { state[l] == BIASED -> state[l] = CHANGING; drain(cpu[me]) }
		v = 0;
		if
		:: setowner == l ->
#ifndef NO_FENCE
			fence();
#endif
			v = cell[0];
			v = v + cell[1];
			cell[0] = 0;
			cell[1] = 0;
			if
			:: setowner = NONE // for a writer
			:: true
			fi
		:: else
		fi;
		atomic {
			n[l] = n[l] + v - ZERO;
			state[l] = CONTENDED;
			assert(n[l] >= 0);
			v = 0;
			drain(cpu[me])
		}
	:: else
	fi;
	unlock()
}

#ifdef CLAIM_BIASED
#define MAY_CLAIM true
#else
#define MAY_CLAIM (state[l] == CONTENDED && !writer[l] && n[l] > 0)
#endif

inline bias() {
	lock();
	if
	:: MAY_CLAIM ->
		v = 0;
		if
		:: setowner != NONE && setowner != l ->
			owner[0] = NONE;
			owner[1] = NONE;
#ifndef STEAL_UNFENCED
			fence();
#endif
#ifndef STEAL_BLINDLY
			v = cell[0];
			v = v + cell[1]
#endif
		:: else
		fi;
		if
		:: v != 0 -> owner[0] = setowner; owner[1] = setowner
		:: else ->
			cell[0] = 0;
			cell[1] = 0;
			owner[0] = l;
			owner[1] = l;
			setowner = l;
			atomic {
				drain(cpu[me]);
				if
				:: state[l] == CONTENDED && !writer[l] && n[l] > 0 ->
					state[l] = BIASED; n[l] = n[l] + ZERO
				:: else
				fi
			}
		fi;
		v = 0
	:: else
	fi;
	unlock()
}

#ifdef ANY_OWNER
#define MINE true
#else
#define MINE (owner[cpu[me]] == l)
#endif

// done: whether it has stored. delta is 1 or -1.
inline sequence(delta, least) {
	atomic { fail_on(cpu[me]); insequence[me] = true; failed[me] = false };
	done = false;
	if
	:: state[l] == BIASED ->
		if
		:: MINE ->
			v = (pending[cpu[me]] -> stored[cpu[me]] : cell[cpu[me]]);
			atomic {
				if
				:: !failed[me] && v >= least ->
					pending[cpu[me]] = true; stored[cpu[me]] = v + delta; done = true;
					insequence[me] = false;
					inside[l] = inside[l] + (delta > 0 -> 1 : 0)
				:: else
				fi
			}
		:: else
		fi
	:: else
	fi;
	atomic { insequence[me] = false; failed[me] = false; v = 0 }
}

proctype reader(byte me; byte l) {
	byte c, t;
	short v;
	bool done;
	cpu[me] = me % NCPU;

outside:
	move();
	done = false;
	if
	:: state[l] == BIASED -> sequence(1, 0)
	:: else
	fi;
	do
	:: done -> break
	:: atomic { !done && state[l] == CONTENDED && !writer[l] -> n[l]++; inside[l]++; drain(cpu[me]) }
		done = true
	:: !done && state[l] == BIASED -> unbias()
	od;

	assert(!writer[l] || n[l] > 0);
	move();

	inside[l]--;
	done = false;
	if
	:: state[l] == BIASED -> sequence(-1, 1)
	:: else
	fi;
	if
	:: done -> goto outside
	:: else
	fi;
	if
	:: atomic { state[l] == BIASED && n[l] > ZERO -> n[l]--; drain(cpu[me]) } goto outside
	:: state[l] == BIASED && n[l] <= ZERO -> unbias()
	:: state[l] != BIASED -> skip
	:: state[l] == CONTENDED -> bias()
	fi;
	// Whatever the state has become.
	atomic { n[l]--; drain(cpu[me]); assert(n[l] >= 0) }
	goto outside
}

proctype locker(byte me; byte l) {
	byte c, t;
	short v;
	cpu[me] = me % NCPU;

outside:
	do
	:: state[l] == BIASED -> unbias()
	:: atomic { state[l] == CONTENDED -> writer[l] = true; drain(cpu[me]); break }
	od;
	n[l] == 0;
	assert(inside[l] == 0);
	assert(inside[l] == 0 && n[l] == 0);
	atomic { writer[l] = false; drain(cpu[me]) }
	goto outside
}

active proctype chance() {
	do
	:: atomic { pending[0] -> drain(0) }
	:: atomic { pending[1] -> drain(1) }
	od
}

init {
#ifdef STEAL
	atomic { run reader(0, 0); run reader(1, 1); run locker(2, 0) }
#else
	atomic { run reader(0, 0); run reader(1, 0); run locker(2, 0) }
#endif
}
