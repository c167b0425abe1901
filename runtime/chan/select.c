// SPDX-License-Identifier: BSD-3-Clause
// Select. The path, each step only when the one before did not settle it:
//
//   1. peek at every channel without a lock; of those that look ready pick one at random, each equally
//      likely, and try it under its own lock; if somebody was faster, pick among the rest
//   2. nobody ready and there is a default: take it, if need be after a second look (nobody_ready)
//   3. lock all channels in ascending address; try again among those ready, or take the default
//   4. enqueue a sudog in every channel, let go of the locks, park; whoever takes one of the sudogs
//      first by moving g->selectdone from 0 to 1 performs the case
//   5. take the other sudogs out of their queues, copy a received value out
//
// Step 2's claim is that there was one moment at which no case could go ahead, which is what a select
// that locks all its channels sees. With one channel the look is such a moment. With several it takes a second
// look, and the moment is one between the two. Every change of a channel is made under its lock and begins with a
// step of its seq. The first look reads, per channel, seq, the lock and then the state. If the lock was free, the
// state was that of this time or a later one, and a change after seq was read has begun with a step: if the second
// look finds the same seq, the channel has been as the first look saw it until then.
//
// If the lock was held, or the channel is a timer's, whose state is also the clock, the second look reads the
// states, too, and then seq. Say that the channel was ready at a moment between the two looks, though both found it not
// ready. Then it turned ready after the first look's state and unready before the second's; the change that turned
// it unready began, with a step of seq, after it was ready, so after the first look read seq, and before the second
// did. So seq differs, and equal ones mean "not ready in between", for all channels at once.
//
// The fence that a peek may need (chan/chan.h) stands between the looks, and the moment just before the second is
// the one that counts.
//
// Rejected for step 4: one lock at a time. It makes a goroutine that selects to send and to receive on
// one channel meet itself.
//
// Go: runtime/select.go. Differences: steps 1 and 2 (Go locks every channel first), and who releases the
// locks (rt_chan_settle in chan/chan.h).
#include "chan/chan.h"

#include "debug/throw.h"
#include "mem/malloc.h"

#define MAX_CASES 65536
#define PEEK_CASES 64 // so many fit the mask of ready cases; selects with more begin at step 3

struct selection {
	struct gort_select_case *cases;
	int n;
	int dflt;   // index of the default, or -1
	int nchans; // cases on channels that are not nil
};

RT_INLINE bool
kind_ready(uint32_t kind, struct hchan *c)
{
	return kind == GORT_SELECT_RECV ? rt_chan_recv_ready(c) : rt_chan_send_ready(c);
}

RT_INLINE bool
case_ready(const struct gort_select_case *k)
{
	return kind_ready(k->kind, k->chan);
}

static _Noreturn RT_COLD void
bad_case(const struct gort_select_case *k, int i, bool second_default)
{
	if (second_default)
		rt_panic("select: more than one default case");
	if (k->kind != GORT_SELECT_SEND && k->kind != GORT_SELECT_RECV)
		rt_panic("select: case %d is none of GORT_SEND, GORT_RECV, GORT_RECV_OK, "
			 "GORT_DEFAULT",
			 i);
	rt_chan_panic_size(k->chan, k->elemsize);
}

// Notes the case if it is the default; tells whether it is one on a channel.
RT_INLINE bool
note_case(const struct gort_select_case *k, int i, int *dflt)
{
	if (rt_unlikely(k->kind - 1u > GORT_SELECT_RECV - 1u)) {
		if (k->kind != GORT_SELECT_DEFAULT || *dflt >= 0)
			bad_case(k, i, k->kind == GORT_SELECT_DEFAULT);
		*dflt = i;
		return false;
	}
	if (!k->chan)
		return false;
	if (rt_unlikely(k->elemsize != k->chan->elemsize) && k->elemsize != 0 && k->elem)
		bad_case(k, i, false);
	return true;
}

struct seen {
	struct hchan *chan;
	uint32_t seq;
};

// What the first look found, apart from what it stores in the selection.
struct view {
	uint64_t ready; // cases
	bool again;	// the second look must read the state, too
	struct seen seen[PEEK_CASES];
};

