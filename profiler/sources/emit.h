// SPDX-License-Identifier: BSD-3-Clause
// A profile on its way out: through the helper when it can be had, with symbol-table names when not.
#pragma once

#include "encode/profile.h"

// Writes to fd, which stays open; debug as in gort_pprof_write. Returns 0 or a negative errno value.
int rtp_emit(struct rtp_region *r, const struct rtp_profile_args *a, int debug, int fd);

int64_t rtp_walltime(void);
int64_t rtp_monotime(void);

// A named profile of now; as gort_pprof_write.
int rtp_emit_named(const char *name, int debug, int fd);

// The profiles there are, built-in ones first, each with its number of stacks, goroutines, threads or
// values; returns how many, at most max.
struct rtp_listed {
	const char *name;
	int64_t count;
};
int rtp_profile_list(struct rtp_listed *list, int max);

// What happened between two moments. Counts of events are the difference, heap's objects in use those
// at the end, goroutines and the like the difference in their numbers.
struct rtp_delta {
	const char *name;
	enum rtp_kind kind;
	int64_t start_wall;
	struct rtp_base base;    // of the main region
	struct rtp_region *then; // of kinds that are snapshots
};
// As rtp_emit_named; -EOPNOTSUPP: not for custom profiles.
int rtp_delta_begin(struct rtp_delta *d, const char *name);
int rtp_delta_end(struct rtp_delta *d, int fd); // frees it, too
// heap, block and mutex only: since the last call for this name in this process, the first time since the
// start; no event is in two profiles or in none.
int rtp_delta_since_last(const char *name, int fd);
void rtp_delta_cancel(struct rtp_delta *d);

// The one CPU profile of the public interface, and the one of GORT_CPUPROFILE.
struct rtp_cpu_session {
	bool on;
	int fd, hz;
	int64_t start_wall, start_mono;
	struct rtp_region *r;
	struct rtp_base base; // of r
};
int rtp_cpu_session_start(struct rtp_cpu_session *s, int fd, int hz);
// Writes to s->fd.
int rtp_cpu_session_stop(struct rtp_cpu_session *s);
void rtp_cpu_session_cancel(struct rtp_cpu_session *s);

// Writes the files that the environment asked for; the first call counts. collect: a collection may be
// run first, so that the heap profile is of now.
void rtp_env_finish(bool collect);
