// SPDX-License-Identifier: BSD-3-Clause
// The ways to fail for good; contracts in throw.h and traceback.h.
#include "debug/throw.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <gort/sched.h>

#include "base/print.h"
#include "debug/env.h"
#include "debug/traceback.h"
#include "os/os.h"
#include "sched/proc.h"

static _Atomic int panicking_tid;

void
rt_panic_begin(void)
{
	int none = 0, me = rt_os_gettid();
	rt_enter(); // a stop must not catch this thread half-way through its report
	if (!atomic_compare_exchange_strong(&panicking_tid, &none, me)) {
		if (none == me)
			_exit(2); // failed while reporting
		for (;;)
			pause();
	}
	rt_store(&sched.dying, true);
	if (ftrylockfile(stdout) == 0) {
		fflush_unlocked(stdout);
		funlockfile(stdout);
	}
}

// all: print every goroutine at any level but none, as Go does for fatal errors.
static _Noreturn void
finish(const void *uc, bool all)
{
	if (rt_traceback_level >= RT_TRACEBACK_SINGLE) {
		rt_traceback_current(uc);
		if (all || rt_traceback_level >= RT_TRACEBACK_ALL)
			rt_traceback_others();
	}
	if (rt_traceback_level == RT_TRACEBACK_CRASH) {
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	_exit(2);
}

void
rt_panic_end(const void *uc)
{
	finish(uc, false);
}

void
rt_dump_end(const void *uc)
{
	finish(uc, true);
}

static _Noreturn void
fail(const char *kind, bool all, const char *fmt, va_list ap)
{
	char text[1024];
	rt_panic_begin();
	rt_vsnprintf(text, sizeof text, fmt, ap);
	rt_printf("%s%s\n\n", kind, text);
	finish(NULL, all);
}

// A variadic function for each: rt_ inside, gort_ for users.
#define FAILS(name, kind, all)                                                                     \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		fail(kind, all, fmt, ap);                                                          \
	}
FAILS(rt_panic, "panic: ", false)
FAILS(gort_panic, "panic: ", false)
FAILS(rt_fatal, "fatal error: ", true)
FAILS(gort_fatal, "fatal error: ", true)

void
rt_throw(const char *text)
{
	rt_panic_begin();
	rt_printf("fatal error: %s\n[this is a bug in gort, or memory of the runtime was overwritten]\n\n",
		  text);
	finish(NULL, true);
}
