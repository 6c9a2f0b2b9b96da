/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events of single instructions: each is told of exactly once for each time the
 * guest executes it, with what it is about, and obeys each reply.
 */
#include <string.h>

#include "site.h"

typedef unsigned long long ull;

static bool writes_cr(const struct scry_event *e, uint64_t value)
{
	return e->cr.new_value == value;
}

static bool reads_cr8(const struct scry_event *e, uint64_t value)
{
	return e->cr.cr == 8 && e->cr.old_value == value;
}

static int cr8(struct ctx *c)
{
	struct site s = { .sub = SUB(CR_WRITE, .cr = { .cr = 8 }), .op = OP(CR8, .value = 3, .toggle = 1),
			  .about = writes_cr };

	return site_all_replies(c, s);
}

/* The probe reads a control register back after each write. */
static int cr_reads(struct ctx *c)
{
	struct site eight = { .sub = SUB(CR_READ, .cr = { .cr = 8 }),
			      .op = OP(CR8, .value = 3, .toggle = 1), .about = reads_cr8 };
	struct site zero = { .sub = SUB(CR_READ, .cr = { .cr = 0 }), .op = OP(CLTS) };
	struct site three = { .sub = SUB(CR_READ, .cr = { .cr = 3 }),
			      .op = OP(CR3, .value = c->probe.cr3[0]) };
	struct site four = { .sub = SUB(CR_READ, .cr = { .cr = 4 }),
			     .op = OP(CR4, .value = c->probe.cr4) };
	struct probe_vcpu blocks[PROBE_VCPUS];
	struct pump p = { 0 };

	DO(site_run(c, &eight, &p, blocks));
	DO(site_run(c, &zero, &p, blocks));
	DO(site_run(c, &three, &p, blocks));
	return site_run(c, &four, &p, blocks);
}

/* Skipped, with the register that it goes to, taken from its ModRM, filled by the client. */
static int answer_cr8(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	uint8_t code[15] = { 0 };
	unsigned reg;

	OK(p->c, scry_read_phys(p->c->vm, e->rip, code, e->insn_len));
	reg = (code[e->insn_len - 1] & 7) | (code[0] & 1) << 3;
	p->regs.gpr[reg] = 9;
	reply->set = SCRY_REG_BIT(reg);
	reply->regs = &p->regs;
	reply->action = SCRY_SKIP;
	return 0;
}

static int cr_read_answered(struct ctx *c)
{
	const struct probe_op op = OP(CR8, .value = 3);
	struct pump p = { .c = c, .answer = answer_cr8 };
	struct probe_vcpu block;

	OK(c, subscribe(c, SUB(CR_READ, .cr = { .cr = 8 })));
	DO(guest_start(c, 0, &op, 1, 1));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].out[0] == 9, "the guest read CR8 as %#llx", (ull)block.op[0].out[0]);
	return 0;
}

static bool writes_xcr0(const struct scry_event *e, uint64_t value)
{
	return e->xsetbv.index == 0 && e->xsetbv.new_value == value;
}

static int xsetbv(struct ctx *c)
{
	struct site s = { .sub = SUB(XSETBV), .op = OP(XSETBV, .value = 1, .toggle = 2),
			  .about = writes_xcr0 };
	const char *note = "";
	int ret;

	if (!(c->probe.features & PROBE_HAS_XSAVE))
		return 0;	/* CR4.OSXSAVE cannot be set: there is no XSETBV */
	DO(site_continued(c, s));
	s.op.toggle = 0;	/* always another value than there is */
	ret = site_refused(c, s);
	/* Told of when it is done, it can be nothing but continued. */
	scry_cap(c->vm, SCRY_CAP_EVENT_XSETBV, &note);
	if (ret >= 0 || !c->unsupported || !strstr(note, "nothing but continued"))
		return ret;
	c->unsupported = false;
	return 0;
}

static bool writes_dr(const struct scry_event *e, uint64_t value)
{
	return e->dr.new_value == value;
}

static int debug_registers(struct ctx *c)
{
	struct site writes = { .sub = SUB(DR_WRITE, .dr = { .mask = 1u << 2 }),
			       .op = OP(DR_WRITE, .arg = 2, .value = 0x1000, .step = 16), .about = writes_dr };
	struct site reads = { .sub = SUB(DR_READ, .dr = { .mask = 1u << 7 }),
			      .op = OP(DR_READ, .arg = 7) };
	struct site none = { .sub = SUB(DR_WRITE, .dr = { .mask = 1u << 3 }),
			     .op = OP(DR_WRITE, .arg = 2) };
	struct pump p = { .c = c };

	DO(site_all_replies(c, writes));
	DO(world_reset(c));
	DO(site_all_replies(c, reads));
	DO(pump_all(&p, none.sub, &none.op, 1, SITE_ROUNDS));
	CHECK(c, p.total == 0, "%llu events of a debug register that the filter leaves out",
	      (ull)p.total);
	return 0;
}

