/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../../peer.h"
#include "connection.h"
#include "qemu.h"

/* Find out how RAM can be read, and say so in the capability's note. */
void qemu_choose_access(struct scry_vm *vm)
{
	const struct scry_map *map = scry_current_map(vm);
	struct qemu_vm *q = qemu_of(vm);
	char byte;

	if (vm->pid > 0 && map->count) {
		const struct scry_mapped_region *first = map->region;

		q->can_peek = scry_peek(vm->pid, &(struct scry_piece){ first, first->region.gpa,
								       &byte, 1 }, 1);
	}
	if (map->ram.size) {
		vm->ram_access = SCRY_RAM_MAPPED;
		scry_cap_set(vm, SCRY_CAP_PHYS_READ, true, "by loads from the shared mapping");
		scry_cap_set(vm, SCRY_CAP_RAM_MAP, true, "");
		return;
	}
	if (vm->caps[SCRY_CAP_RAM_MAP].supported)
		scry_cap_set(vm, SCRY_CAP_RAM_MAP, false, "mapping the shared RAM failed here");
	vm->ram_access = q->can_peek ? SCRY_RAM_PROCESS : SCRY_RAM_MESSAGES;
	scry_cap_set(vm, SCRY_CAP_PHYS_READ, true, q->can_peek ?
		     "by process_vm_readv on QEMU, since RAM is not shared" :
		     "by messages to the agent, since RAM is not shared and process_vm_readv on "
		     "QEMU is not permitted");
}

static int read_chunk(struct qemu_vm *q, uint64_t gpa, void *buf, size_t len)
{
	struct scry_agent_memory request = { .header.type = SCRY_AGENT_READ, .gpa = gpa,
					     .len = len };
	union {
		struct scry_agent_memory head;
		uint8_t bytes[sizeof(struct scry_agent_memory) + SCRY_AGENT_CHUNK];
	} reply;
	struct qemu_call call = { .request = &request, .request_len = sizeof(request),
				  .reply = &reply, .reply_max = sizeof(reply.head) + len };
	int ret = qemu_exchange(q, &call);

	if (!ret)
		memcpy(buf, reply.head.data, len);
	return ret;
}

static int read_by_messages(struct qemu_vm *q, const struct scry_piece *piece)
{
	size_t n;

	for (size_t done = 0; done < piece->len; done += n) {
		size_t left = piece->len - done;
		int ret;

		n = left < SCRY_AGENT_CHUNK ? left : SCRY_AGENT_CHUNK;
		ret = read_chunk(q, piece->gpa + done, (char *)piece->buf + done, n);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int qemu_read(struct scry_vm *vm, const struct scry_map *map, const struct scry_piece *piece,
	      size_t count)
{
	struct qemu_vm *q = qemu_of(vm);
	int ret = 0;

	/* What was read is the guest's only if the map stayed as it was. */
	if (q->can_peek && scry_peek(vm->pid, piece, count) &&
	    __atomic_load_n(map->ram.life, __ATOMIC_ACQUIRE) == map->ram.life_seen)
		return 0;
	for (size_t i = 0; !ret && i < count; i++)
		ret = read_by_messages(q, &piece[i]);
	return ret;
}

static int write_chunk(struct qemu_vm *q, uint64_t gpa, const void *buf, size_t len)
{
	struct scry_agent_memory request = { .header.type = SCRY_AGENT_WRITE, .gpa = gpa,
					     .len = len }, reply;
	struct qemu_call call = { .request = &request, .request_len = sizeof(request),
				  .payload = buf, .payload_len = len,
				  .reply = &reply, .reply_max = sizeof(reply) };

	return qemu_exchange(q, &call);
}

int qemu_write(struct scry_vm *vm, uint64_t gpa, const void *buf, size_t len)
{
	const char *from = buf;

	while (len) {
		size_t n = len < SCRY_AGENT_CHUNK ? len : SCRY_AGENT_CHUNK;
		int ret = write_chunk(qemu_of(vm), gpa, from, n);

		if (ret < 0)
			return ret;
		gpa += n;
		from += n;
		len -= n;
	}
	return 0;
}
