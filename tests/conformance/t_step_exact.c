/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single steps are exact, whatever the instruction, whoever interrupts, with whatever else. */
#include <string.h>

#include "conformance.h"

typedef unsigned long long ull;

#define N    20

/* In the place of the probe's function. */
#define CODE 11
static const uint8_t code[CODE] = {
	0xf3, 0x90,				/* 0: pause, over which QEMU loses a step */
	0xcc,					/* 2: int3 */
	0x90,					/* 3: nop */
	0xb8, 0x01, 0x00, 0x00, 0x00,		/* 4: mov $1, %eax */
	0xf3, 0xc3,				/* 9: rep ret */
};
#define NOP_AT 3
#define CODE_STARTS   (1u << 0 | 1u << 2 | 1u << NOP_AT | 1u << 4 | 1u << 9)
#define PATCH_STARTS  (1u << 0 | 1u << 5)
#define INLINE_STARTS (1u << 0 | 1u << 1 | 1u << 3 | 1u << 5 | 1u << 7 | 1u << 12 | 1u << 13)

/* How often each vCPU came to the bytes of a page of code. */
struct visits {
	uint64_t page;
	uint64_t at[PROBE_VCPUS][32];
	bool registers;			/* ask for them each time */
};

static int visit(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct visits *v = p->opaque;
	struct ctx *c = p->c;

	(void)reply;
	if (v->registers) {
		OK(c, scry_regs_get(c->vm, e->vcpu, &p->regs));
		CHECK(c, p->regs.rip == e->rip, "rip %#llx, the event's %#llx", (ull)p->regs.rip,
		      (ull)e->rip);
	}
	if (e->kind == SCRY_EVENT_STEP && e->rip - v->page < 32)
		v->at[e->vcpu][e->rip - v->page]++;
	return 0;
}

/* Came to each byte of the mask N times, and to no other. */
static int each_once(struct ctx *c, const struct visits *v, unsigned vcpu, uint32_t mask)
{
	for (unsigned i = 0; i < 32; i++) {
		uint64_t wanted = mask >> i & 1 ? N : 0;

		CHECK(c, v->at[vcpu][i] == wanted, "vCPU %u came to byte %u %llu times, not %llu",
		      vcpu, i, (ull)v->at[vcpu][i], (ull)wanted);
	}
	return 0;
}

/* The function in v->page N times on these vCPUs. */
static int step_through(struct ctx *c, struct visits *v, uint64_t vcpus)
{
	const struct probe_op op = OP(EXEC, .arg = v->page, .flags = PROBE_CHECK, .expect = 1);
	struct pump p = { .c = c, .answer = visit, .opaque = v };
	int number = subscribe(c, SUB(STEP, .vcpus = vcpus));
	struct probe_vcpu block;

	DO(number);
	for (unsigned i = 0; i < c->vcpus; i++)
		if (vcpus >> i & 1)
			DO(guest_start(c, i, &op, 1, N));
	DO(pump_done(&p, vcpus));
	OK(c, scry_unsubscribe(c->vm, number));
	DO(pump_drain(c));
	for (unsigned i = 0; i < c->vcpus; i++) {
		if (!(vcpus >> i & 1))
			continue;
		DO(guest_block(c, i, &block));
		CHECK(c, block.op[0].count == N && !block.op[0].mismatches, "the guest did %llu",
		      (ull)block.op[0].count);
	}
	return 0;
}

static uint64_t all_vcpus(const struct ctx *c)
{
	return (UINT64_C(1) << c->vcpus) - 1;
}

/* The same with other code in the function. */
static int step_code(struct ctx *c, struct visits *v)
{
	uint8_t old[CODE];
	int ret;

	v->page = c->probe.patch;
	OK(c, scry_read_phys(c->vm, v->page, old, CODE));
	OK(c, scry_write_phys(c->vm, v->page, code, CODE));
	ret = step_through(c, v, all_vcpus(c));
	OK(c, scry_write_phys(c->vm, v->page, old, CODE));
	return ret;
}

static int each(struct ctx *c, bool registers)
{
	struct visits v = { .registers = registers };
	struct probe_vcpu block;

	DO(step_code(c, &v));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(each_once(c, &v, i, CODE_STARTS));
		DO(guest_block(c, i, &block));
		CHECK(c, block.exceptions[3] == N && block.exceptions[1] == 0,
		      "vCPU %u: %llu #BP, %llu #DB", i, (ull)block.exceptions[3],
		      (ull)block.exceptions[1]);
	}
	return 0;
}

static int kinds(struct ctx *c)
{
	return each(c, false);
}

static int kinds_registers(struct ctx *c)
{
	return each(c, true);
}

/* Called out of its blocks all the time by another vCPU, though it takes no interrupt. */
static int kicked(struct ctx *c)
{
	struct probe_op ipi = OP(IPI, .value = WAKE);
	struct visits v = { .page = c->probe.patch };
	struct probe_vcpu block;
	int ret;

	DO(guest_block(c, 0, &block));
	ipi.arg = block.apic_id;
	if (c->vcpus > 1)
		DO(guest_start(c, 1, &ipi, 1, FOREVER));
	ret = step_through(c, &v, 1);
	if (c->vcpus > 1)
		DO(guest_stop(c, 1));
	return ret < 0 ? ret : each_once(c, &v, 0, PATCH_STARTS);
}

