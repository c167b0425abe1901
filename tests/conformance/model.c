// SPDX-License-Identifier: BSD-3-Clause
// The exhaustive model. A state is what the goroutines have logged, where they stand, and the channels
// with their queues of waiters. A step is one operation of one goroutine that is not blocked: it happens
// whole, completes the waiter it meets, or puts its goroutine into the queues. A completed waiter's
// result is logged in the same step. States are kept in one table, and visited once.
//
// Written from the Go specification and the memory model, not from an implementation.
#include "model.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUE = MAX_G * MAX_CASES, PLAIN = MAX_CASES };
enum gstate { READY, BLOCKED, ENDED, PANICS };

// A waiter: goroutine * 4 + index of its select case, or PLAIN.
struct waiters {
	uint8_t n, w[QUEUE];
};

struct channel {
	uint8_t closed, n, buf[MAX_CAP + 1];
	struct waiters recvq, sendq;
};

struct state {
	uint8_t pc[MAX_G], g[MAX_G]; // enum gstate
	struct channel c[MAX_CHANS];
	struct logged log[MAX_G][MAX_OPS];
};

// Open addressing over an array in order of insertion; slots hold index + 1.
struct set {
	char *items;
	size_t size;
	uint32_t n, cap, *slots;
};

struct model {
	struct set states, outcomes;
};

struct explorer {
	const struct program *p;
	enum rule broken;
	struct model *m;
};

const char *const rule_names[RULES] = {
	[RULE_NONE] = "none",
	[RULE_BUFFER_LIFO] = "buffer-lifo",
	[RULE_WAITERS_LIFO] = "waiters-lifo",
	[RULE_CLOSE_DRAINS] = "close-drains",
	[RULE_CLOSE_WAKES_NOBODY] = "close-wakes-nobody",
	[RULE_SEND_CLOSED_DROPS] = "send-closed-drops",
	[RULE_SELECT_FIRST] = "select-first",
	[RULE_CAP_PLUS_ONE] = "cap-plus-one",
	[RULE_NIL_IS_CLOSED] = "nil-is-closed",
};

// ---- sets ----

static void *
must(void *p)
{
	if (!p) {
		perror("model");
		exit(1);
	}
	return p;
}

static void
set_init(struct set *s, size_t size, uint32_t cap)
{
	*s = (struct set){.size = size, .cap = cap};
	s->items = must(malloc(size * cap));
	s->slots = must(calloc(cap * 2, sizeof *s->slots));
}

static void
set_free(struct set *s)
{
	free(s->items);
	free(s->slots);
}

static void *
set_at(const struct set *s, uint32_t i)
{
	return s->items + i * s->size;
}

static uint32_t *
set_slot(const struct set *s, const void *item)
{
	const unsigned char *b = item;
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < s->size; i++)
		h = (h ^ b[i]) * 1099511628211u;
	for (uint32_t at = (uint32_t)(h >> 20);; at++) {
		uint32_t *slot = &s->slots[at % (s->cap * 2)];
		if (*slot == 0 || memcmp(set_at(s, *slot - 1), item, s->size) == 0)
			return slot;
	}
}

// False when it is full.
static bool
set_add(struct set *s, const void *item)
{
	uint32_t *slot = set_slot(s, item);
	if (*slot)
		return true;
	if (s->n == s->cap)
		return false;
	memcpy(set_at(s, s->n), item, s->size);
	*slot = ++s->n;
	return true;
}

// ---- channels ----

static void
enqueue(struct waiters *q, int g, int which)
{
	q->w[q->n++] = (uint8_t)(g * 4 + which);
}

static void
drop(struct waiters *q, int g)
{
	struct waiters kept = {0};
	for (int i = 0; i < q->n; i++)
		if (q->w[i] / 4 != g)
			kept.w[kept.n++] = q->w[i];
	*q = kept;
}

