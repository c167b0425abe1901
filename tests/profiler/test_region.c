// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "base/rand.h"
#include "core/labels.h"
#include "core/region.h"
#include "encode/profile.h"

TestSuite(region, .timeout = 10);

Test(region, equal_stacks_share_a_bucket)
{
	struct rtp_region *r = rtp_region_new(16 << 20);
	uintptr_t a[] = { 10, 20, 30 }, b[] = { 10, 20, 31 };
	struct rtp_bucket *x = rtp_bucket(r, RTP_CPU, 0, a, 3);
	cr_assert_eq(x, rtp_bucket(r, RTP_CPU, 0, a, 3));
	cr_assert_neq(x, rtp_bucket(r, RTP_CPU, 0, b, 3), "another stack");
	cr_assert_neq(x, rtp_bucket(r, RTP_CPU, 1, a, 3), "other labels");
	cr_assert_neq(x, rtp_bucket(r, RTP_MUTEX, 0, a, 3), "another kind");
	cr_assert_neq(x, rtp_bucket(r, RTP_CPU, 0, a, 2), "another depth");
	cr_assert_eq(r->nbuckets[RTP_CPU], 4);
	cr_assert_eq(r->nbuckets[RTP_MUTEX], 1);
	cr_assert_eq(memcmp(rtp_bucket_pcs(x), a, sizeof(a)), 0);
	rtp_region_free(r);
}

Test(region, full_region_counts_what_it_loses)
{
	struct rtp_region *r = rtp_region_new(4 << 20);
	uintptr_t pcs[64] = { 0 };
	int made = 0;
	for (; made < 100000; made++) {
		pcs[0] = (uintptr_t)made + 1;
		if (!rtp_bucket(r, RTP_CPU, 0, pcs, 64))
			break;
	}
	cr_assert_lt(made, 100000);
	cr_assert_gt(made, 1000);
	cr_assert_eq(r->no_memory[RTP_CPU], 1);
	pcs[0] = 1;
	cr_assert_not_null(rtp_bucket(r, RTP_CPU, 0, pcs, 64), "known stacks still count");
	rtp_region_free(r);
}

enum { THREADS = 4, ROUNDS = 50000, STACKS = 500 };

static void *
insert(void *arg)
{
	struct rtp_region *r = arg;
	for (int i = 0; i < ROUNDS; i++) {
		uintptr_t pcs[2] = { (uintptr_t)(i % STACKS) + 1, 7 };
		rtp_add(&rtp_bucket(r, RTP_CPU, 0, pcs, 2)->v[RTP_CPU_COUNT], 1);
	}
	return NULL;
}

Test(region, concurrent_insertion_loses_and_doubles_nothing)
{
	struct rtp_region *r = rtp_region_new(64 << 20);
	pthread_t th[THREADS];
	for (int i = 0; i < THREADS; i++)
		pthread_create(&th[i], NULL, insert, r);
	for (int i = 0; i < THREADS; i++)
		pthread_join(th[i], NULL);
	uint64_t total = 0;
	int n = 0;
	rtp_for_buckets(b, r, RTP_CPU) {
		cr_assert_eq(b->v[RTP_CPU_COUNT], THREADS * ROUNDS / STACKS);
		total += b->v[RTP_CPU_COUNT];
		n++;
	}
	cr_assert_eq(n, STACKS);
	cr_assert_eq(total, (uint64_t)THREADS * ROUNDS);
	rtp_region_free(r);
}

struct counter {
	struct rtp_region *r;
	uint64_t owner;
};

static void *
count_locks(void *arg)
{
	const struct counter *c = arg;
	for (int i = 0; i < ROUNDS; i++) {
		uintptr_t pcs[2] = { (uintptr_t)(i % 10) + 1, 7 };
		struct rtp_cell *cell = rtp_cell(c->r, rtp_bucket(c->r, RTP_BLOCK, 0, pcs, 2), c->owner);
		rt_store(&cell->v[RTP_LOCK_TICKS], rt_load(&cell->v[RTP_LOCK_TICKS]) + 1);
	}
	return NULL;
}

