/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "../../../protocol/futex.h"
#include "../../guard.h"
#include "kvmi.h"
#include "rx.h"

#define SLICE_NS (KVMI_SLICE_MS * UINT64_C(1000000))

/* Commands of one batch that are under way at a time, and bytes of memory in them. */
#define WINDOW       64u
#define WINDOW_BYTES 65536u

int kvmi_end(struct kvmi_vm *k, int why, const char *sentence)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&k->ended, &none, why)) {
		snprintf(k->why, sizeof(k->why), "%s", sentence);
		/* No map is of this life. */
		atomic_store(&k->life, SCRY_GUARD_BROKEN);
		/* First, so that QEMU does not come again to us. */
		kvmi_unlisten(k);
		shutdown(k->socket, SHUT_RDWR);
		pthread_cond_broadcast(&k->turn);
	}
	return kvmi_ended(k);
}

int kvmi_ended(struct kvmi_vm *k)
{
	int why = k->ended;

	if (why == SCRY_E_GONE || why == SCRY_E_TIMEOUT)
		return scry_fail(why, "VM %s: %s", k->vm->name, k->why);
	return scry_fail(SCRY_E_GONE, "the connection to VM %s was given up: %s", k->vm->name,
			 k->why);
}

void kvmi_keep_why(char why[KVMI_WHY])
{
	snprintf(why, KVMI_WHY, "%s", scry_errmsg());
}

/* One message, whose parts are these; false when the connection has ended. */
static bool send_parts(struct kvmi_vm *k, struct iovec *iov, size_t count)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };

	while (msg.msg_iovlen) {
		ssize_t n = sendmsg(k->socket, &msg, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			kvmi_end(k, errno == EAGAIN ? SCRY_E_IO : SCRY_E_GONE, errno == EAGAIN ?
				 "the kernel takes no more messages" : "the kernel has hung up");
			return false;
		}
		for (; msg.msg_iovlen && (size_t)n >= msg.msg_iov->iov_len; msg.msg_iov++) {
			n -= (ssize_t)msg.msg_iov->iov_len;
			msg.msg_iovlen--;
		}
		if (msg.msg_iovlen) {
			msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + n;
			msg.msg_iov->iov_len -= (size_t)n;
		}
	}
	return true;
}

/* A free place among those that have no reply yet. */
static struct kvmi_slot *take_slot(struct kvmi_vm *k)
{
	struct kvmi_slot *slot;

	do
		slot = &k->slot[++k->seq % KVMI_OUTSTANDING];
	while (slot->used);
	*slot = (struct kvmi_slot){ .used = true, .seq = k->seq, .vcpu = -1 };
	k->outstanding++;
	return slot;
}

/* The parts of a call's message, behind `iov`; how many. */
static size_t gather(struct kvmi_vm *k, struct kvmi_call *call, struct kvmi_slot *slot,
		     struct kvmi_header *header, struct iovec *iov)
{
	kvmi_call_header(k->generation, call, slot->seq, header);
	slot->id = header->id;
	iov[0] = (struct iovec){ header, sizeof(*header) };
	iov[1] = (struct iovec){ call->head, call->head_len };
	iov[2] = (struct iovec){ (void *)call->data, call->data_len };
	return call->data_len ? 3 : call->head_len ? 2 : 1;
}

void kvmi_post_locked(struct kvmi_vm *k, const struct kvmi_call *call, int vcpu)
{
	struct kvmi_call copy = *call;
	struct kvmi_header header;
	struct kvmi_slot *slot;
	struct iovec iov[3];

	if (k->ended)
		return;
	if (k->outstanding >= KVMI_OUTSTANDING - WINDOW) {
		kvmi_end(k, SCRY_E_IO, "the kernel leaves too many commands without a reply");
		return;
	}
	slot = take_slot(k);
	slot->must_succeed = true;
	slot->vcpu = vcpu;
	send_parts(k, iov, gather(k, &copy, slot, &header, iov));
}

void kvmi_answer_locked(struct kvmi_vm *k, unsigned vcpu, enum kvmi_action action, uint64_t value)
{
	struct kvmi_vcpu_state *v = &k->vcpu[vcpu];
	struct kvmi_event_answer answer;
	struct iovec iov = { &answer, 0 };

	iov.iov_len = kvmi_make_answer(k->generation, &v->at, action, value, &answer);
	v->waits = v->queued = v->told = v->regs_set = false;
	if (!k->ended)
		send_parts(k, &iov, 1);
}

/*
 * How many of the calls may go out now: there must be room for their replies, so
 * that neither side waits for the other to read.
 */
static size_t sendable(const struct kvmi_call *call, size_t count, size_t under_way)
{
	size_t n = 0, bytes = 0;

	/* Few at a time cost a system call each. */
	if (under_way > WINDOW / 2)
		return 0;
	while (n < count && n + under_way < WINDOW && (!n || bytes < WINDOW_BYTES))
		bytes += call[n++].data_len;
	return n;
}