// Takes the next waiter out of q, and its goroutine out of every other queue.
static int
dequeue(struct explorer *x, struct state *s, struct waiters *q)
{
	int w = q->w[x->broken == RULE_WAITERS_LIFO ? q->n - 1 : 0];
	for (int i = 0; i < x->p->nchans; i++) {
		drop(&s->c[i].recvq, w / 4);
		drop(&s->c[i].sendq, w / 4);
	}
	return w;
}

static void
complete(struct explorer *x, struct state *s, int g, int which, int value)
{
	s->log[g][s->pc[g]] = (struct logged){(uint8_t)which, (uint8_t)value};
	s->g[g] = ++s->pc[g] == x->p->nops[g] ? ENDED : READY;
}

static void
complete_waiter(struct explorer *x, struct state *s, int w, int value)
{
	complete(x, s, w / 4, w % 4 == PLAIN ? 0 : w % 4, value);
}

static int
waiter_value(struct explorer *x, const struct state *s, int w)
{
	const struct op *op = &x->p->ops[w / 4][s->pc[w / 4]];
	return w % 4 == PLAIN ? op->value : op->cases[w % 4].value;
}

static int
capacity(const struct explorer *x, int c)
{
	return x->p->cap[c] + (x->broken == RULE_CAP_PLUS_ONE);
}

static bool
can_send(const struct explorer *x, const struct state *s, int c)
{
	return c >= 0 && (s->c[c].closed || s->c[c].recvq.n > 0 || s->c[c].n < capacity(x, c));
}

static bool
can_recv(const struct explorer *x, const struct state *s, int c)
{
	if (c < 0)
		return x->broken == RULE_NIL_IS_CLOSED;
	return s->c[c].n > 0 || s->c[c].sendq.n > 0 || s->c[c].closed;
}

// can_send holds. False: it panics.
static bool
do_send(struct explorer *x, struct state *s, int c, int value)
{
	struct channel *ch = &s->c[c];
	if (ch->closed)
		return x->broken == RULE_SEND_CLOSED_DROPS;
	if (ch->recvq.n > 0)
		complete_waiter(x, s, dequeue(x, s, &ch->recvq), value);
	else
		ch->buf[ch->n++] = (uint8_t)value;
	return true;
}

static int
take_buffered(const struct explorer *x, struct channel *ch)
{
	int at = x->broken == RULE_BUFFER_LIFO ? ch->n - 1 : 0;
	int value = ch->buf[at];
	ch->n--;
	memmove(&ch->buf[at], &ch->buf[at + 1], (size_t)(ch->n - at));
	ch->buf[ch->n] = 0;
	return value;
}

// can_recv holds. The value, 0: closed.
static int
do_recv(struct explorer *x, struct state *s, int c)
{
	if (c < 0)
		return 0;
	struct channel *ch = &s->c[c];
	int value = ch->n > 0 ? take_buffered(x, ch) : 0;
	if (ch->sendq.n > 0) {
		int w = dequeue(x, s, &ch->sendq), sent = waiter_value(x, s, w);
		complete_waiter(x, s, w, 0);
		if (value == 0)
			return sent;
		ch->buf[ch->n++] = (uint8_t)sent;
	}
	return value;
}

static void
do_close(struct explorer *x, struct state *s, int c)
{
	struct channel *ch = &s->c[c];
	ch->closed = 1;
	if (x->broken == RULE_CLOSE_DRAINS) {
		ch->n = 0;
		memset(ch->buf, 0, sizeof ch->buf);
	}
	if (x->broken == RULE_CLOSE_WAKES_NOBODY)
		return;
	while (ch->recvq.n > 0)
		complete_waiter(x, s, dequeue(x, s, &ch->recvq), 0);
	while (ch->sendq.n > 0)
		s->g[dequeue(x, s, &ch->sendq) / 4] = PANICS;
}

// ---- steps ----

static bool
add_outcome(struct explorer *x, const struct outcome *o)
{
	return set_add(&x->m->outcomes, o);
}

