// SPDX-License-Identifier: BSD-3-Clause
// Wakeups that are skipped in a pause, and who makes up for them: runtime/sched/proc.c (struct rt_pause,
// findrunnable and what it calls), thread.c (rt_startm, rt_handoffp), syscall.c, stw.c, sysmon.c, timer.c.
// idle.pml has the protocol between who makes work and who goes to sleep; this one has, coarser, all the
// others that let a P go idle or look after one: locked threads, system calls, stops, sysmon.
//
// A pause may be in force or not at each look. NP Ps, of which AWAKE start with an M and WORK of these with
// a goroutine. Together these make ITEMS others runnable, arm TIMERS timers, enter SYSCALLS system calls (and
// come back, or not), are SAFES times in rt_safely for ever, park LOCKED times on a thread of their own for
// ever, and stop the world STOPS times; each of them, and each that they made, ends or computes for ever.
// `now` moves on only when nothing else can happen: then sysmon has a look, but not while every P is idle.
//
//   an idle P has an empty ring
//   when nothing happens any more: a goroutine in a queue, or a timer that is due, implies that no P is idle;
//   no M spins, and no stop is under way
//   sysmon's looks come to an end
//   nothing is called a deadlock (rt_checkdead) when there is work
//
// A step here is one atomic instruction there, or a critical section of sched.lock or a timers lock, or one
// look at all Ps: that the latter is as good as one P after the other is idle.pml's part.
//
// Each of these defines breaks one step; the model must then fail:
//   NO_DRAIN        a P that a stop took from a system call goes idle with what is in its ring
//   OWN_TIMERS      rt_handoffp looks at this P's timers only
//   NO_WATCH        sysmon does not look whether somebody waits for timers
//   UNWATCHED       ... nor does a spinning M that finds work, and rt_handoffp looks at this P's only
//   NO_OFFER        sysmon offers nothing
//   NO_SAFE_OFFER   ... of a P whose M is in rt_safely
//   NO_LEAVE_WAKE   who leaves for a system call, or as a foreign thread, offers nothing
//   SKIP_ALL        the other look at the queues, in a pause, skips those of Ps that run nothing as well
//   IN_HANDS        rt_checkdead does not think of a P that sysmon has retaken and not yet handed over
//   NO_CLAIM        who enters a system call does not look whether the world stops

#ifndef NP
#define NP 2
#endif
#ifndef AWAKE
#define AWAKE NP
#endif
#ifndef WORK
#define WORK AWAKE
#endif
#ifndef ITEMS
#define ITEMS 0
#endif
#ifndef TIMERS
#define TIMERS 0
#endif
#ifndef SYSCALLS
#define SYSCALLS 0
#endif
#ifndef SAFES
#define SAFES 0
#endif
#ifndef LOCKED
#define LOCKED 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef NM
#define NM (NP + 4) // the model stops if it needs more Ms
#endif
#define LAST 3      // the last moment
#define NONE 255
#define OFFERS 12

// Status of a P. FREE: stopped, and without an M.
#define IDLE 0
#define RUNNING 1
#define SYSCALL 2
#define SAFE 3
#define STOPPED 4
#define FREE 5

byte status[NP];
bool listed[NP]; // on the idle list
byte ring[NP];   // how many
byte timers[NP]; // bit t: a timer at time t
bool stuck[NP];  // computes for ever
bool seldom[NP]; // in a system call long enough that sysmon may retake it
byte global;
byte npidle, nmspinning;
byte polluntil; // until when somebody waits for timers, or 0
bool pollwake;  // ... and is to look again
byte armed;      // timers, of all Ps
byte now = 1;
byte stopwait;
bool gcwaiting;
byte nm, nasleep; // Ms, and those that sleep for a P or for the goroutine that is locked to them
byte items, ntimers, nsyscalls, nsafes, nlocked, nstops;

bool midle[NM];  // on the idle list
byte nextp[NM];  // handed over: P + 1, and wakes the sleeper (m->nextp, m->park)
bool nextspin[NM];

#define MAY_RETAKE(q) (q < NP && status[q % NP] == SYSCALL && seldom[q % NP])
#ifdef IN_HANDS
#define DEAD (status[0] != SYSCALL && status[NP - 1] != SYSCALL)
#else
#define DEAD (npidle == NP)
#endif
#define WORK_FOR(q) (ring[q] > 0 || global > 0)
#define FIRST(t) ((t) & 2 -> 1 : ((t) & 4 -> 2 : ((t) & 8 -> 3 : 0)))

