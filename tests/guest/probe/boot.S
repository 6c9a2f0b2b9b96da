/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the hypervisor's entry point (PVH: 32-bit protected mode, paging off),
 * or a processor's reset by INIT/SIPI (16-bit real mode), to C in long mode.
 */
#include "guest.h"

#define MSR_EFER  0xc0000080

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18		/* name's and value's length, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad start32

	.text
	.code32
	.globl start32
start32:
	cli
	cld
	lgdt %cs:boot_gdtr
	ljmp $PROBE_SEL_CODE32, $1f
1:	mov $PROBE_SEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs

	mov $(CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT), %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $(EFER_LME | EFER_NXE), %eax
	wrmsr
	mov $CR0_BOOT, %eax
	mov %eax, %cr0
	ljmp $PROBE_SEL_CODE, $start64

	.code64
start64:
	mov $1, %edi
	lock xadd %edi, boot_ticket(%rip)
	cmp $PROBE_VCPUS, %edi
	jae park
	mov %edi, %eax
	inc %eax
	shl $STACK_SHIFT, %eax
	lea stacks(%rax), %rsp
	xor %ebp, %ebp
	call boot_main		/* edi = 0 for the first processor */
	.globl park, serve_anew
serve_anew:
	mov %rdi, %rsp
	xor %ebp, %ebp
	call serve_this
park:	cli
	hlt
	jmp park

	/* Copied to AP_START; runs there, so absolute addresses only. */
	.code16
	.globl ap_start, ap_start_end
ap_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl AP_START + (ap_gdtr - ap_start)
	mov $(CR0_PE | CR0_ET), %eax
	mov %eax, %cr0
	ljmpl $PROBE_SEL_CODE32, $start32
ap_gdtr:
	.word PROBE_GDT_SIZE - 1
	.long boot_gdt
ap_start_end:

	.section .rodata
	.balign 8
boot_gdtr:
	.word PROBE_GDT_SIZE - 1
	.long boot_gdt

	/* Every vCPU's own GDT begins as a copy of this. */
	.balign 16
	.globl boot_gdt
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 64-bit code */
	.quad 0x00cf93000000ffff	/* data */
	.quad 0x00cf9b000000ffff	/* 32-bit code */
	.quad 0x00cff3000000ffff	/* user data */
	.quad 0x00affb000000ffff	/* user 64-bit code */
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
	.fill 6, 8, 0			/* TSS, LDT, TSS2: two slots each */

	/* The first 4 GiB, in pages of 2 MiB, at 0 and, for CPL 0 only, at PROBE_ALIAS. */
	.data
	.balign 4096
	.globl pml4, identity_pd
pml4:	.quad pdpt + PTE_PWU
	.fill 255, 8, 0
	.quad pdpt + PTE_P + PTE_W
	.fill 255, 8, 0
pdpt:	.quad identity_pd + PTE_PWU
	.quad identity_pd + 0x1000 + PTE_PWU
	.quad identity_pd + 0x2000 + PTE_PWU
	.quad identity_pd + 0x3000 + PTE_PWU
	.fill 508, 8, 0
identity_pd:
	.set page, 0
	.rept 2048
	.if page == LAPIC >> 21
	.quad (page << 21) + PTE_PWU + PTE_PS + PTE_PCD
	.else
	.quad (page << 21) + PTE_PWU + PTE_PS
	.endif
	.set page, page + 1
	.endr

	.globl boot_ticket
boot_ticket:
	.long 0

	.bss
	.balign 1 << STACK_SHIFT
stacks:	.skip PROBE_VCPUS << STACK_SHIFT
	.section .note.GNU-stack, "", @progbits
