// SPDX-License-Identifier: BSD-3-Clause
// The scheduler under load: spawning and yielding on every P, sleeping, system calls, raw blocking
// calls, locked threads, foreign threads, loops that never call the runtime, and a number of Ps that
// changes all the while. Everything that was started must end, once.
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <gort/sched.h>

#include "base/base.h"
#include "stress.h"

static atomic_long started, ended;
static atomic_bool stop_loops;

static void
done(void)
{
	atomic_fetch_add(&ended, 1);
}

static void
yielder(int n)
{
	for (int i = 0; i < n; i++)
		gort_gosched();
	done();
}

static void
family(int depth)
{
	if (depth > 0)
		for (int i = 0; i < 3; i++) {
			atomic_fetch_add(&started, 1);
			gort_go(family, depth - 1);
		}
	done();
}

static void
sleeper(int us)
{
	int64_t t = gort_nanotime();
	gort_sleep(us * GORT_MICROSECOND);
	STRESS_CHECK(gort_nanotime() - t >= us * GORT_MICROSECOND, "%d us", us);
	done();
}

static void
short_nap(void *arg)
{
	struct timespec ts = {.tv_nsec = *(long *)arg};
	nanosleep(&ts, NULL);
}

static void
system_call(int n)
{
	for (int i = 0; i < n; i++) {
		long ns = 1000 * i;
		gort_entersyscall();
		short_nap(&ns);
		gort_exitsyscall();
		gort_blocking(short_nap, &ns);
	}
	done();
}

static void
raw_call(void)
{
	int64_t t = gort_nanotime();
	long ns = 15000000;
	short_nap(&ns);
	if (!RT_ASAN && !RT_TSAN) // whose own nanosleep ends early with our signals
		STRESS_CHECK(gort_nanotime() - t >= ns, "%ld ns", ns);
	done();
}

static void
locked(int n)
{
	gort_lock_os_thread();
	pthread_t me = pthread_self();
	for (int i = 0; i < n; i++) {
		if (i % 7 == 0)
			gort_sleep(1000);
		else
			gort_gosched();
		STRESS_CHECK(pthread_equal(me, pthread_self()), "moved");
	}
	gort_unlock_os_thread();
	done();
}

static void
loop(void)
{
	while (!atomic_load_explicit(&stop_loops, memory_order_relaxed))
		if (RT_TSAN)
			gort_gosched(); // no signals there: only calls into the runtime stop
	done();
}

static void *
foreign(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		atomic_fetch_add(&started, 1);
		gort_go(yielder, 3);
		gort_gosched();
		gort_sleep(1000);
	}
	done();
	return NULL;
}

static void
start_one(uint32_t r)
{
	atomic_fetch_add(&started, 1);
	switch (r % 8) {
	case 0:
		gort_go(yielder, (int)(r >> 8) & 63);
		break;
	case 1:
		gort_go(family, 4);
		break;
	case 2:
		gort_go(sleeper, (int)(r >> 8) & 2047);
		break;
	case 3:
		gort_go(system_call, 3);
		break;
	case 4:
		gort_go(raw_call);
		break;
	case 5:
		gort_go(locked, 20);
		break;
	case 6:
		gort_go_stack((size_t)1 << 20, yielder, 2);
		break;
	case 7: {
		pthread_t t;
		STRESS_CHECK(pthread_create(&t, NULL, foreign, NULL) == 0, "no thread");
		pthread_detach(t);
		break;
	}
	}
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	struct rng rng = rng_for(0);
	while (stress_time_left()) {
		atomic_store(&stop_loops, false);
		for (int i = 0; i < 2; i++) {
			atomic_fetch_add(&started, 1);
			gort_go(loop);
		}
		for (int i = 0; i < 40; i++)
			start_one(rng_below(&rng, 1u << 20));
		gort_maxprocs(1 + (int)(rng_below(&rng, 4)));
		gort_sleep(rng_below(&rng, 5000000));
		atomic_store(&stop_loops, true);
		while (atomic_load(&ended) != atomic_load(&started))
			gort_sleep(200 * GORT_MICROSECOND);
	}
	printf("%ld goroutines and threads\n", atomic_load(&ended));
	return 0;
}
GORT_MAIN(app)
