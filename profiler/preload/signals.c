// SPDX-License-Identifier: BSD-3-Clause
// SIGPROF between us and the program. A program that resets all signals, or blocks them all, does not
// mean ours: it is told what it wants to hear. One that installs a handler of its own gets the signal,
// and one line says that CPU profiling ended there.
#include <dlfcn.h>
#include <signal.h>
#include <stddef.h>

#include <gort/base.h>

#include "preload/preload.h"
#include "sources/cpu.h"

typedef void (*handler_fn)(int);
static struct {
	int (*sigaction)(int, const struct sigaction *, struct sigaction *);
	handler_fn (*signal)(int, handler_fn);
	int (*sigprocmask)(int, const sigset_t *, sigset_t *);
	int (*pthread_sigmask)(int, const sigset_t *, sigset_t *);
} real;
static _Atomic bool ours;   // SIGPROF is in our hands
static struct sigaction seen; // what the program believes of SIGPROF

static void
resolve(void)
{
	if (rt_likely(__atomic_load_n(&real.sigaction, __ATOMIC_ACQUIRE)))
		return;
	*(void **)&real.signal = dlsym(RTLD_NEXT, "signal");
	*(void **)&real.sigprocmask = dlsym(RTLD_NEXT, "sigprocmask");
	*(void **)&real.pthread_sigmask = dlsym(RTLD_NEXT, "pthread_sigmask");
	__atomic_store_n((void **)&real.sigaction, dlsym(RTLD_NEXT, "sigaction"), __ATOMIC_RELEASE);
}

static bool
a_handler(const struct sigaction *sa)
{
	return sa->sa_handler != SIG_DFL && sa->sa_handler != SIG_IGN;
}

// A program that handles signals that come at any time has to expect EINTR; until it does we hide ours.
static void
note_handler(int sig)
{
	if (sig != SIGSEGV && sig != SIGBUS && sig != SIGFPE && sig != SIGILL && sig != SIGABRT &&
	    sig != SIGTRAP && sig != SIGSYS)
		rt_store(&rtp_restart_calls, false);
}

static void
give_up(void)
{
	rt_store(&ours, false);
	rtp_busy++;
	rtp_cpu_evict();
	rtp_busy--;
	preload_notice("the program has its own SIGPROF handler: no CPU profile from here on");
}

// Whether the program's wish about SIGPROF stays between it and us.
static bool
pretend(int sig, const struct sigaction *act, struct sigaction *old)
{
	if (sig != SIGPROF || rtp_busy || !rt_load(&ours))
		return false;
	struct sigaction before = seen;
	if (act && a_handler(act)) {
		give_up();
		real.sigaction(SIGPROF, act, NULL);
	} else if (act) {
		seen = *act;
	}
	if (old)
		*old = before;
	return true;
}

GORT_API int
sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	resolve();
	if (pretend(sig, act, old))
		return 0;
	int rc = real.sigaction(sig, act, old);
	if (rc == 0 && act && a_handler(act) && !rtp_busy)
		note_handler(sig);
	return rc;
}

GORT_API handler_fn
signal(int sig, handler_fn fn)
{
	struct sigaction act = { .sa_handler = fn, .sa_flags = SA_RESTART }, old;
	resolve();
	if (pretend(sig, &act, &old))
		return old.sa_handler;
	handler_fn before = real.signal(sig, fn);
	if (before != SIG_ERR && a_handler(&act))
		note_handler(sig);
	return before;
}

// The set without SIGPROF, where it would be added to the blocked ones.
static const sigset_t *
spare(int how, const sigset_t *set, sigset_t *copy)
{
	if (!set || how == SIG_UNBLOCK || rtp_busy || !rt_load(&ours) || !sigismember(set, SIGPROF))
		return set;
	*copy = *set;
	sigdelset(copy, SIGPROF);
	return copy;
}

GORT_API int
sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;
	resolve();
	return real.sigprocmask(how, spare(how, set, &copy), old);
}

GORT_API int
pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	sigset_t copy;
	resolve();
	return real.pthread_sigmask(how, spare(how, set, &copy), old);
}

void
preload_signals_start(void)
{
	resolve();
	rt_store(&rtp_restart_calls, true);
	rt_store(&ours, true);
}

void
preload_signals_check(void)
{
	struct sigaction now;
	if (rt_load(&ours) && rtp_cpu_active() && real.sigaction(SIGPROF, NULL, &now) == 0 &&
	    !rtp_cpu_handler_is(&now))
		give_up();
}
