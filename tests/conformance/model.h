// SPDX-License-Identifier: BSD-3-Clause
// What Go's rules allow a program to do: every interleaving is explored, each operation being one step.
#pragma once

#include "program.h"

// The model with one rule wrong, so that a comparison with a right runtime must fail. Each removes
// outcomes that happen.
enum rule {
	RULE_NONE,
	RULE_BUFFER_LIFO,  // the newest value leaves the buffer first
	RULE_WAITERS_LIFO, // who came last is served first
	RULE_CLOSE_DRAINS, // close throws the buffer away
	RULE_CLOSE_WAKES_NOBODY,
	RULE_SEND_CLOSED_DROPS, // sending on a closed channel does nothing
	RULE_SELECT_FIRST,	// select takes the first case that is ready
	RULE_CAP_PLUS_ONE,
	RULE_NIL_IS_CLOSED, // receiving from a nil channel returns
	RULES
};
extern const char *const rule_names[RULES];

struct model; // opaque: the allowed outcomes of one program

// Explores p. NULL when it has more than max_states states.
struct model *model_explore(const struct program *p, enum rule broken, uint32_t max_states);
void model_free(struct model *m);
int model_outcomes(const struct model *m);
// Index of o among the allowed outcomes, -1 if it is not.
int model_find(const struct model *m, const struct outcome *o);
const struct outcome *model_outcome(const struct model *m, int i);
