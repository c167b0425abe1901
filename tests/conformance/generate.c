// SPDX-License-Identifier: BSD-3-Clause
// Making programs, and showing them in Go's notation.
#include "program.h"

#include <string.h>

static int8_t
random_chan(struct rng *r, const struct program *p)
{
	return rng_below(r, 40) == 0 ? NIL_CHAN : (int8_t)rng_below(r, (uint32_t)p->nchans);
}

static void
random_select(struct rng *r, struct program *p, struct op *op, uint8_t *value)
{
	op->ncases = (uint8_t)(1 + rng_below(r, MAX_CASES));
	op->dflt = rng_below(r, 3) == 0;
	for (int i = 0; i < op->ncases; i++) {
		op->cases[i] = (struct choice){.send = rng_below(r, 2), .chan = random_chan(r, p)};
		if (op->cases[i].send)
			op->cases[i].value = ++*value;
	}
}

static enum op_kind
random_kind(struct rng *r, int g)
{
	static const uint8_t weights[OP_KINDS] = {
		[OP_SEND] = 26, [OP_RECV] = 26,	  [OP_TRY_SEND] = 9, [OP_TRY_RECV] = 9,
		[OP_CLOSE] = 6, [OP_SELECT] = 18, [OP_AWAIT] = 6,
	};
	uint32_t at = rng_below(r, g > 0 ? 100 : 94); // nobody comes before goroutine 0
	for (int k = 0;; at -= weights[k++])
		if (at < weights[k])
			return (enum op_kind)k;
}

static void
random_op(struct rng *r, struct program *p, int g, struct op *op, uint8_t *value)
{
	op->kind = (uint8_t)random_kind(r, g);
	op->chan = random_chan(r, p);
	switch (op->kind) {
	case OP_SEND:
	case OP_TRY_SEND:
		op->value = ++*value;
		break;
	case OP_SELECT:
		random_select(r, p, op, value);
		break;
	case OP_AWAIT: // an earlier one only, so that no two wait for each other
		op->who = (uint8_t)rng_below(r, (uint32_t)g);
		break;
	}
}

void
generate(struct program *p, uint64_t seed)
{
	struct rng r = {seed};
	uint8_t value = 0;
	memset(p, 0, sizeof *p);
	p->ng = 2 + (int)rng_below(&r, MAX_G - 1);
	p->nchans = 1 + (int)rng_below(&r, MAX_CHANS);
	for (int c = 0; c < p->nchans; c++)
		p->cap[c] = (int)rng_below(&r, MAX_CAP + 1);
	for (int g = 0; g < p->ng; g++) {
		p->nops[g] = 1 + (int)rng_below(&r, MAX_OPS);
		for (int i = 0; i < p->nops[g]; i++)
			random_op(&r, p, g, &p->ops[g][i], &value);
	}
}

// ---- by hand ----

// clang-format off

#define SEND(c, v) {.kind = OP_SEND, .chan = (c), .value = (v)}
#define RECV(c) {.kind = OP_RECV, .chan = (c)}
#define TRY_SEND(c, v) {.kind = OP_TRY_SEND, .chan = (c), .value = (v)}
#define TRY_RECV(c) {.kind = OP_TRY_RECV, .chan = (c)}
#define CLOSE(c) {.kind = OP_CLOSE, .chan = (c)}
#define AWAIT(g) {.kind = OP_AWAIT, .who = (g)}
#define CASE_SEND(c, v) {.send = true, .chan = (c), .value = (v)}
#define CASE_RECV(c) {.chan = (c)}
#define SELECT(n, ...) {.kind = OP_SELECT, .ncases = (n), .cases = {__VA_ARGS__}}
#define SELECT_DEFAULT(n, ...)                                                                     \
	{.kind = OP_SELECT, .ncases = (n), .dflt = true, .cases = {__VA_ARGS__}}

// clang-format on

