// SPDX-License-Identifier: BSD-3-Clause
// Threads that the runtime did not make. The first call into the runtime gives such a thread an M and a
// goroutine that lives on the thread's own stack and is locked to it; they are taken back when the
// thread ends. Between calls it holds no P and is not part of the world: it must not keep collected
// pointers, unless it is attached (gort_attach_thread), when it counts for a stop like a detached M.
//
// How every call is caught: the depth word of these threads keeps RT_DEPTH_PENDING, so rt_enter comes
// by rt_enter_slow, which takes a P, and rt_leave by rt_leave_slow, which gives it back.
// Go: needm, dropm in runtime/proc.go.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <gort/sched.h>

#include "debug/hooks.h"
#include "debug/throw.h"
#include "os/os.h"
#include "sched/sanitize.h"
#include "sched/sched.h"
#include "sched/stack.h"

#define G0_STACK ((size_t)256 << 10)

static struct rt_mutex extralock;
static struct m *extra; // Ms whose thread ended, by schedlink
static pthread_key_t thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// Back to the list; the M's scheduling stack is kept for the next thread.
static void
drop_thread(void *p)
{
	struct m *mp = p;
	gort_detach_thread();
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	if (h && h->thread_exit)
		h->thread_exit(mp);
	rt_tls_set_depth(1); // no signal may find the M half gone
	struct p *pp = mp->oldp;
	uint32_t st = Psyscall;
	if (pp && atomic_compare_exchange_strong(&pp->status, &st, Pidle))
		rt_handoffp(pp);
	mp->oldp = NULL;
	struct g *gp = mp->curg;
	rt_store(&gp->status, Gdead);
	RT_TLS_WRITE(offsetof(struct rt_tls, g), 0);
	RT_TLS_WRITE(offsetof(struct rt_tls, m), 0);
	mp->tid = 0;
	rt_lock(&sched.lock);
	RT_BUMP(&sched.nmidlelocked, 1); // counted as idle while nobody owns it
	sched.nmextra++;
	rt_unlock(&sched.lock);
	rt_lock(&extralock);
	mp->schedlink = extra;
	extra = mp;
	rt_unlock(&extralock);
	rt_tls_set_depth(RT_DEPTH_PENDING);
}

static void
make_key(void)
{
	if (pthread_key_create(&thread_end, drop_thread) != 0)
		rt_throw("no pthread key left for foreign threads");
}

static struct m *
new_extra(void)
{
	struct m *mp = rt_persistent_alloc(sizeof *mp, RT_CACHE_LINE, NULL);
	struct g *gp = rt_persistent_alloc(sizeof *gp, RT_CACHE_LINE, NULL);
	char *stack = mmap(NULL, G0_STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		rt_fatal("runtime: cannot allocate memory");
	rt_mcommoninit(mp);
	mp->foreign = true;
	mp->g0->stack = (struct stack){.lo = (uintptr_t)stack, .hi = (uintptr_t)stack + G0_STACK};
	rt_store(&gp->status, Gdead);
	// Before it is in allgs: a stop, which this thread does not hold up, reads it by way of its M.
	rt_store(&mp->curg, gp);
	rt_allgadd(gp);
	return mp;
}

static struct m *
get_extra(void)
{
	rt_lock(&extralock);
	struct m *mp = extra;
	if (mp)
		extra = mp->schedlink;
	rt_unlock(&extralock);
	if (!mp)
		return new_extra();
	rt_lock(&sched.lock);
	RT_BUMP(&sched.nmidlelocked, -1);
	sched.nmextra--;
	rt_unlock(&sched.lock);
	return mp;
}

// At depth 1 of a thread without an M. Leaves it as in a system call: with an M, without a P.
void
rt_adopt_thread(void)
{
	if (!rt_load_acquire(&rt_started))
		rt_fatal("gort is used before gort_run has started it");
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_once(&once, make_key);
	struct m *mp = get_extra();
	struct g *gp = mp->curg;
	rt_thread_stack_bounds(&gp->stack);
	mp->tid = rt_os_gettid();
	mp->thread = pthread_self();
	gp->goid = atomic_fetch_add(&sched.goidgen, 1) + 1;
	rt_store(&gp->m, mp);
	gp->lockedm = mp;
	rt_store(&mp->lockedg, gp);
	rt_store(&gp->status, Gsyscall);
	rt_fiber_adopt(gp);
	rt_bind_g0(mp);
	pthread_setspecific(thread_end, mp);
	RT_TLS_WRITE(offsetof(struct rt_tls, m), mp);
	RT_TLS_WRITE(offsetof(struct rt_tls, g), gp);
	const struct rt_hooks *h = rt_load_acquire(&rt_hooks);
	if (h && h->thread_start)
		h->thread_start(mp);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void
rt_adopt_own_thread(void)
{
	rt_enter();
	rt_getm()->curg->is_system = true;
	rt_leave();
}

void
rt_drop_own_thread(void)
{
	struct m *mp = rt_getm();
	pthread_setspecific(thread_end, NULL);
	mp->curg->is_system = false;
	drop_thread(mp);
}

void
gort_attach_thread(void)
{
	rt_enter();
	struct m *mp = rt_getm();
	if (mp->foreign)
		mp->attached = true;
	rt_leave();
}

void
gort_detach_thread(void)
{
	rt_enter();
	struct m *mp = rt_getm();
	if (mp->foreign)
		mp->attached = false;
	rt_leave();
}
