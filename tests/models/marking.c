// SPDX-License-Identifier: BSD-3-Clause
// An exhaustive model of marking beside a running program: three objects of one pointer field each, a
// global, two goroutines with stack slots, a collector. Every interleaving of their steps is explored;
// at each possible mark termination every reachable object must be marked. What gort does must never lose
// one; each plausible simplification of it must be seen losing one, or the model shows nothing.
//
// Steps of goroutines, each atomic: load from a slot's object or the global into a slot, drop a slot,
// allocate into a slot, store a slot to the global (plainly), store a slot into a slot's object (with the
// barrier). Goroutine 0's heap store is two steps, test of the flag and store, as a signal may stop it in
// between; goroutine 1, when it is not parked, stores in one.
// Steps of the collector: t0 once, scan a grey object, scan a parked goroutine, terminate.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NIL = 3, NOBJ = 3, NSLOT = 3 }; // slots 0 and 1: goroutine 0's; 2: goroutine 1's
enum { FREE, WHITE, GREY, BLACK };
enum { IDLE, MARKING };

struct state {
	uint8_t field[NOBJ], color[NOBJ], slot[NSLOT], global;
	uint8_t phase;
	bool parked;     // goroutine 1
	bool scanned[2]; // goroutines, since t0
	// Goroutine 0 between test and store: what it will store where, and whether the test said marking.
	bool pending, logged;
	uint8_t dst, val;
};

// What differs from gort.
struct variant {
	const char *name;
	bool loses;
	bool no_barrier, insertion_barrier, born_white, no_shade_of_pending, unscanned_may_run,
		no_globals_at_t0, globals_at_end;
};

static const struct variant variants[] = {
	{.name = "gort: the snapshot"},
	{.name = "no barrier", .loses = true, .no_barrier = true},
	{.name = "shade the new value instead of the old one", .loses = true, .insertion_barrier = true},
	{.name = "new objects are white", .loses = true, .born_white = true},
	{.name = "a store is forgotten whose test came before t0", .loses = true,
	 .no_shade_of_pending = true},
	{.name = "stacks are scanned one by one while goroutines run", .loses = true,
	 .unscanned_may_run = true},
	{.name = "... and globals are read at the end", .loses = true, .unscanned_may_run = true,
	 .no_globals_at_t0 = true, .globals_at_end = true},
	{.name = "... and globals are read at both ends", .loses = true, .unscanned_may_run = true,
	 .globals_at_end = true},
	{.name = "globals are read at the end only", .loses = true, .no_globals_at_t0 = true,
	 .globals_at_end = true},
};

// ---- the set of states ----

static uint64_t *table;
static size_t mask, count;
static uint64_t *queue;
static size_t head, tail;

static uint64_t
pack(const struct state *s)
{
	uint64_t x = 1; // 0 marks an empty place
	for (int i = 0; i < NOBJ; i++)
		x = x << 4 | (uint64_t)s->field[i] << 2 | s->color[i];
	for (int i = 0; i < NSLOT; i++)
		x = x << 2 | s->slot[i];
	x = x << 2 | s->global;
	x = x << 1 | s->phase;
	x = x << 3 | (uint64_t)s->parked << 2 | (uint64_t)s->scanned[0] << 1 | s->scanned[1];
	x = x << 2 | (uint64_t)s->pending << 1 | s->logged;
	return x << 4 | (uint64_t)s->dst << 2 | s->val;
}

static struct state
unpack(uint64_t x)
{
	struct state s = {0};
	s.val = x & 3, s.dst = x >> 2 & 3, x >>= 4;
	s.logged = x & 1, s.pending = x >> 1 & 1, x >>= 2;
	s.scanned[1] = x & 1, s.scanned[0] = x >> 1 & 1, s.parked = x >> 2 & 1, x >>= 3;
	s.phase = x & 1, x >>= 1;
	s.global = x & 3, x >>= 2;
	for (int i = NSLOT - 1; i >= 0; i--, x >>= 2)
		s.slot[i] = x & 3;
	for (int i = NOBJ - 1; i >= 0; i--, x >>= 4)
		s.color[i] = x & 3, s.field[i] = x >> 2 & 3;
	return s;
}

