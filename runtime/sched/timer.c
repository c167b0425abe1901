// SPDX-License-Identifier: BSD-3-Clause
// The timer heaps, and the sleep of the one idle M that waits for the next timer and the network.
//
// A timer is in at most one heap, that of the P it was set on; pp->timerslock guards the heap and every
// timer whose pp is this P. Setting is lazy wherever that is cheaper than moving an entry:
//   later     only t->when changes; the entry is moved when it comes up
//   never     the entry stays as a zombie, which a later rt_timer_set revives; one at the tail goes at once
//   earlier   a second entry; the first has become garbage
// An entry e of pp is valid iff e.t->pp == pp and e.t->hwhen == e.when. Everything else is garbage and
// is not looked at further: its timer may belong to another P. Two valid entries for one t, with the
// same key, can arise; whichever comes first serves, and makes garbage of the other. Zombies and
// garbage are swept when they are more than a quarter of the heap.
//
// Invariants, true whenever timerslock is free:
//   - timers[0] is valid and its timer is set (so ntimers > 0 means that something will fire)
//   - timer0when is timers[0].when, or 0 when the heap is empty
//   - a valid entry's key is at most its timer's when
//
// Lost wakeups: whoever adds a timer stores timer0when, then reads polluntil; the M that goes to sleep
// stores polluntil, then reads every timer0when again (sleep_for_work). All four are seq_cst, so one
// sees the other. pollseq is read before polluntil is published, and a wake after that is kept: without
// a netpoller pollseq is the futex word; with one, the eventfd stays readable. The sleeper that has
// chosen the futex when the netpoller comes into being is woken by rt_netpoll_init.
//
// Lock order: whatever the caller of rt_timer_set holds < timerslock < sched.lock. Go: runtime/time.go.
#include "sched/timer.h"

#include <gort/time.h>

#include "debug/throw.h"
#include "os/os.h"
#include "sched/netpoll.h"
#include "sched/sched.h"

#define SLEEPERS_BATCH 64 // readied together; the heap's lock is free in between
#define SWEEP_MIN 16u

// ---- the heap ----

// seq_cst only where a timer comes earlier: see "Lost wakeups". A value that is too early costs the
// sleeper one look.
static void
set_timer0(struct p *pp)
{
	int64_t when = pp->ntimers > 0 ? pp->timers[0].when : 0, old = rt_load(&pp->timer0when);
	if (when == old)
		return;
	if (when != 0 && (old == 0 || when < old))
		atomic_store(&pp->timer0when, when);
	else
		rt_store_release(&pp->timer0when, when);
}

static void
siftup(struct timer_when *heap, uint32_t i)
{
	struct timer_when e = heap[i];
	while (i > 0) {
		uint32_t parent = (i - 1) / 4;
		if (heap[parent].when <= e.when)
			break;
		heap[i] = heap[parent];
		i = parent;
	}
	heap[i] = e;
}

static void
siftdown(struct timer_when *heap, uint32_t n, uint32_t i)
{
	struct timer_when e = heap[i];
	for (;;) {
		uint32_t first = i * 4 + 1, end = rt_min(first + 4, n), least = i;
		int64_t when = e.when;
		for (uint32_t c = first; c < end; c++)
			if (heap[c].when < when) {
				when = heap[c].when;
				least = c;
			}
		if (least == i)
			break;
		heap[i] = heap[least];
		i = least;
	}
	heap[i] = e;
}

// The array begins three entries before a cache line's end, so that four siblings share one.
enum { PAD = 3 };

static size_t
heap_bytes(uint32_t cap)
{
	return ((size_t)cap + PAD) * sizeof(struct timer_when);
}

static void
grow(struct p *pp)
{
	uint32_t cap = pp->captimers ? (pp->captimers + PAD) * 2 - PAD : 256 - PAD;
	struct timer_when *heap = rt_os_alloc(heap_bytes(cap));
	if (!heap)
		rt_fatal("runtime: cannot allocate memory");
	heap += PAD;
	for (uint32_t i = 0; i < pp->ntimers; i++)
		heap[i] = pp->timers[i];
	size_t had = pp->timers ? heap_bytes(pp->captimers) : 0;
	atomic_fetch_add_explicit(&rt_persistent_other, heap_bytes(cap) - had, memory_order_relaxed);
	if (had)
		rt_os_free(pp->timers - PAD, had);
	pp->timers = heap;
	pp->captimers = cap;
}

