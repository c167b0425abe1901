// SPDX-License-Identifier: BSD-3-Clause
// No more memory: the heap's address space used up, and mappings that the system refuses.
#include "on_gort.h"

#include <regex.h>

#include <gort/mem.h>

#include "gc/gc.h"
#include "mem/mheap.h"
#include "os/os.h"

TestSuite(oom, .timeout = 60);

extern _Atomic int64_t rt_os_grant;

struct cell {
	struct cell *next;
	long pad[15];
};
static struct cell *live;
static void *garbage;

// From now on the heap may grow by so many chunks of 4 MiB only.
static void
allow_chunks(uint32_t n)
{
	rt_heap.pages.maxchunks = rt_heap.pages.nchunks + n;
}

static void
keep(size_t bytes)
{
	for (size_t n = 0; n < bytes; n += sizeof(struct cell)) {
		struct cell *c = gort_new(struct cell);
		gort_set(&c->next, live);
		live = c;
	}
}

static void
produce(size_t bytes)
{
	static const size_t sizes[] = {64, 1000, 8000, 100000};
	for (size_t n = 0, i = 0; n < bytes; n += sizes[i++ % 4])
		garbage = gort_new_bytes(sizes[i % 4]);
}

GORT_TEST(oom, one_collection_finds_room_again)
{
	gort_set_gc_percent(-1);
	keep(1 << 20);
	allow_chunks(4);
	produce(300 << 20);
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	CHECK(s.num_gc >= 10 && s.num_gc < 100);
	CHECK(s.heap_sys <= 24 << 20);
	size_t n = 0;
	for (struct cell *c = live; c; c = c->next)
		n++;
	CHECK_EQ(n, (1 << 20) / sizeof(struct cell));
}

static int64_t grant;

static void
keep_all_in_little_room(void)
{
	allow_chunks(4);
	keep(64 << 20);
}

static void
one_object_larger_than_the_address_space(void)
{
	gort_new_bytes((size_t)1 << 46);
}

static void
work_with_few_mappings(void)
{
	rt_store(&rt_os_grant, grant);
	keep(16 << 20);
	gort_gc();
	keep(16 << 20);
	produce(32 << 20);
}

static char text[16384]; // what a process wrote to stderr

static int
run(void (*body)(void))
{
	return on_gort_exits(body, text, sizeof(text));
}

static bool
says(const char *pattern)
{
	regex_t re;
	cr_assert(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) == 0);
	bool yes = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return yes;
}

#define HEAP_IS_FULL                                                                               \
	"^runtime: out of memory: cannot allocate [0-9]+-byte block \\([0-9]+ in use\\)\n"           \
	"fatal error: out of memory\n"

Test(oom, full_of_live_objects_ends_with_gos_text)
{
	cr_assert_eq(run(keep_all_in_little_room), 2);
	cr_assert(says(HEAP_IS_FULL), "stderr: %s", text);
	cr_assert_eq(run(one_object_larger_than_the_address_space), 2);
	cr_assert(says(HEAP_IS_FULL), "stderr: %s", text);
}

// Whichever mapping is the first to be refused, and all after it: the program ends well, or with one of
// Go's texts (a new thread's signal stack has one of its own).
Test(oom, any_refused_mapping_ends_with_gos_text)
{
	int ended = 0, n = 0;
	for (grant = 0; grant < 100 && n == 0; grant++) {
		int status = run(work_with_few_mappings);
		if (status == 0) {
			n = (int)grant;
			break;
		}
		cr_assert_eq(status, 2);
		cr_assert(says(HEAP_IS_FULL) || says("^fatal error: runtime: out of memory\n") ||
				  says("^fatal error: runtime: cannot allocate (memory|a signal stack)\n"),
			  "%d mappings granted, stderr: %s", (int)grant, text);
		ended += says("out of memory");
	}
	cr_assert(n > 2, "needs %d mappings", n);
	cr_assert(ended > 0);
}
