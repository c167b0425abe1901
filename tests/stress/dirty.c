// SPDX-License-Identifier: BSD-3-Clause
// GORT_BARRIER=dirty: a program without one barrier loses nothing; with the default barrier in force, which
// it does not use, it does lose objects, so the program can tell. Goroutines move pointers between cells
// of the heap by plain stores while collections run, keep a few in their frames, and look whether each
// object still is what it was. `read`: the kernel writes the pointers (through a pipe).
// Usage: stress_dirty [seconds [dirty|snapshot]]; with one argument it runs itself with both.
#include <gort.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAGIC 0x5eedf00d5eedf00dull
#define MOVERS 4
#define CELLS 4096

struct thing {
	uint64_t magic;
	struct thing *next; // another thing, only reachable from here
	uint64_t pad[2];
};

struct row { // a small object of cells
	struct thing *cell[64];
};

static struct row **rows[MOVERS]; // roots: each an array in the heap of rows in the heap
static struct thing **large[MOVERS];
static _Atomic bool stop;
static _Atomic uint64_t lost, moved;

GORT_TYPE(struct thing, next);

static __attribute__((noinline)) struct thing *
fresh(void)
{
	struct thing *t = gort_new(struct thing);
	t->magic = MAGIC;
	t->next = gort_new(struct thing);
	t->next->magic = MAGIC;
	return t;
}

static bool
sound(const struct thing *t)
{
	return !t || (t->magic == MAGIC && t->next && t->next->magic == MAGIC);
}

static uint32_t
rnd(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	return *x ^= *x << 5;
}

static struct thing **
cell(int who, uint32_t r)
{
	r %= 2 * CELLS;
	return r < CELLS ? &rows[who][r / 64]->cell[r % 64] : &large[who][r - CELLS];
}

// One store by the kernel.
static void
store_by_kernel(int pipe_fd[2], struct thing **to, struct thing *t)
{
	if (write(pipe_fd[1], &t, sizeof t) != sizeof t || read(pipe_fd[0], to, sizeof t) != sizeof t)
		abort();
}

static void
mover(int who)
{
	uint32_t x = 2463534242u + (uint32_t)who;
	int fd[2];
	if (pipe(fd) != 0)
		abort();
	for (uint64_t n = 0; !atomic_load(&stop); n++) {
		struct thing **from = cell(who, rnd(&x)), **to = cell(who, rnd(&x));
		struct thing *t = *from;
		if (!sound(t)) {
			atomic_fetch_add(&lost, 1);
			t = NULL;
		}
		*from = NULL;
		if (!t && n % 4 == 0)
			t = fresh();
		if (n % 64 == 0)
			store_by_kernel(fd, to, t);
		else
			*to = t;
		if (t && n % 8 == 0) { // its only pointer moves from one thing to another
			struct thing *child = t->next;
			t->next = fresh()->next;
			struct thing *parent = fresh();
			parent->next = child;
			*cell(who, rnd(&x)) = parent;
		}
		atomic_fetch_add_explicit(&moved, 1, memory_order_relaxed);
	}
	close(fd[0]);
	close(fd[1]);
}

static int
app(int argc, char **argv)
{
	double seconds = atof(argv[1]);
	for (int who = 0; who < MOVERS; who++) {
		rows[who] = gort_new_array(struct row *, CELLS / 64);
		for (int i = 0; i < CELLS / 64; i++)
			rows[who][i] = gort_new(struct row);
		large[who] = gort_new_array(struct thing *, CELLS);
		gort_go(mover, who);
	}
	int64_t end = gort_nanotime() + (int64_t)(seconds * 1e9);
	int cycles = 0;
	for (; gort_nanotime() < end && atomic_load(&lost) == 0; cycles++)
		gort_gc();
	atomic_store(&stop, true);
	printf("%s: %d cycles, %lu moves, %lu lost\n", argv[2], cycles, (unsigned long)moved,
	       (unsigned long)lost);
	if (lost)
		return 3;
	return cycles < 5 || moved < 1000;
}

// The exit status of this program in that mode.
static int
run(const char *self, const char *seconds, const char *mode)
{
	pid_t pid = fork();
	if (pid == 0) {
		execl(self, self, seconds, mode, (char *)NULL);
		_exit(127);
	}
	int st = 0;
	if (pid < 0 || waitpid(pid, &st, 0) != pid || !WIFEXITED(st))
		return 126;
	return WEXITSTATUS(st);
}

int
main(int argc, char **argv)
{
	const char *seconds = argc > 1 ? argv[1] : "3";
	if (argc > 2) {
		setenv("GORT_BARRIER", argv[2], 1);
		setenv("GORT_DEBUG", "clobberfree=1", 1);
		setenv("GORT_MAXPROCS", "4", 1);
		return gort_run(app, argc, argv);
	}
	int with = run(argv[0], seconds, "dirty"), without = run(argv[0], "60", "snapshot");
	// Without barriers the default mode must lose something; how that ends is not defined.
	printf("dirty: exit status %d; snapshot: %d\n", with, without);
	return with != 0 || without <= 1;
}
