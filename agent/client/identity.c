/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/accel.h"
#include "agent/kvmi/options.h"
#include "agent/refuse.h"
#include "identity.h"
#include "protocol/rundir.h"

struct identity identity = { .address.sun_family = AF_UNIX };

static int set_name(const char *name)
{
	if (strlen(name) >= sizeof(identity.name) || !name[0] || name[0] == '.' ||
	    name[strcspn(name, "/:")])
		return refuse("\"%s\" cannot be a VM's name: up to %zu characters, none of them / or :, "
			      "no dot first; choose one with name=NAME", name,
			      sizeof(identity.name) - 1);
	strcpy(identity.name, name);
	return 0;
}

/* Can it be typed, and is it no PID?  QEMU's -name may be anything. */
static bool is_nameable(const char *name)
{
	bool digits = true;

	for (const char *c = name; *c; c++) {
		if (!isgraph((unsigned char)*c) || *c == '/' || *c == ':')
			return false;
		digits &= !!isdigit((unsigned char)*c);
	}
	return !digits && name[0] != '-' && name[0] != '.' && strlen(name) < sizeof(identity.name);
}

static int set_default_name(void)
{
	const char *name = qemu.qemu_get_vm_name();
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	return set_name(name && is_nameable(name) ? name : pid);
}

static int set_path(const char *path)
{
	char folder[sizeof(identity.address.sun_path)], whole[2 * sizeof(folder)];

	if (strlen(path) >= sizeof(identity.address.sun_path))
		return refuse("the socket's path is longer than %zu bytes: %s",
			      sizeof(identity.address.sun_path) - 1, path);
	/* With -daemonize QEMU changes its folder. */
	if (path[0] != '/' && getcwd(folder, sizeof(folder))) {
		snprintf(whole, sizeof(whole), "%s/%s", folder, path);
		return set_path(whole);
	}
	strcpy(identity.address.sun_path, path);
	return 0;
}

/* folder: NULL = as QEMU's environment says. */
static int set_default_path(const char *folder)
{
	char dir[200], path[300];
	int err;

	if (folder ? snprintf(dir, sizeof(dir), "%s", folder) >= (int)sizeof(dir) :
		     scry_rundir(dir, sizeof(dir)) < 0)
		return refuse("the path of the runtime folder is too long: set SCRY_RUNTIME_DIR");
	err = scry_rundir_make(dir);
	if (err < 0)
		return refuse("cannot use the runtime folder %s: %s; it must be this user's own, "
			      "writable by nobody else: or set SCRY_RUNTIME_DIR", dir, strerror(-err));
	snprintf(path, sizeof(path), "%s/%s.sock", dir, identity.name);
	return set_path(path);
}

static void set_hypervisor(void)
{
	struct qemu_version *version = qemu.qmp_query_version(NULL);

	snprintf(identity.hypervisor, sizeof(identity.hypervisor), "QEMU %d.%d.%d (%s)",
		 (int)version->triple[0], (int)version->triple[1], (int)version->triple[2],
		 accel->name);
	qemu.qapi_free_VersionInfo(version);
}

int identity_init(int argc, char **argv)
{
	const char *socket = NULL, *name = NULL, *folder = NULL;
	int status = 0;

	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "name=", 5) == 0)
			name = argv[i] + 5;
		else if (strncmp(argv[i], "socket=", 7) == 0)
			socket = argv[i] + 7;
		else if (strncmp(argv[i], "folder=", 7) == 0)
			folder = argv[i] + 7;
		else if (!kvmi_option(argv[i], &status))
			return refuse("no option \"%s\": there are name=NAME, socket=PATH, folder=PATH and, for a "
				      "tool that speaks KVMI, kvmi=PATH, kvmi-version=7|12, "
				      "kvmi-key=ID, kvmi-reply-timeout=SECONDS, kvmi-command=N and "
				      "kvmi-event=N", argv[i]);
		if (status < 0)
			return -1;
	}
	if (kvmi_options_check() < 0)
		return -1;
	set_hypervisor();
	if ((name ? set_name(name) : set_default_name()) < 0)
		return -1;
	return socket ? set_path(socket) : set_default_path(folder);
}
