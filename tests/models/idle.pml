// SPDX-License-Identifier: BSD-3-Clause
// How Ms go to sleep and are woken: runtime/sched/proc.c (findrunnable, release_and_sleep, recheck,
// sleep_for_work, rt_wakep, rt_startm) and runtime/sched/timer.c (rt_poll_wake, rt_timers_run).
//
// NP Ps, of which AWAKE start with an M, and WORK of these with a goroutine. These (with NESTED: all) may make others runnable (ITEMS in all),
// go to sleep until some time (TIMERS in all), end, or compute for ever. `now` moves on only when nothing
// else can happen, and then no work may be left with a P idle and every M asleep:
//
// With PAUSE wakeups may be skipped, and so may thefts from a P that runs goroutines; sysmon offers what a P has
// that computes for ever, and a P that leaves for a system call offers what it has (rt_wakep_after_put). A
// runnext is like a queue of that kind.
//
// Left out: the global queue, looked at under sched.lock by all; the netpoller, whose wait is the timers'
// poller's.
//
//   at quiescence: a goroutine in a queue, or a timer that is due, implies that no P is idle
//
// A step here is one atomic instruction there, or a critical section of sched.lock or a timers lock in
// which only one word changes that others read without it. Sequentially consistent, as the words are that
// the two sides show each other. Whether an M may spin is left to chance: nothing may depend on it.
//
// Each of these defines breaks one step; the model must then fail:
//   NO_RECHECK      sleep without another look at the queues
//   LOOK_FIRST      rt_wakep's look at npidle comes before the work is visible
//   NO_RESET_WAKE   a spinning M that found work does not wake the next
//   UNDO_UNLOCKED   rt_startm without an idle P: nmspinning is put right after sched.lock was released
//   NO_SECOND_LOOK  the poller does not look at the timers again after publishing polluntil
//   LATE_SEQ        the poller reads pollseq only just before it sleeps
//   NO_POLL_WAKE    whoever adds a timer wakes nobody
//   NO_OFFER        sysmon offers nothing
//   NO_LEAVE_WAKE   a P that leaves for a system call offers nothing
//   SKIP_ALL        the other look at the queues, in a pause, skips those of Ps that run nothing as well

#ifndef NP
#define NP 2
#endif
#ifndef ITEMS
#define ITEMS 2
#endif
#ifndef TIMERS
#define TIMERS 0
#endif
#ifndef AWAKE
#define AWAKE NP
#endif
#ifndef WORK
#define WORK AWAKE
#endif
#define NM (NP + 4) // the model stops if it needs more Ms
#define LAST 3      // the last moment
#define NONE 255

byte runq[NP];   // how many
byte timers[NP]; // bit t: a timer at time t
bool idle[NP];   // on the idle list
bool prunning[NP], stuck[NP]; // Prunning; and computes for ever
byte npidle, nmspinning;
byte polluntil, pollseq;
byte now = 1;
byte items, ntimers, nm;

bool midle[NM];  // on the idle list
byte nextp[NM];  // handed over: P + 1, and wakes the sleeper (m->nextp, m->park), which spins

// For d_step. Which of the idle ones does not matter.
inline pidleget(res) {
	res = NONE;
	for (i : 0 .. NP - 1) {
		if
		:: idle[i] -> res = i
		:: else
		fi
	}
	i = 0;
	if
	:: res != NONE -> idle[res] = false; npidle--
	:: else
	fi
}

// An idle M, or a new one.
inline wake_m(pp) {
	other = NONE;
	for (i : 0 .. NM - 1) {
		if
		:: midle[i] -> other = i
		:: else
		fi
	}
	i = 0;
	if
	:: other != NONE -> midle[other] = false
	:: else ->
		assert(nm < NM);
		other = nm;
		nm++;
		run M(other, NONE)
	fi;
	nextp[other] = pp + 1;
	other = 0
}

// rt_startm(NULL, true): spinning is counted already.
inline startm() {
	atomic {
		pidleget(got);
		if
		:: got != NONE -> wake_m(got)
		:: else ->
#ifdef UNDO_UNLOCKED
			goto_undo = true
#else
			nmspinning--
#endif
		fi;
		got = 0
	}
#ifdef UNDO_UNLOCKED
	if
	:: atomic { goto_undo -> goto_undo = false; nmspinning-- }
	:: else
	fi
#endif
}

