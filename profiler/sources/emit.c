// SPDX-License-Identifier: BSD-3-Clause
#include "sources/emit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/rtlink.h"
#include "sources/cpu.h"
#include "sources/sources.h"
#include "symbol/helper.h"
#include "symbol/symtab.h"
#include "text/text.h"
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
emit_direct(struct rtp_region *r, const struct rtp_profile_args *a, int debug, int fd, bool gzip)
{
	struct rtp_out *o = rtp_out_new(fd, gzip);
	if (!o)
		return -ENOMEM;
	int err = debug ? rtp_text_write(r, a, debug, o) : rtp_profile_write(r, a, o), io = rtp_out_close(o);
	return err ? err : io;
}

// comment NULL: for the helper, which names everything but the vdso.
static int
emit_named_by_symtab(struct rtp_region *r, const struct rtp_profile_args *a, int debug, int fd,
		     const char *comment)
{
	struct rtp_profile_args b = *a;
	struct rtp_symtab *s = debug && !comment ? NULL : rtp_symtab_new(r, comment == NULL);
	struct rtp_names names = { 0 };
	if (s) {
		names = rtp_symtab_names(s);
		b.names = &names;
		b.all_named = comment != NULL;
	}
	b.comment = comment;
	int err = emit_direct(r, &b, debug, fd, comment && !debug);
	if (s)
		rtp_symtab_free(s);
	return err;
}

int
rtp_emit(struct rtp_region *r, const struct rtp_profile_args *a, int debug, int fd)
{
	const char *how = getenv("GORT_SYMBOLIZE");
	char comment[160];
	struct rtp_helper h;
	if (how && strcmp(how, "none") == 0) {
		if (!debug)
			return emit_direct(r, a, 0, fd, true);
		return emit_named_by_symtab(r, a, debug, fd, "");
	}
	int rc = rtp_helper_start(&h, fd, debug ? "text" : NULL);
	if (rc == 0) {
		int err = emit_named_by_symtab(r, a, debug, h.in, NULL);
		rc = rtp_helper_finish(&h);
		if (rc == 0)
			return 0;
		if (err && err != -EPIPE)
			return err;
	}
	snprintf(comment, sizeof(comment),
		 "gort: symbol-table names only: gort-symbolize could not run (%s)",
		 rc == -ENOENT ? "not found" : strerror(-rc));
	return emit_named_by_symtab(r, a, debug, fd, comment);
}

// ---- named profiles ----

static const struct {
	const char *name;
	enum rtp_kind kind;
} builtin[] = { { "heap", RTP_HEAP }, { "allocs", RTP_HEAP }, { "mutex", RTP_MUTEX }, { "block", RTP_BLOCK },
		{ "goroutine", RTP_GOROUTINE }, { "threadcreate", RTP_THREADCREATE },
		{ "goroutineleak", RTP_GOROUTINELEAK } };

static enum rtp_kind
kind_of(const char *name)
{
	for (size_t i = 0; i < rt_nelem(builtin); i++)
		if (strcmp(name, builtin[i].name) == 0)
			return builtin[i].kind;
	return rtp_custom_region(name) ? RTP_CUSTOM : RTP_KINDS;
}

static struct rtp_profile_args
args_of(const char *name, enum rtp_kind kind)
{
	return (struct rtp_profile_args){ .kind = kind, .name = name, .time_ns = rtp_walltime(),
					  .default_type = strcmp(name, "allocs") == 0 ? "alloc_space" : NULL };
}

static bool
is_snapshot(enum rtp_kind kind)
{
	// A native program's created threads are counted as they come.
	return kind == RTP_GOROUTINE || kind == RTP_GOROUTINELEAK ||
	       (kind == RTP_THREADCREATE && !(rtp_native && rtp_native->thread_created));
}

static struct rtp_region *
snapshot(enum rtp_kind kind, int debug)
{
	return kind == RTP_THREADCREATE ? rtp_threadcreate_snapshot() : rtp_goroutine_snapshot(kind, debug >= 2);
}

// The main region with what a profile of now says about it; NULL, with *err set, when there is none.
static struct rtp_region *
main_now(int *err)
{
	struct rtp_region *r = rtp_main();
	const struct rt_introspect *rt = rtp_runtime();
	const struct rtp_native *native = rtp_native;
	*err = rt || native ? -ENOMEM : -ENOTSUP;
	if (!(rt || native) || !r)
		return NULL;
	rtp_modules_refresh(r);
	if (native)
		return r;
	r->mem_rate = rt_load(rt->mem_profile_rate);
	r->mutex_fraction = rt_load(rt->mutex_profile_fraction);
	r->ticks_per_ns = rt->ticks_per_second() / 1e9;
	return r;
}

int
rtp_emit_named(const char *name, int debug, int fd)
{
	enum rtp_kind kind = kind_of(name);
	if (kind == RTP_KINDS)
		return -ENOENT;
	struct rtp_profile_args a = args_of(name, kind);
	int err = -ENOTSUP;
	struct rtp_region *r = kind == RTP_CUSTOM  ? rtp_custom_region(name)
			       : is_snapshot(kind) ? snapshot(kind, debug)
						   : main_now(&err);
	if (!r)
		return err;
	if (kind == RTP_CUSTOM)
		rtp_modules_refresh(rtp_main());
	err = rtp_emit(r, &a, debug, fd);
	if (is_snapshot(kind))
		rtp_region_free(r);
	return err;
}

