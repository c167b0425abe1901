// SPDX-License-Identifier: BSD-3-Clause
#include "sched/schedstat.h"

#include "os/os.h"
#include "sched/proc.h"

#define CALIBRATE_NS 10000000 // two readings this far apart tell a tick's length to some 1e-5

struct rt_pauses rt_pauses;
struct rt_timehist rt_latencies;

// ns per tick * 2^32, once known. Found by several at once it is about the same.
static _Atomic uint64_t tick_scaled;

static unsigned
bucket(int64_t ns)
{
	if (ns < 0)
		return 0;
	if (ns < 512)
		return 1 + (unsigned)ns / 64;
	unsigned top = 63 - (unsigned)__builtin_clzll((uint64_t)ns);
	if (top >= 47)
		return RT_TIMEHIST_COUNTS - 1;
	return 1 + (top - 7) * 4 + ((unsigned)(ns >> (top - 2)) & 3);
}

int64_t
rt_timehist_bound(unsigned i)
{
	unsigned k = i - 1;
	return k < 8 ? 64 * (int64_t)k : (int64_t)(4 + k % 4) << (5 + k / 4);
}

void
rt_timehist_add(struct rt_timehist *h, int64_t ns)
{
	atomic_fetch_add_explicit(&h->counts[bucket(ns)], 1, memory_order_relaxed);
}

double
rt_ns_per_tick(void)
{
	uint64_t ticks = rt_cputicks() - sched.start_ticks;
	int64_t ns = rt_nanotime() - sched.start_ns;
	return ticks > 0 && ns > 0 ? (double)ns / (double)ticks : 0;
}

void
rt_sched_latency(uint64_t ticks)
{
	uint64_t scaled = rt_load(&tick_scaled);
	if (rt_unlikely(scaled == 0)) {
		scaled = (uint64_t)(rt_ns_per_tick() * 0x1p32);
		if (rt_nanotime() - sched.start_ns >= CALIBRATE_NS)
			rt_store(&tick_scaled, scaled);
	}
	// Another CPU's counter may be behind by a few ticks.
	if ((int64_t)ticks < 0)
		ticks = 0;
	rt_timehist_add(&rt_latencies, (int64_t)((unsigned __int128)ticks * scaled >> 32));
}
