// SPDX-License-Identifier: BSD-3-Clause
// Loaded and unloaded while it is profiled.
#include <stdint.h>
#include <time.h>

void plugin_burn(int ms);

static volatile uint64_t sink;

static int64_t
cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

void
plugin_burn(int ms)
{
	int64_t until = cpu_ns() + ms * 1000000ll;
	while (cpu_ns() < until)
		for (int i = 0; i < 10000; i++)
			sink = sink * 3 + 1;
}
