/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pauses, the order of things, and how a connection ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static int pause_one(struct tool *t)
{
	const struct kvmi_v12_pause wrong = { .wait = 2 };
	uint64_t before, after;
	struct message m;

	for (int i = 0; i < 3; i++) {
		EXPECT(t, 0, tool_pause(t, 0, true));
		DO(tool_event(t, KVMI_EVENT_PAUSE, 0, 0, &m));
		DO(guest_beats(t, 0, &before));
		DO(tool_quiet(t, 20));
		DO(guest_beats(t, 0, &after));
		CHECK(t, before == after, "it moves while it is paused");
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
		DO(guest_moves(t, 0));
	}
	EXPECT(t, KVMI_EINVAL, tool_pause(t, 0x63, true));
	if (t->generation == KVMI_V12)
		EXPECT(t, KVMI_EINVAL, tool_call(t, KVMI_PAUSE, &wrong, sizeof(wrong), NULL));
	return 0;
}

/* Each is an event of its own, and the vCPU stands from the first to the last. */
static int pause_twice(struct tool *t)
{
	uint64_t before, after;
	struct message m;

	for (int i = 0; i < 3; i++)
		EXPECT(t, 0, tool_pause(t, 0, i == 2));
	DO(guest_beats(t, 0, &before));
	for (int i = 0; i < 3; i++) {
		DO(tool_event(t, KVMI_EVENT_PAUSE, 0, 0, &m));
		DO(tool_quiet(t, 10));
		DO(guest_beats(t, 0, &after));
		CHECK(t, before == after, "it moves between pause %d and the next", i);
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	}
	return guest_moves(t, 0);
}

static int pause_all(struct tool *t)
{
	struct message m[2];
	uint64_t before, after;

	EXPECT(t, 0, tool_pause(t, 0, false));
	EXPECT(t, 0, tool_pause(t, 1, true));
	DO(guest_beats(t, 1, &before));
	while (t->events < 2) {
		struct message *next = &t->event[t->events];

		DO(tool_read(t, next));
		t->events++;
	}
	memcpy(m, t->event, sizeof(m));
	t->events = 0;
	DO(guest_beats(t, 1, &after));
	CHECK(t, before == after, "vCPU 1 moves");
	for (int i = 0; i < 2; i++)
		DO(tool_reply(t, &m[i], KVMI_CONTINUE, NULL, 0));
	DO(guest_moves(t, 0));
	return guest_moves(t, 1);
}

/* Commands to a vCPU that waits are carried out; registers are set with the reply. */
static int in_event(struct tool *t)
{
	const struct kvmi_get_registers get = { 0 };
	struct probe_op op = OP(CPUID), result;
	const struct kvmi_registers_reply *r;
	struct kvmi_gprs gprs;
	struct message m, reply;

	(void)op;
	EXPECT(t, 0, tool_pause(t, 0, true));
	DO(tool_event(t, KVMI_EVENT_PAUSE, 0, 0, &m));
	gprs = tool_arch(t, &m)->gprs;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_REGISTERS, &get, sizeof(get), &reply));
	r = tool_data(&reply, sizeof(*r));
	CHECK(t, r && memcmp(&r->gprs, &gprs, sizeof(gprs)) == 0, "not the registers of the event");
	gprs.r15 ^= 0x5555;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_SET_REGISTERS, &gprs, sizeof(gprs), NULL));
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_REGISTERS, &get, sizeof(get), &reply));
	r = tool_data(&reply, sizeof(*r));
	CHECK(t, r && r->gprs.r15 == (gprs.r15 ^ 0x5555), "set before the reply");
	gprs.r15 ^= 0x5555;	/* the last one wins */
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_SET_REGISTERS, &gprs, sizeof(gprs), NULL));
	gprs.rip = UINT64_C(1) << 62;
	EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_SET_REGISTERS, &gprs, sizeof(gprs), NULL));
	DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	DO(guest_moves(t, 0));
	EXPECT(t, KVMI_EOPNOTSUPP, tool_vcpu(t, 0, KVMI_SET_REGISTERS, &gprs, sizeof(gprs), NULL));
	DO(guest_start(t, 0, &op, 1, 1));
	return guest_wait(t, 0, &result);
}

