// SPDX-License-Identifier: BSD-3-Clause
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "core/region.h"

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
