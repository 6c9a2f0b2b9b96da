/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_QEMUARGS_H
#define TOOL_QEMUARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a user's QEMU arguments say of what scry would add. */
struct qemu_args {
	uint64_t ram;		/* bytes, by -m or QEMU's default */
	bool own_backend;	/* guest RAM is configured: a backend, NUMA, -mem-path */
	bool own_display;	/* -display, -nographic, -vnc, ... */
	bool own_accel;		/* an accelerator is chosen */
	bool own_agent;		/* -plugin .../scry-agent.so */
	char accel[64];		/* the one chosen that scry cannot look into, or "" */
	const char *bad_m;	/* the -m that is none, or NULL */
};

/* The RAM that a value of -m says, in *bytes if it says one.  False: QEMU does not take it. */
bool qemu_ram_parse(const char *value, uint64_t *bytes);

/* Is this an accelerator, or a list of them, whose VMs scry can look into? */
bool qemu_accel_known(const char *accel);

void qemu_args_parse(char *const *words, size_t count, struct qemu_args *args);

#endif
