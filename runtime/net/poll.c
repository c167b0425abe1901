// SPDX-License-Identifier: BSD-3-Clause
// gort_poll_fd: any descriptor. The netpoller tells of edges, callers expect levels: so each wait looks
// with poll(2) first. The edge that is left over is dropped before the look; one that comes after it
// ends the wait.
#include <gort/net.h>

#include <errno.h>
#include <poll.h>

#include "mem/malloc.h"
#include "net/fd.h"
#include "os/net.h"
#include "sched/sched.h"

// Holds no collected pointer.
struct gort_poll {
	struct rt_fd fd;
};

int
gort_poll_fd(int fd, gort_poll **out)
{
	*out = NULL;
	if (fd < 0)
		return -EBADF;
	rt_enter();
	struct gort_poll *p = rt_mallocgc_noscan(sizeof *p);
	int err = rt_fd_init(&p->fd, fd, false);
	rt_leave();
	if (!err)
		*out = p;
	return err;
}

static int
wait_level(struct rt_fd *f, enum poll_mode mode, short events)
{
	for (;;) {
		int err = rt_poll_check(f->pd, mode);
		if (err)
			return err;
		rt_poll_forget(f->pd, mode);
		int now = rt_os_poll_now(f->sysfd, events);
		if (now > 0)
			return now & POLLNVAL ? -EBADF : 0;
		if (now < 0 && now != -EINTR)
			return now;
		err = rt_poll_wait(f->pd, mode);
		if (err)
			return err;
	}
}

static int
wait_for(gort_poll *p, enum poll_mode mode, short events)
{
	if (!p)
		return -EINVAL;
	rt_enter();
	int err = rt_fd_lock(&p->fd, mode);
	if (!err) {
		err = wait_level(&p->fd, mode, events);
		rt_fd_unlock(&p->fd, mode);
	}
	rt_leave();
	return err;
}

int
gort_poll_wait_read(gort_poll *p)
{
	return wait_for(p, POLL_READ, POLLIN | POLLRDHUP);
}

int
gort_poll_wait_write(gort_poll *p)
{
	return wait_for(p, POLL_WRITE, POLLOUT);
}

static int
set_deadline(gort_poll *p, int64_t abs_ns, unsigned modes)
{
	if (!p)
		return -EINVAL;
	rt_enter();
	int err = rt_fd_set_deadline(&p->fd, abs_ns, modes);
	rt_leave();
	return err;
}

int
gort_poll_set_deadline(gort_poll *p, int64_t abs_ns)
{
	return set_deadline(p, abs_ns, POLL_READ | POLL_WRITE);
}

int
gort_poll_set_read_deadline(gort_poll *p, int64_t abs_ns)
{
	return set_deadline(p, abs_ns, POLL_READ);
}

int
gort_poll_set_write_deadline(gort_poll *p, int64_t abs_ns)
{
	return set_deadline(p, abs_ns, POLL_WRITE);
}

int
gort_poll_close(gort_poll *p)
{
	if (!p)
		return -EINVAL;
	rt_enter();
	int err = rt_fd_close(&p->fd);
	rt_leave();
	return err;
}
