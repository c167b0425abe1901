// SPDX-License-Identifier: BSD-3-Clause
// The timer heaps, gort_sleep, and the sleep of the one idle M that waits for the next timer.
//
// Lost wakeups: whoever adds a timer stores timer0when, then reads polluntil; the M that goes to sleep
// stores polluntil, then reads every timer0when again (sleep_for_work). All four are seq_cst, so one
// sees the other. pollseq is read before polluntil is published and is the futex word, so a wake
// between publishing and sleeping is kept. Go: runtime/time.go.
#include "sched/timer.h"

#include <gort/time.h>

#include "debug/throw.h"
#include "os/os.h"
#include "sched/sched.h"

static void
set_timer0(struct p *pp)
{
	atomic_store(&pp->timer0when, pp->ntimers > 0 ? pp->timers[0]->when : 0);
}

static void
siftup(struct rt_timer **heap, uint32_t i)
{
	struct rt_timer *t = heap[i];
	while (i > 0) {
		uint32_t parent = (i - 1) / 4;
		if (heap[parent]->when <= t->when)
			break;
		heap[i] = heap[parent];
		i = parent;
	}
	heap[i] = t;
}

static void
siftdown(struct rt_timer **heap, uint32_t n, uint32_t i)
{
	struct rt_timer *t = heap[i];
	for (;;) {
		uint32_t first = i * 4 + 1, least = i;
		int64_t when = t->when;
		for (uint32_t c = first; c < first + 4 && c < n; c++)
			if (heap[c]->when < when) {
				when = heap[c]->when;
				least = c;
			}
		if (least == i)
			break;
		heap[i] = heap[least];
		i = least;
	}
	heap[i] = t;
}

static void
grow(struct p *pp)
{
	uint32_t cap = pp->captimers ? pp->captimers * 2 : 512;
	struct rt_timer **heap = rt_os_alloc(cap * sizeof *heap);
	if (!heap)
		rt_fatal("runtime: cannot allocate memory");
	for (uint32_t i = 0; i < pp->ntimers; i++)
		heap[i] = pp->timers[i];
	if (pp->timers)
		rt_os_free(pp->timers, pp->captimers * sizeof *heap);
	pp->timers = heap;
	pp->captimers = cap;
}

static void
add_locked(struct p *pp, struct rt_timer *t)
{
	if (pp->ntimers == pp->captimers)
		grow(pp);
	pp->timers[pp->ntimers] = t;
	siftup(pp->timers, pp->ntimers++);
	set_timer0(pp);
}

void
rt_timers_move(struct p *from, struct p *to)
{
	rt_lock(&from->timerslock);
	uint32_t n = from->ntimers;
	from->ntimers = 0;
	set_timer0(from);
	rt_unlock(&from->timerslock);
	if (n == 0)
		return;
	rt_lock(&to->timerslock);
	for (uint32_t i = 0; i < n; i++)
		add_locked(to, from->timers[i]);
	rt_unlock(&to->timerslock);
}

static struct rt_timer *
pop(struct p *pp)
{
	struct rt_timer *t = pp->timers[0];
	struct rt_timer *last = pp->timers[--pp->ntimers];
	if (pp->ntimers > 0) {
		pp->timers[0] = last;
		siftdown(pp->timers, pp->ntimers, 0);
	}
	t->when = 0;
	return t;
}

int64_t
rt_timers_run(struct p *pp, int64_t *now)
{
	int64_t when = rt_load(&pp->timer0when);
	if (when == 0)
		return 0;
	if (*now == 0)
		*now = rt_nanotime();
	while (when != 0 && when <= *now) {
		rt_lock(&pp->timerslock);
		struct rt_timer *t = NULL;
		if (pp->ntimers > 0 && pp->timers[0]->when <= *now) {
			t = pop(pp);
			set_timer0(pp);
		}
		rt_unlock(&pp->timerslock);
		if (!t)
			break;
		t->fn(t);
		when = rt_load(&pp->timer0when);
	}
	return rt_load(&pp->timer0when);
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

uint32_t
rt_poll_seq(void)
{
	return atomic_load(&sched.pollseq);
}

void
rt_poll_sleep(int64_t until, uint32_t seq)
{
	int64_t left = until - rt_nanotime();
	if (left > 0)
		rt_futex_wait(&sched.pollseq, seq, left);
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
	rt_futex_wake(&sched.pollseq, 1);
}

// ---- sleep ----

static void
sleep_over(struct rt_timer *t)
{
	rt_ready(t->arg);
}

// The heap's lock is released by whoever runs next: only then can the timer fire and ready gp.
void
gort_sleep(int64_t ns)
{
	if (ns <= 0)
		return;
	rt_enter();
	struct g *gp = rt_getg();
	if (!gp)
		rt_fatal("gort_sleep called on a thread that is not a goroutine");
	struct rt_timer *t = &gp->sleeptimer;
	// Saturates: a sleep that ends after the clock's range lasts for ever.
	if (__builtin_add_overflow(rt_nanotime(), ns, &t->when))
		t->when = RT_NEVER;
	t->fn = sleep_over;
	t->arg = gp;
	struct p *pp = rt_getp();
	rt_lock(&pp->timerslock);
	add_locked(pp, t);
	rt_poll_wake(t->when);
	rt_park(&pp->timerslock, WAIT_SLEEP);
	rt_leave();
}

int64_t
gort_nanotime(void)
{
	return rt_nanotime();
}