// For d_step and atomic. Which of the idle ones does not matter.
inline pidleget(res) {
	res = NONE;
	for (i : 0 .. NP - 1) {
		if
		:: listed[i] -> res = i
		:: else
		fi
	}
	i = 0;
	if
	:: res != NONE -> listed[res] = false; npidle--
	:: else
	fi
}

inline pidleput(q) {
	assert(ring[q] == 0);
	listed[q] = true;
	npidle++
}

// An idle M, or a new one.
inline wake_m(q, spins) {
	other = NONE;
	for (i : 0 .. NM - 1) {
		if
		:: midle[i] -> other = i
		:: else
		fi
	}
	i = 0;
	if
	:: other != NONE -> midle[other] = false; nasleep--
	:: else ->
		assert(nm < NM);
		other = nm;
		nm++;
		run M(other, NONE)
	fi;
	nextp[other] = q + 1;
	nextspin[other] = spins;
	other = 0
}

// rt_wakep: spinning is counted before rt_startm.
inline wakep() {
	if
	:: npidle == 0
	:: npidle != 0 ->
		if
		:: nmspinning != 0
		:: atomic { nmspinning == 0 -> nmspinning = 1 };
			atomic {
				pidleget(got);
				if
				:: got != NONE -> wake_m(got, true)
				:: else -> nmspinning--
				fi;
				got = 0
			}
		fi
	fi
}

// rt_ready, gort_go.
inline publish() {
	ring[p]++;
	if
	:: wakep()
	:: true
	fi
}

// For atomic: the first of all Ps' timers, or 0.
inline timers_next(res) {
	res = 0;
	for (i : 0 .. NP - 1) {
		if
		:: timers[i] != 0 && (res == 0 || FIRST(timers[i]) < res) -> res = FIRST(timers[i])
		:: else
		fi
	}
	i = 0
}

inline poll_wake(when) {
	if
	:: polluntil == 0 -> wakep()
	:: atomic { polluntil != 0 && when < polluntil -> pollwake = true }
	:: polluntil != 0 && when >= polluntil
	fi
}

// Those of P q that are due become runnable here.
inline timers_run(q) {
#if TIMERS > 0
	do
	:: atomic { timers[q] != 0 && FIRST(timers[q]) <= now ->
		timers[q] = timers[q] & ~(1 << FIRST(timers[q]));
		armed-- };
		publish()
	:: timers[q] == 0 || FIRST(timers[q]) > now -> break
	od
#else
	skip
#endif
}

// rt_checkdead: where it would call this a deadlock there is no work.
inline checkdead() {
	if
	:: nasleep + (polluntil != 0) == nm && armed == 0 && nmspinning == 0 && !gcwaiting && DEAD ->
		assert(global == 0);
		for (i : 0 .. NP - 1) {
			assert(ring[i] == 0)
		}
		i = 0
	:: else
	fi
}

inline stopm() {
	midle[m] = true;
	nasleep++;
	checkdead()
}

inline give_up() {
	status[p] = IDLE;
	pidleput(p);
	p = NONE
}

inline stop_here() {
	atomic { gcwaiting && status[p] == RUNNING -> status[p] = STOPPED; stopwait-- };
	status[p] == RUNNING
}

// rt_handoffp. q is on no list, and its status is IDLE.
inline handoffp(q) {
	if
	:: atomic { WORK_FOR(q) -> wake_m(q, false); goto handed }
	:: !WORK_FOR(q)
	fi;
	if
	:: npidle == NP - 1 || nmspinning > 0
	:: atomic { npidle != NP - 1 && nmspinning == 0 -> nmspinning = 1; wake_m(q, true); goto handed }
	fi;
	atomic {
		if
		:: gcwaiting -> status[q] = FREE; stopwait--; goto handed
		:: !gcwaiting && global > 0 -> wake_m(q, false); goto handed
		:: else -> pidleput(q)
		fi
	};
#if TIMERS > 0
#if defined(OWN_TIMERS) || defined(UNWATCHED)
	atomic { until = FIRST(timers[q]) };
#else
	atomic { timers_next(until) };
#endif
	if
	:: until != 0 -> poll_wake(until); until = 0
	:: until == 0
	fi
#endif
}

