/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../protocol/rundir.h"
#include "../../peer.h"
#include "locate.h"
#include "qemu.h"

#define ASK_TIMEOUT_MS 1000
#define PATH_SIZE      512

int qemu_ask(const char *path, struct scry_agent_welcome *welcome)
{
	int fd = qemu_connect(path, ASK_TIMEOUT_MS), ret;
	struct qemu_call call;

	if (fd < 0)
		return fd;
	ret = qemu_hello(fd, SCRY_AGENT_ASK, 0, welcome, &call);
	if (!ret) {
		pid_t pid = scry_peer_pid(fd);

		qemu_close_fds(&call);
		/* The kernel's word counts, where the other namespace lets it speak. */
		if (pid)
			welcome->pid = pid;
	}
	close(fd);
	return ret;
}

/* The folder in which names are looked up: whoever owns it says which VM a name is. */
static int open_folder(char *dir, size_t size)
{
	int err;

	if (scry_rundir(dir, size) < 0)
		return scry_fail(SCRY_E_INVAL, "the path of the runtime folder is too long");
	err = scry_rundir_check(dir);
	if (err == -EPERM)
		return scry_fail(SCRY_E_PERM, "the runtime folder %s is not this user's own, writable by "
				 "nobody else: name the VM as qemu:/path/to.sock, or set "
				 "SCRY_RUNTIME_DIR", dir);
	if (err < 0 && err != -ENOENT)
		return scry_fail(err == -EACCES ? SCRY_E_PERM : SCRY_E_IO, "cannot look into the "
				 "runtime folder %s: %s", dir, strerror(-err));
	return 0;
}

int qemu_each_socket(int (*fn)(const char *path, const char *name, void *opaque), void *opaque)
{
	char dir[PATH_SIZE], path[PATH_SIZE + 256];
	struct dirent *e;
	int ret = open_folder(dir, sizeof(dir));
	DIR *d;

	if (ret < 0)
		return ret;
	d = opendir(dir);
	if (!d && errno == ENOENT)
		return 0;
	if (!d)
		return scry_fail(errno == EACCES ? SCRY_E_PERM : SCRY_E_IO,
				 "cannot look into the runtime folder %s: %s", dir,
				 strerror(errno));
	while (!ret && (e = readdir(d))) {
		size_t len = strlen(e->d_name);

		if (len <= 5 || strcmp(e->d_name + len - 5, ".sock"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		e->d_name[len - 5] = 0;
		ret = fn(path, e->d_name, opaque);
	}
	closedir(d);
	return ret;
}

struct pid_search {
	long pid;
	char *path;
	size_t size;
};

static int match_pid(const char *path, const char *name, void *opaque)
{
	struct pid_search *search = opaque;
	struct scry_agent_welcome welcome;

	(void)name;
	if (qemu_ask(path, &welcome) < 0 || welcome.pid != search->pid)
		return 0;
	snprintf(search->path, search->size, "%s", path);
	return 1;
}

static int by_pid(const char *address, char *path, size_t size)
{
	struct pid_search search = { .path = path, .size = size };
	char *end;

	errno = 0;
	search.pid = strtol(address, &end, 10);
	if (*end || errno || search.pid <= 0)
		return 0;
	return qemu_each_socket(match_pid, &search);
}

struct name_list {
	char text[200];
	size_t len;
};

static int add_name(const char *path, const char *name, void *opaque)
{
	struct name_list *list = opaque;
	struct scry_agent_welcome welcome;
	int n;

	if (qemu_ask(path, &welcome) < 0)
		return 0;	/* a left-over, or not for us */
	n = snprintf(list->text + list->len, sizeof(list->text) - list->len, "%s%s",
		     list->len ? ", " : "", name);
	if (n < 0 || list->len + (size_t)n >= sizeof(list->text)) {
		strcpy(list->text + (list->len < 190 ? list->len : 190), ", ...");
		return 1;
	}
	list->len += (size_t)n;
	return 0;
}

static int not_found(const char *address)
{
	struct name_list list = { .len = 0 };

	qemu_each_socket(add_name, &list);
	if (!list.text[0])
		return scry_fail(SCRY_E_NOTFOUND, "there is no VM '%.64s', and none runs with a "
				 "scry agent for this user: start one with scry run", address);
	return scry_fail(SCRY_E_NOTFOUND, "there is no VM '%.64s'; there is: %s", address,
			 list.text);
}

int qemu_locate(const char *address, char *path, size_t size)
{
	char dir[PATH_SIZE];
	int n, ret;

	if (strchr(address, '/')) {
		n = snprintf(path, size, "%s", address);
		if (n < 0 || (size_t)n >= size)
			return scry_fail(SCRY_E_INVAL, "the socket's path is too long");
		return 0;
	}
	ret = open_folder(dir, sizeof(dir));
	if (ret < 0)
		return ret;
	n = snprintf(path, size, "%s/%s.sock", dir, address);
	if (n < 0 || (size_t)n >= size)
		return not_found(address);
	if (!access(path, F_OK))
		return 0;
	if (errno == EACCES)
		return scry_fail(SCRY_E_PERM, "no permission on the runtime folder %s", dir);
	ret = by_pid(address, path, size);
	if (ret < 0)
		return ret;
	return ret ? 0 : not_found(address);
}
