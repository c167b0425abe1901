// SPDX-License-Identifier: BSD-3-Clause
// <gort/pprof.h>.
#include <errno.h>
#include <pthread.h>

#include <gort/pprof.h>

#include "core/labels.h"
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
	return rtp_emit_named(name, debug < 0 ? 0 : debug, fd);
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

// ---- labels ----

struct label_holder {
	const struct rt_introspect *rt; // NULL: the thread's
	const struct rtp_labels *outer;
};

static void
set_labels(const struct label_holder *h, struct rtp_region *r, const struct rtp_labels *l)
{
	struct rtp_thread *t;
	if (h->rt)
		h->rt->set_labels(l);
	else if ((t = rtp_thread_self()))
		rt_store(&t->labels, rtp_off(r, l));
}

static struct label_holder
label_holder(struct rtp_region *r)
{
	struct label_holder h = { rtp_runtime(), NULL };
	if (h.rt && h.rt->goid()) {
		h.outer = rtp_labels_at(r, rtp_labels_off(r, h.rt->labels()));
		return h;
	}
	struct rtp_thread *t = rtp_thread_self();
	h.rt = NULL;
	h.outer = t ? rtp_labels_at(r, rt_load(&t->labels)) : NULL;
	return h;
}

GORT_API void
gort_do_labelled(const gort_label *labels, int n, void (*fn)(void *arg), void *arg)
{
	struct rtp_region *r = rtp_main();
	struct label_holder h = { 0 };
	if (r && n > 0) {
		h = label_holder(r);
		const struct rtp_labels *inner = rtp_labels_with(r, h.outer, (const struct rtp_label *)labels, n);
		set_labels(&h, r, inner ? inner : h.outer);
	}
	fn(arg);
	if (r && n > 0)
		set_labels(&h, r, h.outer);
}

_Static_assert(sizeof(gort_label) == sizeof(struct rtp_label) &&
		       offsetof(gort_label, value) == offsetof(struct rtp_label, value),
	       "one is passed for the other");
