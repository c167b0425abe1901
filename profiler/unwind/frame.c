// SPDX-License-Identifier: BSD-3-Clause
// Where is the frame of a function whose frame pointer nobody told us? The kernel tells pc and sp of a
// thread that sleeps, not its other registers. A frame that hangs on the frame pointer (-O0, or
// -fno-omit-frame-pointer) is found from sp all the same:
//   - the prologue says how far below the frame pointer sp is, if it is the usual one;
//   - else, word by word from sp, the first one that a call of just this function would have pushed;
//   - else the first that some indirect call would have pushed, from which the walk reaches the
//     thread's outermost frame.
// Whatever is found holds a return address behind a call instruction.
#include "code.h"
#include "unwind/modules.h"
#include "unwind/unwind.h"

#define SCAN_WORDS 2048
#define PROLOGUE_BYTES 48

enum caller { NO_CALL, SOME_CALL, THIS_CALL };

static bool
read_code(const struct rtp_walk *w, uintptr_t at, void *to, size_t n)
{
	return w->read(at, to, n, w->arg);
}

// Where the function that holds pc begins. The object's own table is read as warily as its code.
static uintptr_t
function_start(const struct rtp_walk *w, const struct rtp_rows *rows, uintptr_t pc)
{
	int64_t off = (int64_t)(pc - rows->hdr);
	uint32_t lo = 0, n = rows->ntable;
	int32_t entry = 0, best = 0;
	while (n > 0) {
		uint32_t half = n / 2;
		if (!read_code(w, (uintptr_t)&rows->table[lo + half][0], &entry, sizeof(entry)))
			return 0;
		if (entry <= off) {
			best = entry;
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return lo ? rows->hdr + (uintptr_t)(intptr_t)best : 0;
}

static bool
holds(const struct rtp_walk *w, uintptr_t slot, uintptr_t value)
{
	uintptr_t v;
	return slot && read_code(w, slot, &v, sizeof(v)) && v == value;
}

// Whether what returns to ra is a call of the function at start.
static enum caller
called(const struct rtp_walk *w, const struct rtp_modules *t, uintptr_t ra, uintptr_t start)
{
	uint8_t call[RTP_CALL_BYTES], stub[RTP_STUB_BYTES];
	uintptr_t slot;
	if (!rtp_module_of(t, ra - 1) || !read_code(w, ra - sizeof(call), call, sizeof(call)))
		return NO_CALL;
	uintptr_t target = rtp_code_called(call, ra, &slot);
	if (target == RTP_CALL_ANYWHERE)
		return slot ? (holds(w, slot, start) ? THIS_CALL : NO_CALL) : SOME_CALL;
	if (!target)
		return NO_CALL;
	if (target == start)
		return THIS_CALL;
	if (read_code(w, target, stub, sizeof(stub)) && holds(w, rtp_code_stub(stub, target), start))
		return THIS_CALL;
	return NO_CALL;
}

static bool
word(const struct rtp_walk *w, uintptr_t at, uintptr_t *v)
{
	return at % 8 == 0 && at >= w->lo && at < w->hi && w->hi - at >= 8 && w->read(at, v, sizeof(*v), w->arg);
}

static bool
from_prologue(const struct rtp_walk *w, const struct rtp_modules *t, uintptr_t start, uintptr_t *fp)
{
	uint8_t code[PROLOGUE_BYTES], call[RTP_CALL_BYTES];
	uintptr_t ra, slot;
	if (!read_code(w, start, code, sizeof(code)))
		return false;
	long size = rtp_code_frame_size(code, sizeof(code));
	*fp = w->r.sp + (uintptr_t)size;
	// A function called by a jump from its caller's end has another's call before it.
	return size >= 0 && word(w, *fp + 8, &ra) && rtp_module_of(t, ra - 1) &&
	       read_code(w, ra - sizeof(call), call, sizeof(call)) && rtp_code_called(call, ra, &slot);
}

static bool
reaches_the_end(const struct rtp_walk *w, uintptr_t fp)
{
	uintptr_t pcs[RTP_MAX_FRAMES];
	struct rtp_walk trial = *w;
	trial.r.fp = fp;
	trial.no_fp = false;
	trial.slots = NULL;
	rtp_unwind(&trial, pcs, RTP_MAX_FRAMES, 0);
	return trial.complete;
}

static bool
from_callers(const struct rtp_walk *w, const struct rtp_modules *t, uintptr_t start, uintptr_t *fp)
{
	uintptr_t maybe = 0, ra;
	for (uintptr_t at = w->r.sp; at < w->r.sp + SCAN_WORDS * 8 && word(w, at + 8, &ra); at += 8) {
		if (ra < 4096)
			continue;
		enum caller c = called(w, t, ra, start);
		if (c == SOME_CALL && !maybe && reaches_the_end(w, at))
			maybe = at;
		*fp = at;
		if (c == THIS_CALL)
			return true;
	}
	*fp = maybe;
	return maybe != 0;
}

bool
rtp_find_fp(struct rtp_walk *w, const struct rtp_modules *t)
{
	uintptr_t pc = w->exact ? w->r.pc : w->r.pc - 1, fp;
	const struct rtp_module *m = t ? rtp_module_of(t, pc) : NULL;
	uintptr_t start = m && w->read ? function_start(w, &m->rows, pc) : 0;
	if (!start || (!from_prologue(w, t, start, &fp) && !from_callers(w, t, start, &fp)))
		return false;
	w->r.fp = fp;
	w->no_fp = false;
	return true;
}
