// SPDX-License-Identifier: BSD-3-Clause
// Rust's v0 names.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "rust.h"

static void
expect(const char *name, const char *want)
{
	char buf[1024];
	cr_assert(rust_demangle(name, buf, sizeof(buf)), "%s", name);
	cr_assert_str_eq(buf, want);
}

Test(rust, names)
{
	expect("_RNvC6_123foo3bar", "123foo::bar");
	expect("_RNvCs1234_7mycrate3foo", "mycrate::foo");
	expect("_RNvNtNtCs1234_7mycrate3foo3bar3baz.llvm.123", "mycrate::foo::bar::baz");
	expect("_RNCNCNgCs6DXkGYLi8lr_2cc5spawn00B5_", "cc::spawn::{closure#0}::{closure#0}");
	expect("_RNvMCs1234_7mycrateNtB2_3Foo3new", "<mycrate::Foo>::new");
	expect("_RNvXs_Cs1234_7mycrateNtB4_3FooNtB4_3Bar3run", "<mycrate::Foo as mycrate::Bar>::run");
	expect("_RINvCs1234_7mycrate3foohRxQSmPlObTdEEB2_",
	       "mycrate::foo::<u8, &i64, &mut [u32], *const i32, *mut bool, (f64,)>");
	expect("_RINvCs1234_7mycrate3fooAhj20_Kj10_Kb1_Kan5_E", "mycrate::foo::<[u8; 32], 16, true, -5>");
	expect("_RINvCs1234_7mycrate3fooFUKChEuFEhE", "mycrate::foo::<unsafe extern \"C\" fn(u8), fn() -> u8>");
	expect("_RINbNbCskIICzLVDPPb_5alloc5alloc8box_freeDINbNiB4_5boxed5FnBoxuEp6OutputuEL_ECs1iopQbuBiw2_3std",
	       "alloc::alloc::box_free::<dyn alloc::boxed::FnBox<(), Output = ()>>");
}

Test(rust, refuses)
{
	static const char *const bad[] = { "", "_R", "_Z3foov", "_RNv", "_RNvC9_abc", "_RNvC3abc", "_RB_", "_RNvB_3foo",
					   "_RNvC3abc3defX", "_RINvC3abc3defAh", "_RNvC3abc99999999999999999999x" };
	char buf[64];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(rust_demangle(bad[i], buf, sizeof(buf)), "%s", bad[i]);
	cr_assert_not(rust_demangle("_RNvC6_123foo3bar", buf, 11), "no room for the end");
	cr_assert(rust_demangle("_RNvC6_123foo3bar", buf, 12));
}

// Whatever a name is, the answer comes soon and stays in the buffer.
Test(rust, any_bytes, .timeout = 20)
{
	static const char seedling[] = "_RINvMs_NtCs1_3abc3fooINtB3_3BarhEDNtB3_3BazEL_FUKCTxyERL0_eOASbj4_B0_E";
	char name[sizeof(seedling)], buf[300];
	srand(7);
	for (int round = 0; round < 200000; round++) {
		memcpy(name, seedling, sizeof(name));
		for (int k = rand() % 6; k >= 0; k--)
			name[2 + rand() % (sizeof(name) - 3)] = seedling[rand() % (sizeof(name) - 1)];
		memset(buf, 'x', sizeof(buf));
		bool ok = rust_demangle(name, buf, 200);
		cr_assert(!ok || strlen(buf) < 200);
		cr_assert_eq(buf[200], 'x');
	}
}