inline wakep_if_spare() {
	if
	:: nmspinning != 0
	:: atomic { nmspinning == 0 -> nmspinning = 1 }; startm()
	fi
}

inline wakep() {
	if
	:: npidle == 0
	:: npidle != 0 -> wakep_if_spare()
	fi
}

// rt_ready, gort_go.
inline publish() {
#ifdef LOOK_FIRST
	if
	:: npidle == 0 -> runq[p]++
	:: npidle != 0 -> runq[p]++; wakep_if_spare()
	fi
#else
	runq[p]++;
#ifdef PAUSE
	if
	:: wakep()
	:: true
	fi
#else
	wakep()
#endif
#endif
}

#define FIRST(t) ((t) & 2 -> 1 : ((t) & 4 -> 2 : ((t) & 8 -> 3 : 0)))

// One look at every P's timer0when, one after the other.
inline timers_next(res) {
	res = 0;
	do
	:: atomic { i < NP ->
		if
		:: timers[i] != 0 && (res == 0 || FIRST(timers[i]) < res) -> res = FIRST(timers[i])
		:: else
		fi;
		i++ }
	:: atomic { i == NP -> i = 0; break }
	od
}

inline poll_wake(when) {
#ifdef NO_POLL_WAKE
	skip
#else
	if
	:: polluntil == 0 -> wakep()
	:: atomic { polluntil != 0 -> seen = (when < polluntil) };
		if
		:: atomic { seen -> seen = 0; pollseq++ }
		:: !seen
		fi
	fi
#endif
}

// Those of P pp that are due become runnable here.
inline timers_run(pp) {
#if TIMERS == 0
	skip
#else
	do
	:: atomic { timers[pp] != 0 && FIRST(timers[pp]) <= now ->
		timers[pp] = timers[pp] & ~(1 << FIRST(timers[pp])) };
		publish()
	:: timers[pp] == 0 || FIRST(timers[pp]) > now -> break
	od
#endif
}

