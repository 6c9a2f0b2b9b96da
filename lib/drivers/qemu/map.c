/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../../peer.h"
#include "connection.h"
#include "qemu.h"

int qemu_map_sealed(int fd, uint64_t size, const char *what, void **p)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size < size)
		return scry_fail(SCRY_E_PROTOCOL, "the agent's %s is too small", what);
	/* Else it could be shortened under our hands, and a load be a bus error. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return scry_fail(SCRY_E_PROTOCOL, "the agent's %s is not sealed", what);
	*p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*p == MAP_FAILED)
		return scry_fail(SCRY_E_NOMEM, "cannot map the agent's %s: %s", what, strerror(errno));
	return 0;
}

static int check_region(const struct scry_agent_region *r, uint64_t floor, int files)
{
	uint64_t bits = r->gpa | r->size | r->file_offset | r->host;

	if (!r->size || bits & 4095 || r->gpa < floor || r->size > UINT64_MAX - r->gpa ||
	    r->file < -1 || r->file >= files)
		return scry_fail(SCRY_E_PROTOCOL, "the agent sent a malformed memory map");
	return 0;
}

static int publish(struct qemu_vm *q, const struct scry_agent_map *map,
		   const struct qemu_call *call)
{
	struct scry_mapped_region regions[SCRY_AGENT_REGIONS] = { 0 };
	uint64_t floor = 0;

	for (uint32_t i = 0; i < map->count; i++) {
		const struct scry_agent_region *r = &map->region[i];
		int ret = check_region(r, floor, call->fd_count);

		if (ret < 0)
			return ret;
		floor = r->gpa + r->size;
		regions[i].region.gpa = r->gpa;
		regions[i].region.size = r->size;
		regions[i].region.flags = r->flags & (SCRY_REGION_ROM | SCRY_REGION_DEVICE);
		regions[i].own = r->flags & SCRY_AGENT_REGION_FRAMES;
		regions[i].vmm_host = r->host;
		if (r->file >= 0)
			regions[i].host = scry_files_map(&q->files, call->fds[r->file],
							  r->file_offset, r->size, NULL);
		if (regions[i].host)
			regions[i].region.flags |= SCRY_REGION_MAPPED;
	}
	return scry_ram_publish(q->vm, regions, map->count, (const uint64_t *)&q->shared->life,
				map->life);
}

int qemu_map(struct scry_vm *vm)
{
	struct scry_agent_header request = { .type = SCRY_AGENT_MAP };
	struct qemu_vm *q = qemu_of(vm);
	struct scry_agent_map map;
	struct qemu_call call = { .request = &request, .request_len = sizeof(request),
				  .reply = &map,
				  .reply_min = offsetof(struct scry_agent_map, region),
				  .reply_max = sizeof(map) };
	ssize_t len = qemu_request(q, &call);
	int ret;

	if (len < 0)
		return (int)len;
	if (map.count > SCRY_AGENT_REGIONS || map.files != (uint32_t)call.fd_count || !(map.life >> 32) ||
	    (size_t)len < call.reply_min + map.count * sizeof(map.region[0]))
		ret = scry_fail(SCRY_E_PROTOCOL, "the agent sent a malformed memory map");
	else
		ret = publish(q, &map, &call);
	qemu_close_fds(&call);
	return ret;
}
