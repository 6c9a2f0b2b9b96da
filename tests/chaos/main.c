/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scry-chaos: clients that are killed, and VMs that end, at bad moments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chaos.h"

static int usage(void)
{
	fputs("usage: scry-chaos kill-client URI KILLS [SEED]\n"
	      "       scry-chaos storm URI SECONDS\n"
	      "       scry-chaos vm-end URI QEMU_PID kill|term|exit WHAT\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct ctx c = { 0 };
	int err;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4)
		return usage();
	c.uri = argv[2];
	err = world_open(&c);
	if (!err)
		err = world_reset(&c);
	if (!err && !strcmp(argv[1], "kill-client"))
		err = kill_clients(&c, (unsigned)atoi(argv[3]),
				   argc > 4 ? (unsigned)atoi(argv[4]) : (unsigned)time(NULL));
	else if (!err && !strcmp(argv[1], "storm"))
		err = storm(&c, (unsigned)atoi(argv[3]));
	else if (!err && !strcmp(argv[1], "vm-end") && argc == 6)
		err = vm_end(&c, atoi(argv[3]), argv[4], argv[5]);
	else if (!err)
		err = usage();
	world_close(&c);
	if (err < 0)
		puts(c.why);
	return err ? 1 : 0;
}