static bool
panicked(struct explorer *x, const struct state *s, int g, enum end end)
{
	struct outcome o = {.end = (uint8_t)end, .culprit = (uint8_t)g};
	memcpy(o.log[g], s->log[g], sizeof o.log[g]);
	return add_outcome(x, &o);
}

// After an attempt that may panic.
static bool
sent(struct explorer *x, struct state *s, int g, bool ok, int which)
{
	if (!ok)
		return panicked(x, s, g, END_SEND_CLOSED);
	complete(x, s, g, which, 0);
	return set_add(&x->m->states, s);
}

static bool
block_on(struct explorer *x, struct state *s, int g, int which, bool send, int c)
{
	if (c >= 0)
		enqueue(send ? &s->c[c].sendq : &s->c[c].recvq, g, which);
	s->g[g] = BLOCKED;
	return set_add(&x->m->states, s);
}

// Cases with the same channel and direction: whoever meets the select completes any one of them. So mask
// has one of each kind, and none of those on nil channels.
static bool
one_of_a_kind(const struct op *op, unsigned mask)
{
	for (int i = 0; i < op->ncases; i++) {
		int same = 0;
		for (int j = 0; j < op->ncases; j++)
			same += (mask >> j & 1) && op->cases[j].chan == op->cases[i].chan &&
				op->cases[j].send == op->cases[i].send;
		if (same != (op->cases[i].chan >= 0))
			return false;
	}
	return true;
}

static bool
enqueue_cases(struct explorer *x, const struct state *from, int g, const struct op *op,
	      unsigned mask)
{
	struct state s = *from;
	for (int i = 0; i < op->ncases; i++) {
		const struct choice *k = &op->cases[i];
		if (mask >> i & 1)
			enqueue(k->send ? &s.c[k->chan].sendq : &s.c[k->chan].recvq, g, i);
	}
	return set_add(&x->m->states, &s);
}

static bool
step_select(struct explorer *x, const struct state *from, int g, const struct op *op)
{
	bool any = false;
	for (int i = 0; i < op->ncases; i++) {
		const struct choice *k = &op->cases[i];
		if (k->send ? !can_send(x, from, k->chan) : !can_recv(x, from, k->chan))
			continue;
		any = true;
		struct state s = *from;
		bool ok = true;
		int value = 0;
		if (k->send)
			ok = do_send(x, &s, k->chan, k->value);
		else
			value = do_recv(x, &s, k->chan);
		if (!ok) {
			if (!panicked(x, &s, g, END_SEND_CLOSED))
				return false;
		} else {
			complete(x, &s, g, i, value);
			if (!set_add(&x->m->states, &s))
				return false;
		}
		if (x->broken == RULE_SELECT_FIRST)
			return true;
	}
	if (any)
		return true;
	struct state s = *from;
	if (op->dflt) {
		complete(x, &s, g, MAX_CASES, 0);
		return set_add(&x->m->states, &s);
	}
	s.g[g] = BLOCKED;
	for (unsigned mask = 0; mask < 1u << op->ncases; mask++)
		if (one_of_a_kind(op, mask) && !enqueue_cases(x, &s, g, op, mask))
			return false;
	return true;
}

static bool
step_close(struct explorer *x, struct state *s, int g, int c)
{
	if (c < 0)
		return panicked(x, s, g, END_CLOSE_NIL);
	if (s->c[c].closed)
		return panicked(x, s, g, END_CLOSE_CLOSED);
	do_close(x, s, c);
	complete(x, s, g, 0, 0);
	return set_add(&x->m->states, s);
}

static bool
can_step(const struct explorer *x, const struct state *s, int g)
{
	if (s->g[g] == PANICS)
		return true;
	if (s->g[g] != READY)
		return false;
	const struct op *op = &x->p->ops[g][s->pc[g]];
	return op->kind != OP_AWAIT || s->g[op->who] == BLOCKED || s->g[op->who] == ENDED;
}

