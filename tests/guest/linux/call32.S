/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A 32-bit program without libraries: system calls by int 0x80, then by the vDSO, which
 * uses SYSENTER or SYSCALL, as the processor has them.  Its calls are what the suite os
 * looks for.
 */
#define NR_exit    1
#define NR_read    3
#define NR_open    5
#define NR_getppid 64
#define NR_mmap2   192
#define AT_SYSINFO 32

	.section .note.GNU-stack, "", @progbits
	.text
	.globl _start
_start:
	mov	%esp, %esi
	/* argc, arguments, 0, environment, 0, then pairs of the auxiliary vector. */
	mov	(%esi), %eax
	lea	8(%esi, %eax, 4), %esi
1:	lodsl
	test	%eax, %eax
	jnz	1b
2:	lodsl
	mov	%eax, %edx
	lodsl
	test	%edx, %edx
	jz	out
	cmp	$AT_SYSINFO, %edx
	jne	2b
	mov	%eax, vdso

	mov	$NR_getppid, %eax
	int	$0x80
	mov	$NR_open, %eax
	mov	$path, %ebx
	xor	%ecx, %ecx
	int	$0x80

	mov	$NR_getppid, %eax
	call	*vdso
	mov	$NR_read, %eax
	mov	$-1, %ebx
	mov	$path, %ecx
	mov	$77, %edx
	call	*vdso
	mov	$NR_mmap2, %eax
	xor	%ebx, %ebx
	mov	$8192, %ecx
	mov	$3, %edx		/* PROT_READ | PROT_WRITE */
	mov	$0x22, %esi		/* MAP_PRIVATE | MAP_ANONYMOUS */
	mov	$-1, %edi
	mov	$5, %ebp		/* of an anonymous mapping no offset: but it must be seen */
	call	*vdso
out:
	mov	$NR_exit, %eax
	mov	$32, %ebx
	int	$0x80

	.data
vdso:	.long	0
path:	.asciz	"/no/such/file"
