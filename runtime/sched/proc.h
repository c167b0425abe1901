// SPDX-License-Identifier: BSD-3-Clause
// The scheduler's structures, by Go's names: G a goroutine, M an OS thread, P the right (and the
// caches) to run goroutines; `sched` what they share. Whole picture: docs/HACKING.md.
//
//        capture, start        execute
//     Gdead -> (Gwaiting) -> Grunnable ---------> Grunning ---+
//       ^                     ^  ^  ^              | |  |     |
//       |                     |  |  +--------------+ |  |     |   gort_gosched, preemption
//       |                     |  +---- Gwaiting <----+  |     |   rt_park; rt_ready
//       |                     +------- Gsyscall <-------+     |   rt_entersyscall; exitsyscall0
//       +-----------------------------------------------------+   goexit
//
//   Gdead      on a free list (or being set up); its stack may be reused
//   Grunnable  on exactly one run queue, or in one P's runnext
//   Grunning   owned by one M, m->curg; owns its stack
//   Gsyscall   owns its stack and M but maybe no P: the P may be retaken by CAS on p->status
//   Gwaiting   on no run queue; parked in a queue of some object (a sudog), a timer heap, ...; nobody
//              else writes its stack: values travel in the sudog
//
// Fields that others look at as a hint, without a lock, are atomic: written by their owner with
// rt_store (relaxed) or RT_BUMP, read by anybody.
//
// Lock order: an object's own lock (hchan, sema root, timers) < sched.lock < allglock. rt_ready takes
// sched.lock only through wakep, and is called after the object's lock was released where possible.
#pragma once

#include <pthread.h>
#include <signal.h>

#include "arch/arch.h"
#include "base/base.h"
#include "base/lock.h"
#include "base/rand.h"
#include "mem/fixalloc.h"
#include "sched/sudog.h"
#include "sched/timer.h"
#include "sched/tls.h"

struct mcache;
struct hchan;

// Numbers as in Go's tracebacks and schedtrace (5 is unused there too). Psafe: its M is in rt_safely.
enum gstatus { Gidle, Grunnable, Grunning, Gsyscall, Gwaiting, Gdead = 6, Gpreempted = 9 };
enum pstatus { Pidle, Prunning, Psyscall, Pgcstop, Pdead, Psafe };

// Why a goroutine waits; the text stands in tracebacks and goroutine profiles (rt_wait_reason_text).
enum wait_reason {
	WAIT_NONE,
	WAIT_GC_ASSIST_MARKING,
	WAIT_IO,
	WAIT_CHAN_RECEIVE_NIL,
	WAIT_CHAN_SEND_NIL,
	WAIT_GARBAGE_COLLECTION,
	WAIT_PANIC,
	WAIT_SELECT,
	WAIT_SELECT_NO_CASES,
	WAIT_GC_ASSIST,
	WAIT_GC_SWEEP,
	WAIT_GC_SCAVENGE,
	WAIT_CHAN_RECEIVE,
	WAIT_CHAN_SEND,
	WAIT_FINALIZER,
	WAIT_FORCE_GC,
	WAIT_SEMACQUIRE,
	WAIT_SLEEP,
	WAIT_COND,
	WAIT_MUTEX_LOCK,
	WAIT_RWMUTEX_RLOCK,
	WAIT_RWMUTEX_LOCK,
	WAIT_GC_CYCLE,
	WAIT_GC_WORKER_IDLE,
	WAIT_PREEMPTED,
	WAIT_STOPPING_WORLD,
	WAIT_WAITGROUP,
	WAIT_REASONS
};
const char *rt_wait_reason_text(enum wait_reason r);
const char *rt_leaked_reason_text(enum wait_reason r); // with " (leaked)", of those that can be

struct stack {
	uintptr_t lo, hi; // usable bytes [lo, hi); below lo lies the guard
};

struct on_exit {
	struct on_exit *next;
	void (*fn)(void *);
	void *arg;
};

