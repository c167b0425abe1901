// SPDX-License-Identifier: BSD-3-Clause
// Threads that wait where their functions' names say, and tell for how long they did.
//   waits kinds MS    one thread in each kind of wait; prints "FUNCTION MS" for each, then how many
//                     waits were interrupted or woken early
//   waits many N MS   N threads asleep; prints how many of them did not sleep through, and the CPU time
//   waits fds MS      opens and closes descriptors while threads come and go: their numbers are its own
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define KEEP_FRAME __asm__ volatile("") // no tail call

static int duration; // ms
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static sem_t never;
static int pipe_end[2], quiet[2];
static volatile uint64_t sink;
static _Atomic int woken;

static int64_t
now(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static struct timespec
deadline(void)
{
	int64_t t = now(CLOCK_REALTIME) + duration * 1000000ll;
	return (struct timespec){ t / 1000000000, t % 1000000000 };
}

static long
switches(void)
{
	struct rusage u;
	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nvcsw;
}

// ---- each wait ends by its own time limit, or is ended by main ----

static NOINLINE int
in_nanosleep(void)
{
	struct timespec t = { duration / 1000, duration % 1000 * 1000000 };
	int rc = nanosleep(&t, NULL);
	KEEP_FRAME;
	return rc;
}

static NOINLINE int
in_poll(void)
{
	struct pollfd p = { quiet[0], POLLIN, 0 };
	int rc = poll(&p, 1, duration);
	KEEP_FRAME;
	return rc;
}

static NOINLINE int
in_select(void)
{
	struct timeval t = { duration / 1000, duration % 1000 * 1000 };
	int rc = select(0, NULL, NULL, NULL, &t);
	KEEP_FRAME;
	return rc;
}

static NOINLINE int
in_epoll(void)
{
	struct epoll_event e;
	int fd = epoll_create1(0);
	int rc = epoll_wait(fd, &e, 1, duration);
	close(fd);
	return rc;
}

static NOINLINE int
in_sem(void)
{
	struct timespec t = deadline();
	int rc = sem_timedwait(&never, &t) == -1 && errno == ETIMEDOUT ? 0 : -1;
	KEEP_FRAME;
	return rc;
}

static NOINLINE int
in_cond(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct timespec t = deadline();
	pthread_mutex_lock(&m);
	int rc = pthread_cond_timedwait(&c, &m, &t) == ETIMEDOUT ? 0 : -1;
	pthread_mutex_unlock(&m);
	return rc;
}

static NOINLINE int
in_mutex(void)
{
	int rc = pthread_mutex_lock(&held);
	pthread_mutex_unlock(&held);
	return rc;
}

static NOINLINE int
in_read(void)
{
	char b;
	int rc = read(pipe_end[0], &b, 1) == 1 ? 0 : -1;
	KEEP_FRAME;
	return rc;
}

// A frame of variable size, and more arguments than registers hold, between the wait and its thread.
static NOINLINE int
in_deep(int n, long a, long b, long c, long d, long e, long f, long g)
{
	volatile char *room = __builtin_alloca((size_t)n * 8);
	room[0] = (char)(a + b + c + d + e + f + g);
	int rc = n > 1 ? in_deep(n - 1, b, c, d, e, f, g, n) : in_nanosleep();
	room[n] = 1;
	return rc;
}

static NOINLINE int
deep(void)
{
	int rc = in_deep(30, 1, 2, 3, 4, 5, 6, 7);
	KEEP_FRAME;
	return rc;
}

static NOINLINE int
in_cpu(void)
{
	int64_t until = now(CLOCK_MONOTONIC) + duration * 1000000ll;
	while (now(CLOCK_MONOTONIC) < until)
		for (int i = 0; i < 1000; i++)
			sink += i;
	return 0;
}

static struct kind {
	const char *name;
	int (*wait)(void);
	pthread_t th;
	int64_t ms;
} kinds[] = {
	{ "in_nanosleep", in_nanosleep, 0, 0 }, { "in_poll", in_poll, 0, 0 },   { "in_select", in_select, 0, 0 },
	{ "in_epoll", in_epoll, 0, 0 },         { "in_sem", in_sem, 0, 0 },     { "in_cond", in_cond, 0, 0 },
	{ "in_mutex", in_mutex, 0, 0 },         { "in_read", in_read, 0, 0 },   { "deep", deep, 0, 0 },
	{ "in_cpu", in_cpu, 0, 0 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void *
one_kind(void *arg)
{
	struct kind *k = arg;
	pthread_setname_np(pthread_self(), k->name);
	int64_t t0 = now(CLOCK_MONOTONIC);
	woken += k->wait() != 0;
	k->ms = (now(CLOCK_MONOTONIC) - t0) / 1000000;
	return NULL;
}

static void
on_signal(int sig)
{
	(void)sig;
}

static int
all_kinds(void)
{
	struct sigaction sa = { .sa_handler = on_signal }; // without SA_RESTART: written for EINTR
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	sem_init(&never, 0, 0);
	if (pipe(pipe_end) != 0 || pipe(quiet) != 0)
		return 1;
	pthread_mutex_lock(&held);
	for (size_t i = 0; i < KINDS; i++)
		pthread_create(&kinds[i].th, NULL, one_kind, &kinds[i]);
	in_nanosleep();
	pthread_mutex_unlock(&held);
	if (write(pipe_end[1], "x", 1) != 1)
		return 1;
	for (size_t i = 0; i < KINDS; i++) {
		pthread_join(kinds[i].th, NULL);
		printf("%s %d\n", kinds[i].name, (int)kinds[i].ms);
	}
	printf("woken %d\n", woken);
	return 0;
}

// ---- many ----

static NOINLINE void *
sleeper(void *arg)
{
	struct timespec t = { duration / 1000, duration % 1000 * 1000000 };
	long before = switches();
	if (nanosleep(&t, NULL) != 0 || switches() - before != 1)
		woken++;
	return arg;
}

static int
many(int n)
{
	pthread_t *th = calloc((size_t)n, sizeof(*th));
	pthread_attr_t a;
	struct rusage u;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 << 10);
	for (int i = 0; i < n; i++)
		if (pthread_create(&th[i], &a, sleeper, NULL) != 0)
			return 1;
	for (int i = 0; i < n; i++)
		pthread_join(th[i], NULL);
	getrusage(RUSAGE_SELF, &u);
	printf("woken %d\ncpu %d\n", woken,
	       (int)((u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000));
	free(th);
	return 0;
}

// ---- descriptors ----

static void *
restless(void *arg)
{
	for (int64_t until = now(CLOCK_MONOTONIC) + duration * 1000000ll; now(CLOCK_MONOTONIC) < until;)
		usleep(200);
	return arg;
}

static int
descriptors(void)
{
	pthread_t th[8];
	int wrong = 0, rounds = 0;
	for (int i = 0; i < 8; i++)
		pthread_create(&th[i], NULL, restless, NULL);
	for (int64_t until = now(CLOCK_MONOTONIC) + duration * 1000000ll; now(CLOCK_MONOTONIC) < until; rounds++) {
		close(0);
		if (rounds % 64 == 0)
			usleep(1000); // whoever opens a file now gets that number
		wrong += dup(2) != 0;
	}
	for (int i = 0; i < 8; i++)
		pthread_join(th[i], NULL);
	printf("wrong %d\n", wrong);
	return rounds < 64;
}

int
main(int argc, char **argv)
{
	duration = argc > 2 ? atoi(argv[argc - 1]) : 500;
	if (argc == 3 && strcmp(argv[1], "kinds") == 0)
		return all_kinds();
	if (argc == 3 && strcmp(argv[1], "fds") == 0)
		return descriptors();
	if (argc == 4 && strcmp(argv[1], "many") == 0)
		return many(atoi(argv[2]));
	return 64;
}
