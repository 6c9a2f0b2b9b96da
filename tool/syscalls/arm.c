/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where the guest's kernel enters and leaves system calls, and what it calls them. */
#include <stdio.h>
#include <string.h>

#include "trace.h"

#define ENTRY_BYTES 512

/* Where the kernel's function is not called as the system call is. */
static const char *const renamed[][2] = {
	{ "newstat", "stat" },	 { "newfstat", "fstat" }, { "newlstat", "lstat" },
	{ "newuname", "uname" }, { "umount", "umount2" }, { "sendfile64", "sendfile" },
};

struct naming {
	struct systrace *t;
	uint64_t function[SYSCALLS_KNOWN];	/* the kernel's table */
};

/* A function can have several names, as those without arguments do: only this one tells. */
static int on_symbol(const struct scry_linux_symbol *symbol, void *opaque)
{
	static const char prefix[] = "__x64_sys_";
	const char *name = symbol->name + strlen(prefix);
	struct naming *naming = opaque;

	if (strncmp(symbol->name, prefix, strlen(prefix)) || !strcmp(name, "ni_syscall"))
		return 0;
	for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++)
		if (!strcmp(name, renamed[i][0]))
			name = renamed[i][1];
	for (uint32_t i = 0; i < SYSCALLS_KNOWN; i++)
		if (naming->function[i] == symbol->address && !naming->t->name_of[i])
			naming->t->name_of[i] = clean(name, strlen(name) + 1);
	return 0;
}

/* The kernel's table has a function for each number, and the functions have names. */
static void find_names(struct systrace *t)
{
	struct naming naming = { .t = t };
	uint64_t table;

	if (scry_linux_symbol(t->guest.os, "sys_call_table", &table) < 0)
		return;
	for (uint32_t i = 0; i < SYSCALLS_KNOWN; i++)
		if (scry_read_virt_u64(scry_linux_as(t->guest.os), table + 8 * (uint64_t)i,
				       &naming.function[i]) < 0)
			naming.function[i] = 0;
	scry_linux_symbols(t->guest.os, on_symbol, &naming);
}

static bool is_known(const struct systrace *t, const char *name)
{
	char buf[32];

	for (uint32_t n = 0; n < 2 * SYSCALLS_KNOWN; n++)
		if (!strcmp(name, systrace_name(t, n & 1, n / 2, buf)))
			return true;
	return false;
}

/* Those that are asked for must be there: a misspelt one would just never come. */
static int check_names(struct systrace *t)
{
	for (size_t i = 0; i < t->name_count; i++) {
		if (!is_known(t, t->names[i]))
			return fail("the guest's kernel has no system call '%s'", t->names[i]);
	}
	return 0;
}

/* Behind the instruction in entry_SYSCALL_64 that calls do_syscall_64 (e8, and how far). */
static int find_return(struct systrace *t, uint64_t *address)
{
	unsigned char code[ENTRY_BYTES];
	uint64_t entry, function;

	if (scry_linux_symbol(t->guest.os, "entry_SYSCALL_64", &entry) < 0 ||
	    scry_linux_symbol(t->guest.os, "do_syscall_64", &function) < 0 ||
	    scry_read_virt(scry_linux_as(t->guest.os), entry, code, sizeof(code)) < 0)
		return fail_lib();
	for (size_t i = 0; i + 5 <= sizeof(code); i++) {
		int32_t far;

		memcpy(&far, code + i + 1, sizeof(far));
		if (code[i] != 0xe8 || entry + i + 5 + (uint64_t)(int64_t)far != function)
			continue;
		*address = entry + i + 5;
		return 0;
	}
	return fail("the guest's kernel enters system calls in a way that scry does not know: "
		    "entry_SYSCALL_64 does not call do_syscall_64");
}

static int register_at(struct systrace *t, const char *name, uint32_t *offset)
{
	struct scry_linux_member member;

	if (scry_linux_member(t->guest.os, "pt_regs", name, &member) < 0)
		return fail_lib();
	*offset = member.offset;
	if (member.size == 8 && member.offset + 8 <= t->frame_size)
		return 0;
	return fail("the guest's struct pt_regs is none that scry knows");
}

static int find_registers(struct systrace *t)
{
	static const char *const of_64[] = { "di", "si", "dx", "r10", "r8", "r9" };
	static const char *const of_32[] = { "bx", "cx", "dx", "si", "di", "bp" };
	int64_t size = scry_linux_sizeof(t->guest.os, "pt_regs");
	int ret;

	if (size < 0)
		return fail_lib();
	t->frame_size = size < FRAME_MOST ? (uint32_t)size : FRAME_MOST;
	ret = register_at(t, "ax", &t->ax) || register_at(t, "sp", &t->sp);
	for (enum entrance e = 0; e < ENTRY_COUNT; e++) {
		struct frame *f = &t->entry[e].frame;

		/* int 0x80 comes as any interrupt does; but see arm_int80(). */
		ret = ret || register_at(t, e == ENTRY_INT80 ? "ax" : "orig_ax", &f->number);
		for (int i = 0; i < SYSCALL_ARGS; i++)
			ret = ret || register_at(t, e == ENTRY_64 ? of_64[i] : of_32[i], &f->arg[i]);
	}
	return ret;
}

