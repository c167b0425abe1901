// SPDX-License-Identifier: BSD-3-Clause
// The state words. rg (reader) and wg (writer) of a poll_desc are each one of
//
//   PD_NIL     no edge, nobody waits
//   PD_READY   an edge that nobody has consumed
//   a struct g that waits
//
//        edge                    rt_poll_wait
//   NIL ------> READY ------> NIL          NIL -----> g -----> READY -----> NIL
//                rt_poll_wait                    edge   (g runs)  rt_poll_wait
//
// Whoever moves the word away from a g by CAS, and nobody else, readies that g. A g stores itself
// while it holds pd->lock, which its rt_park releases; so whoever has taken it from the word passes
// through that lock before it readies it (settle), unless it held the lock when it did.
//
// No lost wakeup. Evicting and deadlines set pd->info under pd->lock and then look at the word; a waiter
// looks at info under the lock and then stores itself. An edge moves the word without the lock, and
// the waiter's CAS from NIL fails on READY.
//
// Generations. poll_descs are never freed but reused; epoll carries the address and fdseq, which
// changes with each use, and an event of an earlier use is dropped. One that slips through (fdseq is
// read, then the desc reused) is a spurious edge, which every reader expects.
//
// A descriptor's number may come back as another file when a program closes it behind our back. owners
// tells which poll_desc a number was last registered for: only that one may end the registration.
//
// Taking turns. epoll's list of ready descriptors is the one queue that all Ps share, first come first served.
// What a P takes out of it goes to its own ring: of a large batch half is stolen and so runs at the same time as
// the other half, though it came earlier, and what comes meanwhile waits for both. So with several Ps a look
// takes SHARE events only.
//
// Lock order: openlock < pd->lock < timerslock < sched.lock. Go: runtime/netpoll.go.
#include "sched/netpoll.h"

#include <errno.h>

#include "debug/throw.h"
#include "os/epoll.h"
#include "os/net.h"
#include "os/os.h"
#include "sched/sched.h"

#define PD_NIL ((uintptr_t)0)
#define PD_READY ((uintptr_t)1)
#define EVENTS 128
#define SHARE 8 // 64 connections, 2 Ps: p99 is 1.3 times the median; by 16 1.6, by 128 2.2, by 4 or 2 1.3
#define MAX_FDS ((size_t)1 << 20) // numbers that owners covers

// Bits of pd->info, for readers without the lock.
enum {
	INFO_CLOSING = 1,
	INFO_RD_PASSED = 2,
	INFO_WD_PASSED = 4,
	INFO_HANGUP = 8,
};

struct poll_desc {
	_Atomic uintptr_t rg RT_HOT_LINE;
	_Atomic uintptr_t wg;
	_Atomic uint32_t info;
	_Atomic uint16_t fdseq;
	struct rt_mutex lock;
	int fd;
	// Under lock.
	int64_t rd, wd;		// deadlines by rt_nanotime; 0 none, -1 passed
	struct rt_timer rt, wt; // theirs
	// Under openlock.
	struct poll_desc *link; // free list
	bool stale;		// fd is another file's number by now
};

static struct {
	_Atomic bool inited;
	_Atomic int32_t waiters RT_HOT_LINE;
	_Atomic uint32_t wakesig; // the eventfd has been signalled and not read
	int epfd, eventfd;	  // set before inited
} np;

static struct rt_mutex openlock;
static struct poll_desc *freelist;
static struct poll_desc **owners; // by descriptor number
static size_t nowners;

// ---- wakeups ----

static _Atomic uintptr_t *
word(struct poll_desc *pd, enum poll_mode mode)
{
	return mode == POLL_READ ? &pd->rg : &pd->wg;
}

