/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/syscall.h>

#include "attach.h"

#define TEXT_OF(word) #word
#define TEXT(word) TEXT_OF(word)
#define AT(word) "8*" TEXT(STUB_##word) "(%rbx)"
#define LOAD(register, word) "mov " AT(word) ", %" register "\n"

/*
 * rbx and rsp are the block's address.  At its end it makes a system call that changes
 * nothing, which the tracer, if there is one, knows it by.
 */
asm(".pushsection .rodata\n"
    ".globl stub_begin, stub_end\n"
    "stub_begin:\n"
    "mov $-1, %eax\n"
    "mov $-1, %edx\n"
    LOAD("rcx", XSAVE)
    "xsave64 (%rcx)\n"
    LOAD("rdi", PATH)
    "mov $2, %esi\n"			/* RTLD_NOW */
    "call *" AT(DLOPEN) "\n"
    "test %rax, %rax\n"
    "jz 1f\n"
    "mov %rax, %rdi\n"
    LOAD("rsi", ENTRY)
    "call *" AT(DLSYM) "\n"
    "test %rax, %rax\n"
    "jz 1f\n"
    LOAD("rdi", OPTIONS)
    "call *%rax\n"
    "mov %rax, " AT(RESULT) "\n"
    "jmp 2f\n"
    "1: call *" AT(DLERROR) "\n"
    "mov %rax, " AT(ERROR) "\n"
    "2: mov $" TEXT(STUB_MAGIC) ", %edi\n"
    "mov %rbx, %rsi\n"
    "mov $39, %eax\n"			/* getpid */
    "syscall\n"
    "mov $-1, %eax\n"
    "mov $-1, %edx\n"
    LOAD("rcx", XSAVE)
    "xrstor64 (%rcx)\n"
    LOAD("rax", RAX) LOAD("rcx", RCX) LOAD("rdx", RDX) LOAD("rsi", RSI) LOAD("rdi", RDI)
    LOAD("rbp", RBP) LOAD("r8", R8) LOAD("r9", R9) LOAD("r10", R10) LOAD("r11", R11)
    LOAD("r12", R12) LOAD("r13", R13) LOAD("r14", R14) LOAD("r15", R15)
    "mov %rbx, %rsp\n"			/* a signal's frame goes below what IRET takes */
    LOAD("rbx", RBX)
    "iretq\n"
    "stub_end:\n"
    ".popsection\n");

_Static_assert(SYS_getpid == 39, "as above");
