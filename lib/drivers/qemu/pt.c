/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <sys/mman.h>

#include "connection.h"
#include "qemu.h"

static int request(struct qemu_vm *q, const struct scry_agent_pt *request, struct qemu_call *call,
		   uint64_t *value)
{
	struct scry_agent_value reply;
	ssize_t ret;

	*call = (struct qemu_call){ .request = request, .request_len = sizeof(*request),
				    .reply = &reply, .reply_min = sizeof(reply),
				    .reply_max = sizeof(reply) };
	ret = qemu_request(q, call);
	*value = ret < 0 ? 0 : reply.value;
	return ret < 0 ? (int)ret : 0;
}

void qemu_pt_drop(struct qemu_vm *q)
{
	if (q->rings)
		munmap(q->rings, q->ring_bytes * q->vm->vcpus);
	q->rings = NULL;
}

static int map_rings(struct qemu_vm *q, int fd, uint64_t ring_bytes)
{
	void *p;
	int ret = qemu_map_sealed(fd, ring_bytes * q->vm->vcpus, "file of rings", &p);

	if (ret < 0)
		return ret;
	q->rings = p;
	q->ring_bytes = ring_bytes;
	return 0;
}

int qemu_pt_start(struct scry_vm *vm, const struct scry_pt_opts *opts)
{
	const struct scry_agent_pt begin = { .header.type = SCRY_AGENT_PT, .begin = 1,
					     .opts = *opts };
	struct qemu_vm *q = qemu_of(vm);
	struct qemu_call call;
	uint64_t ring_bytes;
	int ret = request(q, &begin, &call, &ring_bytes);

	if (ret < 0)
		return ret;
	qemu_pt_drop(q);
	if (call.fd_count != 1 || ring_bytes != SCRY_AGENT_RING_HEAD + opts->ring)
		ret = scry_fail(SCRY_E_PROTOCOL, "the agent did not hand over the rings asked for");
	else
		ret = map_rings(q, call.fds[0], ring_bytes);
	qemu_close_fds(&call);
	if (ret < 0)
		qemu_end(q, ret);
	return ret;
}

int qemu_pt_stop(struct scry_vm *vm)
{
	const struct scry_agent_pt end = { .header.type = SCRY_AGENT_PT };
	struct qemu_call call;
	uint64_t unused;
	int ret = request(qemu_of(vm), &end, &call, &unused);

	if (!ret)
		qemu_close_fds(&call);
	return ret;
}

int64_t qemu_pt_read(struct scry_vm *vm, unsigned vcpu, void *buf, size_t len)
{
	struct qemu_vm *q = qemu_of(vm);
	uint64_t size = q->ring_bytes - SCRY_AGENT_RING_HEAD, tail, there, until_end;
	struct scry_agent_ring *ring;
	const unsigned char *data;

	if (!q->rings)
		return scry_fail(SCRY_E_STATE, "nothing has been traced: call scry_pt_start() first");
	ring = (struct scry_agent_ring *)(q->rings + vcpu * q->ring_bytes);
	data = (const unsigned char *)ring + SCRY_AGENT_RING_HEAD;
	tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	there = atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
	if (there > size)
		return scry_fail(SCRY_E_PROTOCOL, "the agent's ring of vCPU %u makes no sense", vcpu);
	if (there > len)
		there = len;
	until_end = size - (tail & (size - 1));
	if (until_end > there)
		until_end = there;
	memcpy(buf, data + (tail & (size - 1)), until_end);
	memcpy((char *)buf + until_end, data, there - until_end);
	atomic_store_explicit(&ring->tail, tail + there, memory_order_release);
	return (int64_t)there;
}
