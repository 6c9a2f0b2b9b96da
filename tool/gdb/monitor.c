/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What gdb's "monitor" passes on: commands of this server's own. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gdb.h"

#define COMMAND_MOST 256

/* The answer, for gdb to print. */
static void say(struct gdb *g, const char *text)
{
	out_hex(&g->out, text, strlen(text));
}

static void say_symbol(struct gdb *g, const char *name)
{
	uint64_t address;
	char text[64];

	if ((!g->os && scry_linux_open(g->vm, &g->os) < 0) ||
	    scry_linux_symbol(g->os, name, &address) < 0) {
		say(g, scry_errmsg());
		say(g, "\n");
		return;
	}
	snprintf(text, sizeof(text), "0x%" PRIx64 "\n", address);
	say(g, text);
}

void gdb_monitor(struct gdb *g, const char *hex)
{
	char command[COMMAND_MOST + 1] = "";
	const char *name = command;
	size_t len = strlen(hex) / 2;

	if (len > COMMAND_MOST || !take_bytes(hex, command, len))
		gdb_fail(g, "malformed packet qRcmd");
	else if (take_text(&name, "symbol ") && *name)
		say_symbol(g, name);
	else
		say(g, "monitor symbol NAME: the address of a symbol of a Linux guest's kernel\n");
}
