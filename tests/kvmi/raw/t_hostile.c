/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A tool gone wild: whatever it sends, QEMU and its guest go on, and the next tool is served. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool.h"

#define ROUNDS   40	/* connections */
#define MESSAGES 40	/* of each, at most */

/* A small generator of one's own, so that a failure can be had again. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Ids that exist and some that do not; not CRASH's way out of the VM, nor its registers. */
static uint16_t random_id(struct tool *t, uint64_t *random)
{
	uint64_t r = next_random(random);

	if (r % 8 == 0)
		return (uint16_t)(r >> 16);
	return tool_id(t, (enum kvmi_command)(r >> 16) % KVMI_COMMAND_COUNT);
}

/* Payloads that are plausible here and there: small numbers, gpas, all ones, noise. */
static void random_payload(struct tool *t, uint64_t *random, uint8_t *payload, size_t size)
{
	for (size_t i = 0; i < size; i += 4) {
		uint64_t r = next_random(random);
		uint32_t word = 0;

		switch (r % 8) {
		case 0:
			word = (uint32_t)(r >> 32);
			break;
		case 1:
			word = (r >> 32) % 24;
			break;
		case 2:
			word = (uint32_t)t->probe.scratch + ((r >> 32) & 0x1fff);
			break;
		case 3:
			word = UINT32_MAX;
			break;
		case 4:
			word = 1u << ((r >> 32) % 32);
			break;
		}
		memcpy(payload + i, &word, size - i < 4 ? size - i : 4);
	}
}

/* What would change the guest by right: its memory, its registers, an exception, its end. */
static bool is_harmful(struct tool *t, uint16_t id)
{
	return id == tool_id(t, KVMI_WRITE_PHYSICAL) || id == tool_id(t, KVMI_SET_REGISTERS) ||
	       id == tool_id(t, KVMI_INJECT_EXCEPTION) || id == tool_id(t, KVMI_SET_XSAVE) ||
	       (t->generation == KVMI_V7 && id == tool_id(t, KVMI_CHANGE_GFN));
}

static int wild_message(struct tool *t, uint64_t *random)
{
	uint64_t r = next_random(random);
	struct message m = { .header = { .id = random_id(t, random), .seq = (uint32_t)(r >> 40) } };
	size_t size = r % 4 == 0 ? (r >> 8) % sizeof(m.payload) : (r >> 8) % 40;

	if (is_harmful(t, m.header.id))
		return 0;
	random_payload(t, random, m.payload, size);
	m.payload[8] &= 1;		/* an event reply is no CRASH */
	if (r % 2 == 0)			/* mostly a vCPU that there is */
		memset(m.payload, 0, 8);
	m.header.size = (uint16_t)size;
	if (r >> 8 & 1)
		m.header.size ^= (uint16_t)(1u << (r >> 16) % 14);
	if (send(t->fd, &m, sizeof(m.header) + size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return errno == EAGAIN ? 0 : 1;
	return 0;
}

/* Read what there is, so that both ways are in use. */
static void skim(struct tool *t)
{
	char bytes[65536];

	while (recv(t->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static int wild(struct tool *t)
{
	struct probe_op op = OP(CHECKSUM, .value = 10000), result;
	uint64_t random = 0x5eed + (uint64_t)t->generation;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < MESSAGES; i++) {
			if (wild_message(t, &random))
				break;
			if (i % 4 == 0)
				skim(t);
		}
		if (tool_accept(t, NULL) < 0) {
			char why[sizeof(t->why)];

			memcpy(why, t->why, sizeof(why));
			return fail(t, "after round %u: %s", round, why);
		}
	}
	for (unsigned i = 0; i < t->vcpus; i++) {
		DO(guest_start(t, i, &op, 1, 1));
		DO(guest_wait(t, i, &result));
		CHECK(t, result.out[0] == probe_checksum(10000), "vCPU %u does not add up any more", i);
	}
	return 0;
}

/* Valid messages with one bit wrong, cut short anywhere, and the tool gone in the middle. */
static int cut(struct tool *t)
{
	const struct kvmi_vcpu vcpu = { 0 };
	struct message m = { .header = { .id = tool_id(t, KVMI_GET_XSAVE), .size = sizeof(vcpu) } };

	for (size_t size = 1; size < sizeof(m.header) + sizeof(vcpu); size++) {
		DO(tool_write(t, &m, size));
		DO(tool_accept(t, NULL));
	}
	return guest_moves(t, 0);
}

/* Tools that come and go, with events on their way. */
static int come_and_go(struct tool *t)
{
	bool by_msr = tool_lacks(t, KVMI_EVENT_CR);
	struct probe_op op = by_msr ? OP(WRMSR, .arg = 0x174, .value = 1, .toggle = 3) :
			     OP(CR3, .value = t->probe.cr3[0],
				.toggle = t->probe.cr3[0] ^ t->probe.cr3[1]);

	for (unsigned i = 0; i < t->vcpus; i++)
		DO(guest_start(t, i, &op, 1, by_msr ? 10000 : 100000));
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < t->vcpus; i++) {
			EXPECT(t, 0, by_msr ? tool_msr(t, i, 0x174, true) : tool_cr(t, i, 3, true));
			EXPECT(t, 0, tool_control(t, i, by_msr ? KVMI_EVENT_MSR : KVMI_EVENT_CR, true));
			if (round % 3 == 0)
				EXPECT(t, 0, tool_pause(t, i, round % 2));
		}
		DO(tool_accept(t, NULL));
	}
	for (unsigned i = 0; i < t->vcpus; i++)
		DO(guest_wait(t, i, NULL));
	return 0;
}

/*
 * A tool that asks and asks while a vCPU waits for it, and reads nothing: it is not read
 * from any longer, so that QEMU does not keep answers without end.
 */
static int unread_in_event(struct tool *t)
{
	const struct {
		struct kvmi_header header;
		struct kvmi_vcpu vcpu;
	} ask = { .header = { .id = tool_id(t, KVMI_GET_XSAVE), .size = sizeof(ask.vcpu) } };
	unsigned sent = 0, idle = 0;
	struct message event, m;

	EXPECT(t, 0, tool_pause(t, 0, true));
	DO(tool_event(t, KVMI_EVENT_PAUSE, 0, 0, &event));
	while (idle < 50) {
		ssize_t n = send(t->fd, &ask, sizeof(ask), MSG_DONTWAIT | MSG_NOSIGNAL);

		CHECK(t, n == sizeof(ask) || n < 0, "a message was sent in part");
		CHECK(t, sent < 100000, "the server reads on and on");
		sent += n > 0;
		idle = n > 0 ? 0 : idle + 1;
		if (n < 0)
			usleep(10000);
	}
	for (unsigned i = 0; i < sent; i++)
		EXPECT(t, 0, tool_wait(t, ask.header.id, 0, &m));
	DO(tool_reply(t, &event, KVMI_CONTINUE, NULL, 0));
	return guest_moves(t, 0);
}

const struct test tests_hostile[] = {
	{ "wild", wild, true, true },
	{ "cut", cut, true, true },
	{ "come-and-go", come_and_go, true, true },
	{ "unread-in-event", unread_in_event, true, true },
	{ NULL, NULL, false, false },
};
