// SPDX-License-Identifier: BSD-3-Clause
// <gort/context.h>, <gort/errgroup.h>: workers that stop when one of them fails.
#include <gort.h>
#include <stdio.h>

struct job {
	gort_context *ctx;
	int id;
	gort_atomic_int32 *started;
};

// Job 3 fails once all have started; the others work until they are told to stop.
static int
work(void *arg)
{
	struct job *j = arg;
	gort_atomic_int32_add(j->started, 1);
	if (j->id == 3) {
		while (gort_atomic_int32_load(j->started) < 5)
			gort_gosched();
		return -EIO;
	}
	gort_chan_recv(gort_context_done(j->ctx), NULL);
	return gort_context_err(j->ctx);
}

static int
app(int argc, char **argv)
{
	gort_errgroup g = {0};
	gort_atomic_int32 started = {0};
	gort_context *ctx = gort_errgroup_with_context(&g, gort_context_background());
	for (int i = 0; i < 5; i++) {
		struct job *j = gort_new(struct job);
		*j = (struct job){ctx, i, &started};
		gort_errgroup_go(&g, work, j);
	}
	int err = gort_errgroup_wait(&g);
	printf("%d started, failed with EIO: %d, cause EIO: %d\n", gort_atomic_int32_load(&started),
	       err == -EIO, gort_context_cause(ctx) == -EIO);

	gort_context *soon = gort_context_with_timeout(gort_context_background(), GORT_MILLISECOND);
	gort_chan_recv(gort_context_done(soon), NULL);
	printf("timed out: %d\n", gort_context_err(soon) == -ETIMEDOUT);
	gort_context_cancel(soon);
	return 0;
}
GORT_MAIN(app)
