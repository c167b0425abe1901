// SPDX-License-Identifier: BSD-3-Clause
// Linearizability: what some goroutines saw of one sync.Map key, or of one channel, must be what they would
// have seen had each operation happened at one moment between its call and its return. Short histories are
// recorded, with a counter that all share as the clock, and searched for such an order (Wing and Gong):
// take any operation that began before every other remaining one ended, see whether the specification
// gives its result, go on with the rest; what has been tried (the set done, the state) is remembered.
//
// The search is tried on histories that are wrong first.
#include "stress.h"

#include <gort/atomic.h>
#include <gort/iface.h>

#include <string.h>

enum { MAX_OPS = 32, MAX_WORKERS = 4 };

enum kind {
	LOAD,
	STORE,
	LOAD_OR_STORE,
	LOAD_AND_DELETE,
	SWAP,
	CAS,
	CAD,
	CLEAR, // one key of a map
	SEND,
	TRY_SEND,
	RECV,
	TRY_RECV,
	CLOSE, // a channel
};

struct op {
	enum kind kind;
	int arg, arg2; // what is stored or sent; 0: absent
	int result;    // what was there, or came; for booleans 0 or 1
	bool ok;       // loaded, sent, received
	int64_t call, ret;
};

struct history {
	struct op op[MAX_OPS];
	int n, cap; // cap: of the channel
};

static gort_atomic_int64 moment;

static struct op *
begin(struct op *o, enum kind kind, int arg, int arg2)
{
	*o = (struct op){.kind = kind, .arg = arg, .arg2 = arg2};
	o->call = gort_atomic_int64_add(&moment, 1);
	return o;
}

static void
end(struct op *o, bool ok, int result)
{
	o->ret = gort_atomic_int64_add(&moment, 1);
	o->ok = ok;
	o->result = result;
}

// ---- specifications: whether the operation may happen in this state and gives this result ----

// The state of a map's key: its value, 0 if it is absent.
static bool
map_step(const struct op *o, uint64_t *s)
{
	int was = (int)*s;
	bool same = was == o->arg && was != 0;
	switch (o->kind) {
	case LOAD:
		return o->ok == (was != 0) && o->result == was;
	case STORE:
		*s = (uint64_t)o->arg;
		return true;
	case LOAD_OR_STORE:
		if (was == 0)
			*s = (uint64_t)o->arg;
		return o->ok == (was != 0) && o->result == (int)*s;
	case LOAD_AND_DELETE:
		*s = 0;
		return o->ok == (was != 0) && o->result == was;
	case SWAP:
		*s = (uint64_t)o->arg;
		return o->ok == (was != 0) && o->result == was;
	case CAS:
		if (same)
			*s = (uint64_t)o->arg2;
		return o->ok == same;
	case CAD:
		if (same)
			*s = 0;
		return o->ok == same;
	default: // CLEAR
		*s = 0;
		return true;
	}
}

// The state of a channel: the number of values in 4 bits, closed in one, values of 6 bits.
static bool
chan_step(const struct op *o, uint64_t *s, int cap)
{
	int n = *s & 15, first = *s >> 8 & 63;
	bool closed = *s >> 4 & 1;
	switch (o->kind) {
	case SEND:
	case TRY_SEND:
		if (n == cap)
			return o->kind == TRY_SEND && !o->ok;
		*s = (*s | (uint64_t)o->arg << (8 + 6 * n)) + 1;
		return o->ok && !closed;
	case RECV:
	case TRY_RECV:
		if (n == 0)
			return closed ? !o->ok && o->result == GORT_CLOSED
				      : o->kind == TRY_RECV && !o->ok && o->result == 0;
		*s = (*s >> 14 << 8) | (*s & 0x1f);
		*s -= 1;
		return o->ok && o->result == first;
	default: // CLOSE
		*s |= 16;
		return !closed;
	}
}

static bool
step(const struct history *h, const struct op *o, uint64_t *s)
{
	return o->kind < SEND ? map_step(o, s) : chan_step(o, s, h->cap);
}

// ---- the search ----

