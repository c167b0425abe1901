// SPDX-License-Identifier: BSD-3-Clause
// x86-64: the argument registers of one call, as gort_go_stub_ saves and rt_gostart loads them.
#pragma once

#include <stdint.h>

struct gort_go_regs {
	uint64_t gpr[6]; // rdi rsi rdx rcx r8 r9
	uint64_t rax;    // number of vector registers, for a variadic function
	uint64_t fn;
	_Alignas(16) uint8_t xmm[8][16];
};
_Static_assert(sizeof(struct gort_go_regs) == 192, "switch.S knows this layout");
