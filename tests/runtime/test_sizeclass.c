// SPDX-License-Identifier: BSD-3-Clause
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include <gort/mem.h>

#include "mem/sizeclass.h"

TestSuite(sizeclass, .init = rt_sizeclass_init);

Test(sizeclass, every_size_gets_the_smallest_class_that_holds_it)
{
	for (size_t size = 1; size <= RT_MAX_SMALL_SIZE; size++) {
		unsigned c = rt_sizeclass(size);
		cr_assert(c > 0 && c < RT_NUM_SIZE_CLASSES);
		cr_assert_geq(rt_spanclasses[RT_SPANCLASS(c, 0)].size, size);
		if (c > 1)
			cr_assert_lt(rt_spanclasses[RT_SPANCLASS(c - 1, 0)].size, size);
	}
}

// Slot sizes are Go's; a span has a multiple of Go's pages (formats.md 8.1) where that keeps its bits in its line.
Test(sizeclass, geometry)
{
	static const struct {
		unsigned class, bytes, pages, objects;
	} want[] = {{1, 8, 1, 1024},  {2, 16, 1, 512},  {5, 48, 1, 170},  {6, 64, 1, 128},  {10, 128, 2, 128},
		    {18, 256, 4, 128}, {26, 512, 4, 64}, {35, 1408, 4, 23}, {44, 4096, 4, 8}, {50, 6912, 6, 7},
		    {60, 18432, 9, 4}, {65, 27264, 10, 3}, {67, 32768, 4, 1}};
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		const struct spanclass *sc = &rt_spanclasses[RT_SPANCLASS(want[i].class, 1)];
		cr_assert_eq(sc->size, want[i].bytes);
		cr_assert_eq(sc->npages, want[i].pages, "%u: %u", sc->size, sc->npages);
		cr_assert_eq(sc->nelems, want[i].objects);
		cr_assert(sc->noscan);
	}
}

Test(sizeclass, multiply_shift_index_equals_division_for_every_byte_of_a_span)
{
	for (unsigned c = 1; c < RT_NUM_SIZE_CLASSES; c++) {
		const struct spanclass *sc = &rt_spanclasses[RT_SPANCLASS(c, 0)];
		for (uint64_t o = 0; o < sc->npages * RT_PAGE_SIZE; o++)
			cr_assert_eq((o * sc->divmul) >> 32, o / sc->size);
	}
}

Test(sizeclass, a_typed_pair_gets_one_class_and_others_share_the_untyped_one)
{
	static const uint32_t ptrs[] = {8};
	static gort_type types[RT_MAX_SPANCLASSES];
	unsigned made = 0;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		types[i] = (gort_type){.size = 64, .flags = GORT_TYPE_PRECISE, .nptrs = 1, .ptrs = ptrs};
		unsigned spc = rt_spanclass_for(&types[i], rt_sizeclass(64));
		cr_assert_eq(spc, rt_spanclass_for(&types[i], rt_sizeclass(64)));
		cr_assert_eq(rt_spanclasses[spc].size, 64);
		if (spc >= RT_NUM_PLAIN_SPANCLASSES) {
			cr_assert_eq(rt_spanclasses[spc].type, &types[i]);
			made++;
		} else {
			cr_assert_eq(spc, RT_SPANCLASS(rt_sizeclass(64), 0));
		}
	}
	cr_assert_eq(made, RT_MAX_SPANCLASSES - RT_NUM_PLAIN_SPANCLASSES);
}