static void
grow(void)
{
	size_t old = mask + 1;
	uint64_t *from = table;
	mask = from ? old * 2 - 1 : (1u << 20) - 1;
	table = calloc(mask + 1, sizeof *table);
	queue = realloc(queue, (mask + 1) * sizeof *queue);
	if (!table || !queue)
		abort();
	for (size_t i = 0; from && i < old; i++)
		if (from[i]) {
			size_t at = from[i] * 0x9e3779b97f4a7c15ull >> 20 & mask;
			while (table[at])
				at = (at + 1) & mask;
			table[at] = from[i];
		}
	free(from);
}

static void
visit(const struct state *s)
{
	uint64_t x = pack(s);
	if (count * 2 > mask)
		grow();
	size_t at = x * 0x9e3779b97f4a7c15ull >> 20 & mask;
	for (; table[at]; at = (at + 1) & mask)
		if (table[at] == x)
			return;
	table[at] = x;
	count++;
	queue[tail++] = x;
}

// ---- steps ----

static void
shade(struct state *s, uint8_t obj)
{
	if (obj != NIL && s->color[obj] == WHITE)
		s->color[obj] = GREY;
}

static bool
may_run(const struct state *s, const struct variant *v, int g)
{
	if (g == 0)
		return true;
	return !s->parked && (s->phase != MARKING || s->scanned[1] || v->unscanned_may_run);
}

static void
barrier(struct state *s, const struct variant *v, uint8_t dst, uint8_t val)
{
	if (v->no_barrier)
		return;
	shade(s, v->insertion_barrier ? val : s->field[dst]);
}

static void
allocate(const struct state *from, const struct variant *v, int slot)
{
	for (uint8_t i = 0; i < NOBJ; i++) {
		struct state s = *from;
		if (s.color[i] != FREE)
			continue;
		s.color[i] = s.phase == MARKING && !v->born_white ? BLACK : WHITE;
		s.field[i] = NIL;
		s.slot[slot] = i;
		visit(&s);
		return; // which of the free ones makes no difference
	}
}

static void
heap_store(const struct state *from, const struct variant *v, int g, int dst, int val)
{
	struct state s = *from;
	if (s.slot[dst] == NIL)
		return;
	bool marking = s.phase == MARKING;
	if (g == 0) {
		s.pending = true;
		s.logged = marking;
		s.dst = s.slot[dst];
		s.val = s.slot[val];
	} else {
		if (marking)
			barrier(&s, v, s.slot[dst], s.slot[val]);
		s.field[s.slot[dst]] = s.slot[val];
	}
	visit(&s);
}

static void
finish_store(const struct state *from, const struct variant *v)
{
	struct state s = *from;
	if (s.logged) // inside the runtime: shading and store are one step to a stop
		barrier(&s, v, s.dst, s.val);
	s.field[s.dst] = s.val;
	s.pending = s.logged = false;
	s.dst = s.val = 0;
	visit(&s);
}

static void
goroutine(const struct state *from, const struct variant *v, int g)
{
	int lo = g == 0 ? 0 : 2, hi = g == 0 ? 2 : 3;
	if (!may_run(from, v, g))
		return;
	if (g == 0 && from->pending) {
		finish_store(from, v);
		return;
	}
	for (int a = lo; a < hi; a++) {
		struct state s = *from;
		s.slot[a] = NIL;
		visit(&s);
		s.slot[a] = s.global;
		visit(&s);
		s = *from;
		s.global = s.slot[a];
		visit(&s);
		allocate(from, v, a);
		for (int b = lo; b < hi; b++) {
			s = *from;
			if (s.slot[b] != NIL) {
				s.slot[a] = s.field[s.slot[b]];
				visit(&s);
			}
			heap_store(from, v, g, a, b);
		}
	}
}

static void
scan_goroutine(struct state *s, int g)
{
	s->scanned[g] = true;
	for (int i = g == 0 ? 0 : 2; i < (g == 0 ? 2 : 3); i++)
		shade(s, s->slot[i]);
	if (g == 0 && s->pending)
		shade(s, s->val); // it is in a register
}

