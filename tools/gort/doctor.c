// SPDX-License-Identifier: BSD-3-Clause
// gort doctor: what stands in the way of profiling, here and for one program, and what to do about it.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gort/gort.h"

static int problems;

static void
ok(const char *what)
{
	printf("ok       %s\n", what);
}

static void
note(const char *what, const char *remedy)
{
	printf("note     %s\n         -> %s\n", what, remedy);
}

static void
problem(const char *what, const char *remedy)
{
	printf("PROBLEM  %s\n         -> %s\n", what, remedy);
	problems++;
}

// ---- this place ----

static void
check_timers(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	timer_t id;
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &id) != 0) {
		problem("no CPU-time timers: timer_create is refused, so there can be no CPU profile",
			"a seccomp filter or ulimit -i 0 is in force here: allow timer_create, raise the limit");
		return;
	}
	timer_delete(id);
	ok("CPU-time timers can be made");
}

static void
check_seccomp(void)
{
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2)
		note("a seccomp filter is in force in this place (as in most containers)",
		     "usual ones allow all that gort needs: no privileges, no perf_event_open");
	else
		ok("no seccomp filter");
}

static void
check_memory_files(void)
{
	int fd = (int)syscall(SYS_memfd_create, "gort-doctor", 0);
	if (fd < 0) {
		problem("memfd_create is refused, so gort run cannot share tables with the program",
			"use GORT_PROFILE=cpu,heap,out=DIR with LD_PRELOAD instead");
		return;
	}
	close(fd);
	ok("tables can be shared with the program");
}

static void
check_preload(void)
{
	char path[PATH_MAX], line[PATH_MAX + 64];
	if (!find_preload(path, sizeof(path))) {
		problem("libgort-preload.so was not found", "install gort, or set GORT_PRELOAD to its path");
		return;
	}
	snprintf(line, sizeof(line), "the profiler is %s", path);
	ok(line);
}

// ---- the program ----

static void
check_stacks(const struct exe *e)
{
	if (e->unwind)
		ok("stacks can be walked: it has unwind tables");
	else
		problem("it has no .eh_frame_hdr: stacks will be cut off where frame pointers are missing",
			"compile without -fno-asynchronous-unwind-tables, or with -fno-omit-frame-pointer");
}

static void
check_names(const struct exe *e)
{
	if (e->debug)
		ok("functions, lines and inlined frames: it has debug information");
	else if (e->symbols)
		note("it has function names but no debug information: no lines, no inlined frames",
		     "compile with -g; nothing else changes");
	else if (e->build_id)
		note("it is stripped: functions that it does not export show as FILE+0xADDRESS",
		     "install its -dbgsym package or keep the unstripped file: it is found by its build id");
	else
		problem("it is stripped and has no build id, so no separate debug file can be found for it",
			"do not strip it, or link with -Wl,--build-id");
}

static void
check_rivals(const struct exe *e)
{
	if (e->own_sigprof)
		note("it can set timers of its own (setitimer or timer_create)",
		     "if it handles SIGPROF itself, it gets it, and the CPU profile ends there with a notice");
	if (e->own_malloc)
		problem("it defines malloc itself, before every library: there will be no heap profile",
			"link its allocator as a shared library, or use that allocator's own profiler");
	if (e->runtime)
		note("it is a gort program, and has the profiler in it already",
		     "gort run sets GORT_CPUPROFILE and GORT_MEMPROFILE for it");
}

static int
check_program(const char *name)
{
	char path[PATH_MAX];
	struct exe e;
	const char *todo;
	if (!find_program(name, path, sizeof(path))) {
		problem(name, strerror(errno));
		return 1;
	}
	inspect(path, &e);
	if (e.script[0])
		printf("%s is a script; what runs is %s\n", e.script, e.path);
	else
		printf("%s\n", e.path);
	const char *why = refusal(&e, &todo);
	if (why) {
		problem(why, todo);
		return 1;
	}
	ok("it is dynamically linked and without privileges: it can be preloaded");
	check_stacks(&e);
	check_names(&e);
	check_rivals(&e);
	return 0;
}

int
cmd_doctor(int argc, char **argv)
{
	int i = 1;
	if (argc > 1 && argv[1][0] == '-' && strcmp(argv[1], "--") != 0) {
		puts("usage: gort doctor [-- PROGRAM]\n\n"
		     "Says what stands in the way of profiling, in this place and for PROGRAM, and what to do\n"
		     "about it. Exit status 1: there is a problem.");
		return strcmp(argv[1], "-help") == 0 || strcmp(argv[1], "--help") == 0 ||
				       strcmp(argv[1], "-h") == 0
			       ? 0
			       : 2;
	}
	if (i < argc && strcmp(argv[i], "--") == 0)
		i++;
	check_preload();
	check_timers();
	check_memory_files();
	check_seccomp();
	if (i < argc)
		check_program(argv[i]);
	if (problems == 0)
		puts(i < argc ? "Nothing stands in the way." : "Nothing stands in the way here.");
	return problems ? 1 : 0;
}
