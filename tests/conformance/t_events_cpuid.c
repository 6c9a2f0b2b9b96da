/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: CPUID executed. */
#include <string.h>

#include "conformance.h"

typedef unsigned long long ull;

#define N many(1000)

struct answers {
	uint32_t last[PROBE_VCPUS][4];	/* what the last event said the guest would get */
	uint32_t leaf, subleaf;
};

static int check_answer(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct answers *a = p->opaque;
	struct ctx *c = p->c;

	(void)reply;
	CHECK(c, e->kind == SCRY_EVENT_CPUID && e->insn_len == 2 && e->cpl == 0,
	      "an event of kind %u, %u bytes, cpl %u", e->kind, e->insn_len, e->cpl);
	CHECK(c, e->cpuid.leaf == a->leaf && e->cpuid.subleaf == a->subleaf, "leaf %#x, subleaf %#x",
	      e->cpuid.leaf, e->cpuid.subleaf);
	CHECK(c, (uint32_t)e->gpr[SCRY_REG_RAX] == a->leaf &&
	      (uint32_t)e->gpr[SCRY_REG_RCX] == a->subleaf, "rax %#llx, rcx %#llx",
	      (ull)e->gpr[SCRY_REG_RAX], (ull)e->gpr[SCRY_REG_RCX]);
	memcpy(a->last[e->vcpu], &e->cpuid.eax, 16);
	return 0;
}

/* What the event says that the guest gets is what it gets. */
static int answer(struct ctx *c)
{
	static const uint32_t leaves[][2] = {
		{ 0, 0 }, { 1, 0 }, { 4, 1 }, { 7, 0 }, { 0xd, 0 }, { 0xd, 2 }, { 0x80000000, 0 },
		{ 0x80000002, 0 }, { 0x40000000, 0 }, { 0x12345678, 9 },
	};
	/* What a hypervisor gives for the last, which there is not, its interface may not tell. */
	size_t count = sizeof(leaves) / sizeof(leaves[0]) - !whole(c, SCRY_CAP_EVENT_CPUID);

	for (size_t i = 0; i < count; i++) {
		struct answers a = { .leaf = leaves[i][0], .subleaf = leaves[i][1] };
		struct probe_op op = OP(CPUID, .arg = a.leaf, .value = a.subleaf);
		struct pump p = { .c = c, .answer = check_answer, .opaque = &a };
		struct probe_vcpu block;

		DO(pump_all(&p, SUB(CPUID), &op, 1, 3));
		CHECK(c, p.total == 3 * c->vcpus, "%llu events, not %u", (ull)p.total, 3 * c->vcpus);
		for (unsigned vcpu = 0; vcpu < c->vcpus; vcpu++) {
			DO(guest_block(c, vcpu, &block));
			for (unsigned j = 0; j < 4; j++)
				CHECK(c, block.op[0].out[j] == a.last[vcpu][j],
				      "leaf %#x: the event says %#x, the guest gets %#llx", a.leaf,
				      a.last[vcpu][j], (ull)block.op[0].out[j]);
		}
	}
	return 0;
}

static int change_answer(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	p->regs.gpr[SCRY_REG_RAX] = 0x11111111;
	p->regs.gpr[SCRY_REG_RBX] = 0x22220000 | e->vcpu;
	p->regs.gpr[SCRY_REG_RCX] = (uint32_t)e->sequence;
	p->regs.gpr[SCRY_REG_RDX] = 0x44444444;
	reply->action = SCRY_SKIP;
	reply->regs = &p->regs;
	reply->set = SCRY_REG_BIT(SCRY_REG_RAX) | SCRY_REG_BIT(SCRY_REG_RBX) |
		     SCRY_REG_BIT(SCRY_REG_RCX) | SCRY_REG_BIT(SCRY_REG_RDX);
	return 0;
}

static int changed(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct pump p = { .c = c, .answer = change_answer };
	struct probe_vcpu block;

	OK(c, subscribe(c, SUB(CPUID)));
	DO(guest_start_all(c, &op, 1, N));
	DO(pump_run(&p, ALL_VCPUS));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		CHECK(c, block.op[0].count == N && block.op[0].sum == 0x11111111ull * N,
		      "vCPU %u: %llu answers, of sum %#llx", i, (ull)block.op[0].count,
		      (ull)block.op[0].sum);
		CHECK(c, block.op[0].out[1] == (0x22220000 | i) && block.op[0].out[2] == N &&
		      block.op[0].out[3] == 0x44444444, "vCPU %u: the guest gets %#llx, %#llx, %#llx", i,
		      (ull)block.op[0].out[1], (ull)block.op[0].out[2], (ull)block.op[0].out[3]);
	}
	return 0;
}