// The first look. What it counts and reads of a case stays in registers: v is known to others, so what is stored
// there might be the next thing to be read.
RT_INLINE void
look(struct selection *s, struct view *v)
{
	const struct gort_select_case *cases = s->cases;
	int n = s->n, dflt = -1, nchans = 0;
	uint64_t ready = 0;
	uint32_t again = 0;
	for (int i = 0; i < n; i++) {
		if (!note_case(&cases[i], i, &dflt))
			continue;
		struct hchan *c = cases[i].chan;
		uint32_t kind = cases[i].kind;
		v->seen[nchans++] = (struct seen){c, rt_load_acquire(&c->seq)};
		again |= rt_load_acquire(&c->lock.key) | c->timer;
		ready |= (uint64_t)kind_ready(kind, c) << i;
	}
	s->dflt = dflt;
	s->nchans = nchans;
	v->ready = ready;
	v->again = again != 0;
}

static bool
unchanged(const struct seen *seen, int n)
{
	for (int i = 0; i < n; i++)
		if (rt_load(&seen[i].chan->seq) != seen[i].seq)
			return false;
	return true;
}

static bool
notready(const struct selection *s)
{
	for (int i = 0; i < s->n; i++) {
		const struct gort_select_case *k = &s->cases[i];
		if (k->kind != GORT_SELECT_DEFAULT && k->chan && case_ready(k))
			return false;
	}
	return true;
}

// After a look that found none ready. The state's loads are acquires: seq is read after them.
RT_INLINE bool
nobody_ready(const struct selection *s, const struct view *v)
{
	bool unseen = rt_chan_unseen();
	if (s->nchans <= 1)
		return !unseen || notready(s);
	return (!v->again || notready(s)) && unchanged(v->seen, s->nchans);
}

RT_INLINE void
set_ok(const struct gort_select_case *k, bool ok)
{
	if (k->ok)
		*k->ok = ok;
}

RT_INLINE enum chan_result
attempt_locked(const struct gort_select_case *k, struct sudog **wake)
{
	return k->kind == GORT_SELECT_RECV ? rt_chan_recv_locked(k->chan, k->elem, wake)
					   : rt_chan_send_locked(k->chan, k->elem, wake);
}

// The rest of a case that an attempt settled; no lock held.
RT_INLINE void
settled(const struct gort_select_case *k, enum chan_result r, struct sudog *wake)
{
	if (wake)
		rt_chan_wake(wake, true);
	if (k->kind == GORT_SELECT_RECV)
		set_ok(k, r == CHAN_DONE);
	else if (rt_unlikely(r == CHAN_CLOSED))
		rt_chan_panic_closed();
}

// A random one of the mask's bits.
RT_INLINE int
pick(uint64_t mask)
{
	if (mask & (mask - 1))
		for (uint32_t k = rt_fastrandn((uint32_t)__builtin_popcountll(mask)); k > 0; k--)
			mask &= mask - 1;
	return __builtin_ctzll(mask);
}

// Steps 1 and 2. The case that happened, or -1.
RT_INLINE int
select_peeking(struct selection *s)
{
	struct view v;
	look(s, &v);
	if (v.ready == 0)
		return s->dflt >= 0 && nobody_ready(s, &v) ? s->dflt : -1;
	uint64_t ready = v.ready;
	do {
		int i = pick(ready);
		const struct gort_select_case *k = &s->cases[i];
		struct sudog *wake;
		rt_chan_lock(k->chan);
		enum chan_result r = attempt_locked(k, &wake);
		rt_chan_unlock(k->chan);
		if (rt_likely(r != CHAN_BLOCK)) {
			settled(k, r, wake);
			return i;
		}
		ready &= ~(UINT64_C(1) << i);
	} while (ready);
	return -1;
}

// ---- steps 3 to 5 ----

RT_INLINE uintptr_t
chan_address(const struct selection *s, uint16_t i)
{
	return (uintptr_t)s->cases[i].chan;
}

static void
sift_down(const struct selection *s, uint16_t *order, int root, int n)
{
	uint16_t v = order[root];
	for (int child; (child = 2 * root + 1) < n; root = child) {
		if (child + 1 < n &&
		    chan_address(s, order[child]) < chan_address(s, order[child + 1]))
			child++;
		if (chan_address(s, v) >= chan_address(s, order[child]))
			break;
		order[root] = order[child];
	}
	order[root] = v;
}

