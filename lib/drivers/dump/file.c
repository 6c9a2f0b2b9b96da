/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump.h"

static int open_failed(const char *path)
{
	int code = errno == ENOENT || errno == ENOTDIR ? SCRY_E_NOTFOUND :
		   errno == EACCES || errno == EPERM ? SCRY_E_PERM : SCRY_E_IO;

	return scry_fail(code, "cannot open the dump %s: %s", path, strerror(errno));
}

static int is_zstd(struct dump_file *file, bool *yes)
{
	uint32_t magic = 0;
	int ret = file->size < sizeof(magic) ? 0 : dump_file_pread(file, 0, &magic, sizeof(magic));

	*yes = magic == DUMP_ZSTD_MAGIC;
	return ret;
}

static int look_at(struct dump_file *file)
{
	struct stat st;
	bool zstd;
	int ret;

	if (fstat(file->fd, &st) < 0)
		return open_failed(file->path);
	if (!S_ISREG(st.st_mode))
		return scry_fail(SCRY_E_INVAL, "%s is not a file: a dump is read from a file only",
				 file->path);
	if (!st.st_size)
		return scry_fail(SCRY_E_INVAL, "the file %s is empty", file->path);
	file->size = (uint64_t)st.st_size;
	ret = is_zstd(file, &zstd);
	if (!ret && zstd)
		file->zstd = dump_zstd_open(file, &file->size, &ret);
	return ret;
}

int dump_file_open(struct dump_file *file, const char *path)
{
	int ret;

	snprintf(file->path, sizeof(file->path), "%s", path);
	/* A FIFO without a writer must not hold us up. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return open_failed(file->path);
	ret = look_at(file);
	if (ret < 0)
		dump_file_close(file);
	return ret;
}

void dump_file_close(struct dump_file *file)
{
	scry_guard_end(file->guard);
	if (file->map)
		munmap(file->map, file->size);
	dump_zstd_close(file->zstd);
	if (file->fd >= 0)
		close(file->fd);
	*file = (struct dump_file){ .fd = -1 };
}

int dump_file_map(struct dump_file *file)
{
	void *map;

	if (file->zstd)
		return 0;
	/* Where it cannot be mapped it is read. */
	map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, file->fd, 0);
	if (map == MAP_FAILED)
		return 0;
	file->map = map;
	file->guard = scry_guard_begin(map, file->size, NULL);
	return file->guard ? 0 : scry_fail(SCRY_E_NOMEM, "out of memory for the dump %s", file->path);
}

int dump_file_pread(struct dump_file *file, uint64_t offset, void *buf, size_t len)
{
	while (len) {
		ssize_t n = pread(file->fd, buf, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return scry_fail(SCRY_E_IO, "cannot read %s: %s", file->path, strerror(errno));
		if (!n)
			return scry_fail(SCRY_E_IO, "the file %s ends before offset 0x%" PRIx64
					 ": it has been shortened", file->path, offset + len);
		buf = (char *)buf + n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int dump_file_read(struct dump_file *file, uint64_t offset, void *buf, size_t len)
{
	if (offset > file->size || len > file->size - offset)
		return scry_fail(SCRY_E_INVAL, "the file %s is cut short: %zu bytes at offset 0x%"
				 PRIx64 " are not there", file->path, len, offset);
	return file->zstd ? dump_zstd_read(file, offset, buf, len) :
			    dump_file_pread(file, offset, buf, len);
}
