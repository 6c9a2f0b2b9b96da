/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <scry/scry.h>

#include "../common/agentpath.h"
#include "../common/message.h"
#include "../protocol/rundir.h"
#include "doctor.h"

bool doctor_agent(struct findings *f, enum finding_level missing)
{
	char *path = agent_path();
	bool found = !access(path, R_OK);

	if (found)
		finding(f, FINDING_OK, "agent", NULL, "%s", path);
	else
		finding(f, missing, "agent", "meson install -C build",
			"not at %s; SCRY_AGENT can name another place", path);
	free(path);
	return found;
}

/* The folder is not there yet: can it be made? */
static bool check_parent(struct findings *f, const char *dir)
{
	char copy[PATH_MAX], fix[PATH_MAX + 32];
	const char *parent;

	snprintf(copy, sizeof(copy), "%s", dir);
	parent = dirname(copy);
	if (!access(parent, W_OK | X_OK)) {
		finding(f, FINDING_OK, "runtime folder", NULL, "%s, which the first VM makes", dir);
		return true;
	}
	snprintf(fix, sizeof(fix), "mkdir -p -m 700 %s", dir);
	finding(f, FINDING_BAD, "runtime folder", fix, "%s is not there and %s cannot be written",
		dir, parent);
	return false;
}

static bool check_owner(struct findings *f, const char *dir, const struct stat *st)
{
	char fix[PATH_MAX + 32];

	if (!S_ISDIR(st->st_mode)) {
		snprintf(fix, sizeof(fix), "rm %s", dir);
		finding(f, FINDING_BAD, "runtime folder", fix, "%s is not a folder", dir);
	} else if (st->st_uid != geteuid()) {
		finding(f, FINDING_BAD, "runtime folder", "export SCRY_RUNTIME_DIR=$HOME/.scry",
			"%s belongs to another user (%u)", dir, (unsigned)st->st_uid);
	} else if (st->st_mode & 0022) {
		snprintf(fix, sizeof(fix), "chmod 700 %s", dir);
		finding(f, FINDING_BAD, "runtime folder", fix, "%s can be written by others "
			"(mode %03o): the agent refuses it", dir, (unsigned)st->st_mode & 0777);
	} else {
		finding(f, FINDING_OK, "runtime folder", NULL, "%s (mode %03o)", dir,
			(unsigned)st->st_mode & 0777);
		return true;
	}
	return false;
}

bool doctor_rundir(struct findings *f)
{
	char dir[PATH_MAX];
	struct stat st;

	if (scry_rundir(dir, sizeof(dir)) < 0) {
		finding(f, FINDING_BAD, "runtime folder", "unset SCRY_RUNTIME_DIR",
			"its path is too long");
		return false;
	}
	if (!lstat(dir, &st))
		return check_owner(f, dir, &st);
	if (errno == ENOENT)
		return check_parent(f, dir);
	finding(f, FINDING_BAD, "runtime folder", "export SCRY_RUNTIME_DIR=$HOME/.scry",
		"%s cannot be looked at: %s", dir, strerror(errno));
	return false;
}

void doctor_ptrace(struct findings *f)
{
	static const char path[] = "/proc/sys/kernel/yama/ptrace_scope";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char scope = '0';

	if (fd >= 0) {
		if (read(fd, &scope, 1) != 1)
			scope = '0';
		close(fd);
	}
	if (scope == '0' || (geteuid() == 0 && scope != '3'))
		finding(f, FINDING_OK, "unshared RAM", NULL,
			"process_vm_readv on this user's QEMU is permitted");
	else
		finding(f, FINDING_NOTE, "unshared RAM", "sudo sysctl kernel.yama.ptrace_scope=0",
			"ptrace_scope is %c: RAM that QEMU does not share is read through the "
			"agent, which is slower ('scry run' shares it)", scope);
}

enum finding_level doctor_xen(struct findings *f)
{
	static const char nobody[] = "xen:32700";	/* a number that no domain has */
	struct scry_vm *vm;
	int ret;

	if (access("/dev/xen/privcmd", F_OK) && access("/proc/xen/privcmd", F_OK))
		return FINDING_NOTE;
	ret = scry_open(&vm, nobody, NULL);
	if (ret == SCRY_E_NOTFOUND) {
		finding(f, FINDING_OK, "Xen", NULL, "this is dom0: domains can be looked into");
		return FINDING_OK;
	}
	if (ret >= 0)
		scry_close(vm);
	finding(f, FINDING_BAD, "Xen", NULL, "%s", scry_errmsg());
	return FINDING_BAD;
}

struct vm_names {
	unsigned count;
	char text[160];
};

static int add_name(const struct scry_vm_entry *entry, void *opaque)
{
	struct vm_names *names = opaque;
	size_t used = strlen(names->text);

	snprintf(names->text + used, sizeof(names->text) - used, "%s%s", used ? ", " : "",
		 entry->name);
	names->count++;
	return 0;
}

void doctor_vms(struct findings *f)
{
	struct vm_names names = { 0 };

	if (scry_list(add_name, &names) < 0)
		finding(f, FINDING_BAD, "running VMs", NULL, "%s", scry_errmsg());
	else if (!names.count)
		finding(f, FINDING_OK, "running VMs", NULL, "none yet: scry run starts one");
	else
		finding(f, FINDING_OK, "running VMs", NULL, "%s", names.text);
}
