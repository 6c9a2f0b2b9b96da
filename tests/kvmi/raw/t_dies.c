/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tool that dies while an event is held, or in the middle of a step: no vCPU waits for
 * it any longer, the guest does what it did, and nothing is trapped.
 */
#include <string.h>

#include "tool.h"

#define CR4_PGE 0x80

static int write_trapped(struct tool *t)
{
	return tool_access(t, 0, t->probe.scratch, KVMI_READ | KVMI_EXEC);
}

static int fetch_trapped(struct tool *t)
{
	return tool_access(t, 0, t->probe.patch, KVMI_READ | KVMI_WRITE);
}

static int cr4(struct tool *t)
{
	return tool_cr(t, 0, 4, true);
}

static int msr(struct tool *t)
{
	return tool_msr(t, 0, 0x174, true);
}

struct held {
	const char *name;
	enum kvmi_event event;
	bool v12;			/* there, too */
	size_t part;
	uint16_t code;			/* what the guest does */
	int (*arm)(struct tool *t);
};

static const struct held kinds[] = {
	{ "cr", KVMI_EVENT_CR, true, sizeof(struct kvmi_event_cr), PROBE_OP_CR4, cr4 },
	{ "msr", KVMI_EVENT_MSR, true, sizeof(struct kvmi_event_msr), PROBE_OP_WRMSR, msr },
	{ "int3", KVMI_EVENT_BREAKPOINT, true, sizeof(struct kvmi_event_breakpoint), PROBE_OP_INT3,
	  NULL },
	{ "descriptor", KVMI_EVENT_DESCRIPTOR, true, sizeof(struct kvmi_event_descriptor),
	  PROBE_OP_SIDT, NULL },
	{ "hypercall", KVMI_EVENT_HYPERCALL, true, 0, PROBE_OP_VMMCALL, NULL },
	{ "write", KVMI_EVENT_PF, true, sizeof(struct kvmi_event_pf), PROBE_OP_WRITE,
	  write_trapped },
	{ "fetch", KVMI_EVENT_PF, true, sizeof(struct kvmi_event_pf), PROBE_OP_EXEC,
	  fetch_trapped },
	{ "cpuid", KVMI_EVENT_CPUID, false, sizeof(struct kvmi_v7_event_cpuid), PROBE_OP_CPUID,
	  NULL },
};

static struct probe_op op_of(struct tool *t, uint16_t code)
{
	struct probe_op op = { .code = code };

	switch (code) {
	case PROBE_OP_CR4:
		op.value = t->probe.cr4 ^ CR4_PGE;
		op.toggle = CR4_PGE;
		break;
	case PROBE_OP_WRMSR:
		op.arg = 0x174;
		op.value = 1;
		op.toggle = 3;
		break;
	case PROBE_OP_VMMCALL:
		op.arg = KVMI_HYPERCALL;
		op.value = KVMI_HYPERCALL_EVENT;
		break;
	case PROBE_OP_WRITE:
		op.arg = t->probe.scratch;
		op.size = 8;
		break;
	case PROBE_OP_EXEC:
		op.arg = t->probe.patch;
		break;
	}
	return op;
}

/* The next tool finds everything as if none had been there; each round is counted once. */
static int all_is_well(struct tool *t, const char *name, uint64_t rounds)
{
	struct probe_op op;

	DO(tool_accept(t, NULL));
	DO(guest_wait(t, 0, &op));
	/* A hypercall that no tool takes is an undefined instruction to TCG. */
	CHECK(t, op.count + op.faults == rounds, "%s: the guest did %llu, with %llu faults", name,
	      (unsigned long long)op.count, (unsigned long long)op.faults);
	for (unsigned i = 0; i < t->vcpus; i++)
		DO(guest_moves(t, i));
	return tool_quiet(t, 10);
}