// Takes the g that waits out of the word; the caller readies it. ready: leaves an edge behind. acq_rel:
// the g's writes before it stored itself are seen, and it sees ours.
static struct g *
unblock(_Atomic uintptr_t *w, bool ready)
{
	uintptr_t old = atomic_load(w);
	for (;;) {
		if (old == PD_READY || (old == PD_NIL && !ready))
			return NULL;
		if (atomic_compare_exchange_weak(w, &old, ready ? PD_READY : PD_NIL))
			return old == PD_NIL ? NULL : (struct g *)old;
	}
}

// See the head comment. A free lock word is read only after the parker has let go: it took the lock
// before it stored itself in the word that we have read.
static void
settle(struct poll_desc *pd)
{
	if (rt_unlikely(rt_load_acquire(&pd->lock.key) != 0)) {
		rt_lock(&pd->lock);
		rt_unlock(&pd->lock);
	}
}

static int
check(const struct poll_desc *pd, enum poll_mode mode)
{
	uint32_t info = rt_load_acquire(&((struct poll_desc *)pd)->info);
	if (info & INFO_CLOSING)
		return -EBADF;
	if (info & (mode == POLL_READ ? INFO_RD_PASSED : INFO_WD_PASSED))
		return -ETIMEDOUT;
	return 0;
}

int
rt_poll_check(struct poll_desc *pd, enum poll_mode mode)
{
	return check(pd, mode);
}

bool
rt_poll_hangup(const struct poll_desc *pd)
{
	return rt_load_acquire(&((struct poll_desc *)pd)->info) & INFO_HANGUP;
}

void
rt_poll_forget(struct poll_desc *pd, enum poll_mode mode)
{
	uintptr_t ready = PD_READY;
	atomic_compare_exchange_strong(word(pd, mode), &ready, PD_NIL);
}

int
rt_poll_wait(struct poll_desc *pd, enum poll_mode mode)
{
	_Atomic uintptr_t *w = word(pd, mode);
	for (;;) {
		int err = check(pd, mode);
		if (err)
			return err;
		uintptr_t old = PD_READY;
		if (atomic_compare_exchange_strong(w, &old, PD_NIL))
			return 0;
		rt_lock(&pd->lock);
		old = PD_NIL;
		if (check(pd, mode) == 0 &&
		    atomic_compare_exchange_strong(w, &old, (uintptr_t)rt_getg())) {
			atomic_fetch_add(&np.waiters, 1);
			rt_park(&pd->lock, WAIT_IO);
			atomic_fetch_sub(&np.waiters, 1);
			continue;
		}
		rt_unlock(&pd->lock);
		if (old != PD_NIL && old != PD_READY)
			rt_throw("netpoll: two goroutines wait for one direction of a descriptor");
	}
}

// ---- deadlines ----

// pd->lock held.
static void
set_passed(struct poll_desc *pd, uint32_t bit, bool passed)
{
	if (passed)
		atomic_fetch_or(&pd->info, bit);
	else
		atomic_fetch_and(&pd->info, ~bit);
}

// The timer may be one of an earlier deadline that was taken from the heap before it could be changed.
static void
expire(struct poll_desc *pd, int64_t *deadline, uint32_t bit, enum poll_mode mode, int64_t now)
{
	struct g *gp = NULL;
	rt_lock(&pd->lock);
	if (*deadline > 0 && *deadline <= now) {
		*deadline = -1;
		set_passed(pd, bit, true);
		gp = unblock(word(pd, mode), false);
	}
	rt_unlock(&pd->lock);
	if (gp)
		rt_ready(gp);
}

static void
read_deadline(struct rt_timer *t, int64_t now)
{
	struct poll_desc *pd = rt_container_of(t, struct poll_desc, rt);
	expire(pd, &pd->rd, INFO_RD_PASSED, POLL_READ, now);
}

static void
write_deadline(struct rt_timer *t, int64_t now)
{
	struct poll_desc *pd = rt_container_of(t, struct poll_desc, wt);
	expire(pd, &pd->wd, INFO_WD_PASSED, POLL_WRITE, now);
}

