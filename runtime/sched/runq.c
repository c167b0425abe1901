// SPDX-License-Identifier: BSD-3-Clause
// Run queues. Local: a ring of RUNQ_LEN that its owner fills at the tail; owner and thieves empty it
// at the head by CAS. runnext is a slot in front of it: the goroutine that was readied last, which
// inherits the time slice of the one that readied it. Global: blocks of them under sched.lock.
//
// Memory order: a slot is published by the release store of runqtail and read after its acquire load;
// a slot is given back by the release CAS of runqhead and reused after its acquire load.
//
// Go: runqput, runqget, runqgrab in runtime/proc.go.
#include "mem/mheap.h"
#include "os/os.h"
#include "sched/sched.h"

void
rt_runqinit(void)
{
	rt_fixalloc_init(&sched.runq.blocks, sizeof(struct g_block), &rt_sys_stats.other);
}

static void
add_block(struct g_queue *q)
{
	struct g_block *b = rt_fixalloc_alloc(&q->blocks);
	if (q->tail)
		q->tail->next = b;
	else
		q->head = b;
	q->tail = b;
	q->end = 0;
}

// All of q's head is taken; the last block stays for the next ones.
static void
drop_block(struct g_queue *q)
{
	struct g_block *b = q->head;
	q->first = 0;
	if (b == q->tail) {
		q->end = 0;
	} else {
		q->head = b->next;
		rt_fixalloc_free(&q->blocks, b);
	}
}

static void
globrunqput_batch_locked(struct g *const *batch, int32_t n)
{
	struct g_queue *q = &sched.runq;
	for (int32_t i = 0; i < n; i++) {
		if (!q->tail || q->end == G_BLOCK)
			add_block(q);
		q->tail->g[q->end++] = batch[i];
	}
	rt_store(&sched.runqsize, rt_load(&sched.runqsize) + n);
}

void
rt_globrunqput_locked(struct g *gp)
{
	globrunqput_batch_locked(&gp, 1);
}

// Not from an empty one.
static struct g *
globrunqpop_locked(void)
{
	struct g_queue *q = &sched.runq;
	struct g *gp = q->head->g[q->first++];
	if (q->first == (q->head == q->tail ? q->end : G_BLOCK))
		drop_block(q);
	return gp;
}

struct g *
rt_globrunqget_locked(struct p *pp, int32_t max)
{
	int32_t size = rt_load(&sched.runqsize);
	if (size == 0)
		return NULL;
	int32_t n = rt_min(size, size / gomaxprocs + 1);
	if (max > 0)
		n = rt_min(n, max);
	n = rt_min(n, (int32_t)RUNQ_LEN / 2);
	rt_store(&sched.runqsize, size - n);
	struct g *gp = globrunqpop_locked();
	for (; n > 1; n--)
		rt_runqput(pp, globrunqpop_locked(), false);
	return gp;
}

// Moves half of the full ring and gp to the global queue. False when a thief made room meanwhile.
static bool
runqputslow(struct p *pp, struct g *gp, uint32_t h, uint32_t t)
{
	struct g *batch[RUNQ_LEN / 2 + 1];
	uint32_t n = (t - h) / 2;
	for (uint32_t i = 0; i < n; i++)
		batch[i] = rt_load(&pp->runq[(h + i) % RUNQ_LEN]);
	if (!atomic_compare_exchange_strong_explicit(&pp->runqhead, &h, h + n, memory_order_release,
						     memory_order_relaxed))
		return false;
	batch[n] = gp;
	rt_lock(&sched.lock);
	globrunqput_batch_locked(batch, (int32_t)n + 1);
	rt_unlock(&sched.lock);
	return true;
}

static void
runqput_tail(struct p *pp, struct g *gp)
{
	for (;;) {
		uint32_t h = rt_load_acquire(&pp->runqhead);
		uint32_t t = rt_load(&pp->runqtail); // ours to write
		if (t - h < RUNQ_LEN) {
			rt_store(&pp->runq[t % RUNQ_LEN], gp);
			rt_store_release(&pp->runqtail, t + 1);
			return;
		}
		if (runqputslow(pp, gp, h, t))
			return;
	}
}

bool
rt_runqput(struct p *pp, struct g *gp, bool next)
{
	if (next) {
		// One P alone has no thieves. Otherwise seq_cst: with the load of npidle that follows
		// in rt_wakep, pairs with findrunnable's giving up of a P and looking again.
		if (gomaxprocs == 1) {
			struct g *old = rt_load(&pp->runnext);
			rt_store(&pp->runnext, gp);
			gp = old;
		} else {
			gp = atomic_exchange(&pp->runnext, gp);
		}
		if (!gp)
			return false;
	}
	runqput_tail(pp, gp);
	return true;
}

static struct g *
pop_ready(struct g **list)
{
	struct g *gp = *list;
	*list = gp->schedlink; // before it can run
	rt_casgstatus(gp, Gwaiting, Grunnable);
	return gp;
}

void
rt_runqput_list(struct p *pp, struct g *head)
{
	enum { HALF = RUNQ_LEN / 2 };
	for (int n = 0; head && n < HALF; n++)
		runqput_tail(pp, pop_ready(&head));
	while (head) {
		struct g *batch[HALF];
		int32_t n = 0;
		while (head && n < HALF)
			batch[n++] = pop_ready(&head);
		rt_lock(&sched.lock);
		globrunqput_batch_locked(batch, n);
		rt_unlock(&sched.lock);
	}
}

