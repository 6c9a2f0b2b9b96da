/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each event: what it says, and what each answer does to the guest. */
#include <string.h>

#include "tool.h"

#define CR4_PGE 0x80
#define MSR     0x174

static uint64_t rip_of(struct tool *t, struct message *m)
{
	return tool_arch(t, m)->gprs.rip;
}

/* The guest does one operation. */
static int begin(struct tool *t, struct probe_op op)
{
	return guest_start(t, 0, &op, 1, 1);
}

static int cr_one(struct tool *t, uint64_t answer, uint64_t expected)
{
	struct kvmi_event_cr *cr;
	struct probe_op op;
	struct message m;

	DO(begin(t, OP(CR4, .value = t->probe.cr4 ^ CR4_PGE)));
	DO(tool_event(t, KVMI_EVENT_CR, 0, sizeof(*cr), &m));
	cr = tool_part(t, &m);
	CHECK(t, cr->cr == 4 && cr->old_value == t->probe.cr4 &&
	      cr->new_value == (t->probe.cr4 ^ CR4_PGE), "CR%u %#llx -> %#llx", cr->cr,
	      (unsigned long long)cr->old_value, (unsigned long long)cr->new_value);
	CHECK(t, tool_arch(t, &m)->sregs.cr4 == t->probe.cr4, "the write has taken place already");
	DO(tool_reply_value(t, &m, answer));
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.out[0] == expected && op.count == 1, "CR4 is %#llx, not %#llx, %llu times",
	      (unsigned long long)op.out[0], (unsigned long long)expected,
	      (unsigned long long)op.count);
	EXPECT(t, 0, tool_cr(t, 0, 4, false));
	DO(begin(t, OP(CR4, .value = t->probe.cr4)));
	DO(guest_wait(t, 0, NULL));
	EXPECT(t, 0, tool_cr(t, 0, 4, true));
	return 0;
}

static int cr(struct tool *t)
{
	uint64_t old = t->probe.cr4, new = old ^ CR4_PGE;

	EXPECT(t, 0, tool_cr(t, 0, 4, true));
	DO(begin(t, OP(CR4, .value = new)));	/* not enabled yet */
	DO(guest_wait(t, 0, NULL));
	DO(begin(t, OP(CR4, .value = old)));
	DO(guest_wait(t, 0, NULL));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_CR, true));
	DO(begin(t, OP(CR4, .value = old)));	/* does not change it */
	DO(guest_wait(t, 0, NULL));
	DO(cr_one(t, new, new));
	DO(cr_one(t, old, old));
	return cr_one(t, new | 4, new | 4);
}

static int cr3(struct tool *t)
{
	struct kvmi_event_cr *cr3;
	struct message m;
	struct probe_op op;

	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_CR, true));
	EXPECT(t, 0, tool_cr(t, 0, 3, true));
	DO(begin(t, OP(CR3, .value = t->probe.cr3[1])));
	DO(tool_event(t, KVMI_EVENT_CR, 0, sizeof(*cr3), &m));
	cr3 = tool_part(t, &m);
	CHECK(t, cr3->cr == 3 && cr3->new_value == t->probe.cr3[1], "CR%u -> %#llx", cr3->cr,
	      (unsigned long long)cr3->new_value);
	DO(tool_reply_value(t, &m, cr3->old_value));
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.out[0] == t->probe.cr3[0], "CR3 is %#llx", (unsigned long long)op.out[0]);
	return 0;
}

