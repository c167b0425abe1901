// SPDX-License-Identifier: BSD-3-Clause
// Starts the symbolizer, gort-symbolize: a short-lived process that reads an encoded profile and
// writes it back with functions, files, lines and inlined frames. The host never sees it: its parent
// is a small process of ours without exit signal, so no SIGCHLD comes and no wait() of the host
// returns it.
#pragma once

#include "base/base.h"

struct rtp_helper {
	int in;     // write the profile here, then shut it down
	int status; // one byte comes: the helper's exit status
	int pid;    // of the small process
	void *stack;
};

// fd, moved to a number of 100 or more where that is possible: a program may have closed 0, 1 or 2, or
// count on the lowest numbers being free. Closes on exec. A negative fd stays as it is.
int rtp_high_fd(int fd);

// The helper's path; false: there is none.
bool rtp_helper_find(char *buf, size_t n);

// out: where the symbolized profile goes. mode: NULL, or "text" (text/text.h). Returns 0 or a negative
// errno value; ENOENT: no helper found.
int rtp_helper_start(struct rtp_helper *h, int out, const char *mode);
// Ends the input, waits. 0 when the helper wrote the profile, else a negative errno value; nothing was
// written then.
int rtp_helper_finish(struct rtp_helper *h);
