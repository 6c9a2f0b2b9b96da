/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: the breakpoint instruction. */
#include "conformance.h"

typedef unsigned long long ull;

#define N many(1000)

static int answer_with(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	uint8_t code = 0;

	CHECK(p->c, e->kind == SCRY_EVENT_INT3 && e->insn_len == 1, "kind %u, %u bytes", e->kind,
	      e->insn_len);
	OK(p->c, scry_read_phys(p->c->vm, e->rip, &code, 1));	/* the probe is identity-mapped */
	CHECK(p->c, code == 0xcc, "at rip %#llx there is %#x, not int3", (ull)e->rip, code);
	reply->action = *(enum scry_action *)p->opaque;
	return 0;
}

static int int3(struct ctx *c, enum scry_action action, uint32_t flags, unsigned breakpoints,
		unsigned protections)
{
	struct probe_op op = OP(INT3, .flags = (uint16_t)flags);
	struct pump p = { .c = c, .answer = answer_with, .opaque = &action };
	struct probe_vcpu block;

	OK(c, subscribe(c, SUB(INT3)));
	DO(guest_start_all(c, &op, 1, N));
	DO(pump_run(&p, ALL_VCPUS));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		CHECK(c, p.count[SCRY_EVENT_INT3][i] == N, "vCPU %u: %llu events of %d int3", i,
		      (ull)p.count[SCRY_EVENT_INT3][i], N);
		CHECK(c, block.exceptions[3] == breakpoints && block.exceptions[13] == protections,
		      "vCPU %u: the guest got %llu #BP and %llu #GP, not %u and %u", i,
		      (ull)block.exceptions[3], (ull)block.exceptions[13], breakpoints, protections);
		CHECK(c, block.op[0].count + block.op[0].faults == N, "vCPU %u did %llu", i,
		      (ull)block.op[0].count);
	}
	return 0;
}

static int continued(struct ctx *c)
{
	return int3(c, SCRY_CONTINUE, 0, N, 0);
}

static int skipped(struct ctx *c)
{
	return int3(c, SCRY_SKIP, 0, 0, 0);
}

static int denied(struct ctx *c)
{
	return int3(c, SCRY_DENY, 0, 0, N);
}

static int user(struct ctx *c)
{
	return int3(c, SCRY_CONTINUE, PROBE_USER, N, 0);
}

/* Breakpoints that we put into the guest's code, as a debugger does. */
static int planted(struct ctx *c)
{
	struct probe_op op = OP(EXEC, .arg = c->probe.patch);
	const uint8_t int3_byte = 0xcc;
	uint8_t original;
	struct scry_event e;
	struct scry_regs regs;
	struct scry_reply reply = { .sz = sizeof(reply), .regs = &regs,
				    .set = SCRY_REG_BIT(SCRY_REG_RIP) | SCRY_REG_BIT(SCRY_REG_RAX) };

	OK(c, scry_read_phys(c->vm, c->probe.patch, &original, 1));
	OK(c, subscribe(c, SUB(INT3)));
	DO(guest_start(c, 0, &op, 1, FOREVER));
	DO(guest_wait_rounds(c, 0, 5));
	for (unsigned i = 0; i < 20; i++) {
		OK(c, scry_write_phys(c->vm, c->probe.patch, &int3_byte, 1));
		DO(pump_one(c, &e));
		CHECK(c, e.rip == c->probe.patch, "int3 at %#llx", (ull)e.rip);
		OK(c, scry_write_phys(c->vm, c->probe.patch, &original, 1));
		if (i & 1) {		/* do mov $1,%eax ourselves, and go behind it */
			regs.rip = c->probe.patch + 5;
			regs.gpr[SCRY_REG_RAX] = 7;
		} else {		/* once more, now the original */
			regs.rip = c->probe.patch;
			regs.gpr[SCRY_REG_RAX] = 9;
		}
		OK(c, scry_reply(c->vm, &e, &reply));
	}
	DO(guest_stop(c, 0));
	struct probe_vcpu block;

	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].sum == block.op[0].count + 6 * 10,
	      "%llu calls returned %llu in all, not 10 times 7 and else 1", (ull)block.op[0].count,
	      (ull)block.op[0].sum);
	CHECK(c, block.exceptions[3] == 0, "the guest got %llu #BP", (ull)block.exceptions[3]);
	return 0;
}

const struct test tests_int3[] = {
	{ "event-int3", continued, { SCRY_CAP_EVENT_INT3 } },
	{ "event-int3-skip", skipped, { SCRY_CAP_EVENT_INT3 } },
	{ "event-int3-deny", denied, { SCRY_CAP_EVENT_INT3 } },
	{ "event-int3-user", user, { SCRY_CAP_EVENT_INT3 } },
	{ "event-int3-planted", planted, { SCRY_CAP_EVENT_INT3, SCRY_CAP_PHYS_WRITE } },
	{ 0 }
};
