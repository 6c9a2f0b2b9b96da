/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rundir.h"

static int fits(int n, size_t size)
{
	return n > 0 && (size_t)n < size ? n : -1;
}

int scry_rundir(char *path, size_t size)
{
	const char *own = getenv("SCRY_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");

	if (own && own[0])
		return fits(snprintf(path, size, "%s", own), size);
	if (geteuid() == 0)
		return fits(snprintf(path, size, "/run/scry"), size);
	if (xdg && xdg[0] == '/')
		return fits(snprintf(path, size, "%s/scry", xdg), size);
	return fits(snprintf(path, size, "/tmp/scry-%u", (unsigned)geteuid()), size);
}

int scry_rundir_check(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid == geteuid() && !(st.st_mode & 0022) ? 0 : -EPERM;
}

int scry_rundir_make(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : scry_rundir_check(path);
}
