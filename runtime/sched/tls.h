// SPDX-License-Identifier: BSD-3-Clause
// The words each thread keeps for itself, and the depth that tells runtime code from user code.
//
// Depth. A thread is *inside the runtime* while rt_tls.depth > 0. Whatever takes a runtime lock,
// touches its P or switches stacks is inside; user code, callbacks, hash functions and finalizers run
// at depth 0. A thread at depth 0 may be stopped by a signal between any two instructions, so:
//   - at depth 0 nothing of the runtime may be half done, no runtime lock held;
//   - at depth > 0 the handler only sets RT_DEPTH_PENDING, and rt_leave honours it on the way out;
//   - a thread without a P (detached by sysmon, or not made by the runtime) has RT_DEPTH_PENDING set at
//     depth 0, and rt_enter takes a P before anything else happens;
//   - a goroutine switches at depth exactly 1: the depth word belongs to the thread, so every resumed
//     goroutine finds the 1 that its own way out will take back.
// Every public function that is not trivially pure is `rt_enter(); ... rt_leave();`, and panics count
// as a way out (rt_panic leaves for good).
#pragma once

#include "arch/arch.h"
#include "base/base.h"

struct g;
struct m;
struct p;

struct rt_tls {
	struct g *g;   // the goroutine, or g0, that runs; NULL on a thread the runtime does not know
	struct m *m;   // this thread
	int32_t depth; // low 31 bits: nesting; sign bit: something is to be done on the way in or out
	int32_t calm;  // sync/watch.h: counts down atomic unlocks
	uint64_t unseen; // chan/chan.h: this CPU may hold back what the thread did to channels
};
#define RT_DEPTH_PENDING INT32_MIN

extern _Thread_local struct rt_tls rt_tls __attribute__((tls_model("initial-exec"), visibility("hidden")));

RT_INLINE struct g *
rt_getg(void)
{
	return (struct g *)RT_TLS_READ(offsetof(struct rt_tls, g));
}

RT_INLINE struct m *
rt_getm(void)
{
	return (struct m *)RT_TLS_READ(offsetof(struct rt_tls, m));
}

RT_INLINE void
rt_setg(struct g *gp)
{
	RT_TLS_WRITE(offsetof(struct rt_tls, g), gp);
}

void rt_enter_slow(void);
void rt_leave_slow(void);

RT_INLINE void
rt_enter(void)
{
	if (rt_unlikely(RT_TLS_INC32_NEGATIVE(offsetof(struct rt_tls, depth))))
		rt_enter_slow();
}

RT_INLINE void
rt_leave(void)
{
	if (rt_unlikely(RT_TLS_DEC32_NEGATIVE(offsetof(struct rt_tls, depth))))
		rt_leave_slow();
}

// The nesting alone. For assertions and signal handlers.
RT_INLINE int32_t
rt_depth(void)
{
	return (int32_t)((uint32_t)RT_TLS_READ(offsetof(struct rt_tls, depth)) & 0x7fffffffu);
}

// For rt_leave_slow and signal handlers only: one instruction each.
RT_INLINE void
rt_tls_set_depth(int32_t depth)
{
	RT_TLS_WRITE32(offsetof(struct rt_tls, depth), depth);
}

// Reports whether a request is noted.
RT_INLINE bool
rt_tls_dec_depth(void)
{
	return RT_TLS_DEC32_NEGATIVE(offsetof(struct rt_tls, depth));
}

RT_INLINE void
rt_tls_note_request(void)
{
	RT_TLS_OR32(offsetof(struct rt_tls, depth), RT_DEPTH_PENDING);
}