static int msr_one(struct tool *t, uint64_t answer)
{
	struct kvmi_event_msr *msr;
	struct kvmi_gprs gprs;
	struct probe_op op;
	struct message m;

	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_MSR, true));
	EXPECT(t, 0, tool_msr(t, 0, MSR, true));
	DO(begin(t, OP(WRMSR, .arg = 0x175, .value = 0x1000)));	/* another one */
	DO(guest_wait(t, 0, NULL));
	DO(begin(t, OP(WRMSR, .arg = MSR, .value = 0x1234)));
	DO(tool_event(t, KVMI_EVENT_MSR, 0, sizeof(*msr), &m));
	msr = tool_part(t, &m);
	CHECK(t, msr->msr == MSR && msr->new_value == 0x1234, "MSR %#x -> %#llx", msr->msr,
	      (unsigned long long)msr->new_value);
	/* What is written the reply says, and not the register that it was to come from. */
	gprs = tool_arch(t, &m)->gprs;
	gprs.rax = 0x5678;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_SET_REGISTERS, &gprs, sizeof(gprs), NULL));
	DO(tool_reply_value(t, &m, answer));
	DO(guest_wait(t, 0, NULL));
	EXPECT(t, 0, tool_msr(t, 0, MSR, false));
	DO(begin(t, OP(RDMSR, .arg = MSR)));
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.out[0] == answer, "the MSR holds %#llx", (unsigned long long)op.out[0]);
	return 0;
}

static int msr(struct tool *t)
{
	DO(msr_one(t, 0x4321));
	return msr_one(t, 0x1234);
}

static int xsetbv(struct tool *t)
{
	const struct kvmi_v12_event_xsetbv *x;
	struct kvmi_get_xcr xcr = { 0 };
	size_t size = t->generation == KVMI_V12 ? sizeof(*x) : 0;
	const uint64_t *value;
	struct message m, reply;

	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_XSETBV, true));
	DO(begin(t, OP(XSETBV, .value = 1)));
	DO(tool_event(t, KVMI_EVENT_XSETBV, 0, size, &m));
	x = tool_part(t, &m);
	CHECK(t, !size || (x->old_value == t->probe.xcr0 && x->new_value == 1), "other values");
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_GET_XCR, &xcr, sizeof(xcr), &reply));
	value = tool_data(&reply, sizeof(*value));
	CHECK(t, value && *value == 1, "it has not taken place");
	DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	DO(guest_wait(t, 0, NULL));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_XSETBV, false));
	DO(begin(t, OP(XSETBV, .value = t->probe.xcr0)));
	return guest_wait(t, 0, NULL);
}

/* The guest gets its #BP, or never knows. */
static int breakpoint(struct tool *t)
{
	struct kvmi_event_breakpoint *b;
	struct message m;
	struct kvmi_gprs gprs;
	struct probe_op op;

	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_BREAKPOINT, true));
	DO(begin(t, OP(INT3)));
	DO(tool_event(t, KVMI_EVENT_BREAKPOINT, 0, sizeof(*b), &m));
	b = tool_part(t, &m);
	CHECK(t, b->insn_len == 1 && b->gpa == rip_of(t, &m), "at %#llx, %u bytes",
	      (unsigned long long)b->gpa, b->insn_len);
	DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.faults == 0, "#BP counts as a fault");
	DO(begin(t, OP(INT3)));
	DO(tool_event(t, KVMI_EVENT_BREAKPOINT, 0, sizeof(*b), &m));
	gprs = tool_arch(t, &m)->gprs;
	gprs.rip++;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_SET_REGISTERS, &gprs, sizeof(gprs), NULL));
	DO(tool_reply(t, &m, KVMI_RETRY, NULL, 0));
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.count == 1, "done %llu times", (unsigned long long)op.count);
	/* What is there has not changed: it comes again. */
	DO(begin(t, OP(INT3)));
	for (int i = 0; i < 3; i++) {
		DO(tool_event(t, KVMI_EVENT_BREAKPOINT, 0, sizeof(*b), &m));
		DO(tool_reply(t, &m, i < 2 ? KVMI_RETRY : KVMI_CONTINUE, NULL, 0));
	}
	return guest_wait(t, 0, NULL);
}

