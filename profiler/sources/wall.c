// SPDX-License-Identifier: BSD-3-Clause
// Wall profiles of goroutines: where they spend time, running or not. A thread of ours looks at all goroutines again
// and again; each is credited with the time since the look before, under a label that says what it did
// ("running", "chan receive"). Totals are true whatever the pace, which slows down so that looking
// takes about a hundredth of one CPU. In a program without the runtime it is threads that are looked at, all
// the time that somebody wants it (sources/waits.c), and a profile is the difference of two readings.
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "core/rtlink.h"
#include "core/thread.h"
#include "sources/cpu.h"
#include "sources/emit.h"
#include "sources/sources.h"
#include "unwind/modules.h"

#define PACE_NS 10000000 // Go's fgprof: 99 Hz
#define SLOWEST_NS 1000000000
#define SHARE 100 // one part of so many is spent on looking

enum state { RUNNING, STOP, STOPPED };

struct rtp_wall {
	struct rtp_region *r;
	bool threads; // of another kind: r is the main region, and stays
	struct rtp_base base;
	_Atomic uint32_t state;
	int64_t start_wall, start_mono;
};

static void
wait_ns(int64_t ns)
{
	nanosleep(&(struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 }, NULL);
}

static void *
looker(void *arg)
{
	struct rtp_wall *w = arg;
	int64_t last = w->start_mono, pace = PACE_NS;
	while (rt_load_acquire(&w->state) == RUNNING) {
		// In small steps, so that the end does not wait for a slow pace.
		for (int64_t end = rtp_monotime() + pace; rtp_monotime() < end && rt_load(&w->state) == RUNNING;)
			wait_ns(PACE_NS);
		int64_t now = rtp_monotime();
		rtp_goroutine_credit(w->r, now - last);
		last = now;
		pace = (rtp_monotime() - now) * SHARE;
		pace = rt_max(rt_min(pace, (int64_t)SLOWEST_NS), (int64_t)PACE_NS);
	}
	rtp_own_thread_exit();
	rt_store_release(&w->state, STOPPED); // w is gone from here on
	return NULL;
}

// Another process is asked; it looks for wishes at each of its ticks. Whoever asked once may ask again: it goes
// on looking.
static void
look_from_now_on(struct rtp_region *r)
{
	if (!rtp_remote) {
		rtp_waits_start();
		rtp_reader_start();
	} else if (!(r->kinds >> RTP_WALL & 1) && rt_load(&r->want_wall) == 0) {
		rt_store(&r->want_wall, 1);
		wait_ns(150000000);
	}
}

static int
start_threads(struct rtp_wall **out)
{
	struct rtp_region *r = rtp_main();
	struct rtp_wall *w = r ? calloc(1, sizeof(*w)) : NULL;
	if (!w)
		return -ENOMEM;
	look_from_now_on(r);
	w->start_wall = rtp_walltime();
	w->start_mono = rtp_monotime();
	w->r = r;
	w->threads = true;
	if (!rtp_base_take(&w->base, r, RTP_WALL)) {
		free(w);
		return -ENOMEM;
	}
	*out = w;
	return 0;
}

static int
finish_threads(struct rtp_wall *w, int fd)
{
	if (!rtp_remote)
		rtp_waits_stop();
	struct rtp_profile_args a = { .kind = RTP_WALL, .name = "wall", .base = &w->base, .time_ns = w->start_wall,
				      .duration_ns = rtp_monotime() - w->start_mono };
	rtp_modules_refresh(w->r);
	int err = rtp_emit(w->r, &a, 0, fd);
	rtp_base_free(&w->base);
	free(w);
	return err;
}

int
rtp_wall_start(struct rtp_wall **out)
{
	const struct rt_introspect *rt = rtp_runtime();
	if (!rt)
		return start_threads(out);
	if (!rt->started())
		return -ENOTSUP;
	struct rtp_wall *w = calloc(1, sizeof(*w));
	if (!w || !(w->r = rtp_goroutine_region())) {
		free(w);
		return -ENOMEM;
	}
	w->start_wall = rtp_walltime();
	w->start_mono = rtp_monotime();
	if (!rtp_spawn("gort-wall", looker, w)) {
		rtp_region_free(w->r);
		free(w);
		return -EAGAIN;
	}
	*out = w;
	return 0;
}

int
rtp_wall_finish(struct rtp_wall *w, int fd)
{
	if (w->threads)
		return finish_threads(w, fd);
	rt_store_release(&w->state, STOP);
	while (rt_load_acquire(&w->state) != STOPPED)
		wait_ns(1000000);
	struct rtp_profile_args a = { .kind = RTP_WALL, .name = "wall", .time_ns = w->start_wall,
				      .duration_ns = rtp_monotime() - w->start_mono };
	int err = rtp_emit(w->r, &a, 0, fd);
	rtp_region_free(w->r);
	free(w);
	return err;
}
