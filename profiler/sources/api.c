// SPDX-License-Identifier: BSD-3-Clause
// <gort/pprof.h>.
#include <errno.h>
#include <pthread.h>

#include <gort/pprof.h>

#include "core/rtlink.h"
#include "core/thread.h"
#include "sources/emit.h"

static pthread_mutex_t cpu_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rtp_cpu_session cpu;

GORT_API int
gort_pprof_start_cpu(int fd, int hz)
{
	pthread_mutex_lock(&cpu_lock);
	int rc = cpu.on ? -EBUSY : rtp_cpu_session_start(&cpu, fd, hz);
	pthread_mutex_unlock(&cpu_lock);
	return rc;
}

GORT_API int
gort_pprof_stop_cpu(void)
{
	pthread_mutex_lock(&cpu_lock);
	int rc = cpu.on ? rtp_cpu_session_stop(&cpu) : -EINVAL;
	pthread_mutex_unlock(&cpu_lock);
	return rc;
}

GORT_API int
gort_pprof_write(const char *name, int fd, int debug)
{
	return debug ? -ENOTSUP : rtp_emit_named(name, fd);
}

GORT_API int64_t
gort_set_mem_profile_rate(int64_t bytes)
{
	const struct rt_introspect *rt = rtp_runtime();
	return rt ? atomic_exchange(rt->mem_profile_rate, bytes < 0 ? 0 : bytes) : 0;
}

static void
set_flag(const struct rt_introspect *rt, uint32_t flag, bool on)
{
	if (on)
		atomic_fetch_or(rt->hook_flags, flag);
	else
		atomic_fetch_and(rt->hook_flags, ~flag);
}

GORT_API int
gort_set_mutex_profile_fraction(int fraction)
{
	const struct rt_introspect *rt = rtp_runtime();
	if (!rt)
		return 0;
	if (fraction < 0)
		return (int)rt_load(rt->mutex_profile_fraction);
	int old = (int)atomic_exchange(rt->mutex_profile_fraction, fraction);
	set_flag(rt, RT_HOOK_MUTEX, fraction > 0);
	return old;
}

GORT_API void
gort_set_block_profile_rate(int64_t ns)
{
	const struct rt_introspect *rt = rtp_runtime();
	if (!rt)
		return;
	int64_t ticks = ns <= 0 ? 0 : (int64_t)((double)ns * rt->ticks_per_second() / 1e9);
	if (ns == 1 || (ns > 0 && ticks == 0))
		ticks = 1; // everything
	atomic_store(rt->block_profile_rate, ticks);
	set_flag(rt, RT_HOOK_BLOCK, ticks > 0);
}