static int descriptor(struct tool *t)
{
	static const struct {
		uint16_t code;
		uint8_t descriptor, write;
	} cases[] = {
		{ PROBE_OP_SGDT, KVMI_GDTR, 0 }, { PROBE_OP_SIDT, KVMI_IDTR, 0 },
		{ PROBE_OP_LGDT, KVMI_GDTR, 1 }, { PROBE_OP_LIDT, KVMI_IDTR, 1 },
		{ PROBE_OP_SLDT, KVMI_LDTR, 0 }, { PROBE_OP_STR, KVMI_TR, 0 },
	};

	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_DESCRIPTOR, true));
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kvmi_event_descriptor *d;
		struct message m;

		DO(begin(t, (struct probe_op){ .code = cases[i].code }));
		DO(tool_event(t, KVMI_EVENT_DESCRIPTOR, 0, sizeof(*d), &m));
		d = tool_part(t, &m);
		CHECK(t, d->descriptor == cases[i].descriptor && d->write == cases[i].write,
		      "table %u, write %u", d->descriptor, d->write);
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
		DO(guest_wait(t, 0, NULL));
	}
	return 0;
}

static int hypercall(struct tool *t)
{
	struct probe_op op;
	struct message m;

	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_HYPERCALL, true));
	for (int vmmcall = 0; vmmcall < 2; vmmcall++) {
		struct probe_op call = { .code = vmmcall ? PROBE_OP_VMMCALL : PROBE_OP_VMCALL,
					 .arg = KVMI_HYPERCALL, .value = KVMI_HYPERCALL_EVENT };

		DO(begin(t, call));
		DO(tool_event(t, KVMI_EVENT_HYPERCALL, 0, 0, &m));
		CHECK(t, tool_arch(t, &m)->gprs.rdi == KVMI_HYPERCALL_EVENT, "another rdi");
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
		DO(guest_wait(t, 0, &op));
		CHECK(t, op.out[0] == 0 && !op.faults, "rax is %#llx, %llu faults",
		      (unsigned long long)op.out[0], (unsigned long long)op.faults);
	}
	return 0;
}

/* The event of one write; it takes place, or is tried again until the page is free. */
static int write_fault(struct tool *t)
{
	uint64_t gpa = t->probe.scratch, value = 0;
	struct kvmi_event_pf *pf;
	struct message m;

	EXPECT(t, 0, tool_access(t, 0, gpa, KVMI_READ | KVMI_EXEC));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_PF, true));
	for (int retry = 0; retry < 2; retry++) {
		DO(begin(t, OP(WRITE, .size = 8, .arg = gpa + 16, .value = 0x77 + retry)));
		DO(tool_event(t, KVMI_EVENT_PF, 0, sizeof(*pf), &m));
		pf = tool_part(t, &m);
		CHECK(t, pf->gpa == gpa + 16 && pf->gva == gpa + 16 && pf->access == KVMI_WRITE,
		      "gva %#llx, gpa %#llx, access %u", (unsigned long long)pf->gva,
		      (unsigned long long)pf->gpa, pf->access);
		DO(tool_peek(t, gpa + 16, &value, sizeof(value)));
		CHECK(t, value == (retry ? 0x77u : 0u), "the write has taken place already");
		if (retry)
			EXPECT(t, 0, tool_access(t, 0, gpa, 7));
		DO(tool_reply(t, &m, retry ? KVMI_RETRY : KVMI_CONTINUE, NULL, 0));
		DO(guest_wait(t, 0, NULL));
		DO(tool_peek(t, gpa + 16, &value, sizeof(value)));
		CHECK(t, value == 0x77u + (unsigned)retry, "%#llx was written",
		      (unsigned long long)value);
	}
	value = 0;
	return tool_poke(t, gpa + 16, &value, sizeof(value));
}

