// SPDX-License-Identifier: BSD-3-Clause
// What the files of runtime/sched share and nobody else needs.
#pragma once

#include "sched/proc.h"

// Bits of p->slow.
enum { SLOW_STOP = 1, SLOW_PREEMPT = 2, SLOW_RETIRE = 4, SLOW_TRACE = 8, SLOW_FORKED = 16, SLOW_WALK = 32 };

// debug/hooks.c: gp is about to run while a walk over goroutines is on.
void rt_walk_note_run(struct g *gp);

// ---- runq.c ----
void rt_runqinit(void);
// next: gp takes the runnext slot and the former one moves to the tail of the queue. Reports whether
// something went into the ring.
bool rt_runqput(struct p *pp, struct g *gp, bool next);
// Readies those that are linked by schedlink: half a ring of them goes into the ring, more to the global queue.
void rt_runqput_list(struct p *pp, struct g *head);
struct g *rt_runqget(struct p *pp, bool *inherit);
bool rt_runqempty(struct p *pp);
// pp is ours. Not after somebody else's steal that is not seen yet.
RT_INLINE bool
rt_runq_full(struct p *pp)
{
	return rt_load(&pp->runqtail) - rt_load(&pp->runqhead) >= RUNQ_LEN - 1;
}
uint32_t rt_runqsize(struct p *pp);
// Takes half of from's queue for pp; returns one of them to run. In the last round runnext too, and what is
// better left alone otherwise, if from seems not to get to it.
struct g *rt_runqsteal(struct p *pp, struct p *from, bool last);
// Moves everything in pp's queues to the global one. World stopped or pp owned; sched.lock held.
void rt_runqdrain_locked(struct p *pp);
// sched.lock held.
void rt_globrunqput_locked(struct g *gp);
struct g *rt_globrunqget_locked(struct p *pp, int32_t max);

// ---- proc.c ----
// rt_ready_list for a thread without a P: to the global queue.
void rt_inject_list(struct g *head);
void rt_schedinit(void);
_Noreturn void rt_schedule(void); // on g0, at depth 1
// Leaves gp's stack for the next goroutine's, or g0's; fin is done by whoever runs next.
void rt_switch_away(struct m *mp, struct g *gp, struct finish fin);
void rt_switch_finish(void);
// The current goroutine makes new ones faster than they run: to the end of the global queue.
void rt_yield_to_new(void);
void rt_startm(struct p *pp, bool spinning);
// Work was put where an idle P can have it: in_ring, or in pp->runnext alone.
void rt_wakep_after_put(bool in_ring);
bool rt_paused(const struct rt_pause *x);
// Is there something to run, in pp's queue or the global one?
bool rt_work_waits(struct p *pp);
struct p *rt_pidleget_locked(void);
void rt_pidleput_locked(struct p *pp);
// Is every P on the idle list? Not while a stop is on.
bool rt_all_idle_locked(void);
void rt_handoffp(struct p *pp);
void rt_gfput(struct p *pp, struct g *gp);
struct g *rt_gfget(struct p *pp);
// Of the dead goroutines that no P keeps, those that nobody has wanted for so many cycles of the collector count
// as cold. Tells whether there are cold ones. 0: all.
bool rt_gfree_age(uint32_t cycles);
// Returns the memory of some cold ones' stacks; how many bytes of address space, 0: there are none.
size_t rt_gfree_release(void);
void rt_allgadd(struct g *gp);
void rt_procresize(int32_t n);
// Retires the Ps beyond gomaxprocs that the stop in force has and no M.
void rt_retire_stopped(void);
void rt_checkdead_locked(void);
void rt_acquirep(struct m *mp, struct p *pp);
struct p *rt_releasep(struct m *mp);
_Noreturn void rt_m_park_forever(void);
// ---- thread.c ----
void rt_mcommoninit(struct m *mp);
void rt_minit(struct m *mp); // on the new thread: from here on it is an M, inside the runtime
void rt_wait_for_p(struct m *mp);
void rt_stopm(struct m *mp);
void rt_bind_g0(struct m *mp);
void rt_thread_stack_bounds(struct stack *st);
// Memory behind the stacks of the threads that the runtime has made, and behind signal stacks. A few system
// calls a thread; any thread, any time.
uint64_t rt_thread_stacks_bytes(void);

// ---- syscall.c ----
// A goroutine whose M has no P gets one, waiting in the global queue if it must. At depth 1.
void rt_exitsyscall(struct m *mp);
void rt_release_p_for_syscall(struct m *mp);
// The same, and offers what waits here: its wakeup was put off, maybe, and this M does not come back soon.
void rt_leave_p(struct m *mp);

// ---- fork.c ----
void rt_fork_init(void);
void rt_die_if_forked(void);

// ---- foreign.c ----
void rt_adopt_thread(void);
// A thread counted in sched.own_threads: as a system goroutine, and no longer after the second call.
void rt_adopt_own_thread(void);
void rt_drop_own_thread(void);

// ---- stw.c ----
// One of those the stopper counts on has stopped; true: it was the last. sched.lock held.
RT_INLINE bool
rt_one_stopped_locked(void)
{
	RT_BUMP(&sched.stopwait, -1);
	return rt_load(&sched.stopwait) == 0;
}
// Waits here while a stop is in force; uc: interrupted context when called from the signal handler.
void rt_stop_here(const void *uc);
// From the signal handler, at depth 1: gives the P away; user code goes on without. False: a stop came.
bool rt_detach(struct m *mp);

// ---- signal.c ----
void rt_siginit(void);
void rt_msiginit(struct m *mp);
void rt_signal_m(struct m *mp);
// The M's thread honours requests at its next way out of the runtime, if it sees this. No system call.
void rt_hint_m(struct m *mp);

// ---- sysmon.c ----
void rt_sysmon_start(void);
extern _Atomic int64_t rt_gc_period; // ns without a collection after which there is one; tests shorten it

// ---- schedtrace.c ----
void rt_schedtrace(int64_t now);

// ---- timer.c ----
// Runs what is due on pp, or a part of it if that fills the run queue; returns when the next one is (0: none).
int64_t rt_timers_run(struct p *pp, int64_t *now);
// Moves all of from's timers to to. from belongs to nobody (or to the caller).
void rt_timers_move(struct p *from, struct p *to);
// Earliest of all Ps, 0 none.
int64_t rt_timers_next(void);
// What an idle M should sleep for: the earliest timer, RT_NEVER for the network alone, 0 for neither.
int64_t rt_poll_until(void);
// Is there something to wait for and no M that does?
bool rt_poll_unwatched(void);
// Sleeps (M without a P) until then, or a wake, or the network; see schedt.polluntil. Returns the
// goroutines whose descriptors became ready, by schedlink, still Gwaiting.
uint32_t rt_poll_seq(void);
struct g *rt_poll_sleep(int64_t until, uint32_t seq);
// When a sleep until `until` that begins now should end, if `fired` timers have fired in the last `took` ns:
// later where many fire, as one wakeup (two switches of threads, some system calls) should then serve ENOUGH
// of them; but only if so many come within MOST ns, which is also the most that it delays. What is added
// meanwhile and is due before `until` wakes the sleeper as ever.
int64_t rt_poll_coalesce(int64_t until, int64_t now, int64_t took, uint32_t fired);
// A timer at `when` was added: whoever sleeps longer must not.
void rt_poll_wake(int64_t when);
