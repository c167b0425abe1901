// SPDX-License-Identifier: BSD-3-Clause
// What one run of the CPU profiler's signal handler costs, without the kernel's part: the handler is called
// as the kernel calls it, again and again with the registers of one interrupted stack. What
// docs/profiling.md says of it comes from here. Prints the median of all batches.
//
// Usage: handler
#include <gort.h>
#include <gort/pprof.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/thread.h"
#include "sources/cpu.h"
#include "unwind/unwind.h"

#define BATCHES 401
#define BATCH 64 // records of 31 frames in a ring of 4096 words

#define NOINLINE __attribute__((noinline))

static void (*handler)(int, siginfo_t *, void *);
static siginfo_t tick;
// Volatile: libc declares that raise calls nothing of ours.
static volatile bool cold;
static const char *volatile label;

static int
ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static int64_t
batch(void *uc)
{
	int64_t ns = 0;
	rtp_drain();
	for (int i = 0; i < BATCH; i++) {
		if (cold)
			rtp_rules_forget();
		int64_t t = gort_nanotime();
		if (cold) {
			handler(SIGPROF, &tick, uc);
		} else {
			for (int k = 0; k < BATCH; k++)
				handler(SIGPROF, &tick, uc);
			i = BATCH;
		}
		ns += gort_nanotime() - t;
	}
	return ns;
}

// On the thread's signal stack, over the frames that are to be walked.
static void
measure(int sig, siginfo_t *si, void *uc)
{
	static int64_t ns[BATCHES];
	uint64_t lost = rt_load(&rtp_main_peek()->ring_full);
	(void)sig;
	(void)si;
	for (int i = 0; i < BATCHES; i++)
		ns[i] = batch(uc);
	if (rt_load(&rtp_main_peek()->ring_full) != lost)
		gort_panic("samples were lost: a full ring was measured");
	rtp_drain();
	const struct rtp_bucket *last = rtp_at(rtp_main_peek(), rt_load(&rtp_main_peek()->list[RTP_CPU]));
	qsort(ns, BATCHES, sizeof(*ns), ascending);
	printf("%-30s %2d frames %6.0f ns\n", label, last->npc, (double)ns[BATCHES / 2] / BATCH);
}

// Distinct functions, as in a program: each frame has a rule of its own.
static NOINLINE int
f0(int depth)
{
	raise(SIGUSR1);
	return depth;
}
#define LEVEL(n, m)                                                                                \
	static NOINLINE int f##n(int depth)                                                        \
	{                                                                                          \
		int r = f##m(depth + 1);                                                           \
		__asm__ volatile("" : "+r"(r)); /* no tail call */                                 \
		return r;                                                                          \
	}
LEVEL(1, 0) LEVEL(2, 1) LEVEL(3, 2) LEVEL(4, 3) LEVEL(5, 4) LEVEL(6, 5) LEVEL(7, 6) LEVEL(8, 7) LEVEL(9, 8)
LEVEL(10, 9) LEVEL(11, 10) LEVEL(12, 11) LEVEL(13, 12) LEVEL(14, 13) LEVEL(15, 14) LEVEL(16, 15) LEVEL(17, 16)
LEVEL(18, 17) LEVEL(19, 18) LEVEL(20, 19) LEVEL(21, 20) LEVEL(22, 21) LEVEL(23, 22) LEVEL(24, 23)

// Through libc, which distributions compile without frame pointers: msort, qsort_r and compare a level.
static int levels;

static int
compare(const void *a, const void *b)
{
	int v[2] = {2, 1};
	(void)a;
	(void)b;
	if (--levels <= 0)
		raise(SIGUSR1);
	else
		qsort(v, 2, sizeof(*v), compare);
	return 0;
}

static void
through_libc(int n)
{
	int v[2] = {2, 1};
	levels = n;
	qsort(v, 2, sizeof(*v), compare);
}

static void
prepare(void)
{
	struct sigaction prof, usr = {.sa_sigaction = measure, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	if (gort_pprof_start_cpu(open("/dev/null", O_WRONLY | O_CLOEXEC), 1) != 0)
		gort_panic("the CPU profile does not start");
	sigaction(SIGPROF, NULL, &prof);
	handler = prof.sa_sigaction;
	tick.si_code = SI_TIMER;
	tick.si_value.sival_ptr = rtp_thread_self();
	sigemptyset(&usr.sa_mask);
	sigaddset(&usr.sa_mask, SIGPROF); // a ring has one writer
	sigaction(SIGUSR1, &usr, NULL);
}

static int
app(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	gort_lock_os_thread();
	prepare();
	for (int c = 0; c < 2; c++) {
		cold = c;
		label = c ? "rules not cached" : "with frame pointers";
		f24(0);
		label = c ? "through libc, rules not cached" : "through libc";
		through_libc(8);
	}
	cold = false;
	label = "a short stack";
	f0(0);
	gort_pprof_stop_cpu();
	return 0;
}
GORT_MAIN(app)