static int read_write_fault(struct tool *t)
{
	uint64_t gpa = t->probe.scratch + KVMI_PAGE;
	struct probe_op op;
	struct message m;

	EXPECT(t, 0, tool_access(t, 0, gpa, 0));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_PF, true));
	DO(begin(t, OP(XADD, .arg = gpa, .value = 5)));
	for (unsigned access = KVMI_READ; access <= KVMI_WRITE; access <<= 1) {
		struct kvmi_event_pf *pf;

		DO(tool_event(t, KVMI_EVENT_PF, 0, sizeof(*pf), &m));
		pf = tool_part(t, &m);
		CHECK(t, pf->access == access, "access %u, not %u", pf->access, access);
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	}
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.count == 1 && op.out[0] == 0, "added to %llu", (unsigned long long)op.out[0]);
	EXPECT(t, 0, tool_access(t, 0, gpa, 7));
	gpa = t->probe.patch;
	EXPECT(t, 0, tool_access(t, 0, gpa & ~UINT64_C(4095), KVMI_READ | KVMI_WRITE));
	DO(begin(t, OP(EXEC, .arg = gpa)));
	for (bool more = true; more;) {
		struct kvmi_event_pf *pf;

		DO(tool_event(t, KVMI_EVENT_PF, 0, sizeof(*pf), &m));
		pf = tool_part(t, &m);
		CHECK(t, pf->access == KVMI_EXEC && pf->gva == rip_of(t, &m), "access %u", pf->access);
		more = pf->gva == gpa;	/* mov, then ret */
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	}
	return guest_wait(t, 0, NULL);
}

static int step(struct tool *t)
{
	uint64_t last = 0;
	struct message m;

	if (t->generation == KVMI_V7)
		EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_SINGLESTEP, true));
	EXPECT(t, 0, tool_step(t, 0, true));
	for (int i = 0; i < 20; i++) {
		struct kvmi_event_singlestep *s;

		DO(tool_event(t, KVMI_EVENT_SINGLESTEP, 0, sizeof(*s), &m));
		s = tool_part(t, &m);
		CHECK(t, !s->failed && rip_of(t, &m) != last, "failed, or rip stands still");
		last = rip_of(t, &m);
		if (i == 19)
			EXPECT(t, 0, tool_step(t, 0, false));
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	}
	DO(guest_moves(t, 0));
	return tool_quiet(t, 20);
}

/* The exception comes with a TRAP event, and the guest's handler sees it. */
static int inject(struct tool *t)
{
	const struct kvmi_inject ud = { .vector = 6 }, bad = { .vector = 32 };
	const struct kvmi_inject pf = { .vector = 14, .error_code = 2, .cr2 = PROBE_NOWHERE };
	uint64_t gpa = PROBE_VCPU_GPA + offsetof(struct probe_vcpu, last_vector), seen[4];
	struct kvmi_event_trap *trap;
	bool by_msr = tool_lacks(t, KVMI_EVENT_CR);
	enum kvmi_event event = by_msr ? KVMI_EVENT_MSR : KVMI_EVENT_CR;
	const struct probe_op op = by_msr ? OP(WRMSR, .arg = MSR, .value = 0x777) :
				   OP(CR4, .value = t->probe.cr4 ^ CR4_PGE);
	struct probe_op result;
	struct message m;
	uint64_t rip;

	EXPECT(t, KVMI_EINVAL, tool_vcpu(t, 0, KVMI_INJECT_EXCEPTION, &bad, sizeof(bad), NULL));
	EXPECT(t, 0, tool_control(t, 0, event, true));
	EXPECT(t, 0, by_msr ? tool_msr(t, 0, MSR, true) : tool_cr(t, 0, 4, true));
	for (int i = 0; i < 2; i++) {
		const struct kvmi_inject *what = i ? &pf : &ud;

		DO(begin(t, op));
		_Static_assert(sizeof(struct kvmi_event_cr) == sizeof(struct kvmi_event_msr), "sizes");
		DO(tool_event(t, event, 0, sizeof(struct kvmi_event_msr), &m));
		rip = rip_of(t, &m);
		EXPECT(t, 0, tool_vcpu(t, 0, KVMI_INJECT_EXCEPTION, what, sizeof(*what), NULL));
		EXPECT(t, KVMI_EBUSY, tool_vcpu(t, 0, KVMI_INJECT_EXCEPTION, what, sizeof(*what), NULL));
		DO(tool_reply_value(t, &m, op.value));
		DO(tool_event(t, KVMI_EVENT_TRAP, 0, sizeof(*trap), &m));
		trap = tool_part(t, &m);
		CHECK(t, trap->vector == what->vector && trap->error_code == what->error_code &&
		      trap->cr2 == what->cr2, "exception %u, error %u, cr2 %#llx", trap->vector,
		      trap->error_code, (unsigned long long)trap->cr2);
		CHECK(t, rip_of(t, &m) == rip, "the handler has begun already");
		DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
		DO(guest_wait(t, 0, &result));
		CHECK(t, result.faults == 1, "%llu faults", (unsigned long long)result.faults);
		DO(tool_peek(t, gpa, seen, sizeof(seen)));
		CHECK(t, seen[0] == what->vector && (!i || (seen[1] == 2 && seen[3] == pf.cr2)),
		      "the guest got exception %llu", (unsigned long long)seen[0]);
	}
	return 0;
}