inline stop_world() {
	atomic {
		!gcwaiting -> gcwaiting = true;
		status[p] = STOPPED;
		stopwait = NP - 1;
		for (i : 0 .. NP - 1) {
			if
			:: listed[i] -> listed[i] = false; npidle--; status[i] = FREE; stopwait--
			:: status[i] == SYSCALL -> status[i] = FREE; stopwait--
			:: status[i] == SAFE -> status[i] = STOPPED; stopwait--
			:: else
			fi
		}
		i = 0
	};
	atomic {
		stopwait == 0 -> gcwaiting = false;
		for (i : 0 .. NP - 1) {
			if
			:: status[i] == FREE ->
				status[i] = IDLE;
#ifndef NO_DRAIN
				global = global + ring[i];
				ring[i] = 0;
#endif
				pidleput(i)
			:: else -> status[i] = RUNNING
			fi
		}
		i = 0
	};
	wakep()
}

proctype M(byte m; byte p) {
	byte i, got, other, until;
	bool spinning;

	if
	:: p != NONE && p < WORK -> goto running
	:: p != NONE && p >= WORK -> goto findrunnable
	:: p == NONE -> goto asleep
	fi;

findrunnable:
	if
	:: gcwaiting -> stop_here()
	:: !gcwaiting
	fi;
	timers_run(p);
	if
	:: atomic { ring[p] > 0 -> ring[p]--; goto found }
	:: ring[p] == 0
	fi;
	if
	:: atomic { global > 0 -> global--;
		if
		:: global > 0 -> global--; ring[p]++
		:: else
		fi;
		goto found }
	:: global == 0
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
		:: atomic { ring[p] > 0 -> ring[p]--; other = 0; goto found }
		:: atomic { ring[p] == 0 && status[other] != IDLE && ring[other] > 0 ->
			ring[other]--; other = 0; goto found }
		:: atomic { ring[p] == 0 && (status[other] == IDLE || ring[other] == 0) -> other++ }
		:: atomic { ring[p] == 0 && status[other] == RUNNING && !stuck[other] -> other++ }
		fi
	:: other < NP && other == p -> other++
	:: atomic { other == NP -> other = 0; break }
	od;

release: // nobody waits for one that does not spin
	if
	:: spinning ->
		atomic {
			if
			:: gcwaiting || global > 0 -> goto findrunnable
			:: else -> give_up()
			fi
		}
	:: !spinning
	fi;
	atomic {
		if
		:: spinning -> spinning = false; assert(nmspinning > 0); nmspinning--
		:: !spinning && (gcwaiting || global > 0) -> goto findrunnable
		:: else -> give_up()
		fi;
		do // recheck
		:: i == NP -> break
		:: i < NP && ring[i] > 0 -> break
#ifdef SKIP_ALL
		:: i < NP -> i++
#else
		:: i < NP && (ring[i] == 0 || status[i] == RUNNING) -> i++
#endif
		od;
		if
		:: !gcwaiting && (i < NP || global > 0) -> i = 0; pidleget(p)
		:: else -> i = 0
		fi;
		if
		:: p != NONE -> status[p] = RUNNING; spinning = true; nmspinning++; goto findrunnable
		:: else
		fi;
		// sleep_for_work
#if TIMERS > 0
		if
		:: polluntil == 0 -> timers_next(until)
		:: else
		fi;
		if
		:: until != 0 -> polluntil = until; pollwake = false
		:: else -> stopm(); goto asleep
		fi
#else
		stopm(); goto asleep
#endif
	};
#if TIMERS > 0
	atomic { gcwaiting || now >= until || pollwake -> until = 0 };
	polluntil = 0;
	atomic {
		if
		:: gcwaiting
		:: else -> pidleget(p)
		fi;
		if
		:: p != NONE -> status[p] = RUNNING; goto findrunnable
		:: else -> stopm(); goto asleep
		fi
	};
#endif

asleep: // rt_stopm
	atomic {
		nextp[m] != 0 ->
		p = nextp[m] - 1;
		spinning = nextspin[m];
		nextp[m] = 0;
		nextspin[m] = false;
		status[p] = RUNNING;
		goto findrunnable
	};

found:
	if
	:: atomic { spinning -> spinning = false; assert(nmspinning > 0); nmspinning-- };
		if // in a pause, or not
		:: wakep()
#ifdef UNWATCHED
		:: global == 0
#else
		:: global == 0 && (polluntil != 0 || armed == 0)
#endif
		fi
	:: !spinning
	fi;
#ifndef NESTED
	goto last;
#endif

running:
	if
#if ITEMS > 0
	:: atomic { items < ITEMS -> items++ };
		publish();
		goto running
#endif
#if TIMERS > 0
	:: atomic { ntimers < TIMERS && now < LAST -> ntimers++; until = now + 1;
		if
		:: until < LAST -> until++
		:: true
		fi;
		if // the mask holds one timer a time
		:: (timers[p] & (1 << until)) == 0 -> timers[p] = timers[p] | (1 << until); armed++
		:: else -> until = LAST
		fi };
		poll_wake(until);
		until = 0;
		goto running
#endif
#if STOPS > 0
	:: atomic { nstops < STOPS && !gcwaiting -> nstops++ }; stop_world(); goto running
#endif
#if SYSCALLS > 0
	:: atomic { nsyscalls < SYSCALLS -> nsyscalls++;
		status[p] = SYSCALL;
		if
		:: seldom[p] = true
		:: seldom[p] = false
		fi };
#ifndef NO_CLAIM
		if
		:: atomic { gcwaiting ->
			if
			:: status[p] == SYSCALL -> status[p] = FREE; stopwait--
			:: else
			fi }
		:: !gcwaiting
		fi;
#endif
#ifndef NO_LEAVE_WAKE
		if
		:: WORK_FOR(p) -> wakep()
		:: !WORK_FOR(p)
		fi;
#endif
		if
		:: atomic { status[p] == SYSCALL -> status[p] = RUNNING; seldom[p] = false; goto running }
		:: atomic { status[p] != SYSCALL ->
			if
			:: gcwaiting -> p = NONE
			:: else -> pidleget(p)
			fi;
			if
			:: p != NONE -> status[p] = RUNNING; goto running
			:: else -> global++ // the goroutine; it ends there
			fi };
			wakep();
			atomic { stopm(); goto asleep }
		:: goto gone // does not come back
		fi
#endif
#if SAFES > 0
	:: atomic { nsafes < SAFES -> nsafes++; status[p] = SAFE; stuck[p] = true };
		if
		:: atomic { gcwaiting ->
			if
			:: status[p] == SAFE -> status[p] = STOPPED; stopwait--
			:: else
			fi }
		:: !gcwaiting
		fi;
		goto gone
#endif
	:: gcwaiting -> stop_here(); goto running
	:: goto last
	fi;

last:
	if
	:: goto findrunnable
	:: atomic { stuck[p] = true; goto for_ever }
#if LOCKED > 0
	:: atomic { nlocked < LOCKED -> nlocked++; status[p] = IDLE };
		handoffp(p);
handed:
		atomic { nasleep++; checkdead(); goto gone }
#endif
	fi;

gone:
	false;

for_ever: // computes; a signal stops it
	stop_here();
	goto for_ever
}