static void
push(struct p *pp, struct rt_timer *t, int64_t when)
{
	if (rt_unlikely(pp->ntimers == pp->captimers))
		grow(pp);
	pp->timers[pp->ntimers] = (struct timer_when){when, t};
	siftup(pp->timers, pp->ntimers++);
}

static void
pop(struct p *pp)
{
	struct timer_when last = pp->timers[--pp->ntimers];
	if (pp->ntimers > 0) {
		pp->timers[0] = last;
		siftdown(pp->timers, pp->ntimers, 0);
	}
}

// ---- entries that do not count ----

static bool
valid(const struct p *pp, const struct timer_when *e)
{
	return rt_load(&e->t->pp) == pp && e->t->hwhen == e->when;
}

// t has no entry any more; another P may take it. Release: pairs with lock_heap.
static void
release(struct rt_timer *t)
{
	t->hwhen = 0;
	rt_store_release(&t->pp, NULL);
}

// Whether the entry is a zombie or garbage; then its timer knows nothing of it afterwards.
static bool
dead(struct p *pp, const struct timer_when *e)
{
	if (valid(pp, e)) {
		if (e->t->when != 0)
			return false;
		release(e->t);
	}
	// Of two valid entries with one key the second was counted, but can be swept as a live one.
	if (pp->nzombies > 0)
		pp->nzombies--;
	return true;
}

static void
clean_head(struct p *pp)
{
	while (pp->ntimers > 0 && dead(pp, &pp->timers[0]))
		pop(pp);
}

static void
clean_tail(struct p *pp)
{
	while (pp->ntimers > 0 && dead(pp, &pp->timers[pp->ntimers - 1]))
		pp->ntimers--;
}

// Leaves the live entries, each with its timer's own time, and makes a heap of them.
static void
sweep(struct p *pp)
{
	struct timer_when *heap = pp->timers;
	uint32_t n = 0;
	for (uint32_t i = 0; i < pp->ntimers; i++) {
		struct timer_when e = heap[i];
		if (dead(pp, &e))
			continue;
		e.when = e.t->hwhen = e.t->when;
		heap[n++] = e;
	}
	pp->ntimers = n;
	pp->nzombies = 0;
	for (uint32_t i = (n + 2) / 4; i-- > 0;)
		siftdown(heap, n, i);
}

static void
sweep_if_due(struct p *pp)
{
	if (pp->nzombies > SWEEP_MIN && pp->nzombies > pp->ntimers / 4)
		sweep(pp);
}

// ---- setting ----

// Locks the heap that t is in. It may leave that heap until the lock is ours, hence the second look.
static struct p *
lock_heap(struct rt_timer *t)
{
	struct p *pp;
	while ((pp = rt_load_acquire(&t->pp)) != NULL) {
		rt_lock(&pp->timerslock);
		if (rt_load(&t->pp) == pp)
			return pp;
		rt_unlock(&pp->timerslock);
	}
	return NULL;
}

// The same; puts it into the care of this P when it is in none.
static struct p *
lock_heap_or_own(struct rt_timer *t)
{
	for (;;) {
		struct p *pp = lock_heap(t), *none = NULL;
		if (pp)
			return pp;
		pp = rt_getp();
		rt_lock(&pp->timerslock);
		// Two may try, each under its own P's lock. Acquire: pairs with release().
		if (atomic_compare_exchange_strong_explicit(&t->pp, &none, pp, memory_order_acq_rel,
							    memory_order_relaxed))
			return pp;
		rt_unlock(&pp->timerslock);
	}
}

