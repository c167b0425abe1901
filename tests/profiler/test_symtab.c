// SPDX-License-Identifier: BSD-3-Clause
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/thread.h"
#include "symbol/symtab.h"
#include "unwind/modules.h"

TestSuite(symtab, .timeout = 30);

__attribute__((noinline, used)) static int
find_me(int x)
{
	__asm__ volatile("nop; nop; nop; nop");
	return x + 1;
}

Test(symtab, names_the_function_that_holds_an_address)
{
	rtp_modules_refresh(rtp_main());
	struct rtp_symtab *s = rtp_symtab_new(rtp_main(), false);
	struct rtp_names n = rtp_symtab_names(s);
	size_t len;
	const char *name = n.name(n.arg, (uintptr_t)find_me + 2, &len);
	cr_assert_not_null(name);
	cr_assert_eq(len, 7);
	cr_assert_eq(strncmp(name, "find_me", 7), 0);
	name = n.name(n.arg, (uintptr_t)strtol, &len);
	cr_assert_not_null(name, "a function of libc");
	cr_assert_null(n.name(n.arg, 0x10, &len));
	rtp_symtab_free(s);
}

Test(symtab, vdso_is_named_without_a_file)
{
	rtp_modules_refresh(rtp_main());
	struct rtp_symtab *s = rtp_symtab_new(rtp_main(), true);
	struct rtp_names n = rtp_symtab_names(s);
	size_t len, found = 0;
	struct rtp_region *r = rtp_main();
	for (uint64_t off = r->mappings; off;) {
		struct rtp_mapping *m = rtp_at(r, off);
		if (strcmp(rtp_at(r, m->path), "[vdso]") == 0)
			for (uint64_t a = m->lo; a < m->hi; a += 8)
				found += n.name(n.arg, a, &len) != NULL;
		off = m->next;
	}
	cr_assert_gt(found, 10);
	cr_assert_null(n.name(n.arg, (uintptr_t)find_me, &len), "only the vdso");
	rtp_symtab_free(s);
}

Test(symtab, find_respects_sizes_and_gaps)
{
	struct rtp_sym s[] = { { 100, 10, "a" }, { 120, 0, "b" }, { 200, 50, "c" } };
	cr_assert_null(rtp_sym_find(s, 3, 99));
	cr_assert_str_eq(rtp_sym_find(s, 3, 100)->name, "a");
	cr_assert_str_eq(rtp_sym_find(s, 3, 109)->name, "a");
	cr_assert_null(rtp_sym_find(s, 3, 110));
	cr_assert_str_eq(rtp_sym_find(s, 3, 150)->name, "b");
	cr_assert_str_eq(rtp_sym_find(s, 3, 249)->name, "c");
	cr_assert_null(rtp_sym_find(s, 3, 250));
}

// Every byte of the headers damaged in turn: refused or read, never out of bounds (run under ASan).
Test(symtab, damaged_files_are_survived)
{
	struct stat st;
	int fd = open("/proc/self/exe", O_RDONLY);
	fstat(fd, &st);
	size_t n = (size_t)st.st_size;
	uint8_t *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	cr_assert_neq(p, MAP_FAILED);
	for (size_t i = 0; i < 64; i++) {
		uint8_t was = p[i];
		for (int v = 0; v < 256; v += 51) {
			struct rtp_vec syms = { 0 };
			p[i] = (uint8_t)(was ^ v);
			rtp_elf_symbols(p, n, &syms);
			rtp_vec_free(&syms);
		}
		p[i] = was;
	}
	struct rtp_vec syms = { 0 };
	for (size_t cut = 0; cut < n; cut += 1 + n / 50)
		rtp_elf_symbols(p, cut, &syms);
	cr_assert(rtp_elf_symbols(p, n, &syms));
	cr_assert_gt(syms.len, 0);
}
