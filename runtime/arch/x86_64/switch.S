// SPDX-License-Identifier: BSD-3-Clause
// x86-64: leaving one stack for another. Contracts in arch/arch.h. CFI is exact at every instruction,
// since a profiling signal may land on any of them.

	.text

// The callee-saved registers as all routines here push them; rt_parked_regs reads this layout:
//   sp+0 r15, +8 r14, +16 r13, +24 r12, +32 rbx, +40 rbp, +48 return address
.macro SAVE reg
	push	\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \reg, 0
.endm
.macro RESTORE reg
	pop	\reg
	.cfi_adjust_cfa_offset -8
	.cfi_restore \reg
.endm
.macro SAVE_ALL
	SAVE	%rbp
	SAVE	%rbx
	SAVE	%r12
	SAVE	%r13
	SAVE	%r14
	SAVE	%r15
.endm
.macro RESTORE_ALL
	RESTORE	%r15
	RESTORE	%r14
	RESTORE	%r13
	RESTORE	%r12
	RESTORE	%rbx
	RESTORE	%rbp
.endm
.macro FUNC name
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
.endm
.macro END name
	.cfi_endproc
	.size	\name, . - \name
.endm

// void rt_switch(struct gobuf *from, const struct gobuf *to);
//   saved    rbx rbp r12-r15 rsp; the return pc is on the stack already
//   not      mxcsr, x87 control word: set when a goroutine starts (docs/HACKING.md)
//   ends in  ret, never jmp: a jmp puts the return predictor off by one for the whole parked chain
	.hidden rt_switch
FUNC rt_switch
	SAVE_ALL
	mov	%rsp, (%rdi)
	mov	(%rsi), %rsp
	RESTORE_ALL
	ret
END rt_switch

// void rt_call_on(uintptr_t sp, void (*fn)(void *), void *arg);
	.hidden rt_call_on
FUNC rt_call_on
	SAVE	%rbp
	mov	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	mov	%rdi, %rsp
	mov	%rdx, %rdi
	call	*%rsi
	mov	%rbp, %rsp
	.cfi_def_cfa_register %rsp
	RESTORE	%rbp
	ret
END rt_call_on

// void rt_call_on_saving(struct gobuf *from, uintptr_t sp, void (*fn)(void *), void *arg);
	.hidden rt_call_on_saving
FUNC rt_call_on_saving
	SAVE_ALL
	mov	%rsp, (%rdi)
	lea	40(%rsp), %rbp		// a normal frame: saved rbp, return address above
	.cfi_def_cfa %rbp, 16
	mov	%rsi, %rsp
	mov	%rcx, %rdi
	call	*%rdx
	lea	-40(%rbp), %rsp
	.cfi_def_cfa %rsp, 56
	RESTORE_ALL
	ret
END rt_call_on_saving

// void rt_call_saving(struct gobuf *from, void (*fn)(void *), void *arg);
	.hidden rt_call_saving
FUNC rt_call_saving
	SAVE_ALL
	mov	%rsp, (%rdi)
	lea	40(%rsp), %rbp
	.cfi_def_cfa %rbp, 16
	and	$-16, %rsp
	mov	%rdx, %rdi
	call	*%rsi
	lea	-40(%rbp), %rsp
	.cfi_def_cfa %rsp, 56
	RESTORE_ALL
	ret
END rt_call_saving

// void gort_entersyscall(void);
// Hands the caller's registers (struct rt_parked_regs) to rt_entersyscall: pc sp fp rbx r12-r15 0 0 0.
	.globl	gort_entersyscall
	.type	gort_entersyscall, @function
	.p2align 4
gort_entersyscall:
	.cfi_startproc
	endbr64
	sub	$88, %rsp
	.cfi_adjust_cfa_offset 88
	mov	88(%rsp), %rax
	mov	%rax, 0(%rsp)
	lea	96(%rsp), %rax
	mov	%rax, 8(%rsp)
	mov	%rbp, 16(%rsp)
	mov	%rbx, 24(%rsp)
	mov	%r12, 32(%rsp)
	mov	%r13, 40(%rsp)
	mov	%r14, 48(%rsp)
	mov	%r15, 56(%rsp)
	movq	$0, 64(%rsp)
	movq	$0, 72(%rsp)
	movq	$0, 80(%rsp)
	mov	%rsp, %rdi
	call	rt_entersyscall
	add	$88, %rsp
	.cfi_adjust_cfa_offset -88
	ret
END gort_entersyscall

// struct gort_go_regs: +0 rdi rsi rdx rcx r8 r9, +48 rax, +56 fn, +64 xmm0..xmm7; 192 bytes.
//
// Called through the type of the function that gort_go starts, so every argument is where that
// function would look for it. Hands the registers to rt_go_capture and returns.
	.globl	gort_go_stub_
	.type	gort_go_stub_, @function
	.p2align 4
gort_go_stub_:
	.cfi_startproc
	endbr64
	sub	$200, %rsp
	.cfi_adjust_cfa_offset 200
	mov	%rdi, 0(%rsp)
	mov	%rsi, 8(%rsp)
	mov	%rdx, 16(%rsp)
	mov	%rcx, 24(%rsp)
	mov	%r8, 32(%rsp)
	mov	%r9, 40(%rsp)
	mov	%rax, 48(%rsp)
	movaps	%xmm0, 64(%rsp)
	movaps	%xmm1, 80(%rsp)
	movaps	%xmm2, 96(%rsp)
	movaps	%xmm3, 112(%rsp)
	movaps	%xmm4, 128(%rsp)
	movaps	%xmm5, 144(%rsp)
	movaps	%xmm6, 160(%rsp)
	movaps	%xmm7, 176(%rsp)
	mov	%rsp, %rdi
	mov	200(%rsp), %rsi
	call	rt_go_capture
	add	$200, %rsp
	.cfi_adjust_cfa_offset -200
	ret
END gort_go_stub_

// Where a new goroutine begins: rsp points at its struct gort_go_regs. Its caller is nobody: the
// return address is undefined for unwinders, rbp is 0 for frame-pointer walkers.
	.hidden rt_gostart
	.globl	rt_gostart
	.type	rt_gostart, @function
	.p2align 4
rt_gostart:
	.cfi_startproc
	.cfi_undefined rip
	nop				// unwinders look up pc - 1
	endbr64
	xor	%ebp, %ebp
	call	rt_goroutine_begin
	mov	0(%rsp), %rdi
	mov	8(%rsp), %rsi
	mov	16(%rsp), %rdx
	mov	24(%rsp), %rcx
	mov	32(%rsp), %r8
	mov	40(%rsp), %r9
	mov	48(%rsp), %rax
	mov	56(%rsp), %r11
	movaps	64(%rsp), %xmm0
	movaps	80(%rsp), %xmm1
	movaps	96(%rsp), %xmm2
	movaps	112(%rsp), %xmm3
	movaps	128(%rsp), %xmm4
	movaps	144(%rsp), %xmm5
	movaps	160(%rsp), %xmm6
	movaps	176(%rsp), %xmm7
	add	$192, %rsp		// the callee's frames overwrite the arguments: nothing is kept alive
	call	*%r11
	call	rt_goroutine_end
	ud2
	.globl	rt_gostart_end
	.hidden rt_gostart_end
rt_gostart_end:
END rt_gostart

	.section .note.GNU-stack, "", @progbits
