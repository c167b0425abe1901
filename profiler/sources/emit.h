// SPDX-License-Identifier: BSD-3-Clause
// A profile on its way out: through the helper when it can be had, with symbol-table names when not.
#pragma once

#include "encode/profile.h"

// Writes to fd, which stays open. Returns 0 or a negative errno value.
int rtp_emit(struct rtp_region *r, const struct rtp_profile_args *a, int fd);

int64_t rtp_walltime(void);
int64_t rtp_monotime(void);

// A named profile of now; as gort_pprof_write.
int rtp_emit_named(const char *name, int fd);

// The one CPU profile of the public interface, and the one of GORT_CPUPROFILE.
struct rtp_cpu_session {
	bool on;
	int fd, hz;
	int64_t start_wall, start_mono;
	struct rtp_base base;
};
int rtp_cpu_session_start(struct rtp_cpu_session *s, int fd, int hz);
int rtp_cpu_session_stop(struct rtp_cpu_session *s);

// Writes the files that the environment asked for; the first call counts. collect: a collection may be
// run first, so that the heap profile is of now.
void rtp_env_finish(bool collect);
