// SPDX-License-Identifier: BSD-3-Clause
// Three unwinders, each checked against the next: our rows, frame pointers, libunwind.
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/thread.h"
#include "unwind/modules.h"
#include "unwind/unwind.h"

TestSuite(unwind, .timeout = 30);

static uintptr_t rows[128], fps[128];
static void *lib[128];
static int nrows, nfps, nlib;
static int (*unw_backtrace)(void **, int);

static void
prepare(void)
{
	void *h = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	cr_assert_not_null(h, "%s", dlerror());
	*(void **)&unw_backtrace = dlsym(h, "unw_backtrace");
	cr_assert_not_null(unw_backtrace);
	rtp_modules_refresh(rtp_main());
	rtp_thread_self();
}

static int
walk_from(const struct rtp_regs *r, uintptr_t *pcs, int max, bool no_rows, const void *uc)
{
	struct rtp_stack_ctx ctx = { rtp_thread_self(), uc };
	struct rtp_walk w = { .r = *r, .exact = true, .stack_of = rtp_stack_of, .arg = &ctx,
			      .no_rows = no_rows };
	rtp_stack_of(r->sp, &w.lo, &w.hi, &ctx);
	return rtp_unwind(&w, pcs, max, 0);
}

__attribute__((noinline)) static int
capture(int depth)
{
	if (depth > 0) {
		int n = capture(depth - 1);
		__asm__ volatile("" : "+r"(n)); // no tail call
		return n;
	}
	struct rtp_regs r;
	rtp_regs_here(&r);
	nrows = walk_from(&r, rows, 128, false, NULL);
	nfps = walk_from(&r, fps, 128, true, NULL);
	nlib = unw_backtrace(lib, 128);
	return nrows;
}

// The frames of capture itself, which is compiled with a frame pointer. Beyond lies code without.
Test(unwind, rows_equal_libunwind_and_frame_pointers)
{
	prepare();
	capture(30);
	cr_assert_geq(nrows, 32);
	cr_assert_eq(nrows, nlib, "rows %d frames, libunwind %d", nrows, nlib);
	for (int i = 1; i < nrows; i++) // the innermost frame's pcs differ
		cr_assert_eq(rows[i], (uintptr_t)lib[i] - 1, "frame %d", i);
	cr_assert_geq(nfps, 31);
	for (int i = 1; i < 31; i++)
		cr_assert_eq(fps[i], rows[i], "frame %d", i);
}

static int
compare(const void *a, const void *b)
{
	if (nrows == 0)
		capture(2);
	return *(const int *)a - *(const int *)b;
}

// Through libc, which Debian compiles without frame pointers.
Test(unwind, rows_cross_libc)
{
	prepare();
	int v[] = { 3, 1, 2 };
	qsort(v, 3, sizeof(*v), compare);
	cr_assert_eq(nrows, nlib);
	for (int i = 1; i < nrows; i++)
		cr_assert_eq(rows[i], (uintptr_t)lib[i] - 1, "frame %d", i);
	cr_assert_lt(nfps, nrows, "frame pointers alone do not get through");
}

static volatile sig_atomic_t seen;

static void
on_signal(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)si;
	struct rtp_regs here, there;
	rtp_regs_here(&here);
	rtp_regs_from_uc(&there, uc);
	nrows = walk_from(&here, rows, 128, false, uc);
	nfps = walk_from(&there, fps, 128, false, uc);
	seen = 1;
}