/* Every one of the eight instructions, and the filter that is for it. */
static int descriptors(struct ctx *c)
{
	const struct probe_op ops[] = {
		OP(SGDT), OP(SIDT), OP(SLDT), OP(STR), OP(LGDT), OP(LIDT),
		OP(LLDT, .value = PROBE_SEL_LDT), OP(LTR, .value = PROBE_SEL_TSS),
	};

	for (unsigned i = 0; i < 8; i++) {
		uint32_t table = i % 4, access = i < 4 ? SCRY_READ : SCRY_WRITE;
		struct site s = { .sub = SUB(DESCRIPTOR, .desc = { .tables = 1u << table, .access = access }),
				  .op = ops[i] };
		struct probe_vcpu blocks[PROBE_VCPUS];
		struct pump p = { .c = c };

		DO(site_run(c, &s, &p, blocks));
		DO(site_ends_with(c, blocks, SITE_ROUNDS, 0));
		DO(world_reset(c));
		s.sub.desc.access ^= SCRY_READ | SCRY_WRITE;
		p = (struct pump){ .c = c };
		DO(pump_all(&p, s.sub, &s.op, 1, SITE_ROUNDS));
		CHECK(c, p.total == 0, "operation %u: %llu events of the other direction", i,
		      (ull)p.total);
	}
	return 0;
}

static int descriptor_replies(struct ctx *c)
{
	DO(site_all_replies(c, (struct site){ .sub = SUB(DESCRIPTOR), .op = OP(LGDT) }));
	DO(world_reset(c));
	return site_all_replies(c, (struct site){ .sub = SUB(DESCRIPTOR),
					     .op = OP(SIDT, .flags = PROBE_USER) });
}

static bool is_vmmcall(const struct scry_event *e, uint64_t value)
{
	return e->hypercall.vmmcall == 1 && e->gpr[SCRY_REG_RBX] == value;
}

/* Answered by the client, at CPL 0 and 3, as a hypervisor would. */
static int hypercall(struct ctx *c, struct probe_op op, bool (*about)(const struct scry_event *,
								       uint64_t))
{
	struct site s = { .sub = SUB(HYPERCALL), .op = op, .about = about, .action = SCRY_SKIP,
			  .set = SCRY_REG_BIT(SCRY_REG_RAX) };
	struct pump p = { .regs.gpr[SCRY_REG_RAX] = 0x5c12 };
	struct probe_vcpu blocks[PROBE_VCPUS];

	DO(site_run(c, &s, &p, blocks));
	DO(site_ends_with(c, blocks, SITE_ROUNDS, 0));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].out[0] == 0x5c12, "the guest got %#llx",
		      (ull)blocks[i].op[0].out[0]);
	return 0;
}

static int hypercalls(struct ctx *c)
{
	DO(hypercall(c, OP(VMCALL, .arg = 1, .value = 7, .step = 1), NULL));
	DO(hypercall(c, OP(VMMCALL, .arg = 1, .value = 7, .step = 1), is_vmmcall));
	return hypercall(c, OP(VMMCALL, .arg = 1, .value = 7, .flags = PROBE_USER), is_vmmcall);
}

/* What a guest calls its introspection tool by, by Xen's number, which KVM took over. */
#define CALL_TOOL       34
#define CALL_TOOL_EVENT 24

static bool calls_tool(const struct scry_event *e, uint64_t value)
{
	return e->gpr[SCRY_REG_RAX] == CALL_TOOL && e->gpr[SCRY_REG_RDI] == value;
}

static int hypercall_tool(struct ctx *c)
{
	struct site s = { .sub = SUB(HYPERCALL), .about = calls_tool,
			  .op = OP(VMMCALL, .arg = CALL_TOOL, .value = CALL_TOOL_EVENT) };
	struct pump p = { .regs.gpr[SCRY_REG_RAX] = 0 };
	struct probe_vcpu blocks[PROBE_VCPUS];

	/* Where no hypervisor answers the tool does. */
	if (whole(c, SCRY_CAP_EVENT_HYPERCALL)) {
		s.action = SCRY_SKIP;
		s.set = SCRY_REG_BIT(SCRY_REG_RAX);
	}
	DO(site_run(c, &s, &p, blocks));
	DO(site_ends_with(c, blocks, SITE_ROUNDS, 0));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].out[0] == 0, "the guest got %#llx",
		      (ull)blocks[i].op[0].out[0]);
	return 0;
}

