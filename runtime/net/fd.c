// SPDX-License-Identifier: BSD-3-Clause
// mu: bit 0 closed, bit 1 somebody reads, bit 2 somebody writes, then three counts of 20 bits:
// references, goroutines that queue to read, that queue to write.
//
//   - a reader and a writer count among the references
//   - closed is never taken back; with it set the queues are empty and nobody joins them
//   - whoever takes the last reference away with closed set destroys the descriptor; nobody else does
//
// A queue: whoever joins counts itself in mu and then sleeps on the semaphore; whoever leaves the
// direction takes one out of the count in the same CAS that frees it and adds one to the semaphore.
// The semaphore keeps a unit that comes before the sleep, so no wakeup is lost; who wakes up competes
// with newcomers, which costs fairness and saves a switch.
//
// Skipping reads. An edge-triggered poller tells of each arrival, so after a read that came back short
// the socket is known to be empty, and the next read may wait first instead of being told EAGAIN: on
// TCP (a Unix socket also stops short at ancillary data), unless the stream's end, an error or urgent
// data has been seen, which come with an edge that may be past. What arrives after the short read
// brings an edge of its own.
//
// Go: internal/poll/fd_mutex.go, fd_unix.go.
#include "net/fd.h"

#include <errno.h>

#include "debug/throw.h"
#include "os/net.h"
#include "sched/sched.h"
#include "sync/sema.h"

#define CLOSED UINT64_C(1)
#define READER UINT64_C(2)
#define WRITER UINT64_C(4)
#define REF (UINT64_C(1) << 3)
#define REFS (UINT64_C(0xfffff) << 3)
#define RWAIT (UINT64_C(1) << 23)
#define RWAITS (UINT64_C(0xfffff) << 23)
#define WWAIT (UINT64_C(1) << 43)
#define WWAITS (UINT64_C(0xfffff) << 43)

// One system call moves at most this much, so that a stop of the world need not wait for a large copy.
#define MAX_IO ((size_t)256 << 10)

struct direction {
	uint64_t busy, wait, waits;
	uint32_t *sema;
};

static struct direction
direction(struct rt_fd *f, enum poll_mode mode)
{
	if (mode == POLL_READ)
		return (struct direction){READER, RWAIT, RWAITS, &f->rsema};
	return (struct direction){WRITER, WWAIT, WWAITS, &f->wsema};
}

static _Noreturn RT_COLD void
too_many(void)
{
	rt_panic("too many concurrent operations on a single file or socket (max 1048575)");
}

// The last user has left: nobody else knows the descriptor any more.
static void
destroy(struct rt_fd *f)
{
	bool ours = rt_poll_close(f->pd);
	f->pd = NULL;
	if (f->owned && ours)
		rt_os_close(f->sysfd);
	rt_semrelease(&f->csema, false, 0);
}

int
rt_fd_init(struct rt_fd *f, int sysfd, bool owned)
{
	f->sysfd = sysfd;
	f->owned = owned;
	return rt_poll_open(sysfd, &f->pd);
}

int
rt_fd_get(struct rt_fd *f)
{
	uint64_t old = rt_load(&f->mu);
	do {
		if (old & CLOSED)
			return -EBADF;
		if ((old & REFS) == REFS)
			too_many();
	} while (!atomic_compare_exchange_weak(&f->mu, &old, old + REF));
	return 0;
}

void
rt_fd_put(struct rt_fd *f)
{
	uint64_t now = atomic_fetch_sub(&f->mu, REF) - REF;
	if ((now & (CLOSED | REFS)) == CLOSED)
		destroy(f);
}

// The new value for a caller that takes the direction or joins its queue.
static uint64_t
lock_or_queue(uint64_t old, const struct direction *d)
{
	uint64_t add = old & d->busy ? d->wait : d->busy + REF;
	uint64_t full = old & d->busy ? d->waits : REFS;
	if ((old & full) == full)
		too_many();
	return old + add;
}

