// SPDX-License-Identifier: BSD-3-Clause
// pprof [DIRECTORY], <gort/pprof.h>: profiles taken by the program itself, written into DIRECTORY (.)
// as cpu.pb.gz, heap.pb.gz and goroutine.pb.gz. Look at one with `go tool pprof -top FILE`.
#include <gort.h>
#include <gort/pprof.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile double result;

__attribute__((noinline)) static void
busy(int64_t until)
{
	double x = 1;
	while (gort_nanotime() < until)
		for (int i = 0; i < 10000; i++)
			x = x * 1.0000001 + 0.5;
	result = x;
}

__attribute__((noinline)) static void *
keep_memory(void)
{
	char *p = gort_new_bytes(64 << 20);
	memset(p, 1, 64 << 20);
	return p;
}

static void
wait_for_ever(gort_chan *c)
{
	while (gort_chan_recv(c, NULL))
		;
}

static int
create(const char *dir, const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s.pb.gz", dir, name);
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

// 0, or a negative errno value.
static int
write_profile(const char *dir, const char *name)
{
	int fd = create(dir, name);
	if (fd < 0)
		return -errno;
	int rc = gort_pprof_write(name, fd, 0);
	close(fd);
	return rc;
}

static int
app(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : ".";
	void *memory = keep_memory();
	gort_chan *c = gort_make_chan(int, 0);
	for (int i = 0; i < 10; i++)
		gort_go(wait_for_ever, c);

	int fd = create(dir, "cpu");
	int start = fd < 0 ? -errno : gort_pprof_start_cpu(fd, 0); // 100 samples a CPU second
	busy(gort_nanotime() + 500 * GORT_MILLISECOND);
	int stop = gort_pprof_stop_cpu();
	if (fd >= 0)
		close(fd);
	gort_gc(); // the heap profile is that of the last collection
	int heap = write_profile(dir, "heap"), goroutine = write_profile(dir, "goroutine");
	printf("cpu %d %d, heap %d, goroutine %d\n", start, stop, heap, goroutine);
	gort_keep_alive(memory);
	return 0;
}
GORT_MAIN(app)
