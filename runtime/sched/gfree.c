// SPDX-License-Identifier: BSD-3-Clause
// What goroutines need and leave behind: dead Gs with their stacks, and sudogs. Each P keeps some, so
// that the common case takes no lock; the rest is in lists that all share. Also the words for states.
//
// A dead G is on exactly one free list and its stack is unused (rt_switch_finish puts it there once its
// last frame is left). allgs only grows: whoever walks it needs no lock.
// Go: gfput, gfget, acquireSudog in runtime/proc.go.
#include "base/print.h"
#include "debug/throw.h"
#include "os/os.h"
#include "sched/sanitize.h"
#include "sched/sched.h"
#include "sched/stack.h"

#define GFREE_MAX 64u // dead goroutines a P keeps; half go to the global list above it
#define SUDOG_CACHE_MAX 128u

static struct rt_mutex sudoglock;
static struct sudog *sudogfree;
static uint32_t nsudogfree;

void
rt_gfput(struct p *pp, struct g *gp)
{
	if (gp->big)
		rt_stack_free_big_g(gp); // the g itself comes back with the next big stack
	else {
		gp->schedlink = pp->gfree;
		pp->gfree = gp;
		RT_BUMP(&pp->ngfree, 1);
	}
	if (pp->ngfree < GFREE_MAX)
		return;
	rt_lock(&sched.lock);
	while (pp->ngfree > GFREE_MAX / 2) {
		struct g *x = pp->gfree;
		pp->gfree = x->schedlink;
		RT_BUMP(&pp->ngfree, -1);
		x->schedlink = sched.gfree;
		sched.gfree = x;
		RT_BUMP(&sched.ngfree, 1);
	}
	rt_unlock(&sched.lock);
}

static void
gfrefill(struct p *pp)
{
	rt_lock(&sched.lock);
	while (pp->ngfree < GFREE_MAX / 2 && sched.gfree) {
		struct g *gp = sched.gfree;
		sched.gfree = gp->schedlink;
		RT_BUMP(&sched.ngfree, -1);
		gp->schedlink = pp->gfree;
		pp->gfree = gp;
		RT_BUMP(&pp->ngfree, 1);
	}
	rt_unlock(&sched.lock);
}

void
rt_allgadd(struct g *gp)
{
	struct g *head = rt_load(&allgs);
	do
		gp->alllink = head;
	while (!atomic_compare_exchange_weak_explicit(&allgs, &head, gp, memory_order_release,
						      memory_order_relaxed));
}

// What a goroutine's start writes first, and another CPU may have written last.
RT_INLINE void
prefetch_for_start(const struct g *gp)
{
	uintptr_t at = (uintptr_t)gp; // may be 0
	__builtin_prefetch((const void *)at, 1);
	__builtin_prefetch((const void *)(at + RT_CACHE_LINE), 1);
	__builtin_prefetch((const void *)(at - RT_CACHE_LINE), 1); // the top of its stack
}

struct g *
rt_gfget(struct p *pp)
{
	if (!pp->gfree && sched.ngfree > 0) // a stale look costs one new stack or one lock
		gfrefill(pp);
	struct g *gp = pp->gfree;
	if (rt_likely(gp != NULL)) {
		pp->gfree = gp->schedlink;
		RT_BUMP(&pp->ngfree, -1);
		prefetch_for_start(pp->gfree);
		rt_fiber_reuse(gp, gp->sched.sp);
		return gp;
	}
	gp = rt_stack_new_g();
	if (!gp)
		rt_fatal("runtime: out of address space for goroutine stacks");
	rt_store(&gp->status, Gdead);
	rt_fiber_create(gp);
	rt_allgadd(gp);
	return gp;
}

struct sudog *
rt_acquire_sudog(void)
{
	struct g *gp = rt_getg();
	if (rt_likely(!gp->sudog0_used)) {
		gp->sudog0_used = true;
		return &gp->sudog0;
	}
	struct p *pp = rt_getp();
	struct sudog *sg = pp->sudogcache;
	if (rt_likely(sg != NULL)) {
		pp->sudogcache = sg->next;
		pp->nsudogcache--;
		sg->next = NULL;
		return sg;
	}
	rt_lock(&sudoglock);
	sg = sudogfree;
	if (sg) {
		sudogfree = sg->next;
		nsudogfree--;
	}
	rt_unlock(&sudoglock);
	if (!sg)
		sg = rt_persistent_alloc(sizeof *sg, RT_CACHE_LINE, NULL);
	sg->next = NULL;
	return sg;
}

