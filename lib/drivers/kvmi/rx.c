/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "../../../protocol/futex.h"
#include "kvmi.h"
#include "rx.h"

#define SLICE_NS (KVMI_SLICE_MS * UINT64_C(1000000))

static void broken(struct kvmi_vm *k, const char *how)
{
	kvmi_end(k, SCRY_E_PROTOCOL, how);
}

/* The reply to a command that nobody waits for. */
static void take_unawaited(struct kvmi_vm *k, const struct kvmi_slot *slot, const uint8_t *payload,
			   size_t len)
{
	struct kvmi_status status;

	if (!slot->must_succeed)
		return;
	if (len < sizeof(status)) {
		broken(k, "a reply is too short");
		return;
	}
	memcpy(&status, payload, sizeof(status));
	if (!status.err)
		return;
	/* A vCPU that was not started does not run either. */
	if (slot->vcpu >= 0 && status.err == -KVMI_EAGAIN) {
		if (k->vcpu[slot->vcpu].pauses_due)
			k->vcpu[slot->vcpu].pauses_due--;
		k->vcpu[slot->vcpu].unheld = k->vcpu[slot->vcpu].holds;
		return;
	}
	kvmi_end(k, SCRY_E_IO, "the kernel refused what it is to do for a trap");
}

static void take_reply(struct kvmi_vm *k, const struct kvmi_header *header, const uint8_t *payload)
{
	struct kvmi_slot *slot = &k->slot[header->seq % KVMI_OUTSTANDING];
	struct kvmi_slot was = *slot;

	if (!was.used || was.seq != header->seq || was.id != header->id) {
		broken(k, "a reply came to no command");
		return;
	}
	slot->used = false;
	k->outstanding--;
	if (!was.call) {
		take_unawaited(k, &was, payload, header->size);
		return;
	}
	(*was.left)--;
	if (!kvmi_take_reply(was.call, payload, header->size))
		broken(k, "a reply is malformed");
}

/* As far as its message goes; what an event says first the generations lay out differently. */
static void broken_event(struct kvmi_vm *k, const struct kvmi_header *header,
			 const uint8_t *payload, const char *how)
{
	bool v7 = k->generation == KVMI_V7;
	uint16_t event = 0, vcpu = 0;
	char why[sizeof(k->why)];

	if (header->size >= sizeof(struct kvmi_v7_event)) {
		event = v7 ? payload[offsetof(struct kvmi_v7_event, event)] :
			     (uint16_t)(payload[0] | payload[1] << 8);
		memcpy(&vcpu, payload + (v7 ? offsetof(struct kvmi_v7_event, vcpu) :
					 sizeof(struct kvmi_v12_event) +
					 offsetof(struct kvmi_v12_common, vcpu)), sizeof(vcpu));
	}
	snprintf(why, sizeof(why), "its event %u of vCPU %u (message %u, sequence %u, %u bytes) %s",
		 event, vcpu, header->id, header->seq, header->size, how);
	broken(k, why);
}

static void take_event(struct kvmi_vm *k, const struct kvmi_header *header, const uint8_t *payload)
{
	struct kvmi_occurrence occurrence;

	if (!kvmi_take_event(k->generation, header, payload, &occurrence))
		broken_event(k, header, payload, "is malformed");
	else if (!kvmi_event_locked(k, &occurrence))
		broken_event(k, header, payload, "cannot be, or came while its vCPU waits in another");
}

/* All whole messages that were read. */
static void dispatch(struct kvmi_vm *k)
{
	struct kvmi_header header;

	while (!k->ended && k->rx_end - k->rx_start >= sizeof(header)) {
		const uint8_t *payload = k->rx + k->rx_start + sizeof(header);

		memcpy(&header, k->rx + k->rx_start, sizeof(header));
		if (header.size > KVMI_PAYLOAD_MOST) {
			broken(k, "a message is too long");
			return;
		}
		if (k->rx_end - k->rx_start < sizeof(header) + header.size)
			break;
		k->rx_start += sizeof(header) + header.size;
		k->reads++;
		if (kvmi_is_event(k->generation, header.id))
			take_event(k, &header, payload);
		else
			take_reply(k, &header, payload);
	}
	if (k->rx_start == k->rx_end)
		k->rx_start = k->rx_end = 0;
}

