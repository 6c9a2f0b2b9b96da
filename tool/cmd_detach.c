/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "attach/attach.h"
#include "common/command.h"
#include "common/target.h"
#include "protocol/rundir.h"

/* "qemu:" may be left out, as everywhere. */
static int find_socket(const char *word, char *path, size_t size)
{
	const char *name = strncmp(word, "qemu:", 5) ? word : word + 5;
	struct vm_found found;
	char folder[300];
	int ret;

	if (name[0] == '/') {
		snprintf(path, size, "%s", name);
		return 0;
	}
	ret = find_vm(word, &found);
	if (ret < 0)
		return fail_lib();
	if (!ret || scry_rundir(folder, sizeof(folder)) < 0)
		return fail("there is no VM '%s': see 'scry list'", word);
	snprintf(path, size, "%s/%s.sock", folder, found.name);
	return 0;
}

static int detach(struct args *args)
{
	const char *word;
	char path[400];
	int ret;

	next_option(args);
	word = next_word(args, "VM");
	no_more_words(args);
	ret = find_socket(word, path, sizeof(path));
	return ret ? ret : leave(path);
}

const struct command cmd_detach = {
	.name = "detach",
	.summary = "take the agent out that 'scry attach' has put into a QEMU",
	.usage = "VM",
	.about = "The agent leaves the VM's QEMU, which goes on as if it had not been there.\n"
		 "An agent that was loaded when QEMU started, by 'scry run' or -plugin, stays;\n"
		 "so it does while a program looks into the VM.",
	.opts = (const struct opt[]){ { 0 } },
	.example = "scry detach web",
	.run = detach,
};