void
rt_release_sudog(struct sudog *sg)
{
	struct g *gp = rt_getg();
	sg->g = NULL;
	sg->c = NULL;
	sg->elem = NULL;
	if (rt_likely(sg == &gp->sudog0)) {
		gp->sudog0_used = false;
		return;
	}
	struct p *pp = rt_getp();
	if (rt_likely(pp->nsudogcache < SUDOG_CACHE_MAX)) {
		sg->next = pp->sudogcache;
		pp->sudogcache = sg;
		pp->nsudogcache++;
		return;
	}
	rt_lock(&sudoglock);
	sg->next = sudogfree;
	sudogfree = sg;
	nsudogfree++;
	rt_unlock(&sudoglock);
}

// ---- words ----

static const char *const wait_reasons[WAIT_REASONS] = {
	[WAIT_NONE] = "",
	[WAIT_GC_ASSIST_MARKING] = "GC assist marking",
	[WAIT_IO] = "IO wait",
	[WAIT_CHAN_RECEIVE_NIL] = "chan receive (nil chan)",
	[WAIT_CHAN_SEND_NIL] = "chan send (nil chan)",
	[WAIT_GARBAGE_COLLECTION] = "garbage collection",
	[WAIT_PANIC] = "panicwait",
	[WAIT_SELECT] = "select",
	[WAIT_SELECT_NO_CASES] = "select (no cases)",
	[WAIT_GC_ASSIST] = "GC assist wait",
	[WAIT_GC_SWEEP] = "GC sweep wait",
	[WAIT_GC_SCAVENGE] = "GC scavenge wait",
	[WAIT_CHAN_RECEIVE] = "chan receive",
	[WAIT_CHAN_SEND] = "chan send",
	[WAIT_FINALIZER] = "finalizer wait",
	[WAIT_FORCE_GC] = "force gc (idle)",
	[WAIT_SEMACQUIRE] = "semacquire",
	[WAIT_SLEEP] = "sleep",
	[WAIT_COND] = "sync.Cond.Wait",
	[WAIT_MUTEX_LOCK] = "sync.Mutex.Lock",
	[WAIT_RWMUTEX_RLOCK] = "sync.RWMutex.RLock",
	[WAIT_RWMUTEX_LOCK] = "sync.RWMutex.Lock",
	[WAIT_GC_CYCLE] = "wait for GC cycle",
	[WAIT_GC_WORKER_IDLE] = "GC worker (idle)",
	[WAIT_PREEMPTED] = "preempted",
	[WAIT_STOPPING_WORLD] = "stopping the world",
	[WAIT_WAITGROUP] = "sync.WaitGroup.Wait",
};

const char *
rt_wait_reason_text(enum wait_reason r)
{
	return r < WAIT_REASONS ? wait_reasons[r] : "unknown wait reason";
}

void
rt_bad_gstatus(struct g *gp, enum gstatus old, enum gstatus new)
{
	rt_printf("casgstatus: goroutine %lu is %u, not %d (-> %d)\n", gp->goid,
		  rt_load(&gp->status), old, new);
	rt_throw("casgstatus: bad incoming status");
}

const char *
rt_leaked_reason_text(enum wait_reason r)
{
	static const char *const texts[WAIT_REASONS] = {
		[WAIT_CHAN_RECEIVE_NIL] = "chan receive (nil chan) (leaked)",
		[WAIT_CHAN_SEND_NIL] = "chan send (nil chan) (leaked)",
		[WAIT_SELECT] = "select (leaked)",
		[WAIT_SELECT_NO_CASES] = "select (no cases) (leaked)",
		[WAIT_CHAN_RECEIVE] = "chan receive (leaked)",
		[WAIT_CHAN_SEND] = "chan send (leaked)",
		[WAIT_SEMACQUIRE] = "semacquire (leaked)",
		[WAIT_COND] = "sync.Cond.Wait (leaked)",
		[WAIT_MUTEX_LOCK] = "sync.Mutex.Lock (leaked)",
		[WAIT_RWMUTEX_RLOCK] = "sync.RWMutex.RLock (leaked)",
		[WAIT_RWMUTEX_LOCK] = "sync.RWMutex.Lock (leaked)",
		[WAIT_WAITGROUP] = "sync.WaitGroup.Wait (leaked)",
	};
	return r < WAIT_REASONS && texts[r] ? texts[r] : rt_wait_reason_text(r);
}
