/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include <scry/scry.h>

#include "doctor.h"

#define PARAMETER "/sys/module/kvm/parameters/introspection"

void doctor_kvmi(struct findings *f)
{
	FILE *file = fopen(PARAMETER, "re");
	int on = file ? getc(file) : 0;

	if (file)
		fclose(file);
	if (on == 'Y' || on == '1')
		finding(f, FINDING_OK, "KVMI", NULL, "this kernel lets VMs be introspected: scry doctor "
			"--kvmi SOCKET tries one");
	else if (file)
		finding(f, FINDING_NOTE, "KVMI", "boot with kvm.introspection=1", "this kernel has KVMI, "
			"but it is switched off");
	else
		finding(f, FINDING_OK, "KVMI", NULL, "this kernel is none with KVMI, and need not be: the "
			"agent serves KVMI from any QEMU (scry-agent(7), kvmi=)");
}

/* What a VM lacks because the kernel or QEMU's options deny it, not KVMI. */
static void tell_denied(struct findings *f, struct scry_vm *vm)
{
	for (int cap = 0; cap < SCRY_CAP_COUNT; cap++) {
		const char *reason = "";

		if (!scry_cap(vm, cap, &reason) && strstr(reason, "does not allow"))
			finding(f, FINDING_NOTE, scry_cap_name(cap), NULL, "%s", reason);
	}
}

static void say_listened(struct findings *f, const char *socket)
{
	finding(f, FINDING_OK, "socket", NULL, "listened at %.*s: the tool listens, and QEMU, started "
		"before or after, connects every reconnect= seconds",
		(int)strcspn(socket, ","), socket);
}

bool doctor_kvmi_try(struct findings *f, const char *socket)
{
	static const char *const ways[] = {
		[SCRY_RAM_MAPPED] = "mapped from QEMU's process: a read is a load",
		[SCRY_RAM_PROCESS] = "read from QEMU's process",
		[SCRY_RAM_MESSAGES] = "read by messages",
	};
	struct scry_info info = { .sz = sizeof(info) };
	struct scry_vm *vm;
	char uri[256], fix[512];
	int ret;

	snprintf(uri, sizeof(uri), "kvmi:%s", socket);
	snprintf(fix, sizeof(fix), "qemu-system-x86_64 -accel kvm -chardev "
		 "socket,path=%.*s,id=chardev0,reconnect=1 -object introspection,id=kvmi,"
		 "chardev=chardev0 ...", (int)strcspn(socket, ","), socket);
	ret = scry_open(&vm, uri, NULL);
	/* Other failures may come before there is a socket. */
	if (!ret || ret == SCRY_E_TIMEOUT || ret == SCRY_E_PROTOCOL || ret == SCRY_E_VERSION)
		say_listened(f, socket);
	if (ret < 0) {
		/* Where there is a VM that does not let us in, it needs no other QEMU. */
		if (ret == SCRY_E_PERM || ret == SCRY_E_BUSY)
			fix[0] = 0;
		finding(f, FINDING_BAD, "VM", fix[0] ? fix : NULL, "%s", scry_errmsg());
		return false;
	}
	ret = scry_info(vm, &info);
	if (ret < 0)
		finding(f, FINDING_BAD, "VM", NULL, "%s", scry_errmsg());
	else
		finding(f, FINDING_OK, "VM", NULL, "%s, %s, %u vCPUs, RAM %s", info.name,
			info.hypervisor, info.vcpus, ways[info.ram_access]);
	tell_denied(f, vm);
	scry_close(vm);
	return !ret;
}
