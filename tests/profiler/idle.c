// SPDX-License-Identifier: BSD-3-Clause
// Channels, locks and allocations, ROUNDS of them, with the profilers linked in or not: test_idle.py counts
// instructions.
#include <gort.h>

#include <stdlib.h>
#ifdef PROFILED
#include <gort/pprof.h>
#endif

struct object {
	struct object *next;
	int64_t words[5];
};
typedef struct object object;
GORT_TYPE(object, next)

static void
echo(gort_chan *in, gort_chan *out)
{
	int64_t v;
	while (gort_chan_recv(in, &v))
		gort_send(int64_t, out, v);
	gort_chan_close(out);
}

static int
app(int argc, char **argv)
{
	static gort_mutex mu;
	gort_chan *to = gort_make_chan(int64_t, 0), *from = gort_make_chan(int64_t, 0);
	int64_t rounds = argc > 1 ? atoi(argv[1]) : 1000;
#ifdef PROFILED
	gort_set_mem_profile_rate(0); // the one that is on unless told otherwise
#endif
	gort_go(echo, to, from);
	for (int64_t i = 0; i < rounds; i++) {
		gort_send(int64_t, to, i);
		gort_recv(int64_t, from);
		gort_mutex_lock(&mu);
		object *o = gort_new(object);
		__asm__ volatile("" : : "r"(o) : "memory");
		gort_mutex_unlock(&mu);
	}
	gort_chan_close(to);
	gort_chan_recv(from, NULL);
	return 0;
}
GORT_MAIN(app)
