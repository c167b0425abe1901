// SPDX-License-Identifier: BSD-3-Clause
// fork(2). The child has the forking goroutine and no other thread: it may exec or exit, also after a
// few calls that need no other goroutine. What needs the scheduler or a collection ends it with one
// line, where it would hang otherwise. Go's own answer is the same: syscall.ForkExec or nothing.
#include <pthread.h>
#include <unistd.h>

#include "base/print.h"
#include "os/os.h"
#include "sched/sched.h"

static void
in_child(void)
{
	rt_store(&sched.forked, true);
	struct m *mp = rt_getm();
	struct p *pp = mp ? mp->p : NULL;
	if (mp)
		mp->tid = rt_os_gettid();
	if (pp)
		atomic_fetch_or(&pp->slow, SLOW_FORKED); // the next switch goes through schedule()
}

void
rt_fork_init(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

void
rt_die_if_forked(void)
{
	if (!rt_load(&sched.forked))
		return;
	rt_printf("gort: a child made by fork has no scheduler: it may only exec or exit\n");
	_exit(2);
}