static int cpuid(struct tool *t)
{
	struct kvmi_v7_event_cpuid *c;
	struct kvmi_gprs gprs;
	struct probe_op op;
	struct message m;

	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_CPUID, true));
	DO(begin(t, OP(CPUID, .arg = 1, .value = 2)));
	DO(tool_event(t, KVMI_EVENT_CPUID, 0, sizeof(*c), &m));
	c = tool_part(t, &m);
	CHECK(t, c->leaf == 1 && c->subleaf == 2 && c->insn_len == 2, "leaf %u.%u, %u bytes", c->leaf,
	      c->subleaf, c->insn_len);
	gprs = tool_arch(t, &m)->gprs;
	gprs.rip += c->insn_len;
	gprs.rax = 0x1234;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_SET_REGISTERS, &gprs, sizeof(gprs), NULL));
	DO(tool_reply(t, &m, KVMI_CONTINUE, NULL, 0));
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.out[0] == 0x1234, "eax is %#llx", (unsigned long long)op.out[0]);
	return 0;
}

/* A page shown in another's place, in the view that the vCPU is put into. */
static int views(struct tool *t)
{
	uint64_t from = t->probe.targets >> 12, to = from + 1, other = PROBE_STAMP ^ (to << 12);
	struct kvmi_v7_view view = { .view = 1 };
	struct kvmi_v7_change_gfn change = { .old_gfn = from, .new_gfn = to };
	struct probe_op op;
	struct message m;

	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_SET_EPT_VIEW, &view, sizeof(view), NULL));
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_CHANGE_GFN, &change, sizeof(change), NULL));
	DO(begin(t, OP(READ, .size = 8, .arg = from << 12)));
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.out[0] == other, "%#llx in view 1", (unsigned long long)op.out[0]);
	EXPECT(t, 0, tool_access(t, 1, from << 12, KVMI_WRITE | KVMI_EXEC));
	EXPECT(t, 0, tool_control(t, 0, KVMI_EVENT_PF, true));
	DO(begin(t, OP(READ, .size = 8, .arg = from << 12)));
	DO(tool_event(t, KVMI_EVENT_PF, 0, sizeof(struct kvmi_event_pf), &m));
	CHECK(t, tool_arch(t, &m)->view == 1, "view %u", tool_arch(t, &m)->view);
	view.view = 0;
	EXPECT(t, 0, tool_vcpu(t, 0, KVMI_SET_EPT_VIEW, &view, sizeof(view), NULL));
	DO(tool_reply(t, &m, KVMI_RETRY, NULL, 0));
	DO(guest_wait(t, 0, &op));
	CHECK(t, op.out[0] == (PROBE_STAMP ^ (from << 12)), "%#llx in view 0",
	      (unsigned long long)op.out[0]);
	return 0;
}

const struct test tests_events[] = {
	{ "cr", cr, true, true },
	{ "cr3", cr3, true, true },
	{ "msr", msr, true, true },
	{ "xsetbv", xsetbv, true, true },
	{ "breakpoint", breakpoint, true, true },
	{ "descriptor", descriptor, true, true },
	{ "hypercall", hypercall, true, true },
	{ "write-fault", write_fault, true, true },
	{ "read-write-fault", read_write_fault, true, true },
	{ "singlestep", step, true, true },
	{ "inject", inject, true, true },
	{ "cpuid-event", cpuid, true, false },
	{ "views", views, true, false },
	{ NULL, NULL, false, false },
};
