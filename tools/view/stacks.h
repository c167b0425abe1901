// SPDX-License-Identifier: BSD-3-Clause
// The stacks of a profile, or of two, by function: what top, diff and flame count in. Addresses, lines
// and labels are gone; equal names are one function, wherever they come from.
//
// Invariants:
//   - every frame's function is below functions.n
//   - values has ncolumns entries for each sample
//   - frames of one sample are consecutive, the outermost function first
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "names.h"
#include "profile_io.h"

#define STACKS_MAX_COLUMNS 16
#define STACKS_MAX_FRAMES ((size_t)1 << 27) // of all samples: a small file can spell out more

struct stacks_column {
	char *type, *unit;
};

struct stacks_sample {
	size_t first; // in frames
	size_t n;
	bool base; // of the profile that the other is compared with
};

struct stacks {
	struct names functions;
	struct stacks_column *columns;
	size_t ncolumns;
	size_t shown;	  // the column to begin with
	uint32_t *frames; // function << 1 | inlined into the frame before it
	size_t nframes, cap_frames;
	struct stacks_sample *samples;
	size_t nsamples, cap_samples;
	int64_t *values;
	// What the heading says.
	struct names comments;
	char *program, *build_id, *doc_url; // of the first profile; "" for none
	int64_t time_nanos;		    // the earlier one
	int64_t duration_nanos;		    // of both together
};

// Adds p's samples to s, which begins as all zeros. p itself is no longer needed afterwards. False, with a
// message in err (n bytes), when its sample types are not those that s has, or it is too big.
bool stacks_add(struct stacks *s, const pprof_profile *p, bool base, char *err, size_t n);
void stacks_free(struct stacks *s);

// The column called so, by its number, or the one to begin with for NULL; -1 when there is none.
int stacks_column(const struct stacks *s, const char *name);

static inline int64_t
stacks_value(const struct stacks *s, size_t sample, size_t column)
{
	return s->values[sample * s->ncolumns + column];
}

// a + b, held at the ends of the range: a made-up profile may hold anything.
static inline int64_t
sum_of(int64_t a, int64_t b)
{
	int64_t c;
	if (__builtin_add_overflow(a, b, &c))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return c;
}

static inline int64_t
minus(int64_t a)
{
	return a == INT64_MIN ? INT64_MAX : -a;
}

static inline int64_t
magnitude(int64_t a)
{
	return a < 0 ? minus(a) : a;
}
