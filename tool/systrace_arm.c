/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where the guest's kernel enters and leaves system calls, and what it calls them. */
#include <stdio.h>
#include <string.h>

#include "systrace.h"

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

/* Those that are asked for must be there: a misspelt one would just never come. */
static int check_names(struct systrace *t)
{
	char buf[32];

	for (size_t i = 0; i < t->name_count; i++) {
		uint32_t n = 0;

		while (n < SYSCALLS_KNOWN && strcmp(t->names[i], systrace_name(t, n, buf)))
			n++;
		if (n == SYSCALLS_KNOWN)
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

static int find_registers(struct systrace *t)
{
	static const char *const names[] = { "di", "si", "dx", "r10", "r8", "r9", "orig_ax" };
	struct scry_linux_member ax;

	for (int i = 0; i <= SYSCALL_ARGS; i++)
		if (scry_linux_member(t->guest.os, "pt_regs", names[i], &t->entry_reg[i]) < 0)
			return fail_lib();
	if (scry_linux_member(t->guest.os, "pt_regs", "ax", &ax) < 0)
		return fail_lib();
	t->sp_ax = ax.offset;
	return 0;
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

static int arm_return(struct systrace *t)
{
	uint64_t address;
	const char *why;

	if (scry_cap(t->guest.vm, SCRY_CAP_EVENT_BREAKPOINT, &why) != 1) {
		note("results of calls are not shown: %s", why);
		return 0;
	}
	if (find_return(t, &address) || add_breakpoint(t, address, &t->exit))
		return EXIT_FAILURE;
	t->returns = true;
	return 0;
}

static int arm_entry(struct systrace *t)
{
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_SYSCALL };
	uint64_t address;

	t->by_breakpoint = scry_cap(t->guest.vm, SCRY_CAP_EVENT_SYSCALL, NULL) != 1;
	if (!t->by_breakpoint)
		return scry_subscribe(t->guest.vm, &sub) < 0 ? fail_lib() : 0;
	if (scry_linux_symbol(t->guest.os, "do_syscall_64", &address) < 0)
		return fail_lib();
	return add_breakpoint(t, address, &t->entry);
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
	/* Returns first, so that none is missed of the first entry. */
	return check_names(t) || find_registers(t) || arm_return(t) || arm_entry(t) ? EXIT_FAILURE : 0;
}
