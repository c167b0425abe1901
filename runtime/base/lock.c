// SPDX-License-Identifier: BSD-3-Clause
// rt_mutex, rt_spinlock and rt_note over futex. Go: runtime/lock_futex.go.
//
// Lock: a few rounds of spinning where another CPU can release it, one yield, then sleep. Whoever has
// slept once takes the lock as 2: it cannot know whether it was the last sleeper.
#include "base/lock.h"

#include "arch/arch.h"
#include "os/os.h"

enum { ACTIVE_SPIN = 4, SPIN_PAUSES = 30 }; // Go: active_spin, active_spin_cnt

static _Atomic int ncpu; // written by whoever comes first; all write the same

static bool
spin_once(struct rt_mutex *l)
{
	for (int i = 0; i < SPIN_PAUSES; i++)
		rt_cpu_relax();
	return rt_load(&l->key) == 0 && rt_trylock(l);
}

void
rt_lock_slow(struct rt_mutex *l)
{
	if (rt_load(&ncpu) == 0)
		rt_store(&ncpu, rt_os_ncpu());
	for (int i = 0; i < ACTIVE_SPIN && rt_load(&ncpu) > 1; i++)
		if (spin_once(l))
			return;
	rt_os_yield();
	// acquire: pairs with the release exchange of rt_unlock.
	while (atomic_exchange_explicit(&l->key, 2, memory_order_acquire) != 0)
		rt_futex_wait(&l->key, 2, -1);
}

void
rt_unlock_slow(struct rt_mutex *l)
{
	rt_futex_wake(&l->key, 1);
}

// The holder runs (then some pauses are enough), or the system has taken its CPU away (then yielding,
// later sleeping, gives it back). A nap is short: nobody will end it.
RT_NOINLINE void
rt_spin_lock_slow(struct rt_spinlock *l)
{
	enum { SPINS = 100, YIELDS = 20, NAP_NS = 20000 };
	for (int i = 0;; i++) {
		if (rt_load(&l->key) == 0 && rt_spin_trylock(l))
			return;
		if (i < SPINS)
			rt_cpu_relax();
		else if (i < SPINS + YIELDS)
			rt_os_yield();
		else
			rt_futex_wait(&l->key, 1, NAP_NS);
	}
}

void
rt_note_clear(struct rt_note *n)
{
	rt_store(&n->key, 0);
}

void
rt_note_wakeup(struct rt_note *n)
{
	// release: what the waker wrote before is seen by the sleeper's acquire load.
	atomic_store_explicit(&n->key, 1, memory_order_release);
	rt_futex_wake(&n->key, 1);
}

void
rt_note_sleep(struct rt_note *n)
{
	while (rt_load_acquire(&n->key) == 0)
		rt_futex_wait(&n->key, 0, -1);
}

bool
rt_note_sleep_for(struct rt_note *n, int64_t ns)
{
	int64_t deadline = rt_nanotime() + ns;
	while (rt_load_acquire(&n->key) == 0) {
		int64_t left = deadline - rt_nanotime();
		if (left <= 0)
			return rt_load_acquire(&n->key) != 0;
		rt_futex_wait(&n->key, 0, left);
	}
	return true;
}