/* Many commands in one write: the answers of one vCPU are in their order. */
static int in_order(struct tool *t)
{
	struct {
		struct kvmi_header header;
		struct kvmi_vcpu vcpu;
	} list[200];
	uint32_t next = 1000;
	struct message m;

	for (unsigned i = 0; i < 200; i++) {
		list[i].header = (struct kvmi_header){ .id = tool_id(t, KVMI_VCPU_GET_INFO),
						       .size = sizeof(struct kvmi_vcpu),
						       .seq = 1000 + i };
		list[i].vcpu = (struct kvmi_vcpu){ 0 };
	}
	/* In pieces that end anywhere. */
	for (size_t at = 0, n = 1; at < sizeof(list); at += n, n = (n * 7) % 509 + 1) {
		if (n > sizeof(list) - at)
			n = sizeof(list) - at;
		DO(tool_write(t, (char *)list + at, n));
	}
	for (unsigned i = 0; i < 200; i++, next++)
		EXPECT(t, 0, tool_wait(t, tool_id(t, KVMI_VCPU_GET_INFO), next, &m));
	return 0;
}

/* A tool that does not read for a while loses nothing. */
static int unread(struct tool *t)
{
	uint16_t id = tool_id(t, KVMI_GET_XSAVE);
	const struct kvmi_vcpu vcpu = { 0 };
	struct message m;

	for (unsigned i = 0; i < 600; i++)
		DO(tool_send(t, id, i, &vcpu, sizeof(vcpu)));
	for (unsigned i = 0; i < 600; i++)
		EXPECT(t, 0, tool_wait(t, id, i, &m));
	return 0;
}

static int numbers(struct tool *t)
{
	struct message m;

	for (uint32_t i = 1; i <= 3; i++) {
		EXPECT(t, 0, tool_pause(t, 0, true));
		DO(tool_event(t, KVMI_EVENT_PAUSE, 0, 0, &m));
		CHECK(t, m.header.seq == i, "event %u, not %u", m.header.seq, i);
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	}
	return 0;
}

static int paused(struct tool *t, struct message *m)
{
	EXPECT(t, 0, tool_pause(t, 0, true));
	return tool_event(t, KVMI_EVENT_PAUSE, 0, 0, m);
}

/* The guest goes on after whatever the tool did to end it. */
static int closed(struct tool *t)
{
	DO(tool_closed(t));
	DO(tool_accept(t, NULL));
	return guest_moves(t, 0);
}

static int wrong_replies(struct tool *t)
{
	struct {
		struct kvmi_vcpu vcpu;
		struct kvmi_event_reply reply;
		uint8_t surplus;
	} r = { .reply.pad = 0 };
	uint16_t id = t->generation == KVMI_V7 ? KVMI_V7_EVENT_REPLY : KVMI_V12_VCPU_EVENT;
	struct message m;

	DO(paused(t, &m));	/* another number */
	DO(tool_send(t, id, m.header.seq + 1, &r, 16));
	DO(closed(t));
	DO(paused(t, &m));	/* too short */
	DO(tool_send(t, id, m.header.seq, &r, 15));
	DO(closed(t));
	DO(paused(t, &m));	/* too long */
	DO(tool_send(t, id, m.header.seq, &r, 17));
	DO(closed(t));
	r.reply.pad2 = 1;
	DO(paused(t, &m));	/* padding */
	DO(tool_send(t, id, m.header.seq, &r, 16));
	DO(closed(t));
	r.reply.pad2 = 0;
	DO(tool_send(t, id, 1, &r, 16));	/* none waits */
	DO(closed(t));
	DO(paused(t, &m));	/* an action that a pause does not know */
	DO(tool_reply(t, &m, KVMI_RETRY, NULL, 0));
	return t->generation == KVMI_V12 ? closed(t) : guest_moves(t, 0);
}