#define MEMO (1u << 16)
static struct {
	uint64_t done, state;
	uint32_t epoch;
} memo[MEMO];
static uint32_t epoch;

// Whether (done, state) is new. The table forgets when it is full: that costs time, not correctness.
static bool
remember(uint64_t done, uint64_t state)
{
	uint64_t h = (done * 0x9e3779b97f4a7c15u ^ state) * 0xff51afd7ed558ccdu >> 48;
	if (memo[h].epoch == epoch && memo[h].done == done && memo[h].state == state)
		return false;
	memo[h].done = done;
	memo[h].state = state;
	memo[h].epoch = epoch;
	return true;
}

static bool
search(const struct history *h, uint64_t done, uint64_t state)
{
	if (done == ((uint64_t)1 << h->n) - 1)
		return true;
	int64_t first_ret = INT64_MAX;
	for (int i = 0; i < h->n; i++)
		if (!(done >> i & 1) && h->op[i].ret < first_ret)
			first_ret = h->op[i].ret;
	for (int i = 0; i < h->n; i++) {
		uint64_t s = state, d = done | (uint64_t)1 << i;
		if (done >> i & 1 || h->op[i].call > first_ret || !step(h, &h->op[i], &s))
			continue;
		if (remember(d, s) && search(h, d, s))
			return true;
	}
	return false;
}

static bool
linearizable(const struct history *h, uint64_t initial)
{
	epoch++;
	return search(h, 0, initial);
}

static void
print(const struct history *h)
{
	static const char *const names[] = {"load",
					    "store",
					    "load_or_store",
					    "load_and_delete",
					    "swap",
					    "compare_and_swap",
					    "compare_and_delete",
					    "clear",
					    "send",
					    "try_send",
					    "recv",
					    "try_recv",
					    "close"};
	for (int i = 0; i < h->n; i++) {
		const struct op *o = &h->op[i];
		printf("  [%lld, %lld] %s(%d, %d): %d, %d\n", (long long)o->call, (long long)o->ret,
		       names[o->kind], o->arg, o->arg2, o->ok, o->result);
	}
}

static void
check_the_search(void)
{
	struct history stale = {.n = 2,
				.op = {{STORE, 5, 0, 0, false, 1, 2}, // and then
				       {LOAD, 0, 0, 0, false, 3, 4}}};
	STRESS_CHECK(!linearizable(&stale, 0), "a stale load passes");
	stale.op[1].call = 2;
	stale.op[0].ret = 3;
	STRESS_CHECK(linearizable(&stale, 0), "a load beside the store is refused");
	struct history twice = {.n = 3,
				.op = {{STORE, 5, 0, 0, false, 1, 2},
				       {LOAD_AND_DELETE, 0, 0, 5, true, 3, 6},
				       {LOAD_AND_DELETE, 0, 0, 5, true, 4, 5}}};
	STRESS_CHECK(!linearizable(&twice, 0), "two deletes of one value pass");
	struct history order = {.n = 4,
				.cap = 2,
				.op = {{SEND, 1, 0, 0, true, 1, 2},
				       {SEND, 2, 0, 0, true, 3, 4},
				       {RECV, 0, 0, 2, true, 5, 6},
				       {RECV, 0, 0, 1, true, 7, 8}}};
	STRESS_CHECK(!linearizable(&order, 0), "values that overtake each other pass");
	order.op[1].call = 1; // the sends are concurrent
	STRESS_CHECK(linearizable(&order, 0), "an order of concurrent sends is refused");
}

// ---- recording ----

struct worker {
	struct op op[MAX_OPS / MAX_WORKERS];
	int n, nops;
	struct rng rng;
	gort_atomic_int32 *missing; // workers that have not started
	gort_waitgroup *end;
	gort_sync_map *m;
	gort_chan *c;
};

static gort_any
any(int v)
{
	return gort_box(int, v);
}

static int
int_of(gort_any a)
{
	return a.type ? gort_unbox(int, a) : 0;
}

enum { KEY = 7 };