// Everything goroutine g may do next. False: a table is full.
static bool
step(struct explorer *x, const struct state *from, int g)
{
	struct state s = *from;
	if (s.g[g] == PANICS)
		return panicked(x, &s, g, END_SEND_CLOSED);
	const struct op *op = &x->p->ops[g][s.pc[g]];
	bool can = false;
	switch (op->kind) {
	case OP_SEND:
	case OP_TRY_SEND:
		can = can_send(x, &s, op->chan);
		if (!can && op->kind == OP_SEND)
			return block_on(x, &s, g, PLAIN, true, op->chan);
		if (!can)
			return sent(x, &s, g, true, TRY_BLOCKED);
		return sent(x, &s, g, do_send(x, &s, op->chan, op->value),
			    op->kind == OP_SEND ? 0 : TRY_DONE);
	case OP_RECV:
		if (!can_recv(x, &s, op->chan))
			return block_on(x, &s, g, PLAIN, false, op->chan);
		complete(x, &s, g, 0, do_recv(x, &s, op->chan));
		break;
	case OP_TRY_RECV: {
		can = can_recv(x, &s, op->chan);
		int value = can ? do_recv(x, &s, op->chan) : 0;
		complete(x, &s, g, !can ? TRY_BLOCKED : value ? TRY_DONE : TRY_CLOSED, value);
		break;
	}
	case OP_CLOSE:
		return step_close(x, &s, g, op->chan);
	case OP_SELECT:
		return step_select(x, from, g, op);
	case OP_AWAIT:
		complete(x, &s, g, 0, 0);
		break;
	}
	return set_add(&x->m->states, &s);
}

static bool
ended(struct explorer *x, const struct state *s)
{
	struct outcome o = {.end = END_DONE};
	memcpy(o.log, s->log, sizeof o.log);
	for (int g = 0; g < x->p->ng; g++) {
		if (s->g[g] == READY) {
			fprintf(stderr, "model: a program waits for what never happens\n");
			exit(1);
		}
		if (s->g[g] == BLOCKED)
			o.end = END_DEADLOCK;
	}
	for (int c = 0; c < x->p->nchans && o.end == END_DONE; c++)
		o.len[c] = s->c[c].n;
	return add_outcome(x, &o);
}

static bool
explore(struct explorer *x)
{
	struct state first = {0};
	memset(first.log, 0xff, sizeof first.log);
	for (int g = 0; g < x->p->ng; g++)
		first.g[g] = x->p->nops[g] ? READY : ENDED;
	set_add(&x->m->states, &first);
	for (uint32_t i = 0; i < x->m->states.n; i++) {
		struct state *s = set_at(&x->m->states, i);
		bool stuck = true;
		for (int g = 0; g < x->p->ng; g++) {
			if (!can_step(x, s, g))
				continue;
			stuck = false;
			if (!step(x, s, g))
				return false;
		}
		if (stuck && !ended(x, s))
			return false;
	}
	return true;
}

struct model *
model_explore(const struct program *p, enum rule broken, uint32_t max_states)
{
	struct model *m = must(malloc(sizeof *m));
	set_init(&m->states, sizeof(struct state), max_states);
	set_init(&m->outcomes, sizeof(struct outcome), 4096);
	struct explorer x = {.p = p, .broken = broken, .m = m};
	bool whole = explore(&x);
	set_free(&m->states);
	m->states = (struct set){0};
	if (whole)
		return m;
	model_free(m);
	return NULL;
}

void
model_free(struct model *m)
{
	set_free(&m->outcomes);
	free(m);
}

int
model_outcomes(const struct model *m)
{
	return (int)m->outcomes.n;
}

int
model_find(const struct model *m, const struct outcome *o)
{
	return (int)*set_slot(&m->outcomes, o) - 1;
}

const struct outcome *
model_outcome(const struct model *m, int i)
{
	return set_at(&m->outcomes, (uint32_t)i);
}
