/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "memory_map.h"

/* A line of /proc/self/maps. */
struct mapping {
	uint64_t begin, end, offset, inode;
	bool shared;
};

static bool parse(const char *line, struct mapping *m)
{
	char permissions[8];

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*x:%*x %" SCNu64, &m->begin,
		   &m->end, permissions, &m->offset, &m->inode) != 5)
		return false;
	m->shared = strlen(permissions) == 4 && permissions[3] == 's';
	return true;
}

/* The file's number in files[], added if it is new; -1 if there are too many. */
static int file_index(int *files, uint32_t *count, int fd)
{
	for (uint32_t i = 0; i < *count; i++)
		if (files[i] == fd)
			return (int)i;
	if (*count == SCRY_AGENT_FILES)
		return -1;
	files[*count] = fd;
	return (int)(*count)++;
}

/* If the region lies in the mapping, and that is its file's: note where. */
static void match(const struct mapping *m, struct scry_agent_region *r, int fd, int *files,
		  uint32_t *count)
{
	struct stat st;

	if (fd < 0 || !m->shared || r->host < m->begin || r->host >= m->end)
		return;
	if (fstat(fd, &st) < 0 || st.st_ino != m->inode)
		return;
	r->file = file_index(files, count, fd);
	r->file_offset = r->file < 0 ? 0 : m->offset + (r->host - m->begin);
}

uint32_t memory_map_files(const struct memory_map *map, struct scry_agent_region *region,
			  int *files)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint32_t count = 0;
	struct mapping m;
	char line[512];

	/* What mapping the kernel has says more than QEMU does: the offset, and whether it is shared. */
	while (maps && fgets(line, sizeof(line), maps))
		for (uint32_t i = 0; i < map->count && parse(line, &m); i++)
			match(&m, &region[i], map->fd[i], files, &count);
	if (maps)
		fclose(maps);
	return count;
}