static void
map_op(struct worker *w)
{
	struct op *o = &w->op[w->n++];
	int v = 1 + (int)rng_below(&w->rng, 3), v2 = 1 + (int)rng_below(&w->rng, 3);
	gort_any key = any(KEY), got = {0};
	bool ok = false;
	switch (rng_below(&w->rng, 17)) {
	case 0:
	case 1:
	case 2:
		begin(o, STORE, v, 0);
		gort_sync_map_store(w->m, key, any(v));
		break;
	case 3:
	case 4:
		begin(o, LOAD_OR_STORE, v, 0);
		ok = gort_sync_map_load_or_store(w->m, key, any(v), &got);
		break;
	case 5:
	case 6:
	case 7:
		begin(o, LOAD_AND_DELETE, 0, 0);
		ok = gort_sync_map_load_and_delete(w->m, key, &got);
		break;
	case 8:
		begin(o, SWAP, v, 0);
		ok = gort_sync_map_swap(w->m, key, any(v), &got);
		break;
	case 9:
	case 10:
		begin(o, CAS, v, v2);
		ok = gort_sync_map_compare_and_swap(w->m, key, any(v), any(v2));
		break;
	case 11:
		begin(o, CAD, v, 0);
		ok = gort_sync_map_compare_and_delete(w->m, key, any(v));
		break;
	case 12:
		begin(o, CLEAR, 0, 0);
		gort_sync_map_clear(w->m);
		break;
	default:
		begin(o, LOAD, 0, 0);
		ok = gort_sync_map_load(w->m, key, &got);
	}
	end(o, ok, int_of(got));
}

// Other keys make the map change under the one that is watched: a new one makes a dirty table, misses make
// that the one to read, deleted ones are left out of the next. Not recorded.
static void
disturb(gort_sync_map *m, struct rng *rng)
{
	int k = 100 + (int)rng_below(rng, 6);
	for (int i = (int)rng_below(rng, 4); i > 0; i--)
		switch (rng_below(rng, 3)) {
		case 0:
			gort_sync_map_store(m, any(k), any(1));
			break;
		case 1:
			gort_sync_map_delete(m, any(k));
			break;
		default:
			gort_sync_map_load(m, any(200), NULL);
		}
}

// All start at the same moment, those that are on a CPU at least.
static void
meet(struct worker *w)
{
	gort_atomic_int32_add(w->missing, -1);
	for (int i = 1; gort_atomic_int32_load(w->missing) > 0; i++)
		if (i % 100 == 0)
			gort_gosched();
}

static void
map_worker(struct worker *w)
{
	meet(w);
	for (int i = 0; i < w->nops; i++) {
		disturb(w->m, &w->rng);
		map_op(w);
	}
	gort_waitgroup_done(w->end);
}

static void
collect(struct history *h, const struct worker *w, int nworkers)
{
	for (int i = 0; i < nworkers; i++)
		for (int k = 0; k < w[i].n; k++)
			h->op[h->n++] = w[i].op[k];
}

static void
run(struct worker *w, int n, void (*fn)(struct worker *), struct rng *rng)
{
	gort_atomic_int32 *missing = w->missing;
	gort_waitgroup *end = w->end;
	gort_atomic_int32_store(missing, n);
	gort_waitgroup_add(end, n);
	for (int i = 0; i < n; i++) {
		w[i].missing = missing;
		w[i].end = end;
		w[i].rng = rng_for(((uint64_t)rng_below(rng, 1u << 31) << 8) + (uint64_t)i);
		gort_go(fn, &w[i]);
	}
}

static void
map_round(struct rng *rng)
{
	gort_sync_map m = {0};
	gort_atomic_int32 missing = {0};
	gort_waitgroup ended = {0};
	struct worker w[MAX_WORKERS] = {{.missing = &missing, .end = &ended}};
	struct history h = {0};
	int n = 2 + (int)rng_below(rng, MAX_WORKERS - 1), initial = 0;

	for (int i = 0; i < (int)rng_below(rng, 12); i++)
		disturb(&m, rng);
	if (rng_below(rng, 2)) {
		initial = 2;
		gort_sync_map_store(&m, any(KEY), any(initial));
	}
	for (int i = 0; i < (int)rng_below(rng, 12); i++)
		disturb(&m, rng);
	for (int i = 0; i < n; i++) {
		w[i].m = &m;
		w[i].nops = 2 + (int)rng_below(rng, 6);
	}
	run(w, n, map_worker, rng);
	gort_waitgroup_wait(&ended);
	collect(&h, w, n);
	if (linearizable(&h, (uint64_t)initial))
		return;
	print(&h);
	STRESS_CHECK(false, "sync.Map, from %d", initial);
}