// Of P q: a goroutine that computes on, whatever its M is doing.
#ifdef NO_SAFE_OFFER
#define COMPUTES(q) (stuck[q] && status[q] == RUNNING)
#else
#define COMPUTES(q) (stuck[q] && (status[q] == RUNNING || status[q] == SAFE))
#endif

// sysmon retakes a P when it likes, and offers and watches when nothing else happens.
active proctype sysmon() {
	byte i, got, other, until, offers, q = NONE;
	atomic {
		for (i : 0 .. NP - 1) {
			if
			:: i < AWAKE -> status[i] = RUNNING; run M(nm, i); nm++
			:: else -> pidleput(i)
			fi
		}
		i = 0
	}
	do
#if SYSCALLS > 0
	:: atomic { MAY_RETAKE(0) || MAY_RETAKE(1) || MAY_RETAKE(2) ->
		if
		:: MAY_RETAKE(0) -> q = 0
		:: MAY_RETAKE(1) -> q = 1
		:: MAY_RETAKE(2) -> q = 2
		fi;
		status[q] = IDLE;
		seldom[q] = false };
		handoffp(q);
handed:
		q = NONE
#endif
	:: timeout ->
		d_step {
			for (i : 0 .. NP - 1) {
				if
#ifndef NO_OFFER
				:: COMPUTES(i) && WORK_FOR(i) && npidle > 0 -> q = i
#endif
#if !defined(UNWATCHED) && !defined(NO_WATCH)
				:: npidle > 0 && npidle < NP && polluntil == 0 && armed > 0 -> q = i
#endif
				:: else
				fi
			}
			i = 0
		};
		if
		:: atomic { q != NONE -> q = NONE; offers++; assert(offers < OFFERS) }; wakep(); goto again
		:: else
		fi;
		d_step {
			assert(nmspinning == 0);
			assert(!gcwaiting);
			assert(npidle == 0 || global == 0);
			for (i : 0 .. NP - 1) {
				assert(npidle == 0 || ring[i] == 0);
				assert(npidle == 0 || timers[i] == 0 || FIRST(timers[i]) > now)
			}
			i = 0
		};
		if
		:: now < LAST && TIMERS > 0 -> now++
		:: else -> break
		fi;
again:
		skip
	od
}
