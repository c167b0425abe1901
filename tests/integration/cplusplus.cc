// SPDX-License-Identifier: BSD-3-Clause
// A C++ program on gort: goroutines that throw and catch, also over a park; locks, a context, a select.
#include "cplusplus.h"

#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>

static gort_mutex mu;
static std::map<int, std::string> done;
static int caught;

static void
work(int id, const char *s, double d)
{
	try {
		gort_sleep(GORT_MILLISECOND);
		if (id % 2)
			throw std::runtime_error(s);
		gort_mutex_lock(&mu);
		done[id] = s + std::to_string(d);
		gort_mutex_unlock(&mu);
	} catch (const std::exception &e) {
		gort_gosched(); // the exception is in flight meanwhile
		gort_mutex_lock(&mu);
		caught += e.what() == std::string(s);
		gort_mutex_unlock(&mu);
	}
}

static int
app(int, char **)
{
	gort_waitgroup wg = {};
	for (int i = 0; i < 10; i++)
		gort_waitgroup_go(&wg, work, i, "x", 1.5);
	gort_go(gort_gosched);
	gort_waitgroup_wait(&wg);
	gort_context *ctx = gort_context_with_timeout(gort_context_background(), GORT_MILLISECOND);
	gort_select_case cases[] = {GORT_RECV(nullptr, nullptr), GORT_RECV(gort_context_done(ctx), nullptr)};
	int chosen = gort_select(cases, 2);
	counter mine, *other = new_counter();
	mine.add();
	int counted = mine.add() + other->add();
	delete other;
	std::printf("%zu %d %s %d %d\n", done.size(), caught, done[2].c_str(), chosen, counted);
	return 0;
}
GORT_MAIN(app)
