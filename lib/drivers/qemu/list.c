/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "locate.h"
#include "qemu.h"

struct lister {
	scry_list_fn fn;
	void *opaque;
};

/*
 * A socket on which nobody listens, or nothing of this version, is no VM to list;
 * one whose agent does not answer is.
 */
static int list_one(const char *path, const char *name, void *opaque)
{
	const struct lister *lister = opaque;
	struct scry_agent_welcome welcome;
	char uri[600];

	int ret = qemu_ask(path, &welcome);

	if (ret == SCRY_E_TIMEOUT) {
		welcome = (struct scry_agent_welcome){ .hypervisor = "does not answer: stopped?" };
		snprintf(welcome.name, sizeof(welcome.name), "%s", name);
	} else if (ret < 0) {
		return 0;
	}
	snprintf(uri, sizeof(uri), "qemu:%s", name);
	return lister->fn(&(struct scry_vm_entry){ .uri = uri, .name = welcome.name,
						   .hypervisor = welcome.hypervisor,
						   .pid = welcome.pid, .vcpus = welcome.vcpus,
						   .ram_bytes = welcome.ram_bytes,
						   .client_pid = welcome.client_pid },
			  lister->opaque);
}

int qemu_list(scry_list_fn fn, void *opaque)
{
	struct lister lister = { fn, opaque };

	return qemu_each_socket(list_one, &lister);
}
