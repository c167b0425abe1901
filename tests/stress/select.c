// SPDX-License-Identifier: BSD-3-Clause
// Select under many goroutines. A random mesh: every goroutine owns some values and, in random selects
// over random channels (a few cases, sends and receives mixed, duplicates, sometimes a default, sometimes
// a nil channel), gives values away and takes others. What one gives away somebody takes: the sum of all
// values held at the end, and left in buffers, is what it was. A watchdog channel, closed at the end,
// stands in every blocking select, so that nobody stays behind.
#include "stress.h"

#include <string.h>

enum { MAX_CHANS = 12, MAX_WORKERS = 24 };

struct mesh {
	gort_chan *c[MAX_CHANS];
	int nchans, nworkers;
	gort_chan *stop;
	int64_t held[MAX_WORKERS];
	int64_t ops[MAX_WORKERS];
	gort_waitgroup wg;
};

static gort_chan *
random_chan(struct mesh *m, struct rng *rng)
{
	return rng_below(rng, 16) == 0 ? NULL : m->c[rng_below(rng, (uint32_t)m->nchans)];
}

// One select. Returns false when the watchdog fired.
static bool
step(struct mesh *m, struct rng *rng, int64_t *held)
{
	gort_select_case cs[8];
	int64_t in[8], out[8];
	bool ok[8];
	int n = 1 + (int)rng_below(rng, 6);
	bool dflt = rng_below(rng, 4) == 0;

	for (int i = 0; i < n; i++) {
		in[i] = -1;
		out[i] = rng_below(rng, 1000);
		gort_chan *c = random_chan(m, rng);
		if (rng_below(rng, 2))
			cs[i] = GORT_SEND(c, &out[i]);
		else
			cs[i] = GORT_RECV_OK(c, &in[i], &ok[i]);
	}
	cs[n] = GORT_RECV(m->stop, NULL);
	cs[n + 1] = GORT_DEFAULT;
	int got = gort_select(cs, n + 1 + dflt);
	STRESS_CHECK(got >= 0 && got < n + 1 + dflt, "case %d", got);
	if (got == n)
		return false;
	if (got > n) {
		gort_gosched();
		return true;
	}
	STRESS_CHECK(cs[got].chan != NULL, "a nil channel's case happened");
	if (cs[got].kind == GORT_SELECT_SEND) {
		*held -= out[got];
	} else {
		STRESS_CHECK(ok[got] && in[got] >= 0 && in[got] < 1000, "received %lld",
			     (long long)in[got]);
		*held += in[got];
	}
	for (int i = 0; i < n; i++)
		STRESS_CHECK(i == got || in[i] == -1, "case %d wrote, %d happened", i, got);
	return true;
}

static void
worker(struct mesh *m, int id)
{
	struct rng rng = rng_for(rng_below(&(struct rng){stress_seed | 1}, 1 << 20) + (uint64_t)id);
	int64_t held = 0, ops = 0;
	while (step(m, &rng, &held))
		ops++;
	m->held[id] = held;
	m->ops[id] = ops;
	gort_waitgroup_done(&m->wg);
}

static int64_t
one_round(struct rng *rng)
{
	struct mesh m = {
		.nchans = 1 + (int)rng_below(rng, MAX_CHANS),
		.nworkers = 2 + (int)rng_below(rng, MAX_WORKERS - 1),
		.stop = gort_make_chan(char, 0),
	};
	gort_maxprocs(1 + (int)rng_below(rng, 4));
	for (int i = 0; i < m.nchans; i++)
		m.c[i] = gort_make_chan(int64_t, rng_below(rng, 2) ? 0 : (int)rng_below(rng, 5));
	gort_waitgroup_add(&m.wg, m.nworkers);
	for (int i = 0; i < m.nworkers; i++)
		gort_go(worker, &m, i);
	gort_sleep((1 + rng_below(rng, 20)) * GORT_MILLISECOND);
	gort_chan_close(m.stop);
	gort_waitgroup_wait(&m.wg);

	int64_t total = 0, ops = 0, v;
	for (int i = 0; i < m.nworkers; i++) {
		total += m.held[i];
		ops += m.ops[i];
	}
	for (int i = 0; i < m.nchans; i++)
		while (gort_chan_try_recv(m.c[i], &v) == 1)
			total += v;
	STRESS_CHECK(total == 0, "%lld more than nothing", (long long)total);
	return ops;
}

// Many wait in selects over two channels each; each value must wake exactly one of them.
static void
claim(gort_chan *a, gort_chan *b, gort_chan *out)
{
	int64_t v = 0;
	gort_select_case cs[] = {GORT_RECV(a, &v), GORT_RECV(b, &v)};
	gort_select(cs, 2);
	gort_send(int64_t, out, v);
}

static void
feed(gort_chan *c, int64_t from, int64_t n)
{
	for (int64_t i = from; i < from + n; i++)
		gort_send(int64_t, c, i);
}

static void
race(void)
{
	enum { N = 200 };
	gort_chan *a = gort_make_chan(int64_t, 0), *b = gort_make_chan(int64_t, 0);
	gort_chan *out = gort_make_chan(int64_t, N);
	for (int i = 0; i < N; i++)
		gort_go(claim, a, b, out);
	gort_go(feed, a, 0, N / 2);
	gort_go(feed, b, N / 2, N / 2);
	int64_t sum = 0;
	for (int i = 0; i < N; i++)
		sum += gort_recv(int64_t, out);
	STRESS_CHECK(sum == N * (N - 1) / 2, "sum %lld", (long long)sum);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	struct rng rng = rng_for(0);
	int64_t ops = 0, rounds = 0;
	do {
		ops += one_round(&rng);
		race();
	} while (++rounds, stress_time_left());
	printf("%lld rounds, %lld selects\n", (long long)rounds, (long long)ops);
	return 0;
}
GORT_MAIN(app)