static int rdtsc(struct ctx *c)
{
	struct site s = { .sub = SUB(RDTSC), .op = OP(RDTSC), .action = SCRY_SKIP,
			  .set = SCRY_REG_BIT(SCRY_REG_RAX) | SCRY_REG_BIT(SCRY_REG_RDX) };
	struct pump p = { .regs.gpr = { [SCRY_REG_RAX] = 0x89abcdef, [SCRY_REG_RDX] = 0x01234567 } };
	struct probe_vcpu blocks[PROBE_VCPUS];

	DO(site_run(c, &s, &p, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].out[0] == 0x0123456789abcdef, "the guest read %#llx",
		      (ull)blocks[i].op[0].out[0]);
	return site_all_replies(c, (struct site){ .sub = SUB(RDTSC),
						  .op = OP(RDTSC, .flags = PROBE_USER) });
}

static bool invalidates(const struct scry_event *e, uint64_t value)
{
	return e->invlpg.gva == value;
}

static int invlpg(struct ctx *c)
{
	return site_all_replies(c, (struct site){ .sub = SUB(INVLPG),
					     .op = OP(INVLPG, .value = 0x200000, .step = 4096),
					     .about = invalidates });
}

static int hlt(struct ctx *c)
{
	return site_all_replies(c, (struct site){ .sub = SUB(HLT), .op = OP(HLT) });
}

static int syscall_insn(struct ctx *c)
{
	return site_all_replies(c, (struct site){ .sub = SUB(SYSCALL), .op = OP(SYSCALL) });
}

/* The same while the vCPU has long left its block: it is executed once, and told of once. */
static int held(struct ctx *c)
{
	const struct probe_op list[] = { OP(IN, .arg = 0x80, .size = 4), OP(LGDT), OP(RDTSC),
					 OP(INVLPG, .value = 0x200000), OP(INT3) };
	struct probe_vcpu block;

	OK(c, subscribe(c, SUB(IO)));
	OK(c, subscribe(c, SUB(DESCRIPTOR)));
	OK(c, subscribe(c, SUB(RDTSC)));
	OK(c, subscribe(c, SUB(INVLPG)));
	OK(c, subscribe(c, SUB(INT3)));
	DO(pump_held(c, list, 5, 20, &block));
	for (unsigned i = 0; i < 5; i++)
		CHECK(c, block.op[i].count == 20 && !block.op[i].faults, "operation %u done %llu times", i,
		      (ull)block.op[i].count);
	CHECK(c, block.exceptions[3] == 20, "%llu #BP", (ull)block.exceptions[3]);
	return 0;
}

const struct test tests_sites[] = {
	{ "event-cr8", cr8, { WHOLE(EVENT_CR_WRITE) } },
	{ "event-rdcr", cr_reads, { SCRY_CAP_EVENT_CR_READ } },
	{ "event-rdcr-answered", cr_read_answered, { SCRY_CAP_EVENT_CR_READ } },
	{ "event-xsetbv", xsetbv, { SCRY_CAP_EVENT_XSETBV } },
	{ "event-dr", debug_registers, { SCRY_CAP_EVENT_DR_WRITE, SCRY_CAP_EVENT_DR_READ } },
	{ "event-desc", descriptors, { SCRY_CAP_EVENT_DESCRIPTOR } },
	{ "event-desc-replies", descriptor_replies, { SCRY_CAP_EVENT_DESCRIPTOR } },
	{ "event-hypercall", hypercalls, { WHOLE(EVENT_HYPERCALL) } },
	{ "event-hypercall-tool", hypercall_tool, { SCRY_CAP_EVENT_HYPERCALL } },
	{ "event-rdtsc", rdtsc, { SCRY_CAP_EVENT_RDTSC } },
	{ "event-invlpg", invlpg, { SCRY_CAP_EVENT_INVLPG } },
	{ "event-hlt", hlt, { SCRY_CAP_EVENT_HLT } },
	{ "event-syscall", syscall_insn, { SCRY_CAP_EVENT_SYSCALL } },
	{ "event-sites-held", held, { SCRY_CAP_EVENT_IO, SCRY_CAP_EVENT_DESCRIPTOR,
				      SCRY_CAP_EVENT_RDTSC } },
	{ 0 }
};
