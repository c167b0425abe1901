// SPDX-License-Identifier: BSD-3-Clause
// What goroutines need and leave behind: dead Gs with their stacks, and sudogs. Each P keeps some, so
// that the common case takes no lock; the rest is in lists that all share. Also the words for states.
//
// A dead G is in exactly one P's gfree, or one batch, and its stack is unused (rt_switch_finish puts it there
// once its last frame is left). allgs only grows: whoever walks it needs no lock.
// Go: gfput, gfget, acquireSudog in runtime/proc.go.
#include <string.h>

#include "base/print.h"
#include "debug/throw.h"
#include "os/os.h"
#include "sched/sanitize.h"
#include "sched/sched.h"
#include "sched/stack.h"

#define SUDOG_CACHE_MAX 128u

static struct rt_mutex sudoglock;
static struct sudog *sudogfree;
static uint32_t nsudogfree;

// Half of what a P keeps, on its way from one P to another. Pointers side by side: a list through the
// goroutines themselves would be a walk of cache misses, each the way to the next.
struct gbatch {
	struct gbatch *next;
	struct g *g[GFREE_MAX / 2];
};

static struct {
	struct rt_mutex lock;
	struct gbatch *empty;
	_Atomic(struct gbatch *) full; // written under lock, looked at without
} batches;

// The oldest half goes: the others are still in this CPU's cache.
static RT_NOINLINE void
gfspill(struct p *pp)
{
	rt_lock(&batches.lock);
	struct gbatch *b = batches.empty;
	if (b)
		batches.empty = b->next;
	rt_unlock(&batches.lock);
	if (!b)
		b = rt_persistent_alloc(sizeof *b, RT_CACHE_LINE, NULL);
	memcpy(b->g, pp->gfree, sizeof b->g);
	memmove(pp->gfree, pp->gfree + GFREE_MAX / 2, sizeof b->g);
	rt_store(&pp->ngfree, GFREE_MAX / 2);
	rt_lock(&batches.lock);
	b->next = rt_load(&batches.full);
	rt_store(&batches.full, b);
	rt_unlock(&batches.lock);
}

static RT_NOINLINE void
gfrefill(struct p *pp)
{
	rt_lock(&batches.lock);
	struct gbatch *b = rt_load(&batches.full);
	if (b) {
		rt_store(&batches.full, b->next);
		memcpy(pp->gfree, b->g, sizeof b->g);
		rt_store(&pp->ngfree, GFREE_MAX / 2);
		b->next = batches.empty;
		batches.empty = b;
	}
	rt_unlock(&batches.lock);
}

void
rt_gfput(struct p *pp, struct g *gp)
{
	if (gp->big) {
		rt_stack_free_big_g(gp); // the g itself comes back with the next big stack
		return;
	}
	uint32_t n = rt_load(&pp->ngfree);
	pp->gfree[n] = gp;
	rt_store(&pp->ngfree, n + 1);
	if (n + 1 == GFREE_MAX)
		gfspill(pp);
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

// What a goroutine's start writes first, and another CPU may have written last: of the one that is some
// starts away, as its page is not in the TLB either.
RT_INLINE void
prefetch_for_start(const struct p *pp, uint32_t n)
{
	enum { AHEAD = 3 };
	if (n <= AHEAD)
		return;
	const char *gp = (const char *)pp->gfree[n - 1 - AHEAD];
	__builtin_prefetch(gp, 1);
	__builtin_prefetch(gp + RT_CACHE_LINE, 1);
	__builtin_prefetch(gp + 2 * RT_CACHE_LINE, 1);
	__builtin_prefetch(gp - RT_CACHE_LINE, 1); // the top of its stack
}

static RT_NOINLINE struct g *
new_g(void)
{
	struct g *gp = rt_stack_new_g();
	if (!gp)
		rt_fatal("runtime: out of address space for goroutine stacks");
	rt_store(&gp->status, Gdead);
	rt_fiber_create(gp);
	rt_allgadd(gp);
	return gp;
}

struct g *
rt_gfget(struct p *pp)
{
	if (rt_unlikely(rt_load(&pp->ngfree) == 0)) {
		if (rt_load(&batches.full)) // a stale look costs one new stack or one lock
			gfrefill(pp);
		if (rt_load(&pp->ngfree) == 0)
			return new_g();
	}
	uint32_t n = rt_load(&pp->ngfree);
	struct g *gp = pp->gfree[n - 1];
	rt_store(&pp->ngfree, n - 1);
	prefetch_for_start(pp, n);
	rt_fiber_reuse(gp, gp->sched.sp);
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
