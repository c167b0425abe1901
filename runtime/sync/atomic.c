// SPDX-License-Identifier: BSD-3-Clause
// Atomic pointers while marking runs, and in sanitized programs always. Inside the runtime no stop falls
// between an operation and the shading of what it took out (gc/barrier.h), so that may come after: only
// then is it known. Before gort_run nothing is marked, and there is no runtime to enter.
#include <gort/atomic.h>

#include "gc/barrier.h"
#include "sched/proc.h"

static_assert(sizeof(gort_tagged_ptr) == 16, "compared and swapped as one");

static bool
begin(void)
{
	bool started = rt_load_acquire(&rt_started);
	if (started)
		rt_enter();
	return started;
}

static void
end(bool begun, void *dropped)
{
	if (!begun)
		return;
	if (rt_barrier_on())
		rt_shade(dropped);
	rt_leave();
}

void *
gort_atomic_ptr_swap_(gort_atomic_ptr *a, void *v)
{
	bool begun = begin();
	void *old = __atomic_exchange_n(&a->v, v, __ATOMIC_SEQ_CST);
	end(begun, old);
	return old;
}

bool
gort_atomic_ptr_cas_(gort_atomic_ptr *a, void *old, void *new_value)
{
	bool begun = begin();
	void *expected = old;
	bool done = __atomic_compare_exchange_n(&a->v, &expected, new_value, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	end(begun, done ? old : NULL);
	return done;
}

union pair {
	gort_tagged_ptr t;
	unsigned __int128 bits;
};

// Every x86-64 CPU that can run this system has cmpxchg16b; compilers want to be told.
#if defined(__x86_64__)
__attribute__((target("cx16")))
#endif
static RT_NOINLINE bool
cas_pair(gort_tagged_ptr *a, union pair old, union pair new)
{
	return __sync_bool_compare_and_swap((unsigned __int128 *)a, old.bits, new.bits);
}

bool
gort_tagged_ptr_cas_(gort_tagged_ptr *a, gort_tagged_ptr old, void *new_ptr)
{
	bool begun = begin();
	bool done = cas_pair(a, (union pair){.t = old},
			     (union pair){.t = {.ptr = new_ptr, .version = old.version + 1}});
	end(begun, done ? old.ptr : NULL);
	return done;
}