// ---- channels ----

static void
chan_recv(struct worker *w, bool wait)
{
	int v = 0;
	struct op *o = begin(&w->op[w->n++], wait ? RECV : TRY_RECV, 0, 0);
	int r = wait ? (gort_chan_recv(w->c, &v) ? 1 : GORT_CLOSED) : gort_chan_try_recv(w->c, &v);
	end(o, r == 1, r == 1 ? v : r);
}

static void
chan_send(struct worker *w, bool wait, int v)
{
	struct op *o = begin(&w->op[w->n++], wait ? SEND : TRY_SEND, v, 0);
	bool ok = true;
	if (wait)
		gort_chan_send(w->c, &v);
	else
		ok = gort_chan_try_send(w->c, &v);
	end(o, ok, 0);
}

static gort_atomic_int32 sending;

static void
sender(struct worker *w)
{
	meet(w);
	for (int i = 0; i < w->nops; i++)
		chan_send(w, rng_below(&w->rng, 3) != 0, 1 + (int)rng_below(&w->rng, 60));
	gort_atomic_int32_add(&sending, -1);
	gort_waitgroup_done(w->end);
}

static void
receiver(struct worker *w)
{
	meet(w);
	for (int i = 0; i < w->nops; i++)
		chan_recv(w, rng_below(&w->rng, 3) != 0);
	gort_waitgroup_done(w->end);
}

static void
player(struct worker *w)
{
	(w->m ? receiver : sender)(w);
}

// Two senders, a receiver, and the caller, which takes what is left over, and closes.
static void
chan_round(struct rng *rng)
{
	gort_atomic_int32 missing = {0};
	gort_waitgroup ended = {0};
	struct worker w[MAX_WORKERS] = {{.missing = &missing, .end = &ended}};
	static gort_sync_map is_receiver;
	struct history h = {.cap = 1 + (int)rng_below(rng, 3)};
	gort_chan *c = gort_make_chan(int, h.cap);

	for (int i = 0; i < 3; i++) {
		w[i].c = c;
		w[i].nops = 1 + (int)rng_below(rng, 6);
	}
	w[2].m = &is_receiver;
	gort_atomic_int32_store(&sending, 2);
	run(w, 3, player, rng);
	struct worker *me = &w[3];
	me->c = c;
	while (gort_atomic_int32_load(&sending) != 0) {
		if (gort_chan_len(c) == 0 || me->n == MAX_OPS / MAX_WORKERS - 1) {
			if (me->n == MAX_OPS / MAX_WORKERS - 1)
				break;
			gort_gosched();
			continue;
		}
		chan_recv(me, false);
	}
	bool judge = gort_atomic_int32_load(&sending) == 0;
	while (gort_atomic_int32_load(&sending) != 0) { // too many to record: only let them end
		gort_chan_try_recv(c, NULL);
		gort_gosched();
	}
	struct op *o = begin(&me->op[me->n++], CLOSE, 0, 0);
	gort_chan_close(c);
	end(o, true, 0);
	gort_waitgroup_wait(&ended);
	collect(&h, w, 4);
	if (!judge || linearizable(&h, 0))
		return;
	print(&h);
	STRESS_CHECK(false, "a channel of %d", h.cap);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	check_the_search();
	struct rng rng = rng_for(0);
	int64_t rounds = 0;
	do {
		if (rounds % 64 == 0)
			gort_maxprocs(2 + (int)rng_below(&rng, 3));
		if (rng_below(&rng, 2))
			map_round(&rng);
		else
			chan_round(&rng);
	} while (++rounds, stress_time_left());
	printf("%lld histories\n", (long long)rounds);
	return 0;
}
GORT_MAIN(app)
