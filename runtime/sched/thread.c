// SPDX-License-Identifier: BSD-3-Clause
// Ms: threads that run goroutines. How one comes to be, is given a P, sleeps without one; and the
// discovery that all of them sleep for good.
//
// An M is never freed: whoever holds a stale pointer to one sends at worst a signal too many. Ms that
// sleep are in sched.midle, those whose thread could not be started in mfailed, those of foreign threads
// that ended in foreign.c's list; allm has them all.
// Go: newm, startm, stopm, handoffp, checkdead in runtime/proc.go.
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/print.h"
#include "debug/hooks.h"
#include "debug/throw.h"
#include "os/os.h"
#include "sched/netpoll.h"
#include "sched/sanitize.h"
#include "sched/sched.h"

void
rt_mcommoninit(struct m *mp)
{
	mp->g0 = &mp->g0_storage;
	rt_store(&mp->g0->m, mp);
	mp->g0->is_system = true;
	rt_store(&mp->g0->status, Grunning);
	rt_random_bytes(&mp->randstate, sizeof mp->randstate);
	rt_lock(&sched.lock);
	mp->id = rt_load(&sched.mcount);
	RT_BUMP(&sched.mcount, 1);
	mp->alllink = rt_load(&allm);
	rt_store_release(&allm, mp);
	rt_unlock(&sched.lock);
}

void
rt_thread_stack_bounds(struct stack *st)
{
	pthread_attr_t attr;
	void *lo;
	size_t n;
	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		rt_throw("pthread_getattr_np failed");
	pthread_attr_getstack(&attr, &lo, &n);
	pthread_attr_destroy(&attr);
	*st = (struct stack){.lo = (uintptr_t)lo, .hi = (uintptr_t)lo + n};
}

uint64_t
rt_thread_stacks_bytes(void)
{
	uint64_t sum = 0;
	for (const struct m *mp = rt_load_acquire(&allm); mp; mp = mp->alllink) {
		uintptr_t sig = (uintptr_t)mp->sigstack;
		if (rt_load(&mp->tid) && !mp->foreign && mp->g0)
			sum += rt_os_resident(mp->g0->stack.lo, mp->g0->stack.hi);
		if (sig)
			sum += rt_os_resident(sig, sig + mp->sigstack_size);
	}
	return sum;
}

// The runtime ends none of its threads. Where a goroutine does, the unwinding leaves its stack, and its P
// would be lost with the thread.
static pthread_key_t thread_left;

static void
report_thread_left(void *mp)
{
	(void)mp;
	rt_tls_set_depth(1); // whether or not its P has been taken: to wait for one would be on the wrong stack
	rt_fatal("a goroutine ended its thread (pthread_exit or pthread_cancel)");
}

// On the new thread (or the first): from here on it is an M, inside the runtime.
void
rt_minit(struct m *mp)
{
	if (mp == &m0 && pthread_key_create(&thread_left, report_thread_left) != 0)
		rt_throw("no pthread key left for the runtime's threads");
	pthread_setspecific(thread_left, mp);
	rt_tls.g = mp->g0;
	rt_tls.m = mp;
	rt_tls.depth = 1;
	__atomic_store_n(&mp->tls, &rt_tls, __ATOMIC_RELEASE); // its depth is that of a thread inside
	mp->tid = rt_os_gettid();
	mp->thread = pthread_self();
	rt_thread_stack_bounds(&mp->g0->stack);
	rt_fiber_adopt(mp->g0);
	rt_msiginit(mp);
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	if (h && h->thread_start)
		h->thread_start(mp);
}

static void *
mstart(void *arg)
{
	struct m *mp = arg;
	rt_minit(mp);
	rt_acquirep(mp, mp->nextp);
	mp->nextp = NULL;
	rt_schedule();
}

static void
foreign_g0(void)
{
	rt_fiber_begin();
	rt_schedule();
}

// A foreign thread's scheduling stack starts afresh for each thread.
void
rt_bind_g0(struct m *mp)
{
	rt_fiber_reuse(mp->g0, mp->g0->stack.lo);
	rt_gobuf_init_raw(&mp->g0->sched, mp->g0->stack.hi, foreign_g0);
}

// Signals stay blocked until the thread has its alternate stack and thread-local words. Returns errno.
static int
start_thread(struct m *mp)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	int err = pthread_create(&thread, &attr, mstart, mp);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

// Ms whose thread could not be started, by schedlink, for the next try; not counted as running.
// Under sched.lock.
static struct m *mfailed;
static int32_t nmfailed;

static struct m *
get_m(void)
{
	rt_lock(&sched.lock);
	struct m *mp = mfailed;
	if (mp) {
		mfailed = mp->schedlink;
		nmfailed--;
	}
	rt_unlock(&sched.lock);
	if (mp)
		return mp;
	mp = rt_persistent_alloc(sizeof *mp, RT_CACHE_LINE, NULL);
	rt_mcommoninit(mp);
	return mp;
}