// Returns whether t fires before all others of its heap now.
static bool
arm(struct p *pp, struct rt_timer *t, int64_t when)
{
	if (t->hwhen != 0) {
		if (t->when == 0 && pp->nzombies > 0)
			pp->nzombies--; // revived, or counted as garbage below
		if (when >= t->hwhen) {
			t->when = when;
			return false;
		}
		pp->nzombies++;
	}
	t->when = t->hwhen = when;
	push(pp, t, when);
	sweep_if_due(pp);
	set_timer0(pp);
	return pp->timers[0].t == t;
}

static void
disarm(struct p *pp, struct rt_timer *t)
{
	if (t->when == 0)
		return;
	t->when = 0;
	pp->nzombies++;
	clean_tail(pp);
	clean_head(pp);
	sweep_if_due(pp);
	set_timer0(pp);
}

bool
rt_timer_set(struct rt_timer *t, int64_t when)
{
	struct p *pp = when ? lock_heap_or_own(t) : lock_heap(t);
	if (!pp)
		return false;
	bool was = t->when != 0, first = false;
	if (when)
		first = arm(pp, t, when);
	else
		disarm(pp, t);
	rt_unlock(&pp->timerslock);
	if (first)
		rt_poll_wake(when);
	return was;
}

int64_t
rt_when(int64_t ns)
{
	int64_t when;
	if (__builtin_add_overflow(rt_nanotime(), rt_max(ns, INT64_C(0)), &when))
		return RT_NEVER;
	return when;
}

// ---- running ----

static void
sleep_over(struct rt_timer *t, int64_t now)
{
	(void)now;
	rt_ready(rt_container_of(t, struct g, sleeptimer));
}

// The next heads of the heap are among its first five; their timers lie in memory that has been left alone
// for as long as they waited.
static void
prefetch_heads(const struct p *pp)
{
	for (uint32_t i = 0; i < rt_min(pp->ntimers, 5u); i++)
		__builtin_prefetch(pp->timers[i].t, 1);
}

// Takes the next timer that is due out of the heap; NULL: none. One whose time was set later moves.
static struct rt_timer *
take_due(struct p *pp, int64_t now)
{
	for (;;) {
		clean_head(pp);
		if (pp->ntimers == 0 || pp->timers[0].when > now)
			return NULL;
		struct rt_timer *t = pp->timers[0].t;
		if (t->when == t->hwhen) {
			pop(pp);
			prefetch_heads(pp);
			t->when = 0;
			release(t);
			return t;
		}
		pp->timers[0].when = t->hwhen = t->when;
		siftdown(pp->timers, pp->ntimers, 0);
	}
}

// Takes what is due: goroutines that sleep go to a list, in order; the first other timer ends the round.
static struct rt_timer *
take_round(struct p *pp, int64_t now, struct g **sleepers)
{
	struct rt_timer *t = NULL;
	struct g **tail = sleepers;
	uint32_t n = 0;
	rt_lock(&pp->timerslock);
	while (n < SLEEPERS_BATCH && (t = take_due(pp, now)) != NULL) {
		n++;
		if (t->fn != sleep_over)
			break;
		struct g *gp = rt_container_of(t, struct g, sleeptimer);
		t = NULL;
		*tail = gp;
		tail = &gp->schedlink;
	}
	*tail = NULL;
	clean_head(pp);
	set_timer0(pp);
	rt_unlock(&pp->timerslock);
	RT_BUMP(&sched.nfired, n);
	return t;
}

// Function timers start goroutines: where the queue is long already, one for each goroutine that has run since the
// last time. So very many that are due at once run while they fire, on stacks that are in the cache, and a long
// queue does not stop the timers either.
static bool
enough_fired(struct p *own, uint32_t n)
{
	if (rt_runqsize(own) < RUNQ_LEN / 2)
		return false;
	uint32_t switches = rt_load(&own->straight);
	if (n <= rt_min(switches - own->timerturn, RUNQ_LEN))
		return false;
	own->timerturn = switches;
	return true;
}

int64_t
rt_timers_run(struct p *pp, int64_t *now)
{
	uint32_t fired = 0;
	int64_t when = rt_load(&pp->timer0when);
	if (when == 0)
		return 0;
	if (*now == 0)
		*now = rt_nanotime();
	while (when != 0 && when <= *now) {
		struct g *sleepers;
		struct rt_timer *t = take_round(pp, *now, &sleepers);
		if (sleepers)
			rt_ready_list(sleepers);
		if (t)
			t->fn(t, *now);
		when = rt_load(&pp->timer0when);
		if (t && enough_fired(rt_getp(), ++fired))
			break;
	}
	return when;
}

