/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../peer.h"
#include "connection.h"
#include "locate.h"
#include "qemu.h"

/*
 * Driver `qemu`: the client of the agent inside QEMU.  See
 * protocol/agent_protocol.h for what passes between the two.
 */

void qemu_end(struct qemu_vm *q, int why)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&q->ended, &none, why))
		return;
	/* No map is of this generation. */
	atomic_store(&q->shared->life.generation, 0);
	shutdown(q->socket, SHUT_RDWR);
}

int qemu_ended(struct qemu_vm *q)
{
	int why = q->ended;
	uint32_t late;

	/* The kernel sets the bit before it closes the sockets of a process. */
	if (atomic_load(&q->shared->life.owner) & FUTEX_OWNER_DIED)
		return scry_fail(SCRY_E_GONE, "VM %s has ended", q->vm->name);
	late = atomic_load(&q->shared->late);
	if (late)
		return scry_fail(SCRY_E_TIMEOUT, "VM %s has gone on without this client, which did not "
				 "reply to an event of vCPU %u within %u ms: open it again",
				 q->vm->name, late - 1, q->vm->reply_timeout_ms);
	if (why == SCRY_E_GONE)
		return scry_fail(SCRY_E_GONE, "the agent of VM %s has hung up: open it again",
				 q->vm->name);
	return scry_fail(SCRY_E_GONE, "the connection to VM %s was given up after an earlier "
			 "failure (%s): open it again", q->vm->name, scry_strerror(why));
}

bool qemu_hung_up(struct qemu_vm *q)
{
	struct pollfd p = { .fd = q->socket, .events = 0 };

	return q->ended || (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static int map_shared(struct qemu_vm *q, int fd, const struct scry_agent_welcome *welcome)
{
	size_t size = SCRY_AGENT_SHARED_HEAD + (size_t)welcome->vcpus * SCRY_AGENT_SLOT_SIZE;
	void *p;
	int ret;

	if (welcome->shared_size < size)
		return scry_fail(SCRY_E_PROTOCOL, "the agent's shared area is too small");
	ret = qemu_map_sealed(fd, size, "shared area", &p);
	if (ret < 0)
		return ret;
	q->shared = p;
	q->shared_size = size;
	return 0;
}

static int attach(struct qemu_vm *q)
{
	struct scry_agent_welcome welcome;
	struct qemu_call call;
	int ret = qemu_hello(q->socket, SCRY_AGENT_ATTACH, q->vm->reply_timeout_ms, &welcome,
			     &call);

	if (ret < 0)
		return ret;
	ret = map_shared(q, call.fds[0], &welcome);
	if (ret < 0) {
		qemu_close_fds(&call);
		return ret;
	}
	close(call.fds[0]);
	q->bell = call.fds[1];
	q->vm->vcpus = welcome.vcpus;
	q->vm->pid = scry_peer_pid(q->socket);
	memcpy(q->vm->name, welcome.name, sizeof(q->vm->name));
	memcpy(q->vm->hypervisor, welcome.hypervisor, sizeof(q->vm->hypervisor));
	return 0;
}

static int get_caps(struct qemu_vm *q)
{
	struct scry_agent_header request = { .type = SCRY_AGENT_CAPS };
	struct scry_agent_caps caps;
	struct qemu_call call = { .request = &request, .request_len = sizeof(request),
				  .reply = &caps, .reply_max = sizeof(caps) };
	int ret = qemu_exchange(q, &call);

	if (ret < 0)
		return ret;
	for (int i = 0; i < SCRY_CAP_COUNT; i++) {
		scry_clean_text(caps.cap[i].reason, sizeof(caps.cap[i].reason));
		scry_cap_set(q->vm, i, caps.cap[i].supported, caps.cap[i].reason);
	}
	return 0;
}

static struct qemu_vm *qemu_new(struct scry_vm *vm)
{
	struct qemu_vm *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->vm = vm;
	q->socket = q->bell = -1;
	q->epoll = -1;
	pthread_mutex_init(&q->socket_lock, NULL);
	for (int i = 0; i < SCRY_MAX_VCPUS; i++)
		pthread_mutex_init(&q->vcpu[i].lock, NULL);
	vm->driver_data = q;
	return q;
}

static void qemu_close(struct scry_vm *vm)
{
	struct qemu_vm *q = qemu_of(vm);

	/* The hang-up tells the agent to put everything back. */
	if (q->socket >= 0)
		close(q->socket);
	if (q->bell >= 0)
		close(q->bell);
	if (q->epoll >= 0)
		close(q->epoll);
	qemu_pt_drop(q);
	scry_files_unmap(&q->files);
	if (q->shared)
		munmap(q->shared, q->shared_size);
	for (int i = 0; i < SCRY_MAX_VCPUS; i++)
		pthread_mutex_destroy(&q->vcpu[i].lock);
	pthread_mutex_destroy(&q->socket_lock);
	free(q);
}

static int qemu_open(struct scry_vm *vm, const char *address)
{
	struct qemu_vm *q = qemu_new(vm);
	char path[800];
	int ret;

	if (!q)
		return scry_fail(SCRY_E_NOMEM, "out of memory while opening %s", address);
	ret = qemu_locate(address, path, sizeof(path));
	if (!ret) {
		q->socket = qemu_connect(path, vm->timeout_ms);
		ret = q->socket < 0 ? q->socket : attach(q);
	}
	if (!ret)
		ret = get_caps(q);
	/* How RAM is reached depends on the map. */
	if (!ret)
		ret = qemu_map(vm);
	if (ret < 0) {
		qemu_close(vm);
		return ret;
	}
	qemu_choose_access(vm);
	return 0;
}

static int qemu_clocks(struct scry_vm *vm, int stopped)
{
	return qemu_request_value(qemu_of(vm), SCRY_AGENT_CLOCKS, !!stopped, NULL);
}

const struct scry_driver scry_driver_qemu = {
	.scheme = "qemu",
	.open = qemu_open,
	.close = qemu_close,
	.list = qemu_list,
	.map = qemu_map,
	.read = qemu_read,
	.write = qemu_write,
	.vcpu_stop = qemu_vcpu_stop,
	.vcpu_go = qemu_vcpu_go,
	.vcpu_waits = qemu_vcpu_waits,
	.clocks = qemu_clocks,
	.regs_get = qemu_regs_get,
	.regs_set = qemu_regs_set,
	.inject = qemu_inject,
	.msr_get = qemu_msr_get,
	.msr_set = qemu_msr_set,
	.xsave_get = qemu_xsave_get,
	.xsave_set = qemu_xsave_set,
	.subscribe = qemu_subscribe,
	.unsubscribe = qemu_unsubscribe,
	.event_wait = qemu_event_wait,
	.event_times = qemu_event_times,
	.event_fd = qemu_event_fd,
	.reply = qemu_reply,
	.view_create = qemu_view_create,
	.view_destroy = qemu_view_destroy,
	.view_protect = qemu_view_protect,
	.view_remap = qemu_view_remap,
	.view_switch = qemu_view_switch,
	.frame_create = qemu_frame_create,
	.frame_destroy = qemu_frame_destroy,
	.pt_start = qemu_pt_start,
	.pt_read = qemu_pt_read,
	.pt_stop = qemu_pt_stop,
	.breakpoint_add = qemu_breakpoint_add,
	.breakpoint_remove = qemu_breakpoint_remove,
	.watchpoint_add = qemu_watchpoint_add,
	.watchpoint_remove = qemu_watchpoint_remove,
};