// pd->lock held. Returns the goroutine that waits in vain from now on.
static struct g *
set_one(struct poll_desc *pd, int64_t *deadline, struct rt_timer *t, uint32_t bit,
	enum poll_mode mode, int64_t when)
{
	*deadline = when;
	set_passed(pd, bit, when < 0);
	rt_timer_set(t, rt_max(when, INT64_C(0)));
	return when < 0 ? unblock(word(pd, mode), false) : NULL;
}

int
rt_poll_set_deadline(struct poll_desc *pd, int64_t when, unsigned modes)
{
	struct g *r = NULL, *w = NULL;
	if (when < 0 || (when > 0 && when <= rt_nanotime()))
		when = -1;
	rt_lock(&pd->lock);
	if (rt_load(&pd->info) & INFO_CLOSING) {
		rt_unlock(&pd->lock);
		return -EBADF;
	}
	if (modes & POLL_READ)
		r = set_one(pd, &pd->rd, &pd->rt, INFO_RD_PASSED, POLL_READ, when);
	if (modes & POLL_WRITE)
		w = set_one(pd, &pd->wd, &pd->wt, INFO_WD_PASSED, POLL_WRITE, when);
	rt_unlock(&pd->lock);
	if (r)
		rt_ready(r);
	if (w)
		rt_ready(w);
	return 0;
}

// ---- registering ----

// openlock held. Those who sleep for timers with a futex are told that there is a netpoller now.
static int
init_locked(void)
{
	if (rt_load(&np.inited))
		return 0;
	int epfd = rt_os_epoll_create();
	if (epfd < 0)
		return epfd;
	int efd = rt_os_eventfd();
	int err = efd < 0 ? efd : rt_os_epoll_add_level(epfd, efd, 0);
	if (err < 0) {
		rt_os_close(epfd);
		if (efd >= 0)
			rt_os_close(efd);
		return err;
	}
	if (!owners) {
		owners = rt_os_reserve(MAX_FDS * sizeof *owners, 4096, 4096, &nowners);
		nowners = owners ? nowners / sizeof *owners : 0;
	}
	np.epfd = epfd;
	np.eventfd = efd;
	atomic_store(&np.inited, true);
	atomic_fetch_add(&sched.pollseq, 1);
	rt_futex_wake(&sched.pollseq, 1);
	return 0;
}

// openlock held.
static struct poll_desc *
take_desc(void)
{
	struct poll_desc *pd = freelist;
	if (pd) {
		freelist = pd->link;
	} else {
		pd = rt_persistent_alloc(sizeof *pd, RT_CACHE_LINE, NULL);
		pd->rt.fn = read_deadline;
		pd->wt.fn = write_deadline;
	}
	return pd;
}

// Evicts without rt_ready: the goroutines go to r and w.
static void
evict(struct poll_desc *pd, struct g **r, struct g **w)
{
	rt_lock(&pd->lock);
	atomic_fetch_or(&pd->info, INFO_CLOSING);
	*r = unblock(&pd->rg, false);
	*w = unblock(&pd->wg, false);
	pd->rd = pd->wd = 0;
	rt_timer_set(&pd->rt, 0);
	rt_timer_set(&pd->wt, 0);
	rt_unlock(&pd->lock);
}

static void
ready_two(struct g *r, struct g *w)
{
	if (r)
		rt_ready(r);
	if (w)
		rt_ready(w);
}

// openlock held; fd has just been added for pd.
static struct poll_desc *
set_owner(int fd, struct poll_desc *pd)
{
	if ((size_t)fd >= nowners)
		return NULL;
	struct poll_desc *old = owners[fd];
	owners[fd] = pd;
	if (old)
		old->stale = true;
	return old;
}