/* vCPU 0 is in this event, the others are paused. */
static int hold(struct tool *t, const struct held *h, uint64_t rounds, struct message *m)
{
	const struct probe_op op = op_of(t, h->code);
	struct message other;

	if (h->arm)
		EXPECT(t, 0, h->arm(t));
	EXPECT(t, 0, tool_control(t, 0, h->event, true));
	DO(guest_start(t, 0, &op, 1, rounds));
	DO(tool_event(t, h->event, 0, h->part, m));
	for (unsigned i = 1; i < t->vcpus; i++) {
		EXPECT(t, 0, tool_pause(t, i, false));
		DO(tool_event(t, KVMI_EVENT_PAUSE, i, 0, &other));
	}
	return 0;
}

static int held(struct tool *t)
{
	const uint64_t rounds = 4;	/* an even number: what toggles ends as it was */
	struct message m;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (tool_lacks(t, kinds[i].event) || (t->generation == KVMI_V12 && !kinds[i].v12))
			continue;
		DO(hold(t, &kinds[i], rounds, &m));
		/* Commands that wait to be carried out go with it. */
		DO(tool_send(t, tool_id(t, KVMI_GET_XSAVE), 1, &(struct kvmi_vcpu){ 0 }, 8));
		tool_hang_up(t);
		DO(all_is_well(t, kinds[i].name, rounds));
	}
	return 0;
}

/* Registers that were set, and an exception, are for the reply that never comes. */
static int pending(struct tool *t)
{
	const struct kvmi_inject ud = { .vector = 6 };
	struct kvmi_gprs gprs;
	struct message m;

	DO(hold(t, &kinds[tool_lacks(t, kinds[0].event)], 4, &m));
	gprs = tool_arch(t, &m)->gprs;
	gprs.rip = 0;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_SET_REGISTERS, &gprs, sizeof(gprs), NULL));
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_INJECT_EXCEPTION, &ud, sizeof(ud), NULL));
	tool_hang_up(t);
	return all_is_well(t, "with registers set", 4);
}

static int step_on(struct tool *t)
{
	if (t->generation == KVMI_V7)
		EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_SINGLESTEP, true));
	EXPECT(t, 0, tool_step(t, 0, true));
	return 0;
}

/* In the event of a step, before the reply, or with the next one under way. */
static int step(struct tool *t)
{
	const struct probe_op op = op_of(t, PROBE_OP_CR4);
	struct message m;

	for (unsigned after = 0; after < 12; after++) {
		DO(guest_start(t, 0, &op, 1, 4));
		DO(step_on(t));
		for (unsigned i = 0; i <= after / 2; i++) {
			DO(tool_event(t, KVMI_EVENT_SINGLESTEP, 0,
				      sizeof(struct kvmi_event_singlestep), &m));
			if (i < after / 2 || after % 2)
				DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
		}
		tool_hang_up(t);
		DO(all_is_well(t, "in a step", 4));
	}
	return 0;
}

/*
 * Over a trapped fetch, as tools step over breakpoints: the others paused, the page open,
 * and gone before the step is done.
 */
static int step_over(struct tool *t)
{
	struct message m;

	for (unsigned round = 0; round < 6; round++) {
		DO(hold(t, &kinds[6], 50, &m));
		EXPECT(t, 0, tool_access(t, 0, t->probe.patch, 7));
		DO(step_on(t));
		DO(tool_reply(t, &m, KVMI_RETRY, NULL, 0));
		if (round % 2)
			DO(tool_event(t, KVMI_EVENT_SINGLESTEP, 0,
				      sizeof(struct kvmi_event_singlestep), &m));
		tool_hang_up(t);
		DO(all_is_well(t, "in a step over a breakpoint", 50));
	}
	return 0;
}

const struct test tests_dies[] = {
	{ "dies-held", held, true, true },
	{ "dies-pending", pending, true, true },
	{ "dies-step", step, true, true },
	{ "dies-step-over", step_over, true, true },
	{ NULL, NULL, false, false },
};