void
rt_timers_move(struct p *from, struct p *to)
{
	rt_lock(&from->timerslock);
	rt_lock(&to->timerslock); // always P 0, so two such moves cannot wait for each other
	for (uint32_t i = 0; i < from->ntimers; i++) {
		struct timer_when e = from->timers[i];
		if (dead(from, &e))
			continue;
		e.t->hwhen = e.t->when;
		rt_store_release(&e.t->pp, to);
		push(to, e.t, e.t->when);
	}
	from->ntimers = from->nzombies = 0;
	set_timer0(from);
	set_timer0(to);
	int64_t first = rt_load(&to->timer0when);
	rt_unlock(&to->timerslock);
	rt_unlock(&from->timerslock);
	if (first)
		rt_poll_wake(first);
}

int64_t
rt_timers_next(void)
{
	int64_t first = 0;
	for (int32_t i = 0; i < gomaxprocs; i++) {
		int64_t when = atomic_load(&allp[i]->timer0when);
		if (when && (first == 0 || when < first))
			first = when;
	}
	return first;
}

// ---- the idle M that waits ----

uint32_t
rt_poll_seq(void)
{
	return atomic_load(&sched.pollseq);
}

int64_t
rt_poll_until(void)
{
	int64_t when = rt_timers_next();
	return when == 0 && rt_netpoll_waiters() > 0 ? RT_NEVER : when;
}

int64_t
rt_poll_coalesce(int64_t until, int64_t now, int64_t took, uint32_t fired)
{
	enum { ENOUGH = 64, MOST = 200000 };
	if (until == RT_NEVER || fired == 0 || took / fired > MOST / ENOUGH)
		return until;
	return rt_max(until, now + ENOUGH * took / fired);
}

bool
rt_poll_unwatched(void)
{
	return atomic_load(&sched.polluntil) == 0 && rt_poll_until() != 0;
}

// The variables belong to the M that has put its time into polluntil.
static int64_t
coalesce(int64_t until)
{
	static int64_t since;
	static uint32_t before;
	int64_t now = rt_nanotime(), took = now - since;
	uint32_t fired = rt_load(&sched.nfired) - before;
	since = now;
	before += fired;
	return rt_poll_coalesce(until, now, took, fired);
}

struct g *
rt_poll_sleep(int64_t until, uint32_t seq)
{
	until = coalesce(until);
	// -1 means for ever, so a timer that is a nanosecond late must not say so.
	int64_t left = until == RT_NEVER ? -1 : rt_max(until - rt_nanotime(), (int64_t)0);
	if (rt_netpoll_inited())
		return rt_netpoll(left);
	if (left != 0)
		rt_futex_wait(&sched.pollseq, seq, left);
	return NULL;
}

void
rt_poll_wake(int64_t when)
{
	int64_t until = atomic_load(&sched.polluntil);
	if (until == 0) {
		rt_wakep(); // nobody watches timers: an idle M should, in case this P stays busy
		return;
	}
	if (when >= until)
		return;
	atomic_fetch_add(&sched.pollseq, 1);
	if (rt_netpoll_inited())
		rt_netpoll_break();
	else
		rt_futex_wake(&sched.pollseq, 1);
}

// ---- sleep ----

// The heap's lock is released by whoever runs next: only then can the timer fire and ready gp.
void
gort_sleep(int64_t ns)
{
	if (ns <= 0)
		return;
	rt_enter();
	struct g *gp = rt_getg();
	struct rt_timer *t = &gp->sleeptimer;
	int64_t when = rt_when(ns);
	t->fn = sleep_over;
	struct p *pp = lock_heap_or_own(t);
	if (arm(pp, t, when))
		rt_poll_wake(when);
	rt_park(&pp->timerslock, WAIT_SLEEP);
	rt_leave();
}

int64_t
gort_nanotime(void)
{
	return rt_nanotime();
}