// Without a thread pp is idle again.
static void
newm(struct p *pp, bool spinning)
{
	static _Atomic bool warned;
	struct m *mp = get_m();
	mp->nextp = pp;
	mp->spinning = spinning;
	int err = start_thread(mp);
	if (err == 0)
		return;
	if (!atomic_exchange(&warned, true))
		rt_printf("gort: cannot start a thread (%s); going on with those there are\n",
			  strerror(err));
	mp->nextp = NULL;
	rt_lock(&sched.lock);
	mp->schedlink = mfailed;
	mfailed = mp;
	nmfailed++;
	rt_runqdrain_locked(pp); // nobody takes from the queue of an idle P
	rt_pidleput_locked(pp);
	if (spinning) // before the unlock, as in rt_startm
		atomic_fetch_sub(&sched.nmspinning, 1);
	rt_unlock(&sched.lock);
}

// Runs pp (NULL: an idle one, if any) on a sleeping or new M. spinning: the caller has counted it in
// nmspinning.
void
rt_startm(struct p *pp, bool spinning)
{
	rt_lock(&sched.lock);
	if (!pp)
		pp = rt_pidleget_locked();
	if (!pp) {
		// Before the unlock: a P that becomes idle after it must not find this spinner, which
		// will never look, or work made then wakes nobody (tests/models/idle.pml).
		if (spinning)
			atomic_fetch_sub(&sched.nmspinning, 1);
		rt_unlock(&sched.lock);
		return;
	}
	struct m *mp = sched.midle;
	if (mp) {
		sched.midle = mp->schedlink;
		RT_BUMP(&sched.nmidle, -1);
	}
	rt_unlock(&sched.lock);
	if (mp) {
		mp->spinning = spinning;
		mp->nextp = pp;
		rt_note_wakeup(&mp->park);
		return;
	}
	newm(pp, spinning);
}

// A P whose M goes away: give it to another if there is anything to do for it.
void
rt_handoffp(struct p *pp)
{
	bool retires = rt_load(&pp->slow) & SLOW_RETIRE; // by an M, and nobody else may wait for its timers
	if (!rt_runqempty(pp) || rt_load(&sched.runqsize) > 0 || retires) {
		rt_startm(pp, false);
		return;
	}
	int32_t none = 0;
	if (rt_load(&sched.npidle) == gomaxprocs - 1 || rt_load(&sched.nmspinning) > 0) {
		none = 1; // the last running P, or a spinner exists: no need to look further
	} else if (atomic_compare_exchange_strong(&sched.nmspinning, &none, 1)) {
		rt_startm(pp, true);
		return;
	}
	rt_lock(&sched.lock);
	if (rt_load(&sched.gcwaiting)) {
		rt_store(&pp->status, Pgcstop);
		if (rt_one_stopped_locked())
			rt_note_wakeup(&sched.stopnote);
		rt_unlock(&sched.lock);
		return;
	}
	if (rt_load(&sched.runqsize) > 0) {
		rt_unlock(&sched.lock);
		rt_startm(pp, false);
		return;
	}
	rt_pidleput_locked(pp);
	rt_unlock(&sched.lock);
	int64_t when = rt_poll_until(); // of others, too: their Ps may have gone idle in view of this one
	if (when)
		rt_poll_wake(when);
}

// mp has no P and is where startm or startlockedm finds it.
void
rt_wait_for_p(struct m *mp)
{
	rt_note_sleep(&mp->park);
	rt_note_clear(&mp->park);
	rt_acquirep(mp, mp->nextp);
	mp->nextp = NULL;
}

// Sleeps until somebody has a P and work for it.
void
rt_stopm(struct m *mp)
{
	rt_lock(&sched.lock);
	mp->schedlink = sched.midle;
	sched.midle = mp;
	RT_BUMP(&sched.nmidle, 1);
	rt_checkdead_locked();
	rt_unlock(&sched.lock);
	rt_wait_for_p(mp);
}

// ---- deadlock ----

static int32_t
process_threads(void)
{
	// Numbers under /proc/self/task; -1 when there is no /proc. No stdio: sched.lock is held.
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	char buf[4096];
	int32_t n = 0;
	long got;
	while ((got = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
		for (long at = 0; at < got;) {
			uint16_t len;
			memcpy(&len, buf + at + 16, sizeof len);
			n += buf[at + 19] != '.';
			at += len;
		}
	syscall(SYS_close, fd);
	return n;
}

// Every M idle and no timer: no goroutine can ever run again, unless a thread that is not ours sends.
void
rt_checkdead_locked(void)
{
	if (rt_timers_next() != 0 || rt_netpoll_waiters() > 0)
		return;
	// Then an M that still sleeps for a timer that was stopped is idle, too.
	int32_t idle = sched.nmidle + sched.nmidlelocked + (rt_load(&sched.polluntil) != 0);
	int32_t running = sched.mcount - nmfailed - idle;
	// A P that is not idle though no M has it is in a system call, or sysmon has just retaken it and is about
	// to hand it over; afterwards sysmon looks again.
	if (running > 0 || rt_load(&sched.dying) || !rt_all_idle_locked())
		return;
	// Somebody without an M (sysmon) is about to start one, which looks for work before it sleeps.
	if (rt_load(&sched.nmspinning) > 0)
		return;
	int32_t ours = sched.mcount - nmfailed - sched.nmextra + rt_load(&sched.own_threads);
	if (process_threads() > ours)
		return;
	rt_unlock(&sched.lock);
	if (rt_ngoroutines() == 0)
		rt_fatal("no goroutines (main called runtime.Goexit) - deadlock!");
	rt_fatal("all goroutines are asleep - deadlock!");
}
