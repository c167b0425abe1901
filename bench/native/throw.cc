// SPDX-License-Identifier: BSD-3-Clause
// A C++ exception through ten frames: nanoseconds, the least of several rounds.
#include <cstdio>
#include <ctime>

static volatile int sink;

__attribute__((noinline)) static void
thrower(int depth)
{
	if (depth == 0)
		throw 42;
	thrower(depth - 1);
	sink = sink + 1;
}

int
main()
{
	double best = 1e18;
	for (int round = 0; round < 20; round++) {
		timespec a, b;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
		for (int i = 0; i < 4000; i++) {
			try {
				thrower(10);
			} catch (int v) {
				sink = v;
			}
		}
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
		double ns = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / 4000;
		if (ns < best)
			best = ns;
	}
	std::printf("%.3f\n", best);
}