/* Beside another event about one of the instructions, which leaves the block or not. */
static int beside(struct ctx *c)
{
	OK(c, subscribe(c, SUB(CPUID)));
	for (int registers = 0; registers < 2; registers++) {
		struct visits v = { .page = c->probe.patch_inline, .registers = registers };

		DO(step_through(c, &v, all_vcpus(c)));
		for (unsigned i = 0; i < c->vcpus; i++)
			DO(each_once(c, &v, i, INLINE_STARTS));
	}
	return 0;
}

/* The guest's own breakpoint: met once before it is taken, and once after. */
static int breakpoint(struct ctx *c)
{
	struct visits v = { 0 };
	struct probe_vcpu block;

	for (unsigned i = 0; i < c->vcpus; i++) {
		struct probe_op done;

		DO(guest_do(c, i, OP(DR_WRITE, .arg = 0, .value = c->probe.patch + NOP_AT), &done));
		DO(guest_do(c, i, OP(DR_WRITE, .arg = 7, .value = 0x402), &done));
	}
	DO(step_code(c, &v));
	for (unsigned i = 0; i < c->vcpus; i++) {
		CHECK(c, v.at[i][NOP_AT] == 2 * N, "vCPU %u came to the breakpoint %llu times", i,
		      (ull)v.at[i][NOP_AT]);
		v.at[i][NOP_AT] = N;
		DO(each_once(c, &v, i, CODE_STARTS));
		DO(guest_block(c, i, &block));
		CHECK(c, block.exceptions[1] == N && block.exceptions[3] == N, "vCPU %u: %llu #DB",
		      i, (ull)block.exceptions[1]);
	}
	return 0;
}

/* The flags that steps behind locked additions find. */
struct additions {
	uint64_t at, next, value, count;
};

static int look_behind(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	const uint64_t arithmetic = 0x8d5;	/* OF, SF, ZF, AF, PF, CF */
	struct additions *a = p->opaque;
	struct ctx *c = p->c;
	uint64_t wanted;

	(void)reply;
	if (e->kind == SCRY_EVENT_MEMORY) {
		a->next = e->rip + e->insn_len;
		return 0;
	}
	if (!a->next || e->rip != a->next)
		return 0;
	asm("addq %2, %0; pushfq; popq %1" : "+r"(a->value), "=r"(wanted) : "r"(UINT64_C(3)) : "cc");
	OK(c, scry_regs_get(c->vm, e->vcpu, &p->regs));
	CHECK(c, (p->regs.rflags & arithmetic) == (wanted & arithmetic), "at %#llx, after the sum "
	      "%#llx the flags are %#llx, not %#llx", (ull)a->at, (ull)a->value,
	      (ull)(p->regs.rflags & arithmetic), (ull)(wanted & arithmetic));
	a->next = 0;
	a->count++;
	return 0;
}

/* On a trapped page: QEMU may carry it out with the other vCPUs halted. */
static int add_locked(struct ctx *c, uint64_t at)
{
	struct additions a = { .at = at, .value = (uint64_t)-3 * (N / 2) };
	const struct probe_op op = OP(XADD, .arg = at, .value = 3);
	struct pump p = { .c = c, .answer = look_behind, .opaque = &a };

	OK(c, scry_write_phys(c->vm, at, &a.value, 8));
	OK(c, scry_view_protect(c->vm, 0, at >> 12, 1, SCRY_WRITE));
	OK(c, subscribe(c, SUB(MEMORY)));
	OK(c, subscribe(c, SUB(STEP, .vcpus = 1)));
	DO(guest_start(c, 0, &op, 1, N));
	DO(pump_run(&p, 1));
	CHECK(c, a.count == N, "%llu steps behind the addition, not %d", (ull)a.count, N);
	return 0;
}

static int locked(struct ctx *c)
{
	return add_locked(c, c->probe.scratch);
}

static int locked_unaligned(struct ctx *c)
{
	return add_locked(c, c->probe.scratch + 1);
}

#define STEP_AND(cap) { WHOLE(EVENT_STEP), SCRY_CAP_##cap }

const struct test tests_step_exact[] = {
	{ "event-step-kinds", kinds, STEP_AND(PHYS_WRITE) },
	{ "event-step-registers", kinds_registers, STEP_AND(PHYS_WRITE) },
	{ "event-step-kicked", kicked, { WHOLE(EVENT_STEP) } },
	{ "event-step-beside", beside, STEP_AND(EVENT_CPUID) },
	{ "event-step-breakpoint", breakpoint, STEP_AND(PHYS_WRITE) },
	{ "event-step-locked", locked, STEP_AND(EVENT_MEMORY) },
	{ "event-step-unaligned", locked_unaligned, STEP_AND(EVENT_MEMORY) },
	{ 0 }
};
