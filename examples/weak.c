// SPDX-License-Identifier: BSD-3-Clause
// Weak pointers, cleanups and pins of <gort/mem.h>: a cache that does not keep what it holds, a file that
// is closed when nobody has it any more, and a buffer that foreign code holds on to.
#include <gort.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct image {
	long id;
	int fd;
	char pixels[4000];
};
GORT_TYPE(struct image)

enum { N = 100 };
static gort_weak *cache[N]; // does not keep the images
static int loads;
static _Atomic long closed;

static void
close_file(void *fd) // sees the descriptor; the image is gone
{
	close((int)(intptr_t)fd);
	atomic_fetch_add(&closed, 1);
}

static struct image *
load(long id)
{
	struct image *im = gort_weak_value(cache[id]); // NULL: not there, or not any more
	if (!im) {
		loads++;
		im = gort_new(struct image);
		im->id = id;
		im->fd = dup(1);
		gort_add_cleanup(im, close_file, (void *)(intptr_t)im->fd);
		cache[id] = gort_weak_make(im);
	}
	return im;
}

static __attribute__((noinline)) long
use_all(void)
{
	struct image *in_use[N];
	for (long i = 0; i < N; i++)
		in_use[i] = load(i);
	gort_gc(); // they are in use
	long same = 0;
	for (long i = 0; i < N; i++)
		same += load(i) == in_use[i];
	return same;
}

// A C library that keeps a pointer in memory of its own.
static uintptr_t *library;

static __attribute__((noinline)) void
give_to_library(void)
{
	struct image *im = gort_new(struct image);
	im->id = 42;
	strcpy(im->pixels, "still here");
	gort_pin(im);
	library = malloc(sizeof *library);
	*library = (uintptr_t)im;
}

static __attribute__((noinline)) void
take_from_library(void)
{
	struct image *im = (struct image *)*library;
	printf("the library has image %ld: %s\n", im->id, im->pixels);
	gort_unpin(im);
	free(library);
}

static int
app(int argc, char **argv)
{
	give_to_library();
	long same = use_all();
	printf("%ld of %d found again while in use, %d loads\n", same, N, loads);
	for (int i = 0; i < 100 && closed < N * 9 / 10; i++) {
		gort_gc();
		gort_sleep(GORT_MILLISECOND); // cleanups run on a goroutine of their own
	}
	printf("not in use: %s\n", closed >= N * 9 / 10 ? "files closed" : "files open");
	int cleared = 0;
	for (int i = 0; i < N; i++)
		cleared += !gort_weak_value(cache[i]);
	printf("cache: %s\n", cleared >= N * 9 / 10 ? "empty" : "full"); // a stale word may hold one
	take_from_library();
	return 0;
}
GORT_MAIN(app)