// Fills order with the cases on channels, by ascending address of the channel. A heap sort: no memory,
// no bad case, 65536 entries at most.
static void
lock_order(const struct selection *s, uint16_t *order)
{
	int n = 0;
	for (int i = 0; i < s->n; i++)
		if (s->cases[i].kind != GORT_SELECT_DEFAULT && s->cases[i].chan)
			order[n++] = (uint16_t)i;
	for (int i = n / 2 - 1; i >= 0; i--)
		sift_down(s, order, i, n);
	for (int i = n - 1; i > 0; i--) {
		uint16_t max = order[0];
		order[0] = order[i];
		order[i] = max;
		sift_down(s, order, 0, i);
	}
}

// A channel that stands in several cases is locked once.
static void
sellock(const struct selection *s, const uint16_t *order)
{
	struct hchan *last = NULL;
	for (int i = 0; i < s->nchans; i++) {
		struct hchan *c = s->cases[order[i]].chan;
		if (!last)
			rt_chan_lock(c);
		else if (c != last)
			rt_chan_lock_another(c);
		last = c;
	}
}

// Unlocks all but one, which stays locked.
static void
selunlock_but(const struct selection *s, const uint16_t *order, struct hchan *keep)
{
	struct hchan *last = keep;
	for (int i = s->nchans - 1; i >= 0; i--) {
		struct hchan *c = s->cases[order[i]].chan;
		if (c != last && c != keep)
			rt_chan_unlock(c);
		last = c;
	}
}

// A random one of the ready cases, or -1. All locks held. Each ready case replaces the choice so far
// with probability 1/(how many were seen), which makes them equally likely.
static int
pick_locked(const struct selection *s)
{
	int chosen = -1;
	uint32_t seen = 0;
	for (int i = 0; i < s->n; i++) {
		const struct gort_select_case *k = &s->cases[i];
		if (k->kind == GORT_SELECT_DEFAULT || !k->chan || !case_ready(k))
			continue;
		if (rt_fastrandn(++seen) == 0)
			chosen = i;
	}
	return chosen;
}

// Queues a sudog on every channel; g->waiting lists them in lock order.
static void
enqueue_all(const struct selection *s, const uint16_t *order)
{
	struct g *gp = rt_getg();
	struct sudog **link = &gp->waiting;

	rt_store(&gp->selectdone, 0); // the locks publish it
	gp->param = NULL;
	for (int i = 0; i < s->nchans; i++) {
		const struct gort_select_case *k = &s->cases[order[i]];
		struct hchan *c = k->chan;
		struct sudog *sg = rt_chan_sudog(c, k->elem, true);
		bool send = k->kind == GORT_SELECT_SEND;
		sg->casei = order[i];
		rt_chan_sudog_load(c, sg, send ? k->elem : NULL);
		rt_waitq_enqueue(send ? &c->sendq : &c->recvq, sg);
		if (rt_unlikely(c->timer))
			rt_timer_chan_block(c);
		*link = sg;
		link = &sg->waitlink;
	}
}

// Takes the losers out of their queues, one lock at a time: selectdone stays 1, so nobody else can win.
static void
dequeue_losers(const struct selection *s, struct g *gp, struct sudog *won)
{
	for (struct sudog *sg = gp->waiting; sg; sg = sg->waitlink) {
		if (sg == won)
			continue;
		struct hchan *c = sg->c;
		rt_chan_lock(c);
		bool send = s->cases[sg->casei].kind == GORT_SELECT_SEND;
		rt_waitq_remove(send ? &c->sendq : &c->recvq, sg);
		rt_chan_unlock(c);
	}
}

static void
release_all(struct g *gp)
{
	struct sudog *next;
	for (struct sudog *sg = gp->waiting; sg; sg = next) {
		next = sg->waitlink;
		if (rt_unlikely(sg->c->timer))
			rt_timer_chan_unblock(sg->c);
		sg->waitlink = NULL;
		sg->isselect = false;
		sg->c = NULL;
		rt_release_sudog(sg);
	}
	gp->waiting = NULL;
	gp->param = NULL;
}

