// SPDX-License-Identifier: BSD-3-Clause
// Changing stacks, with what the sanitizers must be told about it. rt_switch is called nowhere else.
//
// ASan keeps one "current stack" a thread. TSan keeps a shadow state a fiber; a switch counts as
// synchronisation, because what belongs to an M or P (m->fin, caches) passes from one goroutine to the
// next on its thread without atomics. Races between goroutines show when they ran on two threads.
#pragma once

#include "arch/arch.h"
#include "sched/proc.h"

#if RT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if RT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

// A new goroutine's stack exists.
RT_INLINE void
rt_fiber_create(struct g *gp)
{
#if RT_TSAN
	gp->tsan = __tsan_create_fiber(0);
#else
	(void)gp;
#endif
}

// A stack is used again: the last frames on it, which never returned, are forgotten.
RT_INLINE void
rt_fiber_reuse(struct g *gp, uintptr_t lo)
{
#if RT_ASAN
	__asan_unpoison_memory_region((void *)lo, gp->stack.hi - lo);
#elif RT_TSAN
	(void)lo;
	if (gp->tsan)
		__tsan_destroy_fiber(gp->tsan); // its shadow of the call stack would only grow
	gp->tsan = __tsan_create_fiber(0);
#else
	(void)gp;
	(void)lo;
#endif
}

// g0 is the thread itself.
RT_INLINE void
rt_fiber_adopt(struct g *g0)
{
#if RT_TSAN
	g0->tsan = __tsan_get_current_fiber();
#else
	(void)g0;
#endif
}

RT_INLINE void
rt_fiber_switch(struct g *from, struct g *to)
{
#if RT_ASAN
	void *fake;
	__sanitizer_start_switch_fiber(&fake, (void *)to->stack.lo, to->stack.hi - to->stack.lo);
#endif
#if RT_TSAN
	__tsan_switch_to_fiber(to->tsan, 0);
#endif
	rt_switch(&from->sched, &to->sched);
#if RT_ASAN
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

// A goroutine that has just started for the first time arrives by rt_gostart, not behind rt_switch.
RT_INLINE void
rt_fiber_begin(void)
{
#if RT_ASAN
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

#if RT_ASAN || RT_TSAN
struct rt_g0_call {
	struct g *gp, *g0;
	void (*fn)(void *);
	void *arg;
	void *fake; // ASan's
};

static inline void
rt_g0_trampoline(void *p)
{
	struct rt_g0_call *c = p;
	rt_fiber_begin();
	c->fn(c->arg);
#if RT_ASAN
	__sanitizer_start_switch_fiber(NULL, (void *)c->gp->stack.lo,
				       c->gp->stack.hi - c->gp->stack.lo);
#endif
}

// Around a call on g0's stack: both on gp's, so that TSan's shadow of each call stack stays balanced.
RT_INLINE void
rt_g0_call_begin(struct rt_g0_call *c)
{
#if RT_ASAN
	__sanitizer_start_switch_fiber(&c->fake, (void *)c->g0->stack.lo,
				       c->g0->stack.hi - c->g0->stack.lo);
#else
	__tsan_switch_to_fiber(c->g0->tsan, 0);
#endif
}

RT_INLINE void
rt_g0_call_end(struct rt_g0_call *c)
{
#if RT_ASAN
	__sanitizer_finish_switch_fiber(c->fake, NULL, NULL);
#else
	__tsan_switch_to_fiber(c->gp->tsan, 0);
#endif
}
#endif

// fn(arg) on g0's stack below where it was left. keep: gp->sched stays as gort_entersyscall set it; else
// it describes the caller meanwhile.
static inline void
rt_call_on_g0(struct g *gp, struct g *g0, void (*fn)(void *), void *arg, bool keep)
{
	uintptr_t top = rt_round_down(g0->sched.sp - 256, (uintptr_t)16);
#if RT_ASAN || RT_TSAN
	struct rt_g0_call c = {.gp = gp, .g0 = g0, .fn = fn, .arg = arg};
	fn = rt_g0_trampoline;
	arg = &c;
	rt_g0_call_begin(&c);
#endif
	if (keep)
		rt_call_on(top, fn, arg);
	else
		rt_call_on_saving(&gp->sched, top, fn, arg);
#if RT_ASAN || RT_TSAN
	rt_g0_call_end(&c);
#endif
}