static int wrong_lengths(struct tool *t)
{
	const struct kvmi_header too_long = { .id = tool_id(t, KVMI_GET_VERSION),
					      .size = KVMI_PAYLOAD_MOST + 1 };
	const struct kvmi_physical write = { .gpa = t->probe.scratch, .size = 16 };
	struct kvmi_v12_page_access two = { .count = 2 };
	struct kvmi_v7_page_access two7 = { .count = 2 };
	uint8_t most[KVMI_PAYLOAD_MOST] = { 0 };
	struct kvmi_vcpu padded = { .pad2 = 1 };

	EXPECT(t, 0, tool_call(t, KVMI_GET_VERSION, most, sizeof(most), NULL));
	DO(tool_write(t, &too_long, sizeof(too_long)));
	DO(closed(t));
	DO(tool_send(t, tool_id(t, KVMI_WRITE_PHYSICAL), 1, &write, sizeof(write)));
	DO(closed(t));
	DO(tool_send(t, tool_id(t, KVMI_SET_PAGE_ACCESS), 1,
		     t->generation == KVMI_V7 ? (void *)&two7 : &two, sizeof(two)));
	DO(closed(t));
	if (t->generation == KVMI_V12)
		return 0;
	DO(tool_send(t, tool_id(t, KVMI_VCPU_GET_INFO), 1, &padded, sizeof(padded)));
	return closed(t);
}

/* All that the tool has set ends with it, while events wait. */
static int dies(struct tool *t)
{
	uint64_t gpa = t->probe.scratch, value = 0;
	struct probe_op op = OP(WRITE, .size = 8, .arg = gpa, .value = 9);
	struct message m;

	EXPECT(t, 0, tool_access(t, 0, gpa, KVMI_READ));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_PF, true));
	DO(guest_start(t, 0, &op, 1, 3));
	DO(tool_event(t, KVMI_EVENT_PF, 0, sizeof(struct kvmi_event_pf), &m));
	for (int i = 0; i < 5; i++)
		EXPECT(t, 0, tool_pause(t, (unsigned)i % t->vcpus, false));
	DO(tool_accept(t, NULL));
	DO(guest_wait(t, 0, NULL));
	DO(tool_peek(t, gpa, &value, sizeof(value)));
	CHECK(t, value == 9, "the write was lost");
	for (unsigned i = 0; i < t->vcpus; i++)
		DO(guest_moves(t, i));
	value = 0;
	return tool_poke(t, gpa, &value, sizeof(value));
}

/* v7: answers off for a batch, and on again with its last command. */
static int batch(struct tool *t)
{
	struct kvmi_v7_cmd_response off = { .enable = 0, .now = 1 }, on = { .enable = 1, .now = 1 };
	const struct kvmi_v7_event_cmd_error *error;
	struct kvmi_control_events bad = { .event = 0xffff };
	uint16_t id = tool_id(t, KVMI_CONTROL_CMD_RESPONSE);
	struct message m;

	DO(tool_send(t, id, 100, &off, sizeof(off)));
	DO(tool_send(t, tool_id(t, KVMI_VM_CONTROL_EVENTS), 101, &bad, sizeof(bad)));
	DO(tool_send(t, id, 102, &on, sizeof(on)));
	EXPECT(t, 0, tool_wait(t, id, 102, &m));
	off.flags = 1;
	DO(tool_send(t, id, 103, &off, sizeof(off)));
	DO(tool_send(t, tool_id(t, KVMI_VM_CONTROL_EVENTS), 104, &bad, sizeof(bad)));
	DO(tool_event(t, KVMI_EVENT_CMD_ERROR, 0, sizeof(*error), &m));
	error = tool_part(t, &m);
	CHECK(t, error->err == -KVMI_EINVAL && error->seq == 104 &&
	      error->id == tool_id(t, KVMI_VM_CONTROL_EVENTS), "error %d of %u", error->err, error->seq);
	/* What must be answered may not be asked. */
	DO(tool_send(t, tool_id(t, KVMI_GET_VERSION), 105, NULL, 0));
	return closed(t);
}

