// SPDX-License-Identifier: BSD-3-Clause
// A program for test_http.py and test_text.py to look into: target MODE. It prints "ready" and lives until
// its stdin ends.
#include <gort.h>
#include <gort/pprof.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static gort_chan *nobody_sends;
static gort_mutex mutex;
void *kept[4096]; // a root; not static, or the compiler drops the stores
static int nkept;

static void
waiter(int i)
{
	int v = i;
	gort_chan_recv(nobody_sends, &v);
}

// Until n goroutines wait for a channel, a lock or time.
static void
await_waiting(uint64_t n)
{
	gort_metric m = {.name = "/sched/goroutines/waiting:goroutines"};
	while (gort_metrics_read(&m, 1) == 1 && m.value.u64 < n)
		gort_sleep(GORT_MILLISECOND);
}

static void
start_labelled_waiters(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		gort_go(waiter, i);
}

static void
spin(void)
{
	for (;;)
		__asm__ volatile("");
}

// By rounds, not by time: the machine may be busy.
static void __attribute__((noinline))
work(int64_t rounds)
{
	for (int64_t i = 0; i < rounds; i++)
		__asm__ volatile("");
}

static void
labelled_work(void *arg)
{
	work(*(int64_t *)arg);
}

static void __attribute__((noinline))
keep_some(void)
{
	for (int i = 0; i < 64; i++)
		kept[nkept++ % 4096] = gort_new_bytes(65536);
}

static void __attribute__((noinline))
drop_some(void)
{
	for (int i = 0; i < 64; i++)
		__asm__ volatile("" ::"r"(gort_new_bytes(65536)));
}

static void
contender(void)
{
	for (int i = 0; i < 40; i++) {
		gort_mutex_lock(&mutex);
		gort_sleep(200 * GORT_MICROSECOND);
		gort_mutex_unlock(&mutex);
	}
}

static void
wait_for_stdin(void)
{
	char c;
	gort_entersyscall();
	while (read(0, &c, 1) > 0)
		;
	gort_exitsyscall();
}

static void
add_values(gort_profile *p)
{
	static int v[3];
	for (int i = 0; i < 3; i++)
		gort_profile_add(p, &v[i], 0);
	gort_profile_remove(p, &v[1]);
	gort_profile_remove(p, &v[1]);
}

static void
write_file(const char *dir, const char *name, int debug)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s.%d", dir, name, debug);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	int rc = gort_pprof_write(name, fd, debug);
	if (rc != 0)
		printf("%s debug=%d: %d\n", name, debug, rc);
	close(fd);
}

static void
contend(void)
{
	gort_waitgroup wg = {0};
	for (int i = 0; i < 4; i++)
		gort_waitgroup_go(&wg, contender);
	gort_waitgroup_wait(&wg);
}

// Two ways to one wait, of equal frames: which of them it was is told by a return address alone.
static gort_chan *asked, *answered;

static void
answer(void)
{
	int v;
	while (gort_chan_recv(asked, &v))
		gort_chan_send(answered, &v);
}

static void __attribute__((noinline))
ask(void)
{
	int v = 0;
	gort_chan_send(asked, &v);
	gort_chan_recv(answered, &v);
	__asm__ volatile("" ::: "memory");
}

static void __attribute__((noinline))
by_left(void)
{
	ask();
	__asm__ volatile("# left" ::: "memory");
}

static void __attribute__((noinline))
by_right(void)
{
	ask();
	__asm__ volatile("# right" ::: "memory");
}

static void
ask_both_ways(void)
{
	asked = gort_make_chan(int, 0);
	answered = gort_make_chan(int, 0);
	gort_go(answer);
	for (int i = 0; i < 400; i++)
		i % 4 ? by_left() : by_right();
}

static void
send_to_nobody(gort_chan *c)
{
	gort_send(int, c, 1);
}

static void
select_nothing(void)
{
	gort_select(NULL, 0);
}

// Of what it makes nothing is left on a stack that is read.
static void
start_leaks(void)
{
	gort_go(send_to_nobody, gort_make_chan(int, 0));
	gort_go(send_to_nobody, gort_make_chan(int, 0));
	gort_go(select_nothing);
}

static void
write_leaks(const char *dir)
{
	gort_go(start_leaks);
	await_waiting(8); // four waiters, answer, and three leaks
	while (gort_num_goroutine() != 9)
		gort_sleep(GORT_MILLISECOND);
	for (int debug = 0; debug < 3; debug++)
		write_file(dir, "goroutineleak", debug);
}

// Every profile in every form.
static void
write_all(const char *dir)
{
	static const char *const names[] = {"heap", "allocs", "goroutine", "threadcreate", "block", "mutex", "conns"};
	char path[4096];
	int64_t rounds = 800000000;
	gort_label labels[] = {gort_label("op", "work"), gort_label("shard", "7")};
	snprintf(path, sizeof path, "%s/cpu.0", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	gort_pprof_start_cpu(fd, 0);
	gort_do_labelled(labels, 2, labelled_work, &rounds);
	work(rounds / 2);
	gort_pprof_stop_cpu();
	close(fd);
	contend();
	ask_both_ways();
	keep_some();
	drop_some();
	gort_gc();
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		for (int debug = 0; debug < 3; debug++)
			write_file(dir, names[i], debug);
	write_leaks(dir);
}

static int
app(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	gort_label labels[] = {gort_label("op", "recv"), gort_label("a\"b", "c\nd")};
	gort_set_mutex_profile_fraction(5);
	gort_set_block_profile_rate(1);
	nobody_sends = gort_make_chan(int, 0);
	gort_do_labelled(labels, 2, start_labelled_waiters, NULL);
	gort_go(waiter, 9);
	add_values(gort_profile_new("conns"));
	if (strcmp(mode, "write") == 0) {
		write_all(argv[2]);
		return 0;
	}
	if (strcmp(mode, "churn") == 0) {
		contend();
		keep_some();
		drop_some();
		gort_gc();
	}
	await_waiting(4);
	printf("ready\n");
	fflush(stdout);
	if (strcmp(mode, "spin") == 0) {
		for (int i = 0; i < 4; i++)
			gort_go(spin);
		spin();
	}
	if (strcmp(mode, "deadlock") == 0) {
		wait_for_stdin();
		waiter(0);
	}
	if (strcmp(mode, "churn") == 0) {
		struct pollfd end = {.fd = 0, .events = POLLIN};
		do {
			keep_some();
			drop_some();
			contend();
			gort_gc();
			gort_sleep(50 * GORT_MILLISECOND);
		} while (poll(&end, 1, 0) == 0);
	}
	wait_for_stdin();
	return 0;
}
GORT_MAIN(app)