// From inside a handler on another stack, over the signal frame, to main; and from the interrupted
// context. The second is the tail of the first.
Test(unwind, rows_cross_a_signal_frame_to_another_stack)
{
	prepare();
	stack_t ss = { .ss_sp = malloc(65536), .ss_size = 65536 };
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	sigaltstack(&ss, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	cr_assert(seen);
	cr_assert_gt(nfps, 4);
	cr_assert_eq(nrows, nfps + 2, "the handler and the trampoline: %d, %d", nrows, nfps);
	cr_assert_eq(memcmp(rows + 2, fps, (size_t)nfps * sizeof(*fps)), 0);
	void *stack = ss.ss_sp;
	ss = (stack_t){ .ss_flags = SS_DISABLE };
	sigaltstack(&ss, NULL);
	free(stack);
}

Test(unwind, depth_is_bounded_and_marked)
{
	prepare();
	capture(5);
	struct rtp_regs r;
	uintptr_t pcs[4];
	rtp_regs_here(&r);
	struct rtp_stack_ctx ctx = { rtp_thread_self(), NULL };
	struct rtp_walk w = { .r = r, .exact = true, .stack_of = rtp_stack_of, .arg = &ctx };
	rtp_stack_of(r.sp, &w.lo, &w.hi, &ctx);
	cr_assert_eq(rtp_unwind(&w, pcs, 4, 0), 4);
	cr_assert(w.truncated);
	cr_assert_eq(pcs[3], RTP_PC_TRUNCATED);
}

static uint64_t
next(uint64_t *s)
{
	*s = *s * 6364136223846793005u + 1442695040888963407u;
	return *s >> 11;
}

#define FUZZ_STACK 4096

// Changes eight words of a stack, to plausible and implausible ones.
static void
scramble(uintptr_t *stack, uint64_t *seed)
{
	uintptr_t code = (uintptr_t)capture, libc = (uintptr_t)qsort;
	for (int k = 0; k < 8; k++) {
		uintptr_t v = next(seed), where = next(seed) % (FUZZ_STACK / 8);
		switch (next(seed) % 5) {
		case 0:
			v = (uintptr_t)stack + v % 5000;
			break;
		case 1:
			v = code + v % 4096;
			break;
		case 2:
			v = libc + v % 100000;
			break;
		case 3:
			v = (uintptr_t)stack + v % 4096 / 8 * 8;
			break;
		}
		stack[where] = v;
	}
}

static struct rtp_regs
scrambled_regs(const uintptr_t *stack, int round, uint64_t *seed)
{
	size_t n = FUZZ_STACK / 8;
	struct rtp_regs r = { stack[next(seed) % n], (uintptr_t)stack + next(seed) % 4200, stack[next(seed) % n] };
	if (round % 2)
		r.pc = (uintptr_t)(round % 4 == 1 ? (void *)capture : (void *)qsort) + next(seed) % 2000;
	return r;
}

// Random registers: never a crash, never beyond max. The memory around the stack is unmapped by
// sanitizers' and mmap's guard.
Test(unwind, fuzzed_registers_and_stacks_never_crash)
{
	prepare();
	uint64_t seed = 12345;
	uintptr_t *stack = aligned_alloc(4096, FUZZ_STACK);
	int frames = 0;
	for (int round = 0; round < 200000; round++) {
		scramble(stack, &seed);
		uintptr_t pcs[64];
		struct rtp_walk w = { .r = scrambled_regs(stack, round, &seed), .exact = round % 3 != 0,
				      .lo = (uintptr_t)stack, .hi = (uintptr_t)stack + FUZZ_STACK };
		int k = rtp_unwind(&w, pcs, 64, 0);
		cr_assert_leq(k, 64);
		frames += k > 1;
	}
	cr_assert_gt(frames, 1000, "the walks went somewhere: %d", frames);
	free(stack);
}

// Fails where nothing is mapped.
static bool
read_self(uintptr_t at, void *to, size_t n, void *arg)
{
	(void)arg;
	struct iovec here = { to, n }, there = { (void *)at, n };
	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)n;
}

// As another thread's stack is walked, whose frame pointer nobody knows: it is looked for among random words,
// behind calls that random return addresses would return from.
Test(unwind, fuzzed_stacks_of_others_never_crash)
{
	prepare();
	uint64_t seed = 54321;
	uintptr_t *stack = aligned_alloc(4096, FUZZ_STACK);
	int frames = 0;
	for (int round = 0; round < 3000; round++) {
		scramble(stack, &seed);
		uintptr_t pcs[64];
		struct rtp_walk w = { .r = scrambled_regs(stack, round, &seed), .exact = round % 3 != 0,
				      .lo = (uintptr_t)stack, .hi = (uintptr_t)stack + FUZZ_STACK,
				      .read = read_self, .no_fp = true };
		int k = rtp_unwind(&w, pcs, 64, 0);
		cr_assert_leq(k, 64);
		frames += k > 1;
	}
	// How many depends on the code that lies behind capture in this build: 69 with ASan once.
	cr_assert_gt(frames, 20, "the walks went somewhere: %d", frames);
	free(stack);
}

Test(unwind, table_follows_dlopen_and_dlclose)
{
	prepare();
	unsigned token;
	for (int i = 0; i < 5; i++) {
		void *h = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
		void *m = dlopen("libelf.so.1", RTLD_NOW | RTLD_LOCAL);
		cr_assert_not_null(m);
		uintptr_t pc = (uintptr_t)dlsym(m, "elf_begin");
		rtp_modules_refresh(rtp_main());
		const struct rtp_module *mod = rtp_module_of(rtp_modules_enter(&token), pc);
		rtp_modules_leave(token);
		cr_assert_not_null(mod);
		cr_assert_gt(mod->rows.n, 100);
		dlclose(m);
		dlclose(h);
		rtp_modules_refresh(rtp_main());
	}
}