/* The host stops the machine (tests/kvmi/run does): the tool is asked to let go. */
static int unhook(struct tool *t)
{
	const struct kvmi_control_events c = { .event = tool_event_id(t, KVMI_EVENT_UNHOOK),
					       .enable = 1 };
	struct message m;

	EXPECT(t, 0, tool_call(t, KVMI_VM_CONTROL_EVENTS, &c, sizeof(c), NULL));
	if (!getenv("KVMI_STOPS"))
		return 0;
	puts("ready");
	fflush(stdout);
	DO(tool_read(t, &m));
	CHECK(t, tool_is_event(t, &m) && m.header.size == (t->generation == KVMI_V7 ? 544 : 8),
	      "id %u, %u bytes", m.header.id, m.header.size);
	/* It may still put back what it changed. */
	DO(tool_poke(t, t->probe.scratch, "\0", 1));
	DO(tool_accept(t, NULL));
	return guest_moves(t, 0);
}

/* The host plugs a vCPU in (tests/kvmi/run does): it waits in its first event until the tool lets it go. */
static int plug(struct tool *t)
{
	const struct kvmi_control_events c = { .event = tool_event_id(t, KVMI_EVENT_CREATE_VCPU),
					       .enable = 1 };
	const struct kvmi_get_registers get = { 0 };
	struct message m;

	EXPECT(t, 0, tool_call(t, KVMI_VM_CONTROL_EVENTS, &c, sizeof(c), NULL));
	if (!getenv("KVMI_PLUGS"))
		return 0;
	puts("ready");
	fflush(stdout);
	DO(tool_event(t, KVMI_EVENT_CREATE_VCPU, 1, 0, &m));
	EXPECT(t, 0, tool_vcpu(t, 1, KVMI_GET_REGISTERS, &get, sizeof(get), NULL));
	EXPECT(t, 0, tool_control(t, 1, KVMI_EVENT_CR, true));
	DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	EXPECT(t, 0, tool_call(t, KVMI_GET_INFO, NULL, 0, &m));
	CHECK(t, m.payload[sizeof(struct kvmi_status)] == 2, "not two vCPUs");
	return guest_moves(t, 0);
}

/* A tool that crashes the guest: the machine is reset, and QEMU comes again. */
static int crash(struct tool *t)
{
	struct message m;

	/* RAM keeps what it holds until the probe begins anew. */
	t->probe.magic = 0;
	DO(tool_poke(t, PROBE_GPA, &t->probe.magic, sizeof(t->probe.magic)));
	DO(paused(t, &m));
	DO(tool_reply(t, &m, KVMI_CRASH, NULL, 0));
	DO(tool_closed(t));
	DO(tool_accept(t, NULL));
	return guest_moves(t, 0);
}

const struct test tests_flow[] = {
	{ "pause", pause_one, true, true },
	{ "pause-twice", pause_twice, true, true },
	{ "pause-all", pause_all, true, true },
	{ "in-event", in_event, true, true },
	{ "in-order", in_order, true, true },
	{ "unread", unread, true, true },
	{ "numbers", numbers, true, true },
	{ "wrong-replies", wrong_replies, true, true },
	{ "wrong-lengths", wrong_lengths, true, true },
	{ "dies", dies, true, true },
	{ "batch", batch, true, false },
	{ "unhook", unhook, true, true },
	{ "plug", plug, true, false },
	{ "crash", crash, false, true },
	{ NULL, NULL, false, false },
};
