/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dial.h"
#include "options.h"

/* Nobody is there, but somebody may be some time; else why that cannot be. */
static void look_at_path(char *why, size_t size)
{
	char folder[sizeof(kvmi_options.address.sun_path)];
	const char *path = kvmi_options.address.sun_path;
	struct stat st;

	strcpy(folder, path);
	if (stat(dirname(folder), &st) < 0)
		snprintf(why, size, "its folder cannot be looked into: %s", strerror(errno));
	else if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		snprintf(why, size, "that is no socket");
}

static void say_why(int error, char *why, size_t size)
{
	if (error == ENOENT || error == ECONNREFUSED)
		look_at_path(why, size);
	else if (error == EACCES)
		snprintf(why, size, "user %u, as whom QEMU runs, may not connect to it: have the "
			 "tool listen in a folder of that user's", (unsigned)geteuid());
	else if (error != EAGAIN && error != EINTR)
		snprintf(why, size, "cannot connect: %s", strerror(error));
}

/* Who may attach a debugger to QEMU may have the VM; others only if they know the key. */
static bool is_allowed(int fd, char *why, size_t size)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);

	if (kvmi_options.key)
		return true;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	snprintf(why, size, "it is of user %d, who is neither root nor QEMU's own: only with "
		 "kvmi-key= can it have this VM", (int)peer.uid);
	return false;
}

int kvmi_dial(char *why, size_t size)
{
	const struct sockaddr *address = (const struct sockaddr *)&kvmi_options.address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	why[0] = 0;
	if (fd < 0) {
		snprintf(why, size, "cannot make a socket: %s", strerror(errno));
		return -1;
	}
	if (connect(fd, address, sizeof(kvmi_options.address)) < 0)
		say_why(errno, why, size);
	else if (is_allowed(fd, why, size))
		return fd;
	close(fd);
	return -1;
}