static void
start_marking(const struct state *from, const struct variant *v)
{
	struct state s = *from;
	s.phase = MARKING;
	s.scanned[0] = s.scanned[1] = false;
	if (!v->no_globals_at_t0)
		shade(&s, s.global);
	if (!v->unscanned_may_run) {
		scan_goroutine(&s, 0);
		if (!s.parked)
			scan_goroutine(&s, 1);
	}
	if (s.pending && !v->no_shade_of_pending)
		shade(&s, s.field[s.dst]);
	visit(&s);
}

static bool
lost(const struct state *s)
{
	uint8_t todo[NOBJ + NSLOT + 2], n = 0;
	bool seen[NOBJ] = {false};
	for (int i = 0; i < NSLOT; i++)
		todo[n++] = s->slot[i];
	todo[n++] = s->global;
	if (s->pending)
		todo[n++] = s->val;
	while (n > 0) {
		uint8_t o = todo[--n];
		if (o == NIL || seen[o])
			continue;
		seen[o] = true;
		if (s->color[o] == WHITE)
			return true;
		todo[n++] = s->field[o];
	}
	return false;
}

// False: an object is lost.
static bool
terminate(const struct state *from, const struct variant *v)
{
	struct state s = *from;
	if (v->globals_at_end)
		shade(&s, s.global);
	for (bool grey = true; grey;) { // what that found is followed in the same stop
		grey = false;
		for (int i = 0; i < NOBJ; i++)
			if (s.color[i] == GREY) {
				s.color[i] = BLACK;
				shade(&s, s.field[i]);
				grey = true;
			}
	}
	if (lost(&s))
		return false;
	for (int i = 0; i < NOBJ; i++)
		if (s.color[i] == WHITE) {
			s.color[i] = FREE;
			s.field[i] = NIL;
		} else if (s.color[i] == BLACK) {
			s.color[i] = WHITE;
		}
	s.phase = IDLE;
	s.scanned[0] = s.scanned[1] = false;
	visit(&s);
	return true;
}

static bool
collector(const struct state *from, const struct variant *v)
{
	bool grey = false;
	if (from->phase == IDLE) {
		start_marking(from, v);
		return true;
	}
	for (int i = 0; i < NOBJ; i++) {
		struct state s = *from;
		if (s.color[i] != GREY)
			continue;
		grey = true;
		s.color[i] = BLACK;
		shade(&s, s.field[i]);
		visit(&s);
	}
	for (int g = 0; g < 2; g++) {
		struct state s = *from;
		if (s.scanned[g])
			continue;
		grey = true;
		scan_goroutine(&s, g);
		visit(&s);
	}
	return grey || terminate(from, v);
}

// Goroutine 1 parks at any time; it is scanned before it runs again (or, in a variant, not).
static void
scheduler(const struct state *from, const struct variant *v)
{
	struct state s = *from;
	s.parked = !s.parked;
	if (!s.parked && s.phase == MARKING && !s.scanned[1] && !v->unscanned_may_run)
		scan_goroutine(&s, 1);
	visit(&s);
}

static bool
explore(const struct variant *v)
{
	struct state start = {.field = {1, NIL, NIL}, .color = {WHITE, WHITE, FREE},
			      .slot = {NIL, NIL, NIL}, .global = 0, .parked = true};
	if (table)
		memset(table, 0, (mask + 1) * sizeof *table);
	else
		grow();
	count = head = tail = 0;
	visit(&start);
	while (head < tail) {
		struct state s = unpack(queue[head++]);
		if (!collector(&s, v))
			return false;
		goroutine(&s, v, 0);
		goroutine(&s, v, 1);
		scheduler(&s, v);
	}
	return true;
}

int
main(void)
{
	int wrong = 0;
	for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
		const struct variant *v = &variants[i];
		bool sound = explore(v);
		bool right = sound == !v->loses;
		printf("%-55s %8zu states: %s%s\n", v->name, count,
		       sound ? "loses nothing" : "loses an object", right ? "" : "  UNEXPECTED");
		wrong += !right;
	}
	return wrong != 0;
}
