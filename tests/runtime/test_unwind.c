// SPDX-License-Identifier: BSD-3-Clause
// runtime/debug/unwind.c against libgcc's unwinder, which every exception relies on.
#include <criterion/criterion.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include "debug/traceback.h"
#include "debug/unwind.h"

#define MAX 64
static uintptr_t libgcc[MAX], ours[MAX];
static int nlibgcc, nours;

static _Unwind_Reason_Code
collect(struct _Unwind_Context *c, void *arg)
{
	(void)arg;
	if (nlibgcc < MAX)
		libgcc[nlibgcc++] = _Unwind_GetIP(c);
	return _URC_NO_REASON;
}

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)si;
	struct rt_unwind u;
	rt_unwind_from_uc(&u, uc);
	uintptr_t sp = u.reg[RT_DW_SP];
	rt_unwind_bounds(&u, sp, sp + 65536);
	do
		ours[nours++] = u.reg[RT_DW_PC];
	while (nours < MAX && rt_unwind_step(&u));
	_Unwind_Backtrace(collect, NULL);
}

static __attribute__((noinline)) int
leaf(int x)
{
	raise(SIGUSR1);
	return x + 1;
}

static __attribute__((noinline)) int
recurse(int n, double *sum)
{
	char pad[100];
	memset(pad, n, sizeof pad);
	__asm__ volatile("" : : "r"(pad) : "memory");
	*sum += n;
	return n == 0 ? leaf(n) : recurse(n - 1, sum) + pad[5];
}

static int
compare(const void *a, const void *b)
{
	double sum = 0;
	recurse(3, &sum);
	return *(const int *)a - *(const int *)b;
}

// Our walk starts at the interrupted instruction, libgcc's in the handler: its tail must be ours.
static void
expect_same_tail(void)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, NULL);
	int v[2] = {2, 1};
	qsort(v, 2, sizeof v[0], compare); // frames of libc, too
	cr_assert_gt(nours, 8);
	int at = 0;
	while (at < nlibgcc && libgcc[at] != ours[0])
		at++;
	cr_assert_lt(at, nlibgcc, "the interrupted pc is not in libgcc's walk");
	for (int i = 0; i < nours && at + i < nlibgcc && libgcc[at + i]; i++) // 0: its end mark
		cr_assert_eq(ours[i], libgcc[at + i], "frame %d: %lx, libgcc has %lx", i, ours[i],
			     libgcc[at + i]);
}

Test(unwind, agrees_with_libgcc_from_a_signal_through_libc_frames)
{
	expect_same_tail();
}

Test(unwind, stops_at_memory_it_may_not_read)
{
	struct rt_unwind u = {0};
	u.reg[RT_DW_PC] = (uintptr_t)leaf + 4;
	u.reg[RT_DW_SP] = 0x1000;
	u.reg[RT_DW_FP] = 0x2000;
	u.known = 1u << RT_DW_PC | 1u << RT_DW_SP | 1u << RT_DW_FP;
	rt_unwind_bounds(&u, 0x10000, 0x20000);
	cr_assert_not(rt_unwind_step(&u));
}

// Whatever the registers and the stack hold, a walk ends and reads nothing outside its bounds.
Test(unwind, survives_random_stacks)
{
	static uintptr_t stack[512];
	srand(42);
	for (int round = 0; round < 20000; round++) {
		uintptr_t base = (uintptr_t)stack;
		for (size_t i = 0; i < 512; i++)
			switch (rand() % 4) {
			case 0:
				stack[i] = (uintptr_t)leaf + (unsigned)rand() % 400;
				break;
			case 1:
				stack[i] = base + (unsigned)rand() % sizeof stack;
				break;
			case 2:
				stack[i] = (uintptr_t)qsort + (unsigned)rand() % 4096;
				break;
			default:
				stack[i] = (uintptr_t)rand() << 20 ^ (uintptr_t)rand();
			}
		struct rt_unwind u = {.known = (1u << RT_DW_REGS) - 1, .exact = rand() & 1};
		for (int r = 0; r < RT_DW_REGS; r++)
			u.reg[r] = stack[rand() % 512];
		u.reg[RT_DW_SP] = base + (unsigned)rand() % sizeof stack;
		rt_unwind_bounds(&u, base, base + sizeof stack);
		for (int i = 0; i < 200 && rt_unwind_step(&u); i++)
			;
	}
}

Test(unwind, names_functions_static_ones_too)
{
	uintptr_t start;
	const char *path, *name = rt_symbol((uintptr_t)recurse + 3, &start, &path);
	cr_assert_not_null(name);
	cr_assert_str_eq(name, "recurse");
	cr_assert_eq(start, (uintptr_t)recurse);
	cr_assert_null(rt_symbol(16, &start, &path));
}
