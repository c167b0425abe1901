// SPDX-License-Identifier: BSD-3-Clause
#include "sources/emit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/rtlink.h"
#include "sources/cpu.h"
#include "sources/sources.h"
#include "symbol/helper.h"
#include "symbol/symtab.h"
#include "unwind/modules.h"

static int64_t
clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t
rtp_walltime(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t
rtp_monotime(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static int
emit_direct(struct rtp_region *r, const struct rtp_profile_args *a, int fd, bool gzip)
{
	struct rtp_out *o = rtp_out_new(fd, gzip);
	if (!o)
		return -ENOMEM;
	int err = rtp_profile_write(r, a, o), io = rtp_out_close(o);
	return err ? err : io;
}

// comment NULL: for the helper, which names everything but the vdso.
static int
emit_named_by_symtab(struct rtp_region *r, const struct rtp_profile_args *a, int fd, const char *comment)
{
	struct rtp_profile_args b = *a;
	struct rtp_symtab *s = rtp_symtab_new(r, comment == NULL);
	struct rtp_names names = { 0 };
	if (s) {
		names = rtp_symtab_names(s);
		b.names = &names;
		b.all_named = comment != NULL;
	}
	b.comment = comment;
	int err = emit_direct(r, &b, fd, comment != NULL);
	if (s)
		rtp_symtab_free(s);
	return err;
}

int
rtp_emit(struct rtp_region *r, const struct rtp_profile_args *a, int fd)
{
	const char *how = getenv("GORT_SYMBOLIZE");
	char comment[160];
	struct rtp_helper h;
	if (how && strcmp(how, "none") == 0)
		return emit_direct(r, a, fd, true);
	int rc = rtp_helper_start(&h, fd);
	if (rc == 0) {
		int err = emit_named_by_symtab(r, a, h.in, NULL);
		rc = rtp_helper_finish(&h);
		if (rc == 0)
			return 0;
		if (err && err != -EPIPE)
			return err;
	}
	snprintf(comment, sizeof(comment),
		 "gort: symbol-table names only: gort-symbolize could not run (%s)",
		 rc == -ENOENT ? "not found" : strerror(-rc));
	return emit_named_by_symtab(r, a, fd, comment);
}

// ---- named profiles ----

static int
emit_snapshot(struct rtp_region *r, struct rtp_profile_args *a, int fd)
{
	if (!r)
		return -ENOTSUP;
	int err = rtp_emit(r, a, fd);
	rtp_region_free(r);
	return err;
}

static int
emit_main(struct rtp_profile_args *a, int fd)
{
	struct rtp_region *r = rtp_main();
	const struct rt_introspect *rt = rtp_runtime();
	const struct rtp_native *native = rtp_native;
	if (!rt && !(native && (a->kind == RTP_HEAP ? native->mem_rate != 0 : native->locks)))
		return -ENOTSUP;
	if (!r)
		return -ENOMEM;
	rtp_modules_refresh(r);
	if (rt) {
		r->mem_rate = rt_load(rt->mem_profile_rate);
		r->ticks_per_ns = rt->ticks_per_second() / 1e9;
	}
	return rtp_emit(r, a, fd);
}

int
rtp_emit_named(const char *name, int fd)
{
	struct rtp_profile_args a = { .time_ns = rtp_walltime() };
	if (strcmp(name, "heap") == 0 || strcmp(name, "allocs") == 0) {
		a.kind = RTP_HEAP;
		a.default_type = name[0] == 'a' ? "alloc_space" : NULL;
		return emit_main(&a, fd);
	}
	if (strcmp(name, "mutex") == 0 || strcmp(name, "block") == 0) {
		a.kind = name[0] == 'm' ? RTP_MUTEX : RTP_BLOCK;
		return emit_main(&a, fd);
	}
	if (strcmp(name, "goroutine") == 0) {
		a.kind = RTP_GOROUTINE;
		return emit_snapshot(rtp_goroutine_snapshot(), &a, fd);
	}
	if (strcmp(name, "threadcreate") == 0) {
		a.kind = RTP_THREADCREATE;
		if (rtp_native && rtp_native->thread_created)
			return rtp_emit(rtp_main_peek(), &a, fd);
		return emit_snapshot(rtp_threadcreate_snapshot(), &a, fd);
	}
	return -ENOENT;
}

// ---- CPU ----

int
rtp_cpu_session_start(struct rtp_cpu_session *s, int fd, int hz)
{
	if (hz == 0)
		hz = 100;
	if (hz < 0 || hz > 10000)
		return -EINVAL;
	int rc = rtp_cpu_acquire(hz);
	if (rc < 0)
		return rc;
	rtp_drain();
	if (!rtp_base_take(&s->base, rtp_main(), RTP_CPU)) {
		rtp_cpu_release();
		return -ENOMEM;
	}
	s->fd = fd;
	s->hz = hz;
	s->start_wall = rtp_walltime();
	s->start_mono = rtp_monotime();
	s->on = true;
	return 0;
}

int
rtp_cpu_session_stop(struct rtp_cpu_session *s)
{
	s->on = false;
	struct rtp_profile_args a = { .kind = RTP_CPU, .base = &s->base, .hz = s->hz,
				      .time_ns = s->start_wall,
				      .duration_ns = rtp_monotime() - s->start_mono };
	rtp_cpu_release();
	rtp_drain();
	rtp_modules_refresh(rtp_main());
	int err = rtp_emit(rtp_main(), &a, s->fd);
	rtp_base_free(&s->base);
	return err;
}