static const struct {
	const char *name;
	struct program p;
} by_hand[] = {
	{"values leave in the order in which they came",
	 {.ng = 2,
	  .nchans = 1,
	  .cap = {2},
	  .nops = {3, 3},
	  .ops = {{SEND(0, 1), SEND(0, 2), SEND(0, 3)}, {RECV(0), RECV(0), RECV(0)}}}},
	{"what is in a closed channel stays",
	 {.ng = 1,
	  .nchans = 1,
	  .cap = {2},
	  .nops = {4},
	  .ops = {{SEND(0, 1), CLOSE(0), RECV(0), RECV(0)}}}},
	{"nil blocks",
	 {.ng = 2, .nchans = 1, .nops = {1, 1}, .ops = {{RECV(NIL_CHAN)}, {SEND(NIL_CHAN, 1)}}}},
	{"two that send first and look then: one of them sees the other",
	 {.ng = 2,
	  .nchans = 2,
	  .cap = {1, 1},
	  .nops = {2, 2},
	  .ops = {{SEND(0, 1), TRY_RECV(1)}, {SEND(1, 2), TRY_RECV(0)}}}},
	{"the same by selects with a default",
	 {.ng = 2,
	  .nchans = 2,
	  .cap = {1, 1},
	  .nops = {2, 2},
	  .ops = {{SEND(0, 1), SELECT_DEFAULT(1, CASE_RECV(1))},
		  {SEND(1, 2), SELECT_DEFAULT(1, CASE_RECV(0))}}}},
	{"the same by selects over two channels",
	 {.ng = 2,
	  .nchans = 3,
	  .cap = {1, 1, 1},
	  .nops = {2, 2},
	  .ops = {{SEND(0, 1), SELECT_DEFAULT(2, CASE_RECV(1), CASE_RECV(2))},
		  {SEND(1, 2), SELECT_DEFAULT(2, CASE_RECV(2), CASE_RECV(0))}}}},
	{"two that receive first and then look for room",
	 {.ng = 2,
	  .nchans = 2,
	  .cap = {1, 1},
	  .nops = {3, 3},
	  .ops = {{SEND(0, 1), RECV(0), TRY_SEND(1, 2)}, {SEND(1, 3), RECV(1), TRY_SEND(0, 4)}}}},
	{"a full channel with a waiting sender does not look empty while another receives",
	 {.ng = 3,
	  .nchans = 1,
	  .cap = {1},
	  .nops = {2, 2, 2},
	  .ops = {{SEND(0, 1), SEND(0, 2)}, {AWAIT(0), RECV(0)}, {AWAIT(0), TRY_RECV(0)}}}},
	{"something is ready all the time, so the default is never taken",
	 {.ng = 2,
	  .nchans = 3,
	  .cap = {1, 1, 0},
	  .nops = {4, 2},
	  .ops = {{SEND(0, 1), SEND(2, 2), SEND(1, 3), TRY_RECV(0)},
		  {RECV(2), SELECT_DEFAULT(2, CASE_RECV(0), CASE_RECV(1))}}}},
	{"receivers are served in the order in which they came",
	 {.ng = 4,
	  .nchans = 1,
	  .nops = {1, 2, 2, 4},
	  .ops = {{RECV(0)},
		  {AWAIT(0), RECV(0)},
		  {AWAIT(1), RECV(0)},
		  {AWAIT(2), SEND(0, 1), SEND(0, 2), SEND(0, 3)}}}},
	{"senders, some in a select, are served in the order in which they came",
	 {.ng = 4,
	  .nchans = 2,
	  .cap = {1, 0},
	  .nops = {2, 2, 2, 4},
	  .ops = {{SEND(0, 1), SEND(0, 2)},
		  {AWAIT(0), SELECT(2, CASE_RECV(1), CASE_SEND(0, 3))},
		  {AWAIT(1), SEND(0, 4)},
		  {AWAIT(2), RECV(0), RECV(0), RECV(0)}}}},
	{"a close wakes every receiver, with what was sent before it",
	 {.ng = 4,
	  .nchans = 1,
	  .nops = {1, 1, 1, 3},
	  .ops = {{RECV(0)},
		  {SELECT(1, CASE_RECV(0))},
		  {RECV(0)},
		  {AWAIT(1), TRY_SEND(0, 1), CLOSE(0)}}}},
	{"a close makes waiting senders panic, but what is in the buffer stays",
	 {.ng = 2,
	  .nchans = 1,
	  .cap = {1},
	  .nops = {2, 4},
	  .ops = {{SEND(0, 1), SEND(0, 2)}, {AWAIT(0), CLOSE(0), RECV(0), RECV(0)}}}},
	{"selects that send and receive on one channel never meet themselves",
	 {.ng = 3,
	  .nchans = 1,
	  .nops = {1, 1, 1},
	  .ops = {{SELECT(2, CASE_SEND(0, 1), CASE_RECV(0))},
		  {SELECT(2, CASE_RECV(0), CASE_SEND(0, 2))},
		  {SELECT(2, CASE_SEND(0, 3), CASE_RECV(0))}}}},
	{"selects that meet over two channels, from both ends",
	 {.ng = 4,
	  .nchans = 2,
	  .nops = {2, 2, 2, 2},
	  .ops = {{SELECT(2, CASE_SEND(0, 1), CASE_RECV(1)), RECV(0)},
		  {SELECT(2, CASE_SEND(1, 2), CASE_RECV(0)), RECV(1)},
		  {SELECT(2, CASE_RECV(0), CASE_RECV(1)), SEND(0, 3)},
		  {SELECT(2, CASE_SEND(1, 4), CASE_SEND(0, 5)), SEND(1, 6)}}}},
};

