// SPDX-License-Identifier: BSD-3-Clause
// x86-64: register numbers of the DWARF psABI, as unwind tables use them.
#pragma once

enum {
	RT_DW_REGS = 17, // rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip
	RT_DW_FP = 6,
	RT_DW_SP = 7,
	RT_DW_PC = 16,
};

// Where arch.h's rt_parked_regs.saved and rt_uc_callee_saved belong.
static const unsigned char rt_dw_saved[5] = {3, 12, 13, 14, 15};
