// SPDX-License-Identifier: BSD-3-Clause
// Calls that concern every thread of a process, or that the kernel refuses where there is more than one:
// changes of user and group (libc makes each thread change, and aborts where one may not, as after a
// per-thread PR_SET_KEEPCAPS), and new namespaces. The program must find its own threads only, so our
// background thread ends before the call and begins anew behind it, with what the caller is then.
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <unistd.h>

#include <gort/base.h>

#include "preload/preload.h"
#include "sources/cpu.h"

static _Atomic bool on;

void
preload_creds_start(void)
{
	rt_store(&on, true);
}

// Not in a child that shares our memory until it calls exec: the thread is its parent's.
static bool
step_aside(void)
{
	struct rtp_region *r = rtp_main_peek();
	if (!rt_load(&on) || rtp_busy || !r || r->pid != getpid())
		return false;
	rtp_busy++;
	bool ran = rtp_reader_stop();
	if (!ran)
		rtp_busy--;
	return ran;
}

static void
step_back(bool aside)
{
	int saved = errno;
	if (!aside)
		return;
	rtp_reader_start();
	rtp_busy--;
	errno = saved;
}

#define ALONE(name, params, ...)                                                                   \
	GORT_API int name params                                                                   \
	{                                                                                          \
		static int(*real) params;                                                          \
		if (!__atomic_load_n(&real, __ATOMIC_RELAXED))                                     \
			__atomic_store_n((void **)&real, dlsym(RTLD_NEXT, #name), __ATOMIC_RELAXED); \
		bool aside = step_aside();                                                         \
		int rc = real(__VA_ARGS__);                                                        \
		step_back(aside);                                                                  \
		return rc;                                                                         \
	}

ALONE(setuid, (uid_t u), u)
ALONE(setgid, (gid_t g), g)
ALONE(seteuid, (uid_t u), u)
ALONE(setegid, (gid_t g), g)
ALONE(setreuid, (uid_t r, uid_t e), r, e)
ALONE(setregid, (gid_t r, gid_t e), r, e)
ALONE(setresuid, (uid_t r, uid_t e, uid_t s), r, e, s)
ALONE(setresgid, (gid_t r, gid_t e, gid_t s), r, e, s)
ALONE(setgroups, (size_t n, const gid_t *list), n, list)
ALONE(initgroups, (const char *user, gid_t g), user, g)
ALONE(unshare, (int flags), flags)
ALONE(setns, (int fd, int type), fd, type)
