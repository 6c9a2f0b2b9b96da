/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes of the paging mode, which go through 32-bit code with paging off. */
#include "guest.h"

#define MSR_EFER 0xc0000080

	.macro to_code32
	push $PROBE_SEL_CODE32
	push $1f
	lretq
	.code32
1:
	.endm

	.macro to_code64
	ljmp $PROBE_SEL_CODE, $1f
	.code64
1:	mov %esp, %esp			/* what 32-bit code leaves above is undefined */
	.endm

	.macro paging_off
	mov %cr0, %eax
	and $~CR0_PG, %eax
	mov %eax, %cr0
	.endm

	.text
	/* long_paging(cr3, cr4) */
	.globl long_paging
long_paging:
	push_saved
	to_code32
	mov %cr0, %ebx
	paging_off
	mov %esi, %cr4
	mov %edi, %cr3
	mov %ebx, %cr0
	to_code64
	pop_saved
	ret

	/* legacy_paging(const struct legacy *) */
	.globl legacy_paging
legacy_paging:
	push_saved
	to_code32
	mov %cr0, %eax
	push %eax
	mov %cr3, %eax
	push %eax
	mov %cr4, %eax
	push %eax
	paging_off
	call toggle_long_mode
	mov LEGACY_CR4(%edi), %eax
	mov %eax, %cr4
	mov LEGACY_CR3(%edi), %eax
	mov %eax, %cr3
	mov LEGACY_CR0(%edi), %eax
	mov %eax, %cr0

	call read_table
	mov LEGACY_BLOCK(%edi), %ebx
	movl $PROBE_V_WAITS, PROBE_V_STATE(%ebx)
2:	pause
	incl PROBE_V_BEATS(%ebx)
	cmpl $0, PROBE_V_RELEASE(%ebx)
	je 2b

	paging_off
	pop %eax
	mov %eax, %cr4
	pop %eax
	mov %eax, %cr3
	call toggle_long_mode
	pop %eax
	mov %eax, %cr0
	to_code64
	pop_saved
	ret

	.code32
toggle_long_mode:
	mov $MSR_EFER, %ecx
	rdmsr
	xor $EFER_LME, %eax
	wrmsr
	ret

	/* Read the 8 bytes at each address of the table that has no fault to come. */
read_table:
	mov (%edi), %ebx
	mov LEGACY_COUNT(%edi), %ecx
1:	cmpl $0, PROBE_X_FAULT(%ebx)
	jne 2f
	mov (%ebx), %esi
	mov (%esi), %eax
	mov %eax, PROBE_X_SEEN(%ebx)
	mov 4(%esi), %eax
	mov %eax, PROBE_X_SEEN + 4(%ebx)
2:	add $PROBE_X_SIZE, %ebx
	loop 1b
	ret
	.section .note.GNU-stack, "", @progbits
