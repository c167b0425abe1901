// SPDX-License-Identifier: BSD-3-Clause
// A program that knows nothing of gort and does, by its first argument, what programs do to profilers.
// Each prints what it did, so that a test can tell whether being profiled changed it.
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

volatile uint64_t sink;

static int64_t
now(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static __attribute__((noinline)) void
spin(void)
{
	uint64_t x = sink;
	for (int i = 0; i < 20000; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	sink = x;
}

static __attribute__((noinline)) void
burn(int ms)
{
	int64_t until = now(CLOCK_THREAD_CPUTIME_ID) + ms * 1000000ll;
	while (now(CLOCK_THREAD_CPUTIME_ID) < until)
		spin();
	sink++;
}

// ---- heap ----

#define BLOCKS 8192
#define BLOCK 4000
static void *block[BLOCKS];

static __attribute__((noinline)) void
allocate_kept(void)
{
	void *p;
	for (int i = 0; i < BLOCKS; i++) {
		switch (i % 5) {
		case 0:
			block[i] = malloc(BLOCK);
			break;
		case 1:
			block[i] = calloc(BLOCK / 8, 8);
			break;
		case 2:
			block[i] = realloc(malloc(100), BLOCK);
			break;
		case 3:
			block[i] = posix_memalign(&p, 64, BLOCK) == 0 ? p : NULL;
			break;
		default:
			block[i] = aligned_alloc(32, BLOCK / 32 * 32);
		}
		if (!block[i])
			abort();
		memset(block[i], i, BLOCK / 32 * 32);
	}
}

static __attribute__((noinline)) void
allocate_dropped(void)
{
	for (int i = 0; i < 20 * BLOCKS; i++) {
		char *p = malloc(BLOCK);
		p[0] = 1;
		sink += (uintptr_t)p;
		free(p);
	}
}

static void *
free_half(void *arg)
{
	for (int i = 0; i < BLOCKS; i += 2)
		free(block[i]);
	return arg;
}

static int
heap(void)
{
	pthread_t th;
	free(malloc(1));
	struct mallinfo2 before = mallinfo2();
	allocate_kept();
	allocate_dropped();
	pthread_create(&th, NULL, free_half, NULL);
	pthread_join(th, NULL);
	char *big = malloc(24 << 20);
	memset(big, 1, 24 << 20);
	volatile size_t much = SIZE_MAX / 2; // volatile: compilers know better
	if (malloc(much) || errno != ENOMEM || calloc(much, 8))
		return 1;
	struct mallinfo2 mi = mallinfo2();
	printf("%zu\n", mi.uordblks + mi.hblkhd - before.uordblks - before.hblkhd);
	return 0;
}

// ---- threads and locks ----

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int counter, ready;

static _Atomic int64_t waited; // ns for lock and rw, by our own clock

static __attribute__((always_inline)) inline void
timed_lock(void)
{
	int64_t t0 = now(CLOCK_MONOTONIC);
	pthread_mutex_lock(&lock);
	waited += now(CLOCK_MONOTONIC) - t0;
}

static __attribute__((noinline)) void
hold_lock(void)
{
	timed_lock();
	counter++;
	usleep(2000);
	pthread_mutex_unlock(&lock);
	__asm__ volatile(""); // no tail call: this frame is looked for
}

static void *
contender(void *arg)
{
	for (int i = 0; i < 25; i++)
		hold_lock();
	int64_t t0 = now(CLOCK_MONOTONIC);
	pthread_rwlock_rdlock(&rw);
	waited += now(CLOCK_MONOTONIC) - t0;
	pthread_rwlock_unlock(&rw);
	usleep(50000);
	return arg;
}

static void *
waiter(void *arg)
{
	timed_lock();
	while (!ready)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	sem_wait(&sem);
	return arg;
}

static int
locks(void)
{
	pthread_t th[4], w;
	pthread_mutex_t check;
	pthread_mutexattr_t a;
	sem_init(&sem, 0, 0);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&check, &a);
	pthread_mutex_lock(&check);
	if (pthread_mutex_lock(&check) != EDEADLK)
		return 1;
	pthread_create(&w, NULL, waiter, NULL);
	pthread_rwlock_wrlock(&rw);
	for (int i = 0; i < 4; i++)
		pthread_create(&th[i], NULL, contender, NULL);
	for (int n = 0; n < 100;) {
		usleep(20000);
		timed_lock();
		n = counter;
		pthread_mutex_unlock(&lock);
	}
	usleep(50000);
	pthread_rwlock_unlock(&rw);
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	timed_lock();
	ready = 1;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
	usleep(50000);
	sem_post(&sem);
	pthread_join(w, NULL);
	printf("%d %d\n", counter, (int)(waited / 1000000));
	return counter != 100;
}

static void *
named(void *arg)
{
	pthread_setname_np(pthread_self(), arg ? "second" : "first");
	burn(arg ? 200 : 400);
	return NULL;
}

static int
threads(void)
{
	pthread_t a, b;
	pthread_create(&a, NULL, named, NULL);
	pthread_create(&b, NULL, named, &sem);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	puts("threads");
	return 0;
}

static void *
one_of_many(void *arg)
{
	burn((int)(intptr_t)arg);
	return NULL;
}

static int
many(int ms)
{
	pthread_t th[64];
	for (int i = 0; i < 64; i++)
		pthread_create(&th[i], NULL, one_of_many, (void *)(intptr_t)ms);
	for (int i = 0; i < 64; i++)
		pthread_join(th[i], NULL);
	puts("many");
	return 0;
}

static void *
short_lived(void *arg)
{
	free(malloc(100000));
	pthread_mutex_lock(&lock);
	sink += (uintptr_t)arg;
	pthread_mutex_unlock(&lock);
	spin();
	return NULL;
}

// Threads come and go all the time.
static int
churn(int ms)
{
	int64_t until = now(CLOCK_MONOTONIC) + ms * 1000000ll;
	int n = 0;
	while (now(CLOCK_MONOTONIC) < until) {
		pthread_t th[8];
		for (int i = 0; i < 8; i++, n++)
			if (pthread_create(&th[i], NULL, short_lived, NULL) != 0)
				return 1;
		for (int i = 0; i < 8; i++)
			pthread_join(th[i], NULL);
	}
	printf("churn\n");
	return n == 0;
}

// ---- processes ----

static int
forks(void)
{
	burn(150);
	fflush(stdout);
	pid_t p = fork();
	if (p == 0) {
		burn(250);
		exit(5);
	}
	int st;
	waitpid(p, &st, 0);
	if (wait(NULL) != -1 || errno != ECHILD)
		return 1; // somebody else's child
	printf("forked %d %d\n", WEXITSTATUS(st), system("exit 3") >> 8);
	return 0;
}

static int
execs(char **argv)
{
	burn(150);
	execl(argv[0], argv[0], "burn", "200", NULL);
	return 1;
}

static int
daemonize(void)
{
	puts("daemon");
	fflush(stdout);
	if (daemon(1, 1) != 0)
		return 1;
	burn(300);
	return 0;
}

// ---- signals ----

static volatile int got;

static void
on_prof(int sig)
{
	got += sig == SIGPROF;
}

static int
own_sigprof(void)
{
	struct itimerval it = { { 0, 5000 }, { 0, 5000 } }, off = { 0 };
	burn(200);
	struct sigaction sa = { .sa_handler = on_prof, .sa_flags = SA_RESTART }, old;
	sigaction(SIGPROF, &sa, &old);
	if (old.sa_handler != SIG_DFL)
		return 1;
	setitimer(ITIMER_PROF, &it, NULL);
	burn(200);
	setitimer(ITIMER_PROF, &off, NULL);
	printf("%s\n", got > 10 && got < 100 ? "own handler" : "wrong number of signals");
	return 0;
}

static int
reset_signals(void)
{
	sigset_t all;
	for (int s = 1; s < 32; s++)
		signal(s, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	burn(400);
	puts("reset");
	return 0;
}

// Calls that never restart must not fail because of us in a program that handles no signals.
static int
no_eintr(void)
{
	int bad = 0;
	for (int i = 0; i < 1500; i++) {
		struct timeval tv = { 0, 50 };
		burn(0);
		for (int k = 0; k < 4; k++)
			spin();
		bad += poll(NULL, 0, 0) < 0;
		bad += select(0, NULL, NULL, NULL, &tv) < 0;
		bad += nanosleep(&(struct timespec){ 0, 50000 }, NULL) < 0;
	}
	printf("%d interrupted\n", bad);
	return 0;
}

// ---- the rest ----

static int
privileges(void)
{
	gid_t none = 65534;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setresgid(65534, 65534, 65534) != 0 ||
	    setgroups(1, &none) != 0 || setresuid(65534, 65534, 65534) != 0)
		return 1;
	if (setgroups(1, &none) == 0)
		return 1; // no longer allowed; libc aborts if its threads disagree
	burn(200);
	printf("now %d\n", (int)getuid());
	return 0;
}

static int
plugin(const char *path)
{
	for (int i = 0; i < 3; i++) {
		void *lib = dlopen(path, RTLD_NOW);
		if (!lib)
			return 1;
		void (*fn)(int);
		*(void **)&fn = dlsym(lib, "plugin_burn");
		fn(150);
		dlclose(lib);
	}
	puts("plugin");
	return 0;
}

// How many threads the process has: at its start, and where it has made one and that is gone.
static int
count_threads(void)
{
	struct stat a, b;
	pthread_t th;
	stat("/proc/self/task", &a);
	pthread_create(&th, NULL, short_lived, NULL);
	pthread_join(th, NULL);
	stat("/proc/self/task", &b);
	printf("%d %d\n", (int)a.st_nlink - 2, (int)b.st_nlink - 2);
	return 0;
}

// C11's threads begin past pthread_create; pthread_getattr_np allocates while it holds the thread's lock.
static int
ask_attributes(void *arg)
{
	pthread_attr_t a;
	if (pthread_getattr_np(pthread_self(), &a) == 0)
		pthread_attr_destroy(&a);
	return arg != NULL;
}

static int
unannounced(void)
{
	thrd_t th;
	int rc = 1;
	if (thrd_create(&th, ask_attributes, NULL) != thrd_success || thrd_join(th, &rc) != thrd_success)
		return 1;
	puts("unannounced");
	return rc;
}

static int
close_all(void)
{
	burn(100);
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	burn(200);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 300;
	if (strcmp(what, "burn") == 0)
		return burn(n), puts("burnt"), 0;
	if (strcmp(what, "heap") == 0)
		return heap();
	if (strcmp(what, "locks") == 0)
		return locks();
	if (strcmp(what, "threads") == 0)
		return threads();
	if (strcmp(what, "many") == 0)
		return many(n);
	if (strcmp(what, "churn") == 0)
		return churn(n);
	if (strcmp(what, "forks") == 0)
		return forks();
	if (strcmp(what, "execs") == 0)
		return execs(argv);
	if (strcmp(what, "daemon") == 0)
		return daemonize();
	if (strcmp(what, "own-sigprof") == 0)
		return own_sigprof();
	if (strcmp(what, "reset-signals") == 0)
		return reset_signals();
	if (strcmp(what, "no-eintr") == 0)
		return no_eintr();
	if (strcmp(what, "privileges") == 0)
		return privileges();
	if (strcmp(what, "plugin") == 0 && argc > 2)
		return plugin(argv[2]);
	if (strcmp(what, "count-threads") == 0)
		return count_threads();
	if (strcmp(what, "unannounced") == 0)
		return unannounced();
	if (strcmp(what, "close-all") == 0)
		return close_all();
	if (strcmp(what, "kill") == 0) {
		burn(n);
		kill(getpid(), SIGKILL);
	}
	if (strcmp(what, "wait") == 0) { // for a signal that ends it
		puts("waiting");
		fflush(stdout);
		for (;;)
			pause();
	}
	return 64;
}
