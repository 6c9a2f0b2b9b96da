/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>

#include "common/command.h"
#include "gdb/gdb.h"

enum { KEY_LISTEN = KEY_FIRST_OWN, KEY_PID, KEY_ONCE };

static int gdb(struct args *args)
{
	struct gdb_opts opts = { 0 };
	int key;

	while ((key = next_option(args)) >= 0) {
		if (key == KEY_LISTEN) {
			opts.listen = optarg;
		} else if (key == KEY_PID) {
			opts.pid = pid_arg(args, optarg);
		} else {
			opts.once = true;
		}
	}
	opts.uri = next_word(args, "VM");
	no_more_words(args);
	return gdb_serve(&opts);
}

const struct command cmd_gdb = {
	.name = "gdb",
	.summary = "serve gdb: debug a guest that needs nothing for it",
	.usage = "[--listen [HOST:]PORT] [--pid PID] [--once] VM",
	.about = "A server for gdb's 'target remote'. Each vCPU is a thread. Breakpoints are\n"
		 "hidden: nothing is written to the guest; watchpoints are traps of memory views.\n"
		 "The VM is held while gdb has it stopped, and goes on, with all traps gone, when\n"
		 "gdb detaches, kills it or dies. A dump can be looked at, but not go on. In gdb,\n"
		 "'monitor symbol NAME' tells the address of a symbol of a Linux guest's kernel.",
	.opts = (const struct opt[]){
		{ KEY_LISTEN, "listen", "[HOST:]PORT", "where (default: 127.0.0.1:1234; port 0: any)" },
		{ KEY_PID, "pid", "PID", "memory and breakpoints of this process of a Linux guest" },
		{ KEY_ONCE, "once", NULL, "end when the first client leaves" },
		{ 0 },
	},
	.example = "scry gdb web\n"
		   "scry gdb --listen 0 --pid 1 web\n"
		   "scry gdb file:web.core",
	.run = gdb,
};
