/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names of files: from a dentry up to the root of its mount, and on where that is mounted. */
#include <stdio.h>
#include <string.h>

#include "os.h"

#define NAME_MOST  256		/* NAME_MAX and a 0 byte */
#define STEPS_MOST 2048		/* names and mounts in one path */
#define STEPS_FEW  8		/* that each path may have, however many paths there are */
#define CUT        "..."

/* A path that grows towards its beginning; before it there is always room for CUT. */
struct path {
	char text[SCRY_LINUX_PATH];
	size_t at;
};

static bool has_room(const struct path *path, size_t len)
{
	return path->at >= len + strlen(CUT);
}

static void prepend(struct path *path, const char *text, size_t len)
{
	path->at -= len;
	memcpy(path->text + path->at, text, len);
}

static int dentry_name(struct scry_linux *os, uint64_t dentry, char name[NAME_MOST])
{
	uint64_t at, len;
	int ret = os_get(os, dentry, OS_DENTRY_NAME, &at);

	if (!ret)
		ret = os_get(os, dentry, OS_DENTRY_LEN, &len);
	if (ret < 0)
		return ret;
	if (len >= NAME_MOST)
		return os_damaged("a file's name", dentry);
	ret = os_read(os, at, name, len);
	name[len] = 0;
	return ret;
}

/* What this is mounted on: false at the topmost. */
static int up_mount(struct scry_linux *os, uint64_t *mount, uint64_t *dentry, bool *there)
{
	uint64_t parent, point;
	int ret = os_get(os, *mount, OS_MOUNT_PARENT, &parent);

	if (!ret)
		ret = os_get(os, *mount, OS_MOUNT_POINT, &point);
	if (ret < 0)
		return ret;
	*there = parent != *mount;
	*mount = parent;
	*dentry = point;
	return 0;
}

/*
 * Up to the root.  A program can make a path as long as it likes: of one that is too
 * long, or for which no steps are left, the beginning is cut off.
 */
static int climb(struct scry_linux *os, uint64_t mount, uint64_t dentry, struct path *path,
		 uint32_t *steps)
{
	for (int i = 0; i < STEPS_MOST && (*steps || i < STEPS_FEW); i++) {
		uint64_t root, parent;
		char name[NAME_MOST];
		bool there = true;
		int ret = os_get(os, mount, OS_MOUNT_ROOT, &root);

		*steps -= *steps > 0;
		if (!ret)
			ret = os_get(os, dentry, OS_DENTRY_PARENT, &parent);
		if (!ret && (dentry == root || parent == dentry)) {
			ret = up_mount(os, &mount, &dentry, &there);
			if (ret < 0 || !there)
				return ret;
			continue;
		}
		if (!ret)
			ret = dentry_name(os, dentry, name);
		if (ret < 0)
			return ret;
		if (!has_room(path, strlen(name) + 1))
			break;
		prepend(path, name, strlen(name));
		prepend(path, "/", 1);
		dentry = parent;
	}
	prepend(path, CUT, strlen(CUT));
	return 0;
}

static int type_name(struct scry_linux *os, uint64_t inode, char *name, size_t size)
{
	uint64_t sb, type, at;
	int ret = os_get(os, inode, OS_INODE_SB, &sb);

	if (!ret)
		ret = os_get(os, sb, OS_SB_TYPE, &type);
	if (!ret)
		ret = os_get(os, type, OS_FSTYPE_NAME, &at);
	return ret < 0 ? ret : os_string(os, at, name, size);
}

/* Of file systems that have no tree the kernel makes up names (d_dname); so here. */
static int made_up(struct scry_linux *os, uint64_t file, const char *name, char *path, size_t size)
{
	uint64_t inode, number;
	char type[32];
	int ret = os_get(os, file, OS_FILE_INODE, &inode);

	if (!ret)
		ret = os_get(os, inode, OS_INODE_NUMBER, &number);
	if (!ret)
		ret = type_name(os, inode, type, sizeof(type));
	if (ret < 0)
		return ret;
	if (!strcmp(type, "pipefs"))
		snprintf(path, size, "pipe:[%llu]", (unsigned long long)number);
	else if (!strcmp(type, "sockfs"))
		snprintf(path, size, "socket:[%llu]", (unsigned long long)number);
	else if (!strcmp(type, "anon_inodefs"))
		snprintf(path, size, "anon_inode:%s", name);
	else if (!strcmp(type, "nsfs"))
		snprintf(path, size, "namespace:[%llu]", (unsigned long long)number);
	else
		snprintf(path, size, "/%s (deleted)", name);
	return 0;
}

static int has_made_up_name(struct scry_linux *os, uint64_t dentry, bool *is)
{
	uint64_t ops, fn = 0;
	int ret = os_get(os, dentry, OS_DENTRY_OPS, &ops);

	if (!ret && ops)
		ret = os_get(os, ops, OS_DENTRY_OPS_DNAME, &fn);
	*is = fn != 0;
	return ret;
}

static int tree_path(struct scry_linux *os, uint64_t dentry, uint64_t mnt, char *path, size_t size,
		     uint32_t *steps)
{
	struct path p = { .at = sizeof(p.text) - 1 };
	uint64_t parent, hash;
	int ret = os_get(os, dentry, OS_DENTRY_PARENT, &parent);

	if (!ret)
		ret = os_get(os, dentry, OS_DENTRY_HASH, &hash);
	if (!ret)
		ret = os_need(os, OS_MOUNT_MNT);
	if (!ret && !hash && parent != dentry)
		prepend(&p, " (deleted)", 10);
	if (!ret)
		ret = climb(os, mnt - os->member[OS_MOUNT_MNT].offset, dentry, &p, steps);
	if (ret < 0)
		return ret;
	if (p.at == sizeof(p.text) - 1)
		prepend(&p, "/", 1);
	p.text[sizeof(p.text) - 1] = 0;
	snprintf(path, size, "%s", p.text + p.at);
	return 0;
}

static int read_path(struct scry_linux *os, uint64_t file, char *path, size_t size, uint32_t *steps)
{
	char name[NAME_MOST];
	uint64_t dentry, mnt;
	bool is = false;
	int ret = os_get(os, file, OS_FILE_DENTRY, &dentry);

	if (!ret)
		ret = os_get(os, file, OS_FILE_MNT, &mnt);
	if (!ret)
		ret = has_made_up_name(os, dentry, &is);
	if (!ret && is)
		ret = dentry_name(os, dentry, name);
	if (ret < 0)
		return ret;
	return is ? made_up(os, file, name, path, size) :
		    tree_path(os, dentry, mnt, path, size, steps);
}

int os_file_path(struct scry_linux *os, uint64_t file, char *path, size_t size, uint32_t *steps)
{
	int ret = read_path(os, file, path, size, steps);

	/* One name that cannot be read must not end the list that it is in. */
	if (ret != SCRY_E_STATE && ret != SCRY_E_ADDRESS && ret != SCRY_E_NOTMAPPED)
		return ret;
	snprintf(path, size, "?");
	return 0;
}
