/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/refuse.h"
#include "identity.h"
#include "listener.h"

#define BACKLOG     16
#define LOCK_TRIES  500
#define SOCKET_MODE 0600

static struct stat ours;	/* the socket's file */

static const struct sockaddr *address(void)
{
	return (const struct sockaddr *)&identity.address;
}

static const char *path(void)
{
	return identity.address.sun_path;
}

/* Its folder, locked: two agents may start with one name at a time. */
static int lock_folder(void)
{
	char copy[sizeof(identity.address.sun_path)];
	const char *dir;
	int fd;

	strcpy(copy, path());
	dir = dirname(copy);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return refuse("cannot open the socket's folder %s: %s", dir, strerror(errno));
	/* Who could hold it for long would keep QEMU from starting: go on without. */
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0 && i < LOCK_TRIES; i++)
		usleep(1000);
	return fd;
}

/* Whose is the socket that is there already?  0 if it is a dead agent's, of this user. */
static int check_left_over(int fd, const struct stat *st)
{
	if (connect(fd, address(), sizeof(identity.address)) == 0 || errno == EAGAIN)
		return refuse("another VM is called %s: it answers at %s; choose another name with "
			      "name=NAME", identity.name, path());
	if (errno == EPROTOTYPE)
		return refuse("%s is another program's socket: choose another path with "
			      "socket=PATH", path());
	if (errno != ECONNREFUSED)
		return refuse("%s is there already: %s; choose another name or remove it", path(),
			      strerror(errno));
	/* Nobody listens, and nothing tells more of whom it belonged to. */
	if (st->st_uid != geteuid() || (st->st_mode & 07777) != SOCKET_MODE)
		return refuse("the left-over socket %s is not one that an agent of this user made: "
			      "remove it, or choose another path with socket=PATH", path());
	return 0;
}

/* 0 if the name is free, or a dead agent's left-over, which is removed. */
static int take_name(int fd)
{
	struct stat st;

	if (lstat(path(), &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return refuse("%s is there already, and not a socket: choose another name or remove "
			      "it", path());
	if (check_left_over(fd, &st) < 0)
		return -1;
	if (unlink(path()) < 0)
		return refuse("cannot remove the left-over socket %s: %s", path(), strerror(errno));
	return 0;
}

static int bind_and_listen(int fd)
{
	/* Before bind(): there is no moment in which others may connect. */
	if (fchmod(fd, SOCKET_MODE) < 0 || bind(fd, address(), sizeof(identity.address)) < 0 ||
	    listen(fd, BACKLOG) < 0 || lstat(path(), &ours) < 0)
		return refuse("cannot listen at %s: %s", path(), strerror(errno));
	return 0;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? refuse("cannot make a socket: %s", strerror(errno)) : fd;
}

int listener_open(void)
{
	int folder = lock_folder(), fd, probe, ret = -1;

	if (folder < 0)
		return -1;
	probe = new_socket();
	fd = new_socket();
	if (probe >= 0 && fd >= 0)
		ret = take_name(probe) < 0 ? -1 : bind_and_listen(fd);
	if (probe >= 0)
		close(probe);
	if (ret < 0 && fd >= 0)
		close(fd);
	close(folder);
	return ret < 0 ? -1 : fd;
}

void listener_unlink(void)
{
	struct stat st;

	if (lstat(path(), &st) == 0 && st.st_dev == ours.st_dev && st.st_ino == ours.st_ino)
		unlink(path());
}