// What the waker left to do: everything that touches the user's memory.
static int
finish_case(const struct selection *s, struct g *gp, struct sudog *won)
{
	int i = won->casei;
	const struct gort_select_case *k = &s->cases[i];
	bool success = won->success;

	if (k->kind == GORT_SELECT_RECV) {
		if (!success)
			rt_elem_out_zero(k->chan, k->elem);
		else if (won->elem == won->value)
			rt_elem_out(k->chan, k->elem, won->value);
		set_ok(k, success);
	}
	release_all(gp);
	if (k->kind == GORT_SELECT_SEND && !success)
		rt_chan_panic_closed();
	return i;
}

// Steps 4 and 5. All locks held.
RT_INLINE int
select_wait(const struct selection *s, const uint16_t *order)
{
	struct g *gp = rt_getg();
	struct hchan *first = s->cases[order[0]].chan;
	int64_t t0 = rt_hooked(RT_HOOK_BLOCK) ? (int64_t)rt_cputicks() : 0;

	enqueue_all(s, order);
	selunlock_but(s, order, first);
	rt_park_spin(&first->lock, WAIT_SELECT);

	struct sudog *won = gp->param;
	if (t0 != 0)
		rt_block_event(t0, won->releasetime, 2); // hides select_locked, select_few/many
	dequeue_losers(s, gp, won);
	return finish_case(s, gp, won);
}

static RT_NOINLINE int
select_locked(const struct selection *s, uint16_t *order)
{
	lock_order(s, order);
	sellock(s, order);
	// A case may fail that looked ready: the waiter in its queue was another select that somebody
	// else has won. The attempt has removed it, so the next look is nearer to the truth.
	for (int i; (i = pick_locked(s)) >= 0;) {
		const struct gort_select_case *k = &s->cases[i];
		struct sudog *wake;
		enum chan_result r = attempt_locked(k, &wake);
		if (r == CHAN_BLOCK)
			continue;
		selunlock_but(s, order, NULL);
		settled(k, r, wake);
		return i;
	}
	if (s->dflt >= 0) {
		selunlock_but(s, order, NULL);
		return s->dflt;
	}
	return select_wait(s, order);
}

static _Noreturn RT_COLD void
block_without_cases(void)
{
	rt_park(NULL, WAIT_SELECT_NO_CASES);
	rt_throw("a goroutine in a select without cases was woken");
}

static RT_NOINLINE int
select_few(struct selection *s)
{
	uint16_t order[PEEK_CASES];
	int i = select_locked(s, order);
	RT_KEEP_FRAME();
	return i;
}

static RT_NOINLINE int
select_many(struct selection *s)
{
	s->dflt = -1;
	s->nchans = 0;
	for (int i = 0; i < s->n; i++)
		s->nchans += note_case(&s->cases[i], i, &s->dflt);
	if (s->nchans == 0 && s->dflt < 0)
		block_without_cases();
	int i = select_locked(s, rt_mallocgc_noscan((size_t)s->n * sizeof(uint16_t)));
	RT_KEEP_FRAME();
	return i;
}

// One case and a default, which is taken at the first look (step 2): what most selects with a default come to.
// Where a change of this thread's own may be unseen it is not: the long way looks again, after the fence.
RT_INLINE bool
default_at_once(const gort_select_case *k)
{
	struct hchan *c = k[0].chan;
	return k[1].kind == GORT_SELECT_DEFAULT && k[0].kind - 1u <= GORT_SELECT_RECV - 1u && c &&
	       (k[0].elemsize == c->elemsize || !k[0].elem) && !case_ready(&k[0]) && !rt_chan_unseen();
}

int
gort_select(gort_select_case *cases, int n)
{
	struct selection s = {.cases = cases, .n = n};
	int i;

	rt_enter();
	if (n == 2 && default_at_once(cases)) {
		i = 1;
	} else if (rt_likely(n >= 0 && n <= PEEK_CASES)) {
		i = select_peeking(&s);
		if (rt_unlikely(i < 0)) {
			if (s.nchans == 0)
				block_without_cases();
			i = select_few(&s);
		}
	} else {
		if (n < 0 || n > MAX_CASES)
			rt_panic("select: too many cases (max %d)", MAX_CASES);
		i = select_many(&s);
	}
	rt_leave();
	return i;
}
