// SPDX-License-Identifier: BSD-3-Clause
// Signals of the runtime: SIGURG stops and preempts (sched/stw.c), SIGSEGV, SIGBUS and SIGFPE end the
// program with Go's words. Handlers run on the M's own signal stack; a goroutine's may be used up.
//
// SIGURG, as in Go: programs seldom use it, it is ignored by default, and libc does not.
// A handler that the program had installed before gort_run for one of the fatal signals is left alone.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/print.h"
#include "debug/throw.h"
#include "debug/traceback.h"
#include "os/os.h"
#include "sched/sched.h"
#include "sched/stack.h"

#define SIGNAL_STACK ((size_t)128 << 10)

static sigset_t initial_mask; // of the thread that called gort_run; every M gets it

// The thread's own increments, which are not atomic, may overwrite it: lost, then, but nothing else is.
void
rt_hint_m(struct m *mp)
{
	struct rt_tls *tls = __atomic_load_n(&mp->tls, __ATOMIC_ACQUIRE);
	if (tls)
		__atomic_fetch_or(&tls->depth, RT_DEPTH_PENDING, __ATOMIC_RELAXED);
}

// TSan delivers a signal only at a call that it intercepts, long after and with a stale context: there
// it is a hint, and whoever asks asks again.
void
rt_signal_m(struct m *mp)
{
#if RT_TSAN
	rt_hint_m(mp);
#else
	if (mp->tid)
		syscall(SYS_tgkill, getpid(), mp->tid, SIGURG);
#endif
}

// Depth 0: between two instructions of user code, no lock of the runtime held; a P, or detached.
static void
interrupt_user_code(struct m *mp, void *uc)
{
	struct g *gp = mp->curg;
	bool pending = mp->p == NULL;
	rt_tls_set_depth(1);
	if (rt_load(&sched.gcwaiting))
		rt_stop_here(uc);
	if (mp->p && gp && rt_load(&gp->preempt)) {
		pending = true; // at its next call into the runtime
		if (rt_load(&gp->detach) && rt_detach(mp))
			rt_store(&gp->detach, false);
	}
	rt_tls_set_depth(pending ? RT_DEPTH_PENDING : 0);
}

static void
on_stop(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)si;
	int saved = errno;
	struct m *mp = rt_getm();
	if (mp) {
		rt_store(&mp->nsignals, rt_load(&mp->nsignals) + 1);
		if (rt_depth() > 0)
			rt_tls_note_request();
		else if (mp->p || mp->detached)
			interrupt_user_code(mp, uc);
	}
	errno = saved;
}

static const char *
signal_text(int sig)
{
	switch (sig) {
	case SIGSEGV:
		return "SIGSEGV: segmentation violation";
	case SIGBUS:
		return "SIGBUS: bus error";
	case SIGFPE:
		return "SIGFPE: floating-point exception";
	default:
		return "SIGQUIT: quit";
	}
}

// What somebody has sent: what every goroutine does, then the end.
static void
on_quit(int sig, siginfo_t *si, void *uc)
{
	struct m *mp = rt_getm();
	rt_panic_begin();
	rt_printf("%s\nPC=0x%lx m=%ld sigcode=%d\n\n", signal_text(sig), rt_uc_pc(uc), mp ? mp->id : 0,
		  si->si_code);
	rt_dump_end(uc);
}

// The pages below this address are never mapped: a null pointer, or a field behind one.
#define NULL_PAGE 4096

static void
on_fault(int sig, siginfo_t *si, void *uc)
{
	if (si->si_code <= 0) // by kill(2) and the like
		on_quit(sig, si, uc);
	uintptr_t addr = (uintptr_t)si->si_addr;
	size_t stack = sig == SIGSEGV ? rt_stack_guard_hit(addr) : 0;
	bool unmapped = sig == SIGBUS ? si->si_code == BUS_ADRERR
				      : si->si_code == SEGV_MAPERR || si->si_code == SEGV_ACCERR;
	const char *text = "invalid memory address or nil pointer dereference";
	rt_panic_begin();
	if (stack) {
		rt_printf("runtime: goroutine stack exceeds %zu-byte limit\n", stack);
		rt_printf("fatal error: stack overflow\n\n");
		rt_dump_end(uc);
	}
	if (sig == SIGFPE)
		text = si->si_code == FPE_INTDIV ? "integer divide by zero" : "floating point error";
	bool panic = sig == SIGFPE || (unmapped && addr < NULL_PAGE);
	if (panic)
		rt_printf("panic: runtime error: %s\n", text);
	else
		rt_printf("unexpected fault address 0x%lx\nfatal error: fault\n", addr);
	rt_printf("[signal %s code=0x%x addr=0x%lx pc=0x%lx]\n\n", signal_text(sig), si->si_code, addr,
		  rt_uc_pc(uc));
	if (panic)
		rt_panic_end(uc);
	rt_dump_end(uc);
}

static void
install(int sig, void (*fn)(int, siginfo_t *, void *), bool keep_existing)
{
	struct sigaction old, sa = {.sa_sigaction = fn,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	// A handler, that is: a shell starts background jobs with SIGQUIT ignored, which Go overrides, too.
	if (keep_existing && sigaction(sig, NULL, &old) == 0 &&
	    ((old.sa_flags & SA_SIGINFO) || (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)))
		return;
	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGURG);
	sigaddset(&sa.sa_mask, SIGPROF);
	sigaction(sig, &sa, NULL);
}

void
rt_siginit(void)
{
	install(SIGURG, on_stop, false);
	install(SIGQUIT, on_quit, true);
#if !RT_ASAN && !RT_TSAN
	// The sanitizers report faults themselves, with more to say.
	install(SIGSEGV, on_fault, true);
	install(SIGBUS, on_fault, true);
	install(SIGFPE, on_fault, true);
#else
	(void)on_fault;
#endif
}

// The signal stack of a thread that becomes an M; then SIGURG and the rest may come.
void
rt_msiginit(struct m *mp)
{
	mp->sigstack_size = SIGNAL_STACK;
	mp->sigstack = rt_os_alloc(SIGNAL_STACK);
	if (!mp->sigstack)
		rt_fatal("runtime: cannot allocate a signal stack");
	stack_t ss = {.ss_sp = mp->sigstack, .ss_size = SIGNAL_STACK};
	sigaltstack(&ss, NULL);
	if (mp == &m0)
		pthread_sigmask(SIG_SETMASK, NULL, &initial_mask);
	sigdelset(&initial_mask, SIGURG);
	pthread_sigmask(SIG_SETMASK, &initial_mask, NULL);
}
