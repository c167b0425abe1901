// SPDX-License-Identifier: BSD-3-Clause
// A descriptor that goroutines share: who may use it, when it may be closed, waiting for it.
//
// One goroutine at a time reads, one writes; others queue. Each user holds a reference; closing bars
// new ones, wakes those who wait, and the last to leave closes the descriptor; until then close waits. So a
// number is never used after it has been given back. Go: internal/poll.FD and its fdMutex.
#pragma once

#include <sys/types.h>

#include "base/base.h"
#include "sched/netpoll.h"

struct rt_fd {
	_Atomic uint64_t mu;   // fd.c
	uint32_t rsema, wsema; // those who queue to read, to write
	uint32_t csema;	       // who closes, until the descriptor is closed
	int sysfd;
	bool owned;	    // closed with this; else the caller's
	bool drained_short; // TCP: a read that came back short has emptied the socket
	bool drained;	    // ... and the last one was short. By the reader.
	struct poll_desc *pd;
};

// All at depth 1 on a goroutine; errors are negative errno values.

// f is zeroed. Registers sysfd with the netpoller.
int rt_fd_init(struct rt_fd *f, int sysfd, bool owned);

// A reference to look at the descriptor; or to read or write, one at a time in each direction.
// -EBADF: closed. Each is undone by the put or unlock of the same kind.
int rt_fd_get(struct rt_fd *f);
void rt_fd_put(struct rt_fd *f);
int rt_fd_lock(struct rt_fd *f, enum poll_mode mode);
void rt_fd_unlock(struct rt_fd *f, enum poll_mode mode);

// Wakes all users and waits until they have left and the descriptor is closed. -EBADF when that has been
// begun before.
int rt_fd_close(struct rt_fd *f);

// Reads what is there, waits when that is nothing; 0 at the end.
ssize_t rt_fd_read(struct rt_fd *f, void *buf, size_t n);
// Writes all n bytes and returns n, or an error.
ssize_t rt_fd_write(struct rt_fd *f, const void *buf, size_t n);
// when: rt_nanotime, 0 none; modes: POLL_READ | POLL_WRITE.
int rt_fd_set_deadline(struct rt_fd *f, int64_t when, unsigned modes);
