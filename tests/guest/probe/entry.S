/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exception and interrupt entry, calls at CPL 3, HOLD, and the functions that tests patch. */
#include "guest.h"

	.text
	/* Vectors 8, 10 to 14, 17, 21, 29 and 30 push an error code. */
	.macro stub vector
stub\vector:
	.if !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21 || \vector == 29 || \vector == 30)
	push $0
	.endif
	push $\vector
	jmp trap_entry
	.endm

	.macro stub_address vector
	.quad stub\vector
	.endm

	.altmacro
	.set n, 0
	.rept 32
	stub %n
	.set n, n + 1
	.endr

	.globl stub_wake, stub_intn, stub_leave_user
stub_wake:
	push $0
	push $VECTOR_WAKE
	jmp trap_entry
stub_intn:
	push $0
	push $VECTOR_INTN
trap_entry:
	.irp reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	push %\reg
	.endr
	cld
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $-16, %rsp
	call trap
	mov %rbp, %rsp
	.irp reg, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	pop %\reg
	.endr
	add $16, %rsp
	iretq

	/* user_call(v, op, value, fn, cpu, user_stack_top) */
	.globl user_call
user_call:
	push_saved
	sub $8, %rsp			/* the processor aligns rsp0 to 16 */
	mov %rsp, OFFSET_CPU_RSP0(%r8)
	push $PROBE_SEL_USERDATA
	push %r9
	push $2
	push $PROBE_SEL_USERCODE
	push $1f
	iretq
1:	call *%rcx
	int $VECTOR_LEAVE_USER
stub_leave_user:
	add $40, %rsp			/* now what rsp0 says */
	mov $PROBE_SEL_DATA, %eax
	mov %eax, %ss
	mov %eax, %ds			/* iretq to CPL 3 has cleared them */
	mov %eax, %es
	add $8, %rsp
	pop_saved
	ret

	/* hold_regs(v): v is what GS points to. */
	.globl hold_regs, hold_alt
hold_regs:
	push_saved
	mov %rsp, %gs:PROBE_V_SAVED_RSP
	.set n, 0
	.irp reg, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	mov %gs:PROBE_V_REGS_IN + n, %\reg
	.set n, n + 8
	.endr
1:	pause
	incq %gs:PROBE_V_BEATS
	cmpl $0, %gs:PROBE_V_RELEASE
	je 1b
	movq $1, %gs:PROBE_V_PATH
	jmp 2f
hold_alt:
	movq $2, %gs:PROBE_V_PATH
2:	.set n, 0
	.irp reg, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	mov %\reg, %gs:PROBE_V_REGS_OUT + n
	.set n, n + 8
	.endr
	mov %gs:PROBE_V_SAVED_RSP, %rsp
	pushfq
	popq %gs:PROBE_V_RFLAGS
	push $2
	popfq
	pop_saved
	ret

	/* Each on a page of its own. */
	.globl patch_page, patch_inline_page, patch_inline_imm
	.balign 4096
patch_page:
	mov $1, %eax
	ret
	.balign 4096
patch_inline_page:
	push %rbx
	xor %eax, %eax
	xor %ecx, %ecx
	cpuid
	.byte 0xb8			/* mov $imm, %eax */
patch_inline_imm:
	.long 1
	pop %rbx
	ret
	.balign 4096

	.section .rodata
	.balign 8
	.globl trap_stubs
trap_stubs:
	.set n, 0
	.rept 32
	stub_address %n
	.set n, n + 1
	.endr
	.section .note.GNU-stack, "", @progbits