Test(region, cells_of_several_threads_add_up_and_only_grow)
{
	struct rtp_region *r = rtp_region_new(64 << 20);
	struct counter c[THREADS];
	pthread_t th[THREADS];
	uint64_t last = 0, total;
	for (int i = 0; i < THREADS; i++) {
		c[i] = (struct counter){ r, (uint64_t)i + 1 };
		pthread_create(&th[i], NULL, count_locks, &c[i]);
	}
	do {
		total = 0;
		rtp_for_buckets(b, r, RTP_BLOCK)
			total += rtp_count(r, b, RTP_LOCK_TICKS);
		cr_assert_geq(total, last);
		last = total;
	} while (total < (uint64_t)THREADS * ROUNDS);
	for (int i = 0; i < THREADS; i++)
		pthread_join(th[i], NULL);
	rtp_for_buckets(b, r, RTP_BLOCK) {
		uintptr_t cells = 0;
		cr_assert_eq(rtp_count(r, b, RTP_LOCK_TICKS), THREADS * ROUNDS / 10);
		for (struct rtp_cell *x = rtp_at(r, rt_load(&b->cells)); x; x = rtp_at(r, x->next))
			cells++;
		cr_assert_eq(cells, THREADS);
	}
	rtp_region_free(r);
}

// A process that died may have written anywhere: what rtp_region_sound lets through can be written out.
static void
fill(struct rtp_region *r)
{
	for (uintptr_t i = 1; i <= 50; i++) {
		uintptr_t pcs[] = { 0x1000 * i, 0x2000 * i, 0x3000 };
		struct rtp_label l = { "thread", "somebody" };
		uint64_t labels = rtp_off(r, rtp_labels_with(r, NULL, &l, 1));
		rtp_add(&rtp_bucket(r, RTP_CPU, labels, pcs, 3)->v[RTP_CPU_COUNT], i);
		rtp_add(&rtp_bucket(r, RTP_HEAP, 64 * i, pcs, 2)->v[RTP_ALLOCS], i);
		rtp_add(&rtp_cell(r, rtp_bucket(r, RTP_BLOCK, 0, pcs, 3), 1)->v[RTP_LOCK_TICKS], i);
	}
	struct rtp_mapping *m = rtp_alloc(r, sizeof(*m));
	char *path = rtp_alloc(r, 16);
	strcpy(path, "/bin/true");
	m->lo = 0x1000;
	m->hi = 0x100000;
	m->path = rtp_off(r, path);
	rt_store(&r->mappings, rtp_off(r, m));
}

static void
write_out(struct rtp_region *r)
{
	int fd = open("/dev/null", O_WRONLY);
	for (int k = 0; k <= RTP_MUTEX; k++) {
		struct rtp_profile_args a = { .kind = (enum rtp_kind)k, .name = "x" };
		struct rtp_out *o = rtp_out_new(fd, true);
		rtp_profile_write(r, &a, o);
		rtp_out_close(o);
	}
	close(fd);
}

Test(region, a_damaged_one_is_refused_or_harmless, .timeout = 60)
{
	int fd, refused = 0, rounds = 400;
	uint64_t seed = 1;
	struct rtp_region *good = rtp_region_shared(8 << 20, &fd);
	cr_assert_not_null(good);
	fill(good);
	cr_assert(rtp_region_sound(good));
	struct rtp_region *other = rtp_region_attach(fd);
	cr_assert_not_null(other, "what one process shares another can map");
	cr_assert_eq(rt_load(&other->nbuckets[RTP_CPU]), 50);
	rtp_region_free(other);
	uint64_t used = rt_load(&good->used);
	char *copy = malloc(used);
	memcpy(copy, good, used);
	for (int i = 0; i < rounds; i++) {
		memcpy(good, copy, used);
		for (int k = 0; k < 8; k++) {
			// Behind the hash table, or in it, or in the lists' heads.
			uint64_t r = rt_rand_next(&seed), at = r % 3 ? sizeof(*good) + r % (used - sizeof(*good)) : 64 + r % 400;
			((char *)good)[at] ^= (char)(1 + rt_rand_next(&seed) % 255);
		}
		good->size = 8 << 20; // attach has seen to that
		good->mappings_of = NULL;
		if (rtp_region_sound(good))
			write_out(good);
		else
			refused++;
	}
	cr_assert(refused > rounds / 20 && refused < rounds, "%d of %d refused", refused, rounds);
	free(copy);
	close(fd);
}
