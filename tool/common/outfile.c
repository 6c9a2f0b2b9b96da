/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "outfile.h"
#include "stop.h"

static int open_direct(struct outfile *file)
{
	file->fd = open(file->path, O_WRONLY | O_CLOEXEC);
	return file->fd < 0 ? fail("cannot open %s: %s", file->path, strerror(errno)) : 0;
}

#define OWNER_ONLY 0600	/* as mkostemp() has it: right for a guest's memory */

/* Without a name nothing is left behind however the program ends; not every file system can. */
static int open_nameless(struct outfile *file)
{
	char *copy = checked(strdup(file->path));

	file->fd = access("/proc/self/fd", X_OK) ? -1 :
		   open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, OWNER_ONLY);
	free(copy);
	return file->fd < 0 ? -1 : 0;
}

static void name_temporary(struct outfile *file)
{
	if (asprintf(&file->temporary, "%s.XXXXXX", file->path) < 0)
		die_nomem();
}

static int open_temporary(struct outfile *file)
{
	file->whole = true;
	if (!open_nameless(file))
		return 0;
	name_temporary(file);
	file->fd = mkostemp(file->temporary, O_CLOEXEC);
	if (file->fd >= 0)
		return 0;
	free(file->temporary);
	file->temporary = NULL;
	return fail("cannot make a file beside %s: %s", file->path, strerror(errno));
}

/*
 * Behind a symbolic link the file it points to is meant.  One that points to
 * nothing is refused: a rename would replace the link itself.
 */
static int find_path(struct outfile *file, const char *path)
{
	struct stat st;
	int err;

	file->path = realpath(path, NULL);
	if (file->path)
		return 0;
	err = errno;
	/* A pipe, by /dev/stdout or /proc/self/fd, has no path of its own. */
	if (stat(path, &st) && !lstat(path, &st) && S_ISLNK(st.st_mode))
		return fail("%s is a symbolic link that leads nowhere (%s): name the file itself",
			    path, strerror(err));
	file->path = checked(strdup(path));
	return 0;
}

int outfile_open(struct outfile *file, const char *path)
{
	struct stat st;
	int ret;
	bool there;

	*file = (struct outfile){ .fd = STDOUT_FILENO };
	if (!path) {
		file->path = checked(strdup("standard output"));
		return 0;
	}
	if (!strcmp(path, "-")) {
		fail("'-' is not taken for standard output: name /dev/stdout, or ./- for such a file");
		return EXIT_USAGE;
	}
	if (find_path(file, path))
		return EXIT_FAILURE;
	there = !stat(file->path, &st);
	if (there && !S_ISREG(st.st_mode))
		ret = open_direct(file);
	else
		ret = open_temporary(file);
	if (!ret && there && file->whole)
		fchmod(file->fd, st.st_mode & 0777);	/* as the file that it replaces */
	if (ret)
		free(file->path);
	return ret;
}

static const char *left_behind(const struct outfile *file)
{
	return file->whole ? "; nothing of it was left behind" : "";
}

int outfile_write(struct outfile *file, const void *buf, size_t len)
{
	while (len) {
		ssize_t n;

		if (file->ends_on_stop && stop_asked())
			return fail("interrupted%s", left_behind(file));
		n = write(file->fd, buf, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail("cannot write %s: %s%s", file->path, strerror(errno),
				    left_behind(file));
		buf = (const char *)buf + n;
		len -= (size_t)n;
	}
	return 0;
}

static void release(struct outfile *file)
{
	free(file->temporary);
	free(file->path);
}

void outfile_abandon(struct outfile *file)
{
	if (file->fd != STDOUT_FILENO)
		close(file->fd);
	if (file->temporary)
		unlink(file->temporary);
	release(file);
}

static int link_as(struct outfile *file, const char *path)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* A name beside the file's own, by which it can take its place: mkostemp() finds it. */
static int link_beside(struct outfile *file)
{
	int fd;

	name_temporary(file);
	fd = mkostemp(file->temporary, O_CLOEXEC);
	if (fd < 0) {
		free(file->temporary);
		file->temporary = NULL;
		return -1;
	}
	close(fd);
	return unlink(file->temporary) || link_as(file, file->temporary);
}

/* Only where a file is replaced there is a moment with another name. */
static int give_name(struct outfile *file)
{
	if (!file->temporary && !link_as(file, file->path))
		return 0;
	if (!file->temporary && (errno != EEXIST || link_beside(file)))
		return -1;
	return rename(file->temporary, file->path);
}

int outfile_commit(struct outfile *file)
{
	/* A full disk may show only now. */
	if (file->whole && (fsync(file->fd) || give_name(file))) {
		fail("cannot complete %s: %s; nothing of it was left behind", file->path,
		     strerror(errno));
		outfile_abandon(file);
		return EXIT_FAILURE;
	}
	if (file->fd != STDOUT_FILENO)
		close(file->fd);
	release(file);
	return 0;
}