// Lives at the top of its stack slot (sched/stack.h), except for g0s. By cache lines: what every switch
// touches, what a wait touches, the sudog's first line; many goroutines' lines compete for few places.
struct g {
	struct gobuf sched;  // where it continues; valid while it does not run
	_Atomic(struct m *) m; // the M that runs it; NULL otherwise
	struct g *schedlink; // in a list of woken goroutines
	_Atomic uint32_t status;
	uint8_t waitreason;  // enum wait_reason, meaningful while Gwaiting (kept afterwards)
	uint8_t nrunnable;   // times it became runnable, modulo 256
	bool is_system;      // the runtime's own goroutine: hidden from profiles and counts
	bool is_main;
	bool leaked;         // found to wait for ever (gc/leak.c)
	bool big;            // its stack is not from a standard slot
	_Atomic bool preempt; // asked to yield at its next call into the runtime
	_Atomic bool detach;  // ... and to give its P away if it is in user code
	struct m *lockedm;       // gort_lock_os_thread
	int64_t waitsince;       // rt_nanotime when it blocked; 0 unknown
	uint64_t runnable_since; // cputicks, for one in 8 times it became runnable; 0: this is none

	struct sudog *waiting;   // sudogs it waits on, in lock order (select) or one
	struct sudog *param;     // the sudog that woke it; NULL: woken by close
	const void *waitobj;     // channel, semaphore or condition that it waits on; NULL: another, or several
	struct on_exit *exits;   // gort_on_exit, last first
	const void *labels;      // profiler labels (opaque here), inherited by new goroutines
	_Atomic uint32_t gcscan; // collector: whether the stack is scanned (gc/roots.c)
	uint32_t gcassistepoch;  // collector: the marking that gcassistbytes belongs to
	int64_t gcassistbytes;   // collector: allocation credit
	_Atomic uint32_t selectdone; // a select has been won: 1
	bool sudog0_used;

	struct stack stack;
	uint64_t goid;
	uint64_t parentgoid;
	uintptr_t gopc;          // return address of the gort_go that made it
	uintptr_t startpc;       // its function
	struct g *newg;          // between gort_go's stub and gort_go_start_
	struct g *alllink;       // next in allgs; never unlinked

	// Most waits are for one thing: their sudog lies here, in memory that is there anyway.
	struct sudog sudog0;
	struct rt_timer sleeptimer; // gort_sleep
	_Atomic uint32_t walk;   // profiler: how a walk over goroutines met it (debug/hooks.c)
#if RT_TSAN
	void *tsan;              // its fiber
#endif
};
static_assert(offsetof(struct g, waiting) == 64 && offsetof(struct g, sudog0) == 192, "cache lines");

// What the next one to run must finish for the goroutine (or g0) that left the stack: an unlock, a
// re-queue or a free that would be unsafe while the leaver still ran on its stack. rt_switch_finish.
enum finish_op { FIN_NONE, FIN_UNLOCK, FIN_SPIN_UNLOCK, FIN_RUNQ, FIN_GLOBRUNQ, FIN_DEAD };
struct finish {
	enum finish_op op;
	union {
		struct rt_mutex *lock;
		struct rt_spinlock *spin;
		struct g *g;
	};
};

