// SPDX-License-Identifier: BSD-3-Clause
// twin DIR: does what twin.go does, and writes every kind of profile into DIR. One P, so that who waits for
// whom is certain.
#include <gort.h>
#include <gort/pprof.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static const char *dir;
static gort_profile *conns;
static gort_chan *nobody_sends;
static gort_mutex mutex;
void *kept[100]; // a root; not static, or the compiler drops the stores

static int
create(const char *name)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s.pb.gz", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		gort_panic("%s: %s", path, strerror(errno));
	return fd;
}

static void
write_profile(const char *name)
{
	int fd = create(name), rc = gort_pprof_write(name, fd, 0);
	if (rc != 0)
		gort_panic("%s: %d", name, rc);
	close(fd);
}

static NOINLINE void
open_conn(const int *conn)
{
	gort_profile_add(conns, conn, 0);
	__asm__ volatile("");
}

static NOINLINE void
waiter(void)
{
	int v;
	gort_chan_recv(nobody_sends, &v);
	__asm__ volatile("");
}

static void
start_waiters(void *n)
{
	for (int i = 0; i < *(int *)n; i++)
		gort_go(waiter);
	for (int i = 0; i < 10; i++)
		gort_gosched();
}

// Of the two that meet one has waited.
static NOINLINE void
feeder(gort_chan *c)
{
	for (int i = 0; i < 10; i++) {
		gort_sleep(2 * GORT_MILLISECOND);
		gort_send(int, c, i);
	}
}

static NOINLINE void
eater(gort_chan *c)
{
	int v;
	for (int i = 0; i < 10; i++)
		gort_chan_recv(c, &v);
}

static NOINLINE void
contender(void)
{
	gort_mutex_lock(&mutex);
	gort_mutex_unlock(&mutex);
	__asm__ volatile("");
}

static NOINLINE void
holder(void)
{
	for (int i = 0; i < 5; i++) {
		gort_mutex_lock(&mutex);
		gort_go(contender);
		for (int k = 0; k < 10; k++)
			gort_gosched();
		gort_mutex_unlock(&mutex);
		for (int k = 0; k < 10; k++)
			gort_gosched();
	}
}

static NOINLINE void
keep(void)
{
	for (int i = 0; i < 100; i++)
		kept[i] = gort_new_bytes(1000);
}

static NOINLINE void
drop(gort_waitgroup *wg)
{
	for (int i = 0; i < 50; i++) {
		void *p = gort_new_bytes(1000);
		__asm__ volatile("" : : "r"(p) : "memory");
	}
	gort_waitgroup_done(wg);
}

static NOINLINE void
burn(void *arg)
{
	(void)arg;
	for (int64_t i = 0; i < 1000000000; i++)
		__asm__ volatile("");
}

static int
app(int argc, char **argv)
{
	static const int conn[5];
	static gort_waitgroup wg;
	gort_label op = gort_label("op", "recv"), phase = gort_label("phase", "burn");
	int four = 4, three = 3, cpu;
	if (argc != 2)
		return 2;
	dir = argv[1];
	gort_set_mem_profile_rate(1);
	conns = gort_profile_new("conns");
	for (int i = 0; i < 5; i++)
		open_conn(&conn[i]);
	nobody_sends = gort_make_chan(int, 0);
	start_waiters(&four);
	gort_do_labelled(&op, 1, start_waiters, &three);
	gort_set_block_profile_rate(1);
	gort_chan *c = gort_make_chan(int, 0);
	gort_go(feeder, c);
	eater(c);
	gort_set_block_profile_rate(0);
	gort_set_mutex_profile_fraction(1);
	holder();
	gort_set_mutex_profile_fraction(0);
	keep();
	gort_waitgroup_add(&wg, 1);
	gort_go(drop, &wg);
	gort_waitgroup_wait(&wg);
	gort_gc();
	gort_gc();
	cpu = create("profile");
	if (gort_pprof_start_cpu(cpu, 0) != 0)
		gort_panic("no CPU profile");
	gort_do_labelled(&phase, 1, burn, NULL);
	gort_pprof_stop_cpu();
	close(cpu);
	static const char *const kinds[] = {"heap", "allocs", "goroutine", "threadcreate", "block", "mutex", "conns"};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		write_profile(kinds[i]);
	return 0;
}
GORT_MAIN(app)
