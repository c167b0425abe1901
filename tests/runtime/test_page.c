// SPDX-License-Identifier: BSD-3-Clause
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "mem/page.h"

#define MAX_CHUNKS 600u
#define PAGES (MAX_CHUNKS * RT_CHUNK_PAGES)

static struct page_alloc a;

static void
setup(void)
{
	cr_assert(rt_pages_init(&a, PAGES));
}

TestSuite(page, .init = setup, .timeout = 30);

Test(page, an_empty_heap_has_no_page_and_a_grown_one_gives_the_lowest)
{
	uint32_t scav;
	cr_assert_eq(rt_pages_alloc(&a, 1, &scav), RT_NO_PAGE);
	cr_assert(rt_pages_grow(&a, 2));
	cr_assert_eq(rt_pages_alloc(&a, 3, &scav), 0);
	cr_assert_eq(scav, 3, "fresh pages hold no memory");
	cr_assert_eq(rt_pages_alloc(&a, 1, &scav), 3);
	rt_pages_free(&a, 1, 1);
	cr_assert_eq(rt_pages_alloc(&a, 1, &scav), 1);
	cr_assert_eq(scav, 0, "a freed page keeps its memory");
	rt_pages_check(&a);
}

Test(page, a_run_may_cross_chunks_and_summary_nodes)
{
	uint32_t scav;
	cr_assert(rt_pages_grow(&a, MAX_CHUNKS));
	cr_assert_not(rt_pages_grow(&a, 1), "the reservation ends");
	for (uint32_t n = 500; n < PAGES; n = n * 3 + 7) {
		uint32_t before = rt_pages_alloc(&a, 100, &scav);
		uint32_t p = rt_pages_alloc(&a, n, &scav);
		cr_assert_eq(p, before + 100);
		rt_pages_check(&a);
		rt_pages_free(&a, p, n);
		rt_pages_free(&a, before, 100);
	}
	cr_assert_eq(rt_pages_alloc(&a, PAGES, &scav), 0);
	cr_assert_eq(a.nfree, 0);
	rt_pages_check(&a);
}

// The plain truth: one byte a page.
static uint8_t used[64 * RT_CHUNK_PAGES];

static uint32_t
first_fit(uint32_t npages, uint32_t n)
{
	uint32_t run = 0;
	for (uint32_t i = 0; i < npages; i++) {
		run = used[i] ? 0 : run + 1;
		if (run == n)
			return i + 1 - n;
	}
	return RT_NO_PAGE;
}

Test(page, random_traffic_equals_a_linear_first_fit)
{
	struct {
		uint32_t page, n;
	} live[2000];
	uint32_t nlive = 0, grown = 0;
	srand(1);
	for (int step = 0; step < 20000; step++) {
		if (nlive && (nlive == 2000 || rand() % 5 < 2)) {
			uint32_t i = (uint32_t)rand() % nlive;
			rt_pages_free(&a, live[i].page, live[i].n);
			memset(used + live[i].page, 0, live[i].n);
			live[i] = live[--nlive];
			continue;
		}
		uint32_t n = rand() % 50 ? 1 + (uint32_t)rand() % 12 : 1 + (uint32_t)rand() % 1500;
		uint32_t scav, want = first_fit(grown * RT_CHUNK_PAGES, n);
		uint32_t p = rt_pages_alloc(&a, n, &scav);
		cr_assert_eq(p, want);
		if (p == RT_NO_PAGE) {
			if (grown == 64)
				continue;
			cr_assert(rt_pages_grow(&a, 1));
			grown++;
			continue;
		}
		memset(used + p, 1, n);
		live[nlive].page = p;
		live[nlive++].n = n;
	}
	rt_pages_check(&a);
}

Test(page, scavenging_takes_every_backed_free_page_once)
{
	uint32_t scav, page, cursor = UINT32_MAX, n, total = 0;
	cr_assert(rt_pages_grow(&a, 3));
	uint32_t p = rt_pages_alloc(&a, 1200, &scav);
	rt_pages_free(&a, p + 100, 1000);
	while ((n = rt_pages_scavenge(&a, &cursor, 64, &page))) {
		cr_assert(page >= 100 && page + n <= 1100 && n <= 64);
		total += n;
		rt_pages_free_scavenged(&a, page, n);
		rt_pages_check(&a);
	}
	cr_assert_eq(total, 1000);
	cr_assert_eq(a.nscav, a.nfree);
	cr_assert_eq(rt_pages_alloc(&a, 1000, &scav), 100);
	cr_assert_eq(scav, 1000);
}