int
rt_poll_open(int fd, struct poll_desc **out)
{
	struct g *r = NULL, *w = NULL;
	rt_lock(&openlock);
	int err = init_locked();
	struct poll_desc *pd = err ? NULL : take_desc();
	if (pd) {
		pd->fd = fd;
		pd->stale = false;
		atomic_store(&pd->rg, PD_NIL);
		atomic_store(&pd->wg, PD_NIL);
		rt_store(&pd->info, 0);
		err = rt_os_epoll_add(np.epfd, fd,
				      (uint64_t)(uintptr_t)pd << 16 | rt_load(&pd->fdseq));
		if (err) {
			pd->link = freelist;
			freelist = pd;
		} else {
			struct poll_desc *lost = set_owner(fd, pd);
			if (lost)
				evict(lost, &r, &w);
		}
	}
	rt_unlock(&openlock);
	ready_two(r, w);
	*out = err ? NULL : pd;
	return err;
}

void
rt_poll_evict(struct poll_desc *pd)
{
	struct g *r, *w;
	evict(pd, &r, &w);
	ready_two(r, w);
}

bool
rt_poll_close(struct poll_desc *pd)
{
	rt_lock(&openlock);
	bool ours = !pd->stale;
	if (ours) {
		rt_os_epoll_del(np.epfd, pd->fd);
		if ((size_t)pd->fd < nowners)
			owners[pd->fd] = NULL;
	}
	rt_store_release(&pd->fdseq, (uint16_t)(rt_load(&pd->fdseq) + 1));
	pd->link = freelist;
	freelist = pd;
	rt_unlock(&openlock);
	return ours;
}

// ---- polling ----

bool
rt_netpoll_inited(void)
{
	return rt_load_acquire(&np.inited);
}

int32_t
rt_netpoll_waiters(void)
{
	return rt_load(&np.waiters);
}

bool
rt_netpoll_wanted(void)
{
	// acquire: who waits has seen the poller made; so does whoever polls because of that.
	return rt_load_acquire(&np.waiters) > 0 && rt_load(&sched.polluntil) == 0;
}

void
rt_netpoll_break(void)
{
	uint32_t quiet = 0;
	if (atomic_compare_exchange_strong(&np.wakesig, &quiet, 1))
		rt_os_eventfd_signal(np.eventfd);
}

static struct g **
edge(struct poll_desc *pd, _Atomic uintptr_t *w, struct g **tail)
{
	struct g *gp = unblock(w, true);
	if (!gp)
		return tail;
	settle(pd);
	*tail = gp;
	return &gp->schedlink;
}

static struct g **
handle_event(const struct epoll_event *ev, struct g **tail)
{
	struct poll_desc *pd = (struct poll_desc *)(uintptr_t)(ev->data.u64 >> 16);
	if (rt_load_acquire(&pd->fdseq) != (uint16_t)ev->data.u64)
		return tail;
	if (ev->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
		atomic_fetch_or(&pd->info, INFO_HANGUP);
	if (ev->events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		tail = edge(pd, &pd->rg, tail);
	if (ev->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		tail = edge(pd, &pd->wg, tail);
	return tail;
}

// Handles what one look found; the goroutines go to the list that ends at tail. Only the M that waits may take
// the signal of rt_netpoll_break; a look must leave it to that one.
static struct g **
handle_events(const struct epoll_event *events, int n, bool waited, struct g **tail)
{
	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 != 0) {
			tail = handle_event(&events[i], tail);
		} else if (waited) {
			rt_os_eventfd_clear(np.eventfd);
			atomic_store(&np.wakesig, 0);
		}
	}
	return tail;
}

// Events that nobody waits for do not hide those behind them.
struct g *
rt_netpoll(int64_t ns)
{
	struct epoll_event events[EVENTS];
	struct g *head = NULL, **tail = &head;
	int n, most = gomaxprocs > 1 ? SHARE : EVENTS;
	do {
		n = rt_os_epoll_wait(np.epfd, events, most, ns);
		if (n < 0 && n != -EINTR)
			rt_fatal("runtime: epoll_wait failed with errno %d (was the descriptor %d closed?)",
				 -n, np.epfd);
		tail = handle_events(events, n, ns != 0, tail);
		ns = 0;
	} while (n == most && tail == &head);
	rt_store(&sched.lastpoll, rt_nanotime());
	*tail = NULL;
	return head;
}