static int add_breakpoint(struct systrace *t, uint64_t address, uint32_t *number)
{
	struct scry_breakpoint b = { .sz = sizeof(b), .address = address };
	int ret = scry_breakpoint_add(t->guest.vm, &b);

	if (ret < 0)
		return fail_lib();
	*number = (uint32_t)ret;
	return 0;
}

/* Where the result is there, and signals have not been looked at yet. */
static int arm_return(struct systrace *t)
{
	uint64_t address;

	if (scry_linux_symbol(t->guest.os, "syscall_exit_to_user_mode", &address) < 0) {
		t->exit_by_stack = true;
		if (find_return(t, &address))
			return EXIT_FAILURE;
	}
	if (add_breakpoint(t, address, &t->exit))
		return EXIT_FAILURE;
	t->returns = true;
	return 0;
}

/* Without that function: nothing. */
static int arm_function(struct systrace *t, enum entrance entry, const char *name)
{
	uint64_t address;

	if (scry_linux_symbol(t->guest.os, name, &address) < 0)
		return 0;
	if (add_breakpoint(t, address, &t->entry[entry].breakpoint))
		return EXIT_FAILURE;
	t->entry[entry].armed = true;
	return 0;
}

/* Before 6.7 (6.6.7, 6.1.68) the entry was its own, which keeps the number as SYSCALL's does. */
static int arm_int80(struct systrace *t)
{
	int ret = arm_function(t, ENTRY_INT80, "do_int80_emulation");

	if (ret || t->entry[ENTRY_INT80].armed)
		return ret;
	return register_at(t, "orig_ax", &t->entry[ENTRY_INT80].frame.number) ||
	       arm_function(t, ENTRY_INT80, "do_int80_syscall_32");
}

/* A kernel that knows no 32-bit programs has neither way. */
static int arm_i386(struct systrace *t)
{
	static const char *const how[ENTRY_COUNT] = {
		[ENTRY_INT80] = "int 0x80", [ENTRY_FAST] = "SYSENTER or SYSCALL",
	};

	if (arm_int80(t) || arm_function(t, ENTRY_FAST, "__do_fast_syscall_32"))
		return EXIT_FAILURE;
	if (t->entry[ENTRY_INT80].armed == t->entry[ENTRY_FAST].armed)
		return 0;
	for (enum entrance e = ENTRY_INT80; e <= ENTRY_FAST; e++)
		if (!t->entry[e].armed)
			note("calls that 32-bit programs make by %s are not shown: the guest's kernel "
			     "enters them in a way that scry does not know", how[e]);
	return 0;
}

static int arm_entries(struct systrace *t)
{
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_SYSCALL };

	if (scry_cap(t->guest.vm, SCRY_CAP_EVENT_SYSCALL, NULL) == 1)
		return scry_subscribe(t->guest.vm, &sub) < 0 ? fail_lib() : 0;
	return arm_function(t, ENTRY_64, "do_syscall_64");
}

static int arm_breakpoints(struct systrace *t)
{
	const char *why;

	if (scry_cap(t->guest.vm, SCRY_CAP_EVENT_BREAKPOINT, &why) != 1) {
		note("results of calls, and calls of 32-bit programs, are not shown: %s", why);
		return 0;
	}
	/* Returns first, so that none is missed of the first entry. */
	return arm_return(t) || arm_i386(t) ? EXIT_FAILURE : 0;
}

/* Either event tells of entries. */
static int check_events(struct systrace *t)
{
	const char *why;

	if (scry_cap(t->guest.vm, SCRY_CAP_EVENT_SYSCALL, NULL) == 1 ||
	    scry_cap(t->guest.vm, SCRY_CAP_EVENT_BREAKPOINT, &why) == 1)
		return 0;
	return fail("system calls of this VM cannot be seen: %s", why);
}

int systrace_arm(struct systrace *t)
{
	if (check_events(t))
		return EXIT_FAILURE;
	find_names(t);
	t->memory.vm = t->guest.vm;
	t->memory.mode = scry_as_mode(scry_linux_as(t->guest.os));
	return check_names(t) || find_registers(t) || arm_breakpoints(t) || arm_entries(t) ?
		EXIT_FAILURE : 0;
}