/* Registers in a reply that continues are what the instruction then works on. */
static int ask_leaf_zero(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	(void)e;
	p->regs.gpr[SCRY_REG_RAX] = 0;
	p->regs.gpr[SCRY_REG_RCX] = 0;
	reply->regs = &p->regs;
	reply->set = SCRY_REG_BIT(SCRY_REG_RAX) | SCRY_REG_BIT(SCRY_REG_RCX);
	return 0;
}

static int changed_leaf(struct ctx *c)
{
	struct probe_op zero, op = OP(CPUID, .arg = 1);
	struct pump p = { .c = c, .answer = ask_leaf_zero };
	struct probe_vcpu block;

	DO(guest_do(c, 0, OP(CPUID), &zero));
	OK(c, subscribe(c, SUB(CPUID)));
	DO(guest_start(c, 0, &op, 1, 10));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, p.total == 10, "%llu events, not 10", (ull)p.total);
	CHECK(c, !memcmp(block.op[0].out, zero.out, sizeof(zero.out)),
	      "the guest asked for leaf 1, leaf 0 was put in, it got %#llx", (ull)block.op[0].out[0]);
	return 0;
}

static int deny_all(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	(void)p, (void)e;
	reply->action = SCRY_DENY;
	return 0;
}

static int denied(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct pump p = { .c = c, .answer = deny_all };
	struct probe_vcpu block;

	OK(c, subscribe(c, SUB(CPUID)));
	DO(guest_start_all(c, &op, 1, N));
	DO(pump_run(&p, ALL_VCPUS));
	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_block(c, i, &block));
		CHECK(c, p.count[SCRY_EVENT_CPUID][i] == N && block.op[0].faults == N &&
		      block.exceptions[13] == N && block.last_error == 0,
		      "vCPU %u: %llu events, %llu #GP, for %d", i, (ull)p.count[SCRY_EVENT_CPUID][i],
		      (ull)block.exceptions[13], N);
	}
	return 0;
}

static int filter(struct ctx *c, struct scry_subscription sub, unsigned expect)
{
	const struct probe_op list[] = {
		OP(CPUID, .arg = 0xd, .value = 0), OP(CPUID, .arg = 0xd, .value = 1),
		OP(CPUID, .arg = 0xd, .value = 2), OP(CPUID, .arg = 7, .value = 0),
		OP(CPUID, .arg = 0, .value = 1),
	};
	struct pump p = { .c = c };

	DO(pump_all(&p, sub, list, 5, 100));
	CHECK(c, p.total == 100 * expect * c->vcpus, "leaf %d, subleaf %d: %llu events, not %u",
	      sub.cpuid.use_leaf ? (int)sub.cpuid.leaf : -1,
	      sub.cpuid.use_subleaf ? (int)sub.cpuid.subleaf : -1, (ull)p.total,
	      100 * expect * c->vcpus);
	return 0;
}

static int filters(struct ctx *c)
{
	DO(filter(c, SUB(CPUID), 5));
	DO(filter(c, SUB(CPUID, .cpuid = { .use_leaf = 1, .leaf = 0xd }), 3));
	DO(filter(c, SUB(CPUID, .cpuid = { .use_leaf = 1, .leaf = 0 }), 1));
	DO(filter(c, SUB(CPUID, .cpuid = { .use_leaf = 1, .leaf = 0xd, .use_subleaf = 1,
					   .subleaf = 1 }), 1));
	DO(filter(c, SUB(CPUID, .cpuid = { .use_subleaf = 1, .subleaf = 0 }), 2));
	return filter(c, SUB(CPUID, .cpuid = { .use_leaf = 1, .leaf = 0x77 }), 0);
}

static int is_user(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	(void)reply;
	CHECK(p->c, e->cpl == 3, "CPUID at CPL 3 comes as cpl %u", e->cpl);
	return 0;
}

static int user(struct ctx *c)
{
	struct probe_op op = OP(CPUID, .flags = PROBE_USER);
	struct pump p = { .c = c, .answer = is_user };

	OK(c, subscribe(c, SUB(CPUID)));
	DO(guest_start_all(c, &op, 1, N));
	DO(pump_run(&p, ALL_VCPUS));
	CHECK(c, p.total == N * c->vcpus, "%llu events, not %u", (ull)p.total, N * c->vcpus);
	return 0;
}

const struct test tests_cpuid[] = {
	{ "event-cpuid-answer", answer, { SCRY_CAP_EVENT_CPUID } },
	{ "event-cpuid-changed", changed, { SCRY_CAP_EVENT_CPUID } },
	{ "event-cpuid-changed-leaf", changed_leaf, { SCRY_CAP_EVENT_CPUID } },
	{ "event-cpuid-deny", denied, { SCRY_CAP_EVENT_CPUID } },
	{ "event-cpuid-filter", filters, { SCRY_CAP_EVENT_CPUID } },
	{ "event-cpuid-user", user, { SCRY_CAP_EVENT_CPUID } },
	{ 0 }
};
