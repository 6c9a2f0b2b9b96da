/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the user of QEMU allows: with kvmi-command= and kvmi-event= as tests/kvmi/run
 * gives them, and with a key.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tool.h"

/* SHA-1 of "open sesame". */
static const uint8_t cookie[20] = {
	0x5b, 0xca, 0xff, 0x7f, 0x22, 0xff, 0x53, 0x3c, 0xa0, 0x99,
	0xb3, 0x40, 0x8e, 0xad, 0x87, 0x6c, 0x0e, 0xbb, 0xa9, 0xa7,
};

static int check_one(struct tool *t, enum kvmi_command what, uint16_t id, int err)
{
	const struct kvmi_check c = { .id = id };

	EXPECT(t, err, tool_call(t, what, &c, sizeof(c), NULL));
	return 0;
}

/* Allowed: GET_INFO, READ and WRITE_PHYSICAL, both CONTROL_EVENTS, PAUSE, INJECT; CR. */
static int denied(struct tool *t)
{
	const struct kvmi_control_events c = { .event = tool_event_id(t, KVMI_EVENT_UNHOOK),
					       .enable = 1 };
	const struct kvmi_inject ud = { .vector = 6 };

	DO(check_one(t, KVMI_CHECK_COMMAND, tool_id(t, KVMI_READ_PHYSICAL), 0));
	DO(check_one(t, KVMI_CHECK_COMMAND, tool_id(t, KVMI_GET_XSAVE), KVMI_EPERM));
	DO(check_one(t, KVMI_CHECK_COMMAND, tool_id(t, KVMI_GET_VERSION), 0));
	DO(check_one(t, KVMI_CHECK_EVENT, tool_event_id(t, KVMI_EVENT_CR), 0));
	DO(check_one(t, KVMI_CHECK_EVENT, tool_event_id(t, KVMI_EVENT_UNHOOK), KVMI_EPERM));
	EXPECT(t, KVMI_EPERM, tool_vcpu(t, 0, KVMI_GET_XSAVE, NULL, 0, NULL));
	EXPECT(t, KVMI_EPERM, tool_call(t, KVMI_SET_PAGE_ACCESS, NULL, 0, NULL));
	EXPECT(t, KVMI_EPERM, tool_call(t, KVMI_VM_CONTROL_EVENTS, &c, sizeof(c), NULL));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_CR, true));
	EXPECT(t, KVMI_EPERM, tool_control(t, 0, KVMI_EVENT_MSR, true));
	if (t->generation == KVMI_V12) {
		EXPECT(t, KVMI_EPERM, tool_pause(t, 0, false));
		EXPECT(t, KVMI_EPERM, tool_vcpu(t, 0, KVMI_INJECT_EXCEPTION, &ud, sizeof(ud), NULL));
		return 0;
	}
	DO(tool_send(t, tool_id(t, KVMI_PAUSE), 1, (uint8_t[16]){ 0 }, 16));
	return tool_closed(t);
}

static int key(struct tool *t)
{
	struct kvmi_answer answer = { .size = 23 };
	uint8_t later[60] = { sizeof(later) };

	DO(tool_greet(t, &(struct kvmi_answer){ .size = sizeof(answer) }, sizeof(answer)));
	DO(tool_closed(t));
	DO(tool_greet(t, &answer, sizeof(answer)));	/* shorter than it can be */
	DO(tool_closed(t));
	DO(tool_accept(t, cookie));
	/* A longer answer, in pieces: what comes behind the hash is not looked at. */
	memcpy(later + 4, cookie, sizeof(cookie));
	DO(tool_greet(t, NULL, 0));
	for (size_t i = 0; i < sizeof(later); i++)
		DO(tool_write(t, later + i, 1));
	EXPECT(t, 0, tool_call(t, KVMI_GET_VERSION, NULL, 0, NULL));
	return 0;
}

static int hold_event(struct tool *t)
{
	const struct probe_op op = OP(WRMSR, .arg = 0x174, .value = 1, .toggle = 3);
	struct message m;

	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_MSR, true));
	EXPECT(t, 0, tool_msr(t, 0, 0x174, true));
	DO(guest_start(t, 0, &op, 1, 4));
	return tool_event(t, KVMI_EVENT_MSR, 0, sizeof(struct kvmi_event_msr), &m);
}

/* Commands to the vCPU, and no reply to its event, until the server hangs up. */
static int ask_on(struct tool *t)
{
	struct {
		struct kvmi_header header;
		struct kvmi_vcpu vcpu;
	} ask[64];
	uint64_t end = now_ms() + WAIT_MS;
	char bytes[65536];

	for (unsigned i = 0; i < 64; i++) {
		ask[i].header = (struct kvmi_header){ .id = tool_id(t, KVMI_VCPU_GET_INFO),
						      .size = sizeof(ask[i].vcpu), .seq = i };
		ask[i].vcpu = (struct kvmi_vcpu){ 0 };
	}
	do {
		CHECK(t, now_ms() < end, "the server waits for a tool that asks, and does not reply");
		while (recv(t->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
	} while (send(t->fd, ask, sizeof(ask), MSG_NOSIGNAL) == (ssize_t)sizeof(ask));
	return 0;
}

/* With kvmi-reply-timeout=1: a tool that does not answer any more is not waited for, but in a pause. */
static int frozen(struct tool *t)
{
	struct message m;

	EXPECT(t, 0, tool_pause(t, 0, true));
	DO(tool_event(t, KVMI_EVENT_PAUSE, 0, 0, &m));
	DO(tool_quiet(t, 1500));
	EXPECT(t, 0, tool_call(t, KVMI_GET_VERSION, NULL, 0, NULL));
	DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	DO(hold_event(t));
	DO(tool_closed(t));
	DO(tool_accept(t, NULL));
	DO(guest_wait(t, 0, NULL));
	DO(hold_event(t));
	DO(ask_on(t));
	DO(tool_accept(t, NULL));
	return guest_wait(t, 0, NULL);
}

/* The second vCPU of a machine that has not begun to run. */
static int asleep(struct tool *t)
{
	const struct kvmi_answer answer = { .size = sizeof(answer) };
	uint64_t end = now_ms() + WAIT_MS;

	DO(tool_greet(t, &answer, sizeof(answer)));
	/* QEMU resets the machine before it is complete, and puts the vCPU to sleep by that. */
	while (tool_vcpu(t, 1, KVMI_VCPU_GET_INFO, NULL, 0, NULL) == 0)
		CHECK(t, now_ms() < end, "the second vCPU does not sleep");
	EXPECT(t, KVMI_EAGAIN, tool_vcpu(t, 1, KVMI_VCPU_GET_INFO, NULL, 0, NULL));
	EXPECT(t, KVMI_EAGAIN, tool_pause(t, 1, false));
	return 0;
}

/* Has the VM until its input ends. */
static int hold(struct tool *t)
{
	DO(tool_accept(t, NULL));
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return guest_moves(t, 0);
}

const struct test tests_hold[] = {
	{ "hold", hold, true, true },
	{ NULL, NULL, false, false },
};

const struct test tests_frozen[] = {
	{ "frozen", frozen, true, true },
	{ NULL, NULL, false, false },
};

const struct test tests_denied[] = {
	{ "denied", denied, true, true },
	{ NULL, NULL, false, false },
};

const struct test tests_key[] = {
	{ "key", key, true, true },
	{ NULL, NULL, false, false },
};

const struct test tests_asleep[] = {
	{ "asleep", asleep, true, true },
	{ NULL, NULL, false, false },
};