int
rt_fd_lock(struct rt_fd *f, enum poll_mode mode)
{
	struct direction d = direction(f, mode);
	for (;;) {
		uint64_t old = rt_load(&f->mu);
		do {
			if (old & CLOSED)
				return -EBADF;
		} while (!atomic_compare_exchange_weak(&f->mu, &old, lock_or_queue(old, &d)));
		if (!(old & d.busy))
			return 0;
		rt_semacquire(d.sema, false, 0,
			      WAIT_IO); // whoever woke us took us out of the count
	}
}

void
rt_fd_unlock(struct rt_fd *f, enum poll_mode mode)
{
	struct direction d = direction(f, mode);
	uint64_t old = rt_load(&f->mu), new;
	do {
		new = old - d.busy - REF;
		if (old & d.waits)
			new -= d.wait;
	} while (!atomic_compare_exchange_weak(&f->mu, &old, new));
	if (old & d.waits)
		rt_semrelease(d.sema, false, 0);
	if ((new &(CLOSED | REFS)) == CLOSED)
		destroy(f);
}

int
rt_fd_close(struct rt_fd *f)
{
	uint64_t old = rt_load(&f->mu), new;
	do {
		if (old & CLOSED)
			return -EBADF;
		new = ((old | CLOSED) + REF) & ~(RWAITS | WWAITS);
	} while (!atomic_compare_exchange_weak(&f->mu, &old, new));
	for (uint64_t n = (old & RWAITS) / RWAIT; n > 0; n--)
		rt_semrelease(&f->rsema, false, 0);
	for (uint64_t n = (old & WWAITS) / WWAIT; n > 0; n--)
		rt_semrelease(&f->wsema, false, 0);
	rt_poll_evict(f->pd);
	rt_fd_put(f);
	rt_semacquire(&f->csema, false, 0, WAIT_IO); // a port may be listened on again when this returns
	return 0;
}

// ---- reading and writing; the caller has the direction ----

static ssize_t
read_ready(struct rt_fd *f, void *buf, size_t n)
{
	ssize_t got;
	int err = f->drained && !rt_poll_hangup(f->pd) ? rt_poll_wait(f->pd, POLL_READ)
						       : rt_poll_check(f->pd, POLL_READ);
	f->drained = false;
	if (err)
		return err;
	for (;;) {
		got = rt_os_recv(f->sysfd, buf, n);
		if (got >= 0)
			break;
		if (got == -EAGAIN)
			err = rt_poll_wait(f->pd, POLL_READ);
		else if (got != -EINTR)
			return got;
		if (err)
			return err;
	}
	f->drained = f->drained_short && got > 0 && (size_t)got < n;
	return got;
}

ssize_t
rt_fd_read(struct rt_fd *f, void *buf, size_t n)
{
	ssize_t r = rt_fd_lock(f, POLL_READ);
	if (r < 0)
		return r;
	r = n == 0 ? rt_poll_check(f->pd, POLL_READ) : read_ready(f, buf, rt_min(n, MAX_IO));
	rt_fd_unlock(f, POLL_READ);
	return r;
}

static ssize_t
write_some(struct rt_fd *f, const char *p, size_t n)
{
	for (;;) {
		ssize_t put = rt_os_send(f->sysfd, p, n);
		if (put >= 0)
			return put;
		int err = 0;
		if (put == -EAGAIN)
			err = rt_poll_wait(f->pd, POLL_WRITE);
		else if (put != -EINTR)
			return put;
		if (err)
			return err;
	}
}

ssize_t
rt_fd_write(struct rt_fd *f, const void *buf, size_t n)
{
	ssize_t r = rt_fd_lock(f, POLL_WRITE);
	if (r < 0)
		return r;
	r = rt_poll_check(f->pd, POLL_WRITE);
	for (size_t done = 0; r >= 0 && done < n; done += (size_t)r) {
		if (done > 0) { // between large pieces: stops and preemption
			rt_leave();
			rt_enter();
		}
		r = write_some(f, (const char *)buf + done, rt_min(n - done, MAX_IO));
	}
	rt_fd_unlock(f, POLL_WRITE);
	return r < 0 ? r : (ssize_t)n;
}

int
rt_fd_set_deadline(struct rt_fd *f, int64_t when, unsigned modes)
{
	int err = rt_fd_get(f);
	if (err)
		return err;
	err = rt_poll_set_deadline(f->pd, when, modes);
	rt_fd_put(f);
	return err;
}