// ---- delta profiles ----

int
rtp_delta_begin(struct rtp_delta *d, const char *name)
{
	*d = (struct rtp_delta){ .name = name, .kind = kind_of(name), .start_wall = rtp_walltime() };
	int err = 0;
	if (d->kind == RTP_KINDS || d->kind == RTP_CUSTOM)
		return d->kind == RTP_KINDS ? -ENOENT : -EOPNOTSUPP;
	if (is_snapshot(d->kind))
		return (d->then = snapshot(d->kind, 0)) ? 0 : -ENOTSUP;
	struct rtp_region *r = main_now(&err);
	if (!r)
		return err;
	return rtp_base_take(&d->base, r, d->kind) ? 0 : -ENOMEM;
}

// now - then, stack by stack.
static void
subtract(struct rtp_region *now, struct rtp_region *then, enum rtp_kind kind)
{
	uintptr_t pcs[RTP_MAX_FRAMES];
	rtp_for_buckets(b, then, kind) {
		for (int i = 0; i < b->npc; i++)
			pcs[i] = rtp_bucket_pcs(b)[i];
		struct rtp_bucket *to = rtp_bucket(now, kind, b->aux, pcs, b->npc);
		if (to)
			rtp_add(&to->v[RTP_COUNT], 0 - rt_load(&b->v[RTP_COUNT]));
	}
}

int
rtp_delta_end(struct rtp_delta *d, int fd)
{
	int err = -ENOTSUP;
	struct rtp_region *r = d->then ? snapshot(d->kind, 0) : main_now(&err);
	if (r) {
		struct rtp_profile_args a = args_of(d->name, d->kind);
		a.duration_ns = a.time_ns - d->start_wall;
		if (d->then)
			subtract(r, d->then, d->kind);
		else
			a.base = &d->base;
		err = rtp_emit(r, &a, 0, fd);
	}
	if (r && d->then)
		rtp_region_free(r);
	rtp_delta_cancel(d);
	return err;
}

void
rtp_delta_cancel(struct rtp_delta *d)
{
	rtp_base_free(&d->base);
	rtp_region_free(d->then);
	d->then = NULL;
}

int
rtp_delta_since_last(const char *name, int fd)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct rtp_base last[RTP_KINDS];
	static int64_t when[RTP_KINDS];
	enum rtp_kind kind = kind_of(name);
	if (kind != RTP_HEAP && kind != RTP_BLOCK && kind != RTP_MUTEX)
		return -ENOENT;
	int err = 0;
	struct rtp_region *r = main_now(&err);
	struct rtp_base now;
	if (!r || !rtp_base_take(&now, r, kind))
		return r ? -ENOMEM : err;
	struct rtp_profile_args a = args_of(name, kind);
	// Held while it is written: two readers at once take turns.
	pthread_mutex_lock(&lock);
	a.base = &last[kind];
	a.upto = &now;
	a.duration_ns = when[kind] ? a.time_ns - when[kind] : 0;
	err = rtp_emit(r, &a, 0, fd);
	rtp_base_free(&last[kind]);
	last[kind] = now;
	when[kind] = a.time_ns;
	pthread_mutex_unlock(&lock);
	return err;
}

// ---- what there is ----

static int64_t
count_of(enum rtp_kind kind)
{
	const struct rt_introspect *rt = rtp_runtime();
	struct rtp_region *r = rtp_main();
	if (kind == RTP_GOROUTINE)
		return rt && rt->started() ? rt->num_goroutine() : -1;
	if (kind == RTP_GOROUTINELEAK)
		return rt && rt->started() ? rt->num_leaked() : -1;
	if (kind == RTP_THREADCREATE && !rtp_native)
		return rt && rt->started() ? rt->num_threads() : -1;
	return (rt || rtp_native) && r ? (int64_t)rt_load(&r->nbuckets[kind]) : -1;
}

int
rtp_profile_list(struct rtp_listed *list, int max)
{
	int n = 0;
	for (size_t i = 0; i < rt_nelem(builtin) && n < max; i++) {
		list[n] = (struct rtp_listed){ builtin[i].name, count_of(builtin[i].kind) };
		n += list[n].count >= 0;
	}
	const char *names[64];
	int64_t counts[64];
	int custom = rtp_custom_names(names, counts, (int)rt_nelem(names));
	for (int i = 0; i < custom && n < max; i++)
		list[n++] = (struct rtp_listed){ names[i], counts[i] };
	return n;
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
	s->r = rtp_main(); // gort run may show another process at the end
	if (!rtp_base_take(&s->base, s->r, RTP_CPU)) {
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
	rtp_modules_refresh(s->r);
	int err = rtp_emit(s->r, &a, 0, s->fd);
	rtp_base_free(&s->base);
	return err;
}

void
rtp_cpu_session_cancel(struct rtp_cpu_session *s)
{
	s->on = false;
	rtp_cpu_release();
	rtp_base_free(&s->base);
}