bool
litmus(struct program *p, int i, const char **name)
{
	if (i >= (int)(sizeof by_hand / sizeof *by_hand))
		return false;
	*p = by_hand[i].p;
	*name = by_hand[i].name;
	return true;
}

// ---- in Go's notation ----

static const char *
chan_name(int c)
{
	static const char *const names[] = {"nil", "a", "b", "c"};
	return names[c + 1];
}

static void
print_select(FILE *f, const struct op *op)
{
	fprintf(f, "select {");
	for (int i = 0; i < op->ncases; i++) {
		const struct choice *k = &op->cases[i];
		if (k->send)
			fprintf(f, " case %s <- %d:", chan_name(k->chan), k->value);
		else
			fprintf(f, " case <-%s:", chan_name(k->chan));
	}
	fprintf(f, "%s }", op->dflt ? " default:" : "");
}

static void
print_op(FILE *f, const struct op *op)
{
	const char *c = chan_name(op->chan);
	switch (op->kind) {
	case OP_SEND:
		fprintf(f, "%s <- %d", c, op->value);
		break;
	case OP_RECV:
		fprintf(f, "<-%s", c);
		break;
	case OP_TRY_SEND:
		fprintf(f, "try %s <- %d", c, op->value);
		break;
	case OP_TRY_RECV:
		fprintf(f, "try <-%s", c);
		break;
	case OP_CLOSE:
		fprintf(f, "close(%s)", c);
		break;
	case OP_SELECT:
		print_select(f, op);
		break;
	case OP_AWAIT:
		fprintf(f, "await g%d", op->who);
		break;
	}
}

void
print_program(FILE *f, const struct program *p)
{
	for (int c = 0; c < p->nchans; c++)
		fprintf(f, "    %s := make(chan, %d)\n", chan_name(c), p->cap[c]);
	for (int g = 0; g < p->ng; g++) {
		fprintf(f, "    g%d:", g);
		for (int i = 0; i < p->nops[g]; i++) {
			fprintf(f, i ? "; " : " ");
			print_op(f, &p->ops[g][i]);
		}
		fprintf(f, "\n");
	}
}

static void
print_logged(FILE *f, const struct op *op, struct logged l)
{
	static const char *const tried[] = {"no", "yes", "closed"};
	if (l.which == 0xff)
		fprintf(f, " -");
	else if (op->kind == OP_TRY_SEND || op->kind == OP_TRY_RECV)
		fprintf(f, " %s(%d)", tried[l.which], l.value);
	else if (op->kind == OP_SELECT && l.which == MAX_CASES)
		fprintf(f, " default");
	else if (op->kind == OP_SELECT)
		fprintf(f, " case%d(%d)", l.which, l.value);
	else if (op->kind == OP_RECV)
		fprintf(f, " %d", l.value);
	else
		fprintf(f, " .");
}

void
print_outcome(FILE *f, const struct program *p, const struct outcome *o)
{
	static const char *const ends[ENDS] = {"done", "deadlock", "send on closed channel",
					       "close of closed channel", "close of nil channel"};
	fprintf(f, "    %s", ends[o->end]);
	for (int g = 0; g < p->ng; g++) {
		if (o->end > END_DEADLOCK && g != o->culprit)
			continue;
		fprintf(f, " | g%d:", g);
		for (int i = 0; i < p->nops[g]; i++)
			print_logged(f, &p->ops[g][i], o->log[g][i]);
	}
	if (o->end == END_DONE)
		for (int c = 0; c < p->nchans; c++)
			fprintf(f, " | len(%s)=%d", chan_name(c), o->len[c]);
	fprintf(f, "\n");
}
