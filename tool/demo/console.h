/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DEMO_CONSOLE_H
#define DEMO_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_LINE 256
#define CONSOLE_KEPT 8

/*
 * The guest's serial console, understood: the kernel's banner, and the lines
 * that its init prints over and over:
 *   guest: vendor GenuineIntel
 *   guest: wrmsr 0xc0000103 ok        or  failed: Input/output error
 *   guest: tick 12 checksum OK        or  anything else
 * and the one that it answers the command "cpuids N" with:
 *   guest: cpuids 1000: done
 * All that is kept is printable.
 */
struct console {
	char line[CONSOLE_LINE];	/* being received */
	size_t len;
	char kept[CONSOLE_KEPT][CONSOLE_LINE];	/* the last; [lines % KEPT] is the oldest */
	unsigned lines;

	char banner[CONSOLE_LINE];	/* "Linux version ..." or "" */
	char vendor[16];
	char wrmsr[CONSOLE_LINE];	/* what came of the last one: "ok", "failed: ..." */
	uint32_t wrmsr_index;
	uint64_t tick;
	unsigned vendors, wrmsrs, ticks, bad_sums, cpuids;	/* lines of each kind */
};

void console_feed(struct console *c, const char *data, size_t len);

/* The line last received, "" if none. */
const char *console_last(const struct console *c);

#endif