/* Room for the longest message behind what is there. */
static void make_room(struct kvmi_vm *k)
{
	if (KVMI_RX_SIZE - k->rx_start >= 2 * KVMI_MESSAGE_MOST)
		return;
	memmove(k->rx, k->rx + k->rx_start, k->rx_end - k->rx_start);
	k->rx_end -= k->rx_start;
	k->rx_start = 0;
}

/* What is there, or comes within moments.  As recv() returns. */
static ssize_t receive_soon(struct kvmi_vm *k)
{
	struct scry_spin spin = { 0 };
	ssize_t n;

	do
		n = recv(k->socket, k->rx + k->rx_end, KVMI_RX_SIZE - k->rx_end, MSG_DONTWAIT);
	while (n < 0 && errno == EAGAIN && scry_spin(&spin));
	return n;
}

/*
 * Some bytes, within that time; one system call where there is time enough for the
 * socket's own limit.  As recv() returns.
 */
static ssize_t receive(struct kvmi_vm *k, uint64_t left_ns)
{
	struct pollfd p = { .fd = k->socket, .events = POLLIN };
	struct timespec ts = { .tv_nsec = (long)left_ns };
	int flags = 0;

	if (left_ns < SLICE_NS) {
		if (left_ns && ppoll(&p, 1, &ts, NULL) < 0)
			return -1;
		flags = MSG_DONTWAIT;
	}
	return recv(k->socket, k->rx + k->rx_end, KVMI_RX_SIZE - k->rx_end, flags);
}

/*
 * Look before sleeping?  Being woken for each of many replies would cost both ends more than
 * they do; and the next event mostly comes soon if the last one did.
 */
static bool looks_first(struct kvmi_vm *k)
{
	return k->outstanding ? k->outstanding > 1 : scry_habit_looks(&k->habit);
}

/* As recv() returns; one command alone is waited for asleep. */
static ssize_t receive_any(struct kvmi_vm *k, uint64_t left_ns, bool look, bool event)
{
	ssize_t n = look ? receive_soon(k) : -1;
	bool came = n >= 0 || (look && errno != EAGAIN);

	if (look && event)
		scry_habit_learn(&k->habit, came);
	return came ? n : receive(k, left_ns);
}

/* Read once, without the lock, and take what came. */
static void read_once(struct kvmi_vm *k, uint64_t left_ns)
{
	bool event = !k->outstanding, look = left_ns && looks_first(k);
	ssize_t n;
	int err;

	make_room(k);
	k->reading = true;
	pthread_mutex_unlock(&k->lock);
	n = receive_any(k, left_ns, look, event);
	err = errno;
	pthread_mutex_lock(&k->lock);
	k->reading = false;
	if (n > 0) {
		k->rx_end += (size_t)n;
		dispatch(k);
	} else if (!n) {
		kvmi_end(k, SCRY_E_GONE, "it has ended, was reset or stopped, or its kernel has hung "
			 "up: open it again if it runs");
	} else if (err != EAGAIN && err != EINTR) {
		kvmi_end(k, SCRY_E_GONE, "the connection is lost");
	}
	pthread_cond_broadcast(&k->turn);
}

int kvmi_read_locked(struct kvmi_vm *k, uint64_t end_ns)
{
	uint64_t now = scry_now_ns(), left = end_ns > now ? end_ns - now : 0;
	struct timespec until;

	if (k->ended)
		return 0;
	if (!k->reading) {
		read_once(k, left < SLICE_NS ? left : SLICE_NS);
		return !left;
	}
	if (!left)
		return 1;
	now += left < SLICE_NS ? left : SLICE_NS;
	until = (struct timespec){ (time_t)(now / 1000000000u), (long)(now % 1000000000u) };
	pthread_cond_timedwait(&k->turn, &k->lock, &until);
	return 0;
}