// Goroutines of a long queue have not run for long, and each brings a dozen cache lines: let their loads
// overlap with what runs before. The second behind the one that is taken gets its g's first line; the first,
// whose line has come by then, what it touches when it goes on. A thief may have taken and run them (their
// memory is never unmapped), so what is read here is a hint only.
__attribute__((no_sanitize("thread"))) static void
prefetch_followers(struct p *pp, uint32_t h, uint32_t t)
{
	enum { FRAMES = 5 }; // cache lines from sp upwards
	if (t - h < 3)
		return;
	__builtin_prefetch(rt_load(&pp->runq[(h + 2) % RUNQ_LEN]), 1);
	const struct g *gp = rt_load(&pp->runq[(h + 1) % RUNQ_LEN]);
	for (int i = 0; i < FRAMES; i++)
		__builtin_prefetch((const char *)gp->sched.sp + i * RT_CACHE_LINE, 1);
	__builtin_prefetch(&gp->waiting, 1);
	__builtin_prefetch(&gp->sudog0, 1);
}

struct g *
rt_runqget(struct p *pp, bool *inherit)
{
	struct g *next = rt_load(&pp->runnext);
	// Thieves may only empty the slot, so a failed CAS means that it is gone.
	if (next && (gomaxprocs == 1 ? (rt_store(&pp->runnext, NULL), true)
				     : atomic_compare_exchange_strong(&pp->runnext, &next, NULL))) {
		*inherit = true;
		return next;
	}
	*inherit = false;
	uint32_t h = rt_load_acquire(&pp->runqhead);
	for (;;) {
		uint32_t t = rt_load(&pp->runqtail);
		if (h == t)
			return NULL;
		struct g *gp = rt_load(&pp->runq[h % RUNQ_LEN]);
		prefetch_followers(pp, h, t);
		if (gomaxprocs == 1) { // no thieves
			rt_store(&pp->runqhead, h + 1);
			return gp;
		}
		if (atomic_compare_exchange_weak_explicit(&pp->runqhead, &h, h + 1,
							  memory_order_acq_rel,
							  memory_order_acquire))
			return gp;
	}
}

uint32_t
rt_runqsize(struct p *pp)
{
	for (;;) {
		uint32_t h = rt_load_acquire(&pp->runqhead);
		uint32_t t = rt_load_acquire(&pp->runqtail);
		if (h == rt_load_acquire(&pp->runqhead))
			return t - h;
	}
}

// Never says "empty" while a goroutine moves from runnext to the ring: tail is read again after it.
bool
rt_runqempty(struct p *pp)
{
	for (;;) {
		uint32_t h = atomic_load(&pp->runqhead);
		uint32_t t = atomic_load(&pp->runqtail);
		struct g *next = atomic_load(&pp->runnext);
		if (t == atomic_load(&pp->runqtail))
			return h == t && !next;
	}
}

// Whether from does not get to its queue: it has neither switched nor added to it for a few microseconds.
static bool
stuck(const struct p *from)
{
	uint32_t switches = rt_load(&from->straight), tail = rt_load(&from->runqtail);
	if (rt_load(&from->status) == Prunning)
		for (int64_t until = rt_nanotime() + 3000; rt_nanotime() < until;)
			rt_cpu_relax();
	return rt_load(&from->straight) == switches && rt_load(&from->runqtail) == tail;
}

// Copies half of from's ring, rounded up, behind pp's tail; returns how many. The owner may be taking
// too: the CAS of runqhead decides, and what was copied counts only then.
static uint32_t
runqgrab(struct p *pp, struct p *from, uint32_t tail)
{
	for (;;) {
		uint32_t h = rt_load_acquire(&from->runqhead);
		uint32_t t = rt_load_acquire(&from->runqtail);
		uint32_t n = t - h;
		n -= n / 2;
		if (n == 0)
			return 0;
		if (n > RUNQ_LEN / 2)
			continue; // h and t do not belong together
		for (uint32_t i = 0; i < n; i++)
			rt_store(&pp->runq[(tail + i) % RUNQ_LEN],
				 rt_load(&from->runq[(h + i) % RUNQ_LEN]));
		if (atomic_compare_exchange_strong_explicit(&from->runqhead, &h, h + n,
							    memory_order_acq_rel,
							    memory_order_relaxed))
			return n;
	}
}

// The P that readied runnext is likely about to run it: taking it at once would only bounce the pair
// between CPUs. The same holds for what is in the ring if it is as short-lived as what was stolen before.
struct g *
rt_runqsteal(struct p *pp, struct p *from, bool last)
{
	if (rt_paused(&sched.ringpause) && rt_load(&from->status) == Prunning &&
	    (!last || rt_runqempty(from) || !stuck(from)))
		return NULL;
	uint32_t t = rt_load(&pp->runqtail); // ours; our ring is empty, so there is room
	uint32_t n = runqgrab(pp, from, t);
	if (n == 0) {
		struct g *next = last ? rt_load(&from->runnext) : NULL;
		if (next && rt_load(&from->status) != Pidle && stuck(from) &&
		    atomic_compare_exchange_strong(&from->runnext, &next, NULL))
			return next;
		return NULL;
	}
	struct g *gp = rt_load(&pp->runq[(t + n - 1) % RUNQ_LEN]);
	if (n > 1)
		rt_store_release(&pp->runqtail, t + n - 1);
	return gp;
}

void
rt_runqdrain_locked(struct p *pp)
{
	bool inherit;
	for (struct g *gp; (gp = rt_runqget(pp, &inherit));)
		rt_globrunqput_locked(gp);
}
