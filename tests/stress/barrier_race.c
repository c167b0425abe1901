// SPDX-License-Identifier: BSD-3-Clause
// The race of hazard 2 (docs/gc.md): a thread is stopped between a store's test of the barrier's flag and
// the store, and the store that it makes when it wakes up is not logged. The collector therefore marks
// what the slot in the thread's register holds. Here the window between test and store is made some ten
// microseconds wide, and both are shown: nothing is lost; with the handling turned off objects are.
//
// The clearer publishes a fresh object in a slot far down a list, forgets it, and clears the slot through
// the wide window. The reader takes it from the slot meanwhile. If t0 falls into the window, only the
// slot's old value tells the collector of the object: the reader's stack was read before it had it.
// Usage: stress_barrier_race [seconds].
#include <gort/mem.h>
#include <gort/sched.h>
#include <gort/time.h>

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MAGIC 0x5eedf00d5eedf00dull
#define KEEP 64
#define DEPTH 3000 // list nodes before the slot: the collector comes to it late

extern bool rt_gc_shade_registers; // gc/roots.c

struct thing {
	uint64_t magic;
	uint64_t pad[3];
};
struct node {
	struct node *next;
	struct thing *slot;
};

static struct node *list; // a root; the slot is in its last node
static _Atomic bool stop;
static _Atomic uint64_t lost, taken, published;

// gort_set(slot, NULL) with time between the two instructions.
static inline __attribute__((always_inline)) void
slow_clear(struct thing **slot)
{
#if defined(__x86_64__) && !defined(GORT_SET_BY_CALL_)
	__asm__ goto("cmpl $0, %0\n\tjne %l[marking]\n\t"
		     "movl $1000, %%ecx\n1:\tpause\n\tdecl %%ecx\n\tjnz 1b\n\t"
		     "movq $0, (%1)"
		     :
		     : "m"(gort_write_barrier_on), "r"(slot)
		     : "cc", "memory", "ecx"
		     : marking);
	return;
marking:
#endif
	gort_set_slow_(slot, NULL);
}

static __attribute__((noinline)) void
publish(struct node *n)
{
	struct thing *t = gort_new(struct thing);
	t->magic = MAGIC;
	gort_set(&n->slot, t);
	atomic_fetch_add_explicit(&published, 1, memory_order_relaxed);
}

// Nothing of what publish left on the stack or in a register may keep the object. (Nor may the address behind
// it, which the allocator has just computed.)
static __attribute__((noinline)) void
scrub(void)
{
	volatile char room[8192];
	for (size_t i = 0; i < sizeof room; i++)
		room[i] = 0;
#ifdef __x86_64__
	__asm__ volatile("xorl %%eax, %%eax\n\txorl %%ecx, %%ecx\n\txorl %%edx, %%edx\n\txorl %%esi, %%esi\n\t"
			 "xorl %%edi, %%edi\n\txorl %%r8d, %%r8d\n\txorl %%r9d, %%r9d\n\txorl %%r10d, %%r10d\n\t"
			 "xorl %%r11d, %%r11d"
			 :
			 :
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
#endif
}

static void
clearer(struct node *n)
{
	while (!atomic_load(&stop)) {
		publish(n);
		scrub();
		slow_clear(&n->slot);
	}
}

static void
reader(struct node *n)
{
	struct thing *kept[KEEP] = {0};
	struct thing *volatile *slot = &n->slot;
	for (unsigned i = 0; !atomic_load(&stop);) {
		struct thing *t = __atomic_load_n(slot, __ATOMIC_RELAXED);
		if (t && t != kept[(i + KEEP - 1) % KEEP]) {
			kept[i++ % KEEP] = t;
			atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
		}
		for (int k = 0; k < KEEP; k++)
			if (kept[k] && *(volatile uint64_t *)&kept[k]->magic != MAGIC) {
				atomic_fetch_add(&lost, 1);
				kept[k] = NULL;
			}
	}
}

// Collects until an object is lost or the time is over. Returns cycles.
static int
collect(double seconds)
{
	int64_t end = gort_nanotime() + (int64_t)(seconds * 1e9);
	int n = 0;
	for (; gort_nanotime() < end && atomic_load(&lost) == 0; n++) {
		gort_gc();
		gort_sleep(100000);
	}
	return n;
}

static int
app(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3;
	struct node *last = NULL;
	for (int i = 0; i < DEPTH; i++) {
		struct node *n = gort_new(struct node);
		n->next = list;
		list = n;
		if (!last)
			last = n;
	}
	gort_go(clearer, last);
	gort_go(reader, last);
	int n = 0; // on a machine that has other work, too, it takes some turns to see enough
	for (int turn = 0; turn < 10 && (n < 10 || atomic_load(&taken) < 100); turn++)
		n += collect(seconds);
	printf("with the slot marked: %d cycles, %lu published, %lu taken, %lu lost\n", n,
	       (unsigned long)published, (unsigned long)taken, (unsigned long)lost);
	if (atomic_load(&lost) || n < 10 || atomic_load(&taken) < 100)
		return 1;
#if defined(__x86_64__) && !defined(GORT_SET_BY_CALL_)
	rt_gc_shade_registers = false;
	n = collect(60);
	printf("without: %d cycles, %lu lost\n", n, (unsigned long)lost);
	if (atomic_load(&lost) == 0)
		return 1;
#endif
	atomic_store(&stop, true);
	return 0;
}

int
main(int argc, char **argv)
{
	setenv("GORT_DEBUG", "clobberfree=1", 1);
	setenv("GORT_MAXPROCS", "4", 1);
	return gort_run(app, argc, argv);
}