struct m {
	struct g *g0;        // its scheduling stack: the thread's own
	_Atomic(struct g *) curg; // the user goroutine it runs
	_Atomic(struct p *) p; // NULL when it has no right to run goroutines
	struct p *nextp;     // handed over by whoever wakes it
	struct p *oldp;      // the P it had before a system call or being detached
	struct g *nextg;     // taken from a queue on the straight way, but for schedule() to handle
	bool detached;       // runs user code without a P, and counts for a stop; under sched.lock
	bool detstopped;     // ... and has acknowledged the stop in force; under sched.lock
	bool foreign;        // a thread that the runtime did not make (sched/foreign.c)
	bool attached;       // ... and that holds collected pointers between calls
	uint32_t locknest;   // gort_lock_os_thread, how many times
	struct rt_parked_regs sysregs; // in a system call: the caller's registers
	_Atomic uint32_t nsignals; // SIGURGs it has handled
	struct finish fin;
	uint64_t randstate;
	int64_t id;
	_Atomic pid_t tid;
	struct rt_tls *tls;  // the thread's; NULL: a foreign one, whose memory may go away
	pthread_t thread;
	bool spinning;       // looks for work without any; counted in sched.nmspinning
	uint32_t nloot;      // goroutines that it last took from others, until they have run; 0: none
	uint64_t lootat;     // ... when, in cputicks
	_Atomic(struct g *) lockedg;
	struct rt_note park; // it sleeps here
	struct m *alllink;   // allm; Ms are never freed
	struct m *schedlink; // idle list
	const void *stop_uc; // ucontext when stopped in the signal handler, NULL when at a poll
	struct gobuf stopbuf; // stopped at a poll: where, as if it were parked
	void *sigstack;      // the alternate signal stack: [sigstack, sigstack + sigstack_size)
	size_t sigstack_size;
	void *prof;          // the profiler's per-thread state
	struct g g0_storage;
};

#define RUNQ_LEN 256u
#define GFREE_MAX 64u // half go to where all Ps may have them when it is full
struct p {
	// The straight path looks at these; one line.
	_Atomic uint32_t slow;      // != 0: every switch goes through schedule() on g0
	_Atomic uint32_t runqhead;  // stealers CAS it
	_Atomic uint32_t runqtail;  // owner only
	_Atomic uint32_t schedtick; // +1 for each goroutine run that does not inherit its time slice
	_Atomic(struct g *) runnext;
	struct mcache *mcache;
	_Atomic uint32_t status;
	int32_t id;
	_Atomic(struct m *) m;

	_Atomic(struct g *) runq[RUNQ_LEN] RT_HOT_LINE;

	_Atomic uint32_t ngfree;
	_Atomic uint32_t straight;  // switches; others read it as a hint
	uint32_t nputoff;           // wakeups for a mere runnext since the pause was looked at
	_Atomic int64_t ngborn, ngdied; // written by the owner only
	_Atomic uint64_t mutexwait; // cputicks that goroutines which go on here waited for locks; likewise
	uint64_t goidcache, goidcacheend;
	struct sudog *sudogcache;
	uint32_t nsudogcache;
	_Atomic uint32_t syscalltick;
	struct p *link;             // idle list
	uint64_t randstate;

	// The timers that were set here. timer.c.
	struct rt_mutex timerslock RT_HOT_LINE;
	struct timer_when *timers;   // a 4-ary heap by when
	uint32_t ntimers, captimers;
	uint32_t nzombies;           // entries that will not fire
	_Atomic int64_t timer0when;  // timers[0].when; 0: none. Read without the lock.
	uint32_t timerturn;          // straight when timers last had to let goroutines run; the owner's

	void *gcw;                  // collector: this P's marking state
	int64_t gcfractional;       // ... and ns its fractional worker has had in this cycle
	void *pool;                 // sync.Pool's private storage

	struct g *gfree[GFREE_MAX]; // dead goroutines with their stacks, LIFO; ngfree of them
} RT_HOT_LINE;

// What has not been worth it lately is left alone for a while, twice as long each time. In cputicks.
struct rt_pause {
	_Atomic uint64_t until; // 0: none
	_Atomic uint64_t length;
};

// A queue of goroutines that looks at none of them: where thousands wait each look would be a cache miss.
#define G_BLOCK 127u
struct g_block {
	struct g_block *next;
	struct g *g[G_BLOCK];
};
struct g_queue {
	struct g_block *head, *tail; // NULL before the first use
	uint32_t first, end; // its first in head; behind its last in tail
	struct fixalloc blocks;
};

