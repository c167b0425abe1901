// SPDX-License-Identifier: BSD-3-Clause
// Function names from .symtab or .dynsym, in process: one sorted copy an object, names left in the
// mapped file. The fallback where the helper with its DWARF reader cannot run.
#pragma once

#include "core/region.h"
#include "encode/out.h"
#include "encode/profile.h"

struct rtp_symtab;

// A view over the mappings of r; objects are read when a pc of theirs is first asked for. NULL when
// there is no memory.
// vdso_only: of the kernel's own object alone, which no file has.
struct rtp_symtab *rtp_symtab_new(struct rtp_region *r, bool vdso_only);
struct rtp_names rtp_symtab_names(struct rtp_symtab *s);
void rtp_symtab_free(struct rtp_symtab *s);

// One function symbol; vaddr as in the file.
struct rtp_sym {
	uint64_t addr, size;
	const char *name;
};
// The symbol whose [addr, addr + size) holds vaddr in an ascending array; a symbol without size
// reaches to the next one. NULL when none does.
const struct rtp_sym *rtp_sym_find(const struct rtp_sym *syms, size_t n, uint64_t vaddr);

// Reads the function symbols of an ELF image of len bytes into v (struct rtp_sym, sorted by address,
// one an address). False when it is no ELF file of this machine's kind.
bool rtp_elf_symbols(const void *image, size_t len, struct rtp_vec *v);
