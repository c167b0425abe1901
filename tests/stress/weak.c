// SPDX-License-Identifier: BSD-3-Clause
// Weak pointers made strong while marking, sweeping and finalizers are about. Objects are mostly held by
// weak handles only; goroutines revive them at random moments, check them and all they point to, and hang
// them into strong structures again. One that was freed although it had been made strong is overwritten
// (clobberfree) and fails its sum. Each cleanup runs at most once, and after its object has gone.
#include <gort/mem.h>

#include <stdatomic.h>

#include "stress.h"

#define WORKERS 8
#define SLOTS 512

struct box {
	struct box *kid[2];
	uint64_t id, sum;
	_Atomic int *gone; // raised by its cleanup
	char pad[64];
};

// Shared by all goroutines, in the heap: words are atomic, so a reader sees one of the handles.
struct table {
	gort_weak *weak[SLOTS];
	struct box *strong[SLOTS];
};
static struct table *table;
static _Atomic int done;
static _Atomic uint64_t made, revived, cleared, cleaned, twice;

static void
cleanup(void *arg)
{
	_Atomic int *gone = arg;
	if (atomic_fetch_add(gone, 1) != 0)
		atomic_fetch_add(&twice, 1);
	atomic_fetch_add(&cleaned, 1);
}

static struct box *
make(struct rng *r)
{
	struct box *b = gort_new(struct box);
	b->id = r->s;
	b->sum = ~b->id;
	gort_set(&b->gone, (_Atomic int *)gort_new(int));
	gort_add_cleanup(b, cleanup, (void *)b->gone);
	atomic_fetch_add(&made, 1);
	return b;
}

static void
check(const struct box *b, int depth)
{
	if (!b)
		return;
	STRESS_CHECK(b->sum == ~b->id, "object %llx was freed", (unsigned long long)b->id);
	STRESS_CHECK(atomic_load(b->gone) == 0, "object %llx was cleaned up",
		     (unsigned long long)b->id);
	for (int k = 0; k < 2 && depth > 0; k++)
		check(__atomic_load_n(&b->kid[k], __ATOMIC_RELAXED), depth - 1);
}

static gort_weak *
any_weak(struct rng *r)
{
	return __atomic_load_n(&table->weak[rng_below(r, SLOTS)], __ATOMIC_RELAXED);
}

static void
step(struct rng *r, struct box **mine)
{
	struct box *b = gort_weak_value(any_weak(r));
	if (b) {
		atomic_fetch_add(&revived, 1);
		check(b, 3);
		STRESS_CHECK(gort_weak_value(gort_weak_make(b)) == b, "handle of a live object");
	} else {
		atomic_fetch_add(&cleared, 1);
		b = make(r);
		gort_set(&table->weak[rng_below(r, SLOTS)], gort_weak_make(b));
	}
	switch (rng_below(r, 6)) {
	case 0: // into a structure that is black perhaps
		gort_set(&table->strong[rng_below(r, SLOTS / 8)], b);
		break;
	case 1:
		gort_set(&b->kid[rng_below(r, 2)], make(r));
		break;
	case 2: // onto a stack that has been read
		*mine = b;
		break;
	case 3:
		gort_set(&table->strong[rng_below(r, SLOTS / 8)], NULL);
		break;
	case 4:
		gort_set(&b->kid[rng_below(r, 2)], gort_weak_value(any_weak(r)));
		break;
	}
}

static void
worker(uint64_t id)
{
	struct rng r = rng_for(id);
	struct box *mine = NULL;
	while (stress_time_left()) {
		for (int i = 0; i < 100; i++) {
			step(&r, &mine);
			check(mine, 3);
		}
		if (rng_below(&r, 8) == 0)
			mine = NULL;
		gort_gosched();
	}
	atomic_fetch_add(&done, 1);
}

static int
app(int argc, char **argv)
{
	stress_begin(argc, argv);
	gort_set_gc_percent(10);
	table = gort_new(struct table);
	for (uint64_t i = 0; i < WORKERS; i++)
		gort_go(worker, i);
	while (atomic_load(&done) < WORKERS)
		gort_gc();
	gort_mem_stats s;
	gort_read_mem_stats(&s);
	printf("%llu made, %llu revived, %llu found cleared, %llu cleaned up, %u collections\n",
	       (unsigned long long)made, (unsigned long long)revived, (unsigned long long)cleared,
	       (unsigned long long)cleaned, s.num_gc);
	STRESS_CHECK(twice == 0 && cleaned <= made, "cleanups ran twice");
	STRESS_CHECK(revived > 100 && cleared > 100 && cleaned > 100, "nothing much happened");
	return 0;
}

int
main(int argc, char **argv)
{
	setenv("GORT_DEBUG", "clobberfree=1", 0);
	return gort_run(app, argc, argv);
}
