// SPDX-License-Identifier: BSD-3-Clause
// The netpoller: goroutines wait for descriptors, one M at most waits in epoll for all of them.
//
// A descriptor is registered once, edge-triggered, for both directions; its poll_desc remembers edges.
// The protocol of a read is: rt_poll_check, try, and on EAGAIN rt_poll_wait and again. One goroutine at
// a time waits in each direction; who wants more serialises them (net/fd.h).
#pragma once

#include "base/base.h"

struct g;
struct poll_desc;

enum poll_mode { POLL_READ = 1, POLL_WRITE = 2 };

// All but rt_netpoll are called at depth 1 on a goroutine; errors are negative errno values.

// Registers fd, which stays the caller's. Fails with what epoll_create1, eventfd or epoll_ctl gave; a
// failed first registration leaves no trace and may be tried again. -EEXIST: registered already. A
// descriptor that was closed without rt_poll_close and whose number came back as fd loses its
// registration: those who wait on it get -EBADF.
int rt_poll_open(int fd, struct poll_desc **pd);
// Wakes those who wait; they and all who come later get -EBADF.
void rt_poll_evict(struct poll_desc *pd);
// Ends the registration; after rt_poll_evict, when nobody uses pd any more. Returns whether the
// descriptor's number still stands for what was registered.
bool rt_poll_close(struct poll_desc *pd);

// 0; -EBADF after rt_poll_evict; -ETIMEDOUT when that direction's deadline has passed.
int rt_poll_check(struct poll_desc *pd, enum poll_mode mode);
// Returns 0 once there was an edge since the last rt_poll_wait or rt_poll_forget; errors as above.
int rt_poll_wait(struct poll_desc *pd, enum poll_mode mode);
// Drops an edge that was not waited for.
void rt_poll_forget(struct poll_desc *pd, enum poll_mode mode);
// Whether an end of the stream or an error has been signalled: no further edge need come.
bool rt_poll_hangup(const struct poll_desc *pd);
// when: rt_nanotime, 0 none; modes: POLL_READ | POLL_WRITE. Takes effect on calls under way.
int rt_poll_set_deadline(struct poll_desc *pd, int64_t when, unsigned modes);

// ---- for the scheduler ----

bool rt_netpoll_inited(void);
// Goroutines that wait for a descriptor.
int32_t rt_netpoll_waiters(void);
// Whether a look is worth it: somebody waits, and no M does so in epoll.
bool rt_netpoll_wanted(void);
// Looks (ns 0) or waits (negative: for ever) for descriptors; takes a few of those that are ready. Returns the
// goroutines to ready, linked by schedlink, still Gwaiting. Needs no P; not on two threads with ns != 0.
struct g *rt_netpoll(int64_t ns);
// Ends a wait of rt_netpoll, the next one if none is under way.
void rt_netpoll_break(void);