proctype M(byte m; byte p) {
	byte i, got, other, seen, until, seq;
	bool spinning;
#ifdef UNDO_UNLOCKED
	bool goto_undo;
#endif

	if
	:: p != NONE && p < WORK -> goto running
	:: p != NONE && p >= WORK -> goto findrunnable
	:: p == NONE -> goto asleep
	fi;

findrunnable:
	timers_run(p);
	if
	:: atomic { runq[p] > 0 -> runq[p]--; goto found }
	:: runq[p] == 0
	fi;
	if // spin_allowed
	:: spinning
	:: atomic { !spinning -> spinning = true; nmspinning++ }
	:: !spinning -> goto release
	fi;
	do // stealwork
	:: other < NP && other != p ->
		timers_run(other);
		if
		:: atomic { runq[p] > 0 -> runq[p]--; other = 0; goto found }
		:: atomic { !idle[other] && runq[other] > 0 -> runq[other]--; other = 0; goto found }
		:: atomic { runq[p] == 0 && (idle[other] || runq[other] == 0) -> other++ }
#ifdef PAUSE
		:: atomic { runq[p] == 0 && prunning[other] && !stuck[other] -> other++ }
#endif
		fi
	:: other < NP && other == p -> other++
	:: atomic { other == NP -> other = 0; break }
	od;

release:
	atomic { prunning[p] = false; idle[p] = true; npidle++; p = NONE };
	if
	:: atomic { spinning -> spinning = false; assert(nmspinning > 0); nmspinning-- }
	:: !spinning
	fi;
#ifndef NO_RECHECK
	do
	:: atomic { i < NP && runq[i] > 0 -> i = 0; break }
	:: atomic { i < NP && runq[i] == 0 -> i++ }
#ifdef SKIP_ALL
	:: atomic { i < NP -> i++ }
#elif defined(PAUSE)
	:: atomic { i < NP && prunning[i] -> i++ }
#endif
	:: atomic { i == NP -> i = 0; goto sleep_for_work }
	od;
	atomic {
		pidleget(p);
		if
		:: p == NONE -> goto sleep_for_work
		:: else -> prunning[p] = true
		fi
	};
	atomic { spinning = true; nmspinning++; goto findrunnable }
#endif

sleep_for_work:
#if TIMERS > 0
#ifndef LATE_SEQ
	seq = pollseq;
#endif
	timers_next(until);
	if
	:: atomic { until != 0 && polluntil == 0 -> polluntil = until }
	:: atomic { until == 0 || polluntil != 0 -> until = 0; seq = 0; goto stopm }
	fi;
#ifndef NO_SECOND_LOOK
	timers_next(seen);
	if
	:: atomic { seen != 0 && seen < until -> until = seen; polluntil = until; seen = 0 }
	:: atomic { seen == 0 || seen >= until -> seen = 0 }
	fi;
#endif
#ifdef LATE_SEQ
	seq = pollseq;
#endif
	// futex_wait: compares the word, then sleeps
	atomic { now >= until || pollseq != seq -> until = 0; seq = 0 };
	polluntil = 0;
	atomic {
		pidleget(p);
		if
		:: p != NONE -> prunning[p] = true; goto findrunnable
		:: else
		fi
	};
#endif

stopm:
	midle[m] = true;
asleep:
	atomic { nextp[m] != 0 -> p = nextp[m] - 1; nextp[m] = 0; prunning[p] = true; spinning = true; goto findrunnable };

found:
	if
	:: atomic { spinning -> spinning = false; assert(nmspinning > 0); nmspinning-- };
#if defined(PAUSE)
		if
		:: wakep()
		:: true
		fi
#elif !defined(NO_RESET_WAKE)
		wakep()
#endif
	:: !spinning
	fi;

#ifdef SIMPLE
	goto findrunnable;
#elif !defined(NESTED)
	if
	:: goto findrunnable
	:: goto for_ever
	fi;
#endif

running:
#ifdef SIMPLE
	publish();
	goto for_ever;
#endif
	if
	:: atomic { items < ITEMS -> items++ };
		publish();
		goto running
#if TIMERS > 0
	:: atomic { ntimers < TIMERS && now < LAST -> ntimers++; until = now + 1 };
		if
		:: atomic { until < LAST -> until++ }
		:: true
		fi;
		if // the mask holds one timer a time
		:: atomic { (timers[p] & (1 << until)) == 0 -> timers[p] = timers[p] | (1 << until) };
			poll_wake(until)
		:: (timers[p] & (1 << until)) != 0
		fi;
		until = 0;
		goto findrunnable
#endif
	:: goto findrunnable
#ifdef PAUSE
	:: // a system call that does not come back
		prunning[p] = false;
#ifndef NO_LEAVE_WAKE
		if
		:: runq[p] > 0 -> wakep()
		:: runq[p] == 0
		fi;
#endif
		false
#endif
	:: true
	fi;
for_ever: // computes
	stuck[p] = true;
	false
}

// sysmon, some time after nothing else happened any more. It wakes an M for one P's work at a time.
inline offer() {
	skip;
#if defined(PAUSE) && !defined(NO_OFFER)
	for (i : 0 .. NP - 1) {
		if
		:: stuck[i] && runq[i] > 0 && npidle > 0 && offers < ITEMS + NP -> offered = true
		:: else
		fi
	}
	i = 0;
#endif
}

active proctype clock() {
	byte i, got, other, offers;
	bool offered;
#ifdef UNDO_UNLOCKED
	bool goto_undo;
#endif
	atomic {
		for (i : 0 .. NP - 1) {
			if
			:: i < AWAKE -> prunning[i] = true; run M(nm, i); nm++
			:: else -> idle[i] = true; npidle++
			fi
		}
		i = 0
	}
	do
	:: timeout ->
		d_step { offer() };
		if
		:: offered -> offered = false; offers++; wakep(); goto again
		:: else
		fi;
		d_step {
			assert(nmspinning == 0);
			for (i : 0 .. NP - 1) {
				assert(npidle == 0 || runq[i] == 0);
				assert(npidle == 0 || timers[i] == 0 || FIRST(timers[i]) > now)
			}
			i = 0
		}
		if
		:: now < LAST && TIMERS > 0 -> now++
		:: else -> break
		fi;
again:
		skip
	od
}
