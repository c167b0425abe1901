// SPDX-License-Identifier: BSD-3-Clause
// Parking and readying: runtime/sched/proc.c (rt_park, rt_switch_away, rt_switch_finish, rt_ready) under
// runtime/chan (a plain wait; a select's wait on two objects, rt_chan_settle, dequeue_losers).
//
// Objects hold tokens and a queue of waiters, under a lock. A goroutine that finds no token queues itself,
// becomes Gwaiting while it still stands on its stack, and leaves it for the next goroutine (straight) or
// the M's scheduler; only whoever runs there next lets go of the object's lock. A waker takes the waiter
// out under the lock, and readies it after letting go.
//
//   a goroutine is entered only when nobody stands on its stack, and its status is what the machine says
//   nobody waits for ever for a token that is there
//
// Each of these defines breaks one step; the model must then fail:
//   EARLY_UNLOCK    the parker lets go of the lock before it is off its stack
//   LATE_QUEUE      it lets go after the look and takes the lock again to queue itself
//   NO_SETTLE       a waker that found a select does not wait for the lock which that one parks under
//   KEEP_LOSERS     a select that was woken leaves its other sudog queued
//   NO_SELECTDONE   a waker does not claim the select: two may have it

#define NM 3
#define NG 4
#define FREE 255

mtype = { Grunnable, Grunning, Gwaiting, Gdead };
mtype status[NG] = Grunnable;
byte on[NG] = FREE;     // the M that stands on its stack
bool woken[NG];         // resumed from a park, not started
byte steps[NG];         // how far its program is
byte won[NG];           // select: the object whose waker won
bool selectdone[NG], isselect[NG];

byte tokens[2];
bit lock[2];
chan queue[2] = [NG] of { byte };
chan runq = [NG] of { byte };
byte done;

#define LOCK(o) atomic { lock[o] == 0 -> lock[o] = 1 }
#define UNLOCK(o) lock[o] = 0

inline casgstatus(x, from, to) {
	atomic { assert(status[x] == from); status[x] = to }
}

// The goroutines: 0 waits on object 0; 1 selects on both, then waits on object 0; 2 makes two tokens for
// object 0; 3 makes one for each. So there are always enough.

proctype M(byte m) {
	byte g, next, w, fin = FREE, o, i;

schedule:
	// On g0.
	if
	:: atomic { fin != FREE -> UNLOCK(fin); fin = FREE }
	:: fin == FREE
	fi;
	if
	:: runq ? g
	:: done == NG -> goto out
	fi;
enter:
	casgstatus(g, Grunnable, Grunning);
	atomic { assert(on[g] == FREE); on[g] = m };
	if // rt_switch_finish on the way in
	:: atomic { fin != FREE -> UNLOCK(fin); fin = FREE }
	:: fin == FREE
	fi;
	if
	:: woken[g] -> woken[g] = false; goto resumed
	:: else
	fi;

program:
	if
	:: steps[g] == (g == 0 -> 1 : 2) -> goto ends
	:: else
	fi;
	if
	:: g == 0 -> goto wait
	:: g == 1 && steps[g] == 0 -> goto selects
	:: g == 1 && steps[g] == 1 -> goto wait
	:: g == 2 -> o = 0; goto wake
	:: g == 3 -> o = steps[g]; goto wake
	fi;

wait:
	LOCK(0);
	if
	:: tokens[0] > 0 -> tokens[0]--; UNLOCK(0); steps[g]++; goto program
	:: else
	fi;
#ifdef LATE_QUEUE
	UNLOCK(0);
	LOCK(0);
#endif
	isselect[g] = false;
	queue[0] ! g;
	goto park;

selects:
	LOCK(0);
	LOCK(1);
	if
	:: tokens[0] > 0 -> tokens[0]--; UNLOCK(1); UNLOCK(0); steps[g]++; goto program
	:: tokens[1] > 0 -> tokens[1]--; UNLOCK(1); UNLOCK(0); steps[g]++; goto program
	:: else
	fi;
	d_step { isselect[g] = true; selectdone[g] = false };
	queue[0] ! g;
	queue[1] ! g;
	UNLOCK(1);

park: // holding lock 0
	casgstatus(g, Grunning, Gwaiting);
#ifdef EARLY_UNLOCK
	UNLOCK(0);
#else
	fin = 0;
#endif
	woken[g] = true;
leave: // rt_switch_away
	if
	:: runq ? next -> // straight
		on[g] = FREE;
		g = next;
		next = 0;
		goto enter
	:: true -> // through g0
		on[g] = FREE;
		g = 0;
		goto schedule
	fi;

resumed:
#ifndef KEEP_LOSERS
	if
	:: isselect[g] ->
		o = 1 - won[g];
		LOCK(o);
		if
		:: queue[o] ?? eval(g)
		:: !(queue[o] ?? [eval(g)])
		fi;
		UNLOCK(o)
	:: else
	fi;
#endif
	steps[g]++;
	goto program;

wake: // a token for object o
	LOCK(o);
	do
	:: queue[o] ? w ->
		if
		:: atomic { !isselect[w] || !selectdone[w] ->
#ifndef NO_SELECTDONE
			selectdone[w] = true;
#endif
			won[w] = o };
			break
		:: isselect[w] && selectdone[w]
		fi
	:: empty(queue[o]) -> tokens[o]++; UNLOCK(o); o = 0; w = 0; steps[g]++; goto program
	od;
	UNLOCK(o);
#ifndef NO_SETTLE
	if
	:: isselect[w] && lock[0] != 0 -> LOCK(0); UNLOCK(0)
	:: !isselect[w] || lock[0] == 0
	fi;
#endif
	casgstatus(w, Gwaiting, Grunnable);
	runq ! w;
	w = 0;
	o = 0;
	steps[g]++;
	goto program;

ends:
	casgstatus(g, Grunning, Gdead);
	done++;
	goto leave;

out:
	skip
}

init {
	byte i;
	atomic {
		for (i : 0 .. NG - 1) {
			runq ! i
		}
		for (i : 0 .. NM - 1) {
			run M(i)
		}
		i = 0
	}
}
