// SPDX-License-Identifier: BSD-3-Clause
// Operations that do not wait look at a channel without its lock. What they say must fit one order of all
// operations: of two goroutines that each change a channel and then look at the other's, one at least
// sees the other's change; and a select that finds no case ready says so of one moment.
#include "stress.h"

#include <stdatomic.h>

enum { DUEL_MS = 50 };

struct alone {
	_Alignas(64) atomic_int v;
};

struct duel {
	gort_chan *c[2];
	struct alone at[2];
	bool saw[2], over;
	int how;
	int64_t end;
	gort_waitgroup wg;
};

// Both are here when both come back, as nearly at once as two CPUs can be.
static void
meet(struct alone at[2], int me, int round)
{
	atomic_store(&at[me].v, round);
	for (int spins = 1; atomic_load(&at[!me].v) < round; spins++)
		if (spins % 20000 == 0)
			gort_gosched(); // it may be in this P's queue
}

static bool
look(struct duel *d, int me)
{
	gort_chan *theirs = d->c[!me];
	int v = 0;
	gort_select_case one[] = {GORT_RECV(theirs, &v), GORT_DEFAULT};
	gort_select_case two[] = {GORT_RECV(theirs, &v), GORT_RECV(NULL, &v), GORT_DEFAULT};
	switch (d->how) {
	case 0: // both sent
		return gort_chan_try_recv(theirs, &v) == 1;
	case 1:
		return gort_select(one, 2) == 0;
	case 2:
		return gort_select(two, 3) == 0;
	default: // both received: is there room?
		return gort_chan_try_send(theirs, &v);
	}
}

static void
change(struct duel *d, int me)
{
	int v = 1;
	if (d->how < 3)
		gort_chan_send(d->c[me], &v);
	else
		gort_chan_recv(d->c[me], &v);
}

// Empty for how < 3, else full.
static void
restore(struct duel *d)
{
	int v = 1;
	for (int i = 0; i < 2; i++)
		if (d->how < 3)
			gort_chan_try_recv(d->c[i], &v);
		else
			gort_chan_try_send(d->c[i], &v);
}

static void
duellist(struct duel *d, int me)
{
	for (int i = 0; !d->over; i++) {
		meet(d->at, me, 3 * i + 1);
		change(d, me);
		d->saw[me] = look(d, me);
		meet(d->at, me, 3 * i + 2);
		if (me == 0) {
			STRESS_CHECK(d->saw[0] || d->saw[1], "how %d, round %d", d->how, i);
			restore(d);
			d->over = gort_nanotime() > d->end;
		}
		meet(d->at, me, 3 * i + 3);
	}
	gort_waitgroup_done(&d->wg);
}

static void
duel(int how)
{
	struct duel d = {.how = how,
			 .end = gort_nanotime() + DUEL_MS * GORT_MILLISECOND,
			 .c = {gort_make_chan(int, 1), gort_make_chan(int, 1)}};
	restore(&d);
	gort_waitgroup_add(&d.wg, 2);
	gort_go(duellist, &d, 0);
	gort_go(duellist, &d, 1);
	gort_waitgroup_wait(&d.wg);
}

// A token is always in one of two channels at least: it is in the second before it leaves the first. So a select
// of both with a default never takes that. Between the two cases are others, which make the look long.
enum { IDLE = 30, CASES = IDLE + 3 };

struct relay {
	gort_chan *c[2], *idle;
	bool over;
	gort_waitgroup wg;
};

static void
carry(struct relay *r)
{
	int v = 1;
	for (int to = 1; !r->over; to = !to) {
		gort_chan_send(r->c[to], &v);
		gort_chan_recv(r->c[!to], &v);
	}
	gort_waitgroup_done(&r->wg);
}

static void
watch(struct relay *r, int first)
{
	int v = 0;
	gort_select_case cases[CASES];
	for (int i = 0; i < CASES; i++)
		cases[i] = (gort_select_case)GORT_RECV(r->idle, &v);
	cases[0] = (gort_select_case)GORT_RECV(r->c[first], &v);
	cases[CASES - 2] = (gort_select_case)GORT_RECV(r->c[!first], &v);
	cases[CASES - 1] = (gort_select_case)GORT_DEFAULT;
	int64_t end = gort_nanotime() + DUEL_MS * GORT_MILLISECOND;
	for (long i = 0; gort_nanotime() < end; i++) {
		int k = gort_select(cases, CASES);
		STRESS_CHECK(k != CASES - 1, "look %ld, first %d", i, first);
		gort_chan_send(cases[k].chan, &v);
	}
}

static void
relay(int first)
{
	struct relay r = {.c = {gort_make_chan(int, 2), gort_make_chan(int, 2)}, .idle = gort_make_chan(int, 0)};
	int v = 1;
	gort_chan_send(r.c[0], &v);
	gort_waitgroup_add(&r.wg, 1);
	gort_go(carry, &r);
	watch(&r, first);
	r.over = true;
	gort_waitgroup_wait(&r.wg);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	gort_maxprocs(2);
	long rounds = 0;
	for (; stress_time_left(); rounds++) {
		duel((int)(rounds % 4));
		relay((int)(rounds % 2));
	}
	printf("%ld rounds\n", rounds);
	return 0;
}
GORT_MAIN(app)