extern struct schedt {
	struct rt_mutex lock;
	// Under lock.
	struct m *midle;
	_Atomic int32_t nmidle;
	_Atomic int32_t nmidlelocked; // Ms that wait for the goroutine that is locked to them
	_Atomic int32_t mcount; // Ms made
	int32_t nmextra;      // of those: of foreign threads that ended, without a thread now
	struct p *pidle;
	struct g_queue runq;  // the global queue
	// Written under lock, read without as a hint.
	_Atomic int32_t npidle;
	_Atomic int32_t runqsize;
	// Atomic.
	_Atomic int32_t nmspinning RT_HOT_LINE;
	struct rt_pause nextpause;  // of wakeups for a goroutine alone in runnext (proc.c)
	struct rt_pause ringpause;  // ... for others, and of thefts from a P that gets to them itself
	_Atomic uint64_t goidgen;
	_Atomic int32_t ngsys;      // goroutines with is_system
	_Atomic uint32_t gcwaiting; // a stop is wanted or in force
	_Atomic uint32_t walkepoch; // number of the walk over goroutines that is on (debug/hooks.c)
	_Atomic bool dying;         // app returned or a panic is under way: nothing new is scheduled
	_Atomic bool forked;        // this is a child made by fork: one thread, no scheduler
	int64_t start_ns;           // rt_nanotime at initialisation
	uint64_t start_ticks;       // rt_cputicks then
	_Atomic int32_t own_threads; // threads that are no Ms but can never send: sysmon, profiler
	// One idle M at a time waits for timers and network (sched/timer.c): until when; 0: nobody does,
	// RT_NEVER: for the network alone.
	_Atomic int64_t polluntil;
	_Atomic uint32_t pollseq;   // changes to wake it; a futex word while there is no netpoller
	_Atomic int64_t lastpoll;   // rt_nanotime of the last look at the network
	_Atomic uint32_t nfired;    // timers that have fired; a hint, some may be missing
	// The stop in force (sched/stw.c). Under lock.
	_Atomic int32_t stopwait;   // Ps not stopped yet
	struct rt_note stopnote;
	_Atomic int32_t stopawaited; // Ms that allocate no more before there was a stop
	_Atomic uint32_t stopgen;   // futex word: Ms stopped in place wait for it to change
	struct rt_note sysmonnote;
	_Atomic bool sysmonwait;    // sysmon sleeps until a P leaves the idle list
} sched __asm__("rt_sched"); // Go's names in C, ours to the linker: archives keep hidden symbols

// The first gomaxprocs of allp take work; up to nallp they exist (Pdead, or about to be retired by their
// M). Both change under a world stop only.
extern struct p **allp __asm__("rt_allp");
extern _Atomic int32_t nallp __asm__("rt_nallp"), gomaxprocs __asm__("rt_gomaxprocs");
extern _Atomic(struct m *) allm __asm__("rt_allm"); // push-only list
extern _Atomic(struct g *) allgs __asm__("rt_allgs"); // push-only list through alllink; includes dead ones
extern struct m m0 __asm__("rt_m0");
extern struct g *rt_main_g; // goroutine 1
extern _Atomic bool rt_started;  // gort_run has set up the runtime

// ---- what other parts of the runtime call; all at depth > 0 ----

// Blocks the current goroutine. lock (may be NULL) is released once the goroutine is off its stack,
// so whoever finds it in a queue under that lock may rt_ready it at once. Returns when readied.
// Must be called at depth 1 exactly, on a goroutine. Never with another runtime lock held.
void rt_park(struct rt_mutex *lock, enum wait_reason reason);
void rt_park_spin(struct rt_spinlock *lock, enum wait_reason reason); // likewise, not NULL

// Makes a parked goroutine runnable: runs next on this P. The caller must be the only one entitled
// to (it took the goroutine out of the queue it waited in).
void rt_ready(struct g *gp);
// Readies a list linked by schedlink; one wakeup decision for all.
void rt_ready_list(struct g *head);

// Puts the current goroutine at the tail of its P's queue and runs others.
void rt_gosched(void);

// Registers of a goroutine that does not run; false: not known (a foreign thread outside the runtime).
bool rt_g_saved_regs(const struct g *gp, struct rt_parked_regs *r);