/* Send some at once. */
static bool send_some(struct kvmi_vm *k, struct kvmi_call *call, size_t count, size_t *left)
{
	struct kvmi_header header[WINDOW];
	struct iovec iov[3 * WINDOW];
	size_t parts = 0;

	for (size_t i = 0; i < count; i++) {
		struct kvmi_slot *slot = take_slot(k);

		slot->call = &call[i];
		slot->left = left;
		parts += gather(k, &call[i], slot, &header[i], iov + parts);
	}
	return send_parts(k, iov, parts);
}

/* Nobody waits for these any longer: their replies may still come. */
static void give_up(struct kvmi_vm *k, const size_t *left)
{
	for (size_t i = 0; i < KVMI_OUTSTANDING; i++)
		if (k->slot[i].used && k->slot[i].left == left) {
			k->slot[i].call = NULL;
			k->slot[i].left = NULL;
		}
}

/* For the next reply to come; all of opening has its time, too. */
static uint64_t deadline(const struct kvmi_vm *k)
{
	uint64_t end = scry_now_ns() + (uint64_t)k->vm->timeout_ms * 1000000u;

	return k->open_end && k->open_end < end ? k->open_end : end;
}

static int late(struct kvmi_vm *k, const struct kvmi_call *call)
{
	if (k->open_end && k->open_end <= scry_now_ns())
		return scry_fail(SCRY_E_TIMEOUT, "VM %s: opening it took more than %d ms: its kernel "
				 "answers too slowly", k->vm->name, KVMI_OPEN_TIMES * k->vm->timeout_ms);
	return scry_fail(SCRY_E_TIMEOUT, "VM %s: the kernel did not answer %s within %d ms: a vCPU "
			 "that does not run (a VM stopped in QEMU, say) answers nothing",
			 k->vm->name, kvmi_command_name(call->command), k->vm->timeout_ms);
}

int kvmi_calls_locked(struct kvmi_vm *k, struct kvmi_call *call, size_t count)
{
	uint64_t end = deadline(k);
	size_t sent = 0, left = 0, before = 0;
	int over = 0;

	while (!k->ended && (sent < count || left)) {
		size_t n = sendable(call + sent, count - sent, left);

		/* Commands given up before are still there. */
		if (n && k->outstanding + n <= KVMI_OUTSTANDING) {
			left += n;
			if (!send_some(k, call + sent, n, &left))
				break;
			sent += n;
		}
		before = left;
		over = kvmi_read_locked(k, end);
		if (left < before)
			end = deadline(k);
		if (over && (left == before || end <= scry_now_ns()))
			break;
	}
	give_up(k, &left);
	if (k->ended)
		return kvmi_ended(k);
	return over && (left || sent < count) ? late(k, call) : 0;
}

int kvmi_calls(struct kvmi_vm *k, struct kvmi_call *call, size_t count)
{
	int ret;

	pthread_mutex_lock(&k->lock);
	ret = kvmi_calls_locked(k, call, count);
	pthread_mutex_unlock(&k->lock);
	return ret;
}

static const struct {
	int err, code;
	const char *text;
} refusals[] = {
	{ KVMI_EPERM, SCRY_E_PERM, "QEMU does not allow it" },
	{ KVMI_ENOENT, SCRY_E_ADDRESS, "there is no such page" },
	{ KVMI_EAGAIN, SCRY_E_STATE, "the vCPU has not been started, or is not ready" },
	{ KVMI_ENOMEM, SCRY_E_NOMEM, "it is out of memory" },
	{ KVMI_EBUSY, SCRY_E_BUSY, "another user, or an earlier request, is in the way" },
	{ KVMI_EINVAL, SCRY_E_REFUSED, "invalid" },
	{ KVMI_EOPNOTSUPP, SCRY_E_UNSUPPORTED, "this kernel or processor cannot do it (now)" },
	{ KVMI_ENOSYS, SCRY_E_UNSUPPORTED, "this kernel has no such command" },
};

int kvmi_refused(struct kvmi_vm *k, const struct kvmi_call *call)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].err == call->err)
			return scry_fail(refusals[i].code, "the kernel refused %s on VM %s: %s",
					 kvmi_command_name(call->command), k->vm->name,
					 refusals[i].text);
	return scry_fail(SCRY_E_IO, "the kernel failed %s on VM %s: error %d",
			 kvmi_command_name(call->command), k->vm->name, call->err);
}

int kvmi_call_locked(struct kvmi_vm *k, struct kvmi_call *call)
{
	int ret = kvmi_calls_locked(k, call, 1);

	return ret < 0 || !call->err ? ret : kvmi_refused(k, call);
}

int kvmi_call(struct kvmi_vm *k, struct kvmi_call *call)
{
	int ret = kvmi_calls(k, call, 1);

	return ret < 0 || !call->err ? ret : kvmi_refused(k, call);
}
