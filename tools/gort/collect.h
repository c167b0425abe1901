// SPDX-License-Identifier: BSD-3-Clause
// The tables of the processes that run under gort run, and the files written from them.
#pragma once

#include <pthread.h>

#include "core/region.h"

struct proc {
	struct rtp_region *r; // NULL: over, and written or empty
	int pid, pidfd;       // pidfd -1: it is over, or this kernel has none
	int64_t seen_end;     // monotonic ns; 0: it runs
	int64_t cpu_ns;       // sampled
	int written;          // files
};

struct collection {
	struct proc *proc;
	int n, cap;
	char dir[64], socket[100]; // where processes announce themselves
	int listener;   // read by a thread of its own: a process that starts waits for the answer
	int arrived;    // readable when the thread has taken one in
	struct arrival *pending; // by that thread; under its lock
	const char *out; // folder of the files
	int files;
	bool quiet;
	pthread_t listening;
	bool keep; // tables stay mapped: somebody else reads them, too
};

// Makes the socket and begins to listen. False: errno says why.
bool collect_start(struct collection *c, const char *out);
// Takes in those that announced themselves; when `arrived` is readable.
void collect_accept(struct collection *c);
// Around a fork whose child goes on collecting: the thread does not come with it.
void collect_pause(struct collection *c);
bool collect_resume(struct collection *c);
// Notes which processes are over, and writes their files.
void collect_ended(struct collection *c);
int collect_running(const struct collection *c);
// Writes files of every process that has not got any, running or not.
void collect_write_all(struct collection *c);
void collect_free(struct collection *c);

int64_t collect_now(void);