// Runs fn(arg) on the M's g0, with the goroutine's registers saved where the collector finds them.
// On g0 already: a plain call. fn must not park.
void rt_systemstack(void (*fn)(void *), void *arg);

// Starts a goroutine of the program that runs fn(arg), on behalf of code before the return address
// gopc. Also on g0, with a P.
void rt_newproc(void (*fn)(void *), void *arg, uintptr_t gopc);

// Starts a runtime-internal goroutine running fn(arg) (hidden from profiles, not counted).
struct g *rt_newproc_system(void (*fn)(void *), void *arg);

// The only way to change a goroutine's status; throws when it is not old. Whoever calls is the only
// one entitled to change it (it runs gp, or took it from the queue that held it), so a checked store is
// enough. release: what the goroutine left behind is seen by whoever finds the new status.
RT_COLD _Noreturn void rt_bad_gstatus(struct g *gp, enum gstatus old, enum gstatus new);
RT_INLINE void
rt_casgstatus(struct g *gp, enum gstatus old, enum gstatus new)
{
	if (rt_unlikely(rt_load(&gp->status) != (uint32_t)old))
		rt_bad_gstatus(gp, old, new);
	if (new == Grunnable) { // constant: costs nobody else
		gp->leaked = false;
		if (rt_unlikely(++gp->nrunnable % 8 == 0))
			gp->runnable_since = rt_cputicks();
	}
	rt_store_release(&gp->status, (uint32_t)new);
}

RT_INLINE enum gstatus
rt_gstatus(const struct g *gp)
{
	return (enum gstatus)atomic_load_explicit(&gp->status, memory_order_acquire);
}

// The world (sched/stw.c). stop: after it returns no user code runs, no other M holds a P or a
// runtime lock, and until rt_start_world the caller may read and write what belongs to others.
// Neither libc's malloc nor stdio may be called in between. Caller: on g0 (rt_systemstack) or on a
// goroutine at depth 1. reason is for logs; those of the collector begin with "GC ", and their pauses
// are counted apart. Returns the rt_nanotime at which it began to stop anybody.
int64_t rt_stop_world(const char *reason);
void rt_start_world(void);
// Who asks has a P, or has stopped the world: then it is true from the moment that everybody has stopped.
bool rt_world_stopped(void);
// Calls fn(arg) on a goroutine's stack, with its P; the world does not wait for fn, which may take long (a
// page fault of a huge page, the clearing of megabytes) and touches nothing that others see. What the
// caller holds across it must be fit for a stop, as at an allocation. Elsewhere a plain call.
void rt_safely(void (*fn)(void *), void *arg);

// Calls fn for every goroutine that is not dead. World stopped, or accept one that changes under you.
void rt_for_each_g(void (*fn)(struct g *gp, void *arg), void *arg);

// World stopped. Calls scan for every range of stacks and saved registers in which a goroutine may
// hold a pointer: each live goroutine's stack from its sp (less the red zone where a signal stopped it)
// with callee-saved registers; signal frames; the scheduling stacks of Ms that were inside the runtime.
// Ranges are 8-byte aligned. The caller runs on g0; its own frames are not included.
void rt_for_each_stack(void (*scan)(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg), void *arg);

// The same for one goroutine: any, with the world stopped; or one that is parked and kept from running.
void rt_scan_stack(struct g *gp, void (*scan)(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg),
		   void *arg);
void rt_scan_parked_stack(struct g *gp,
			  void (*scan)(struct g *gp, uintptr_t lo, uintptr_t hi, void *arg),
			  void *arg);

// P-local work: acquires nothing; valid until the next park.
RT_INLINE struct p *
rt_getp(void)
{
	return rt_getm()->p;
}

// Both on the goroutine that waits or has waited with it.
struct sudog *rt_acquire_sudog(void);
void rt_release_sudog(struct sudog *sg);

int rt_ngoroutines(void);
// Wakes an idle P if there is one and nobody spins already.
void rt_wakep(void);
// Starts idle Ms for idle Ps where there is work, at most one; used after making work visible.

#define RT_NEVER INT64_MAX
