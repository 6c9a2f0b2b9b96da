/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: MSRs read and written. */
#include "conformance.h"

typedef unsigned long long ull;

#define N many(1000)

#define MSR_STAR  0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084

/* What every event must say; each write is of base + its number. */
struct expectation {
	enum scry_event_kind kind;
	uint32_t index;
	uint64_t old_value, base;
	uint64_t seen[PROBE_VCPUS];
	enum scry_action action;
	uint64_t set;		/* registers of pump.regs to put in */
};

static int check_access(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct expectation *x = p->opaque;
	struct ctx *c = p->c;
	uint64_t i = x->seen[e->vcpu]++;
	uint64_t old = x->kind == SCRY_EVENT_MSR_READ || x->action != SCRY_CONTINUE || x->set || i == 0 ?
		       x->old_value : x->base + i - 1;

	CHECK(c, e->kind == x->kind && e->msr.index == x->index && !e->msr.faults && e->insn_len == 2,
	      "kind %u of MSR %#x, faults %u", e->kind, e->msr.index, e->msr.faults);
	CHECK(c, e->msr.old_value == old, "old value %#llx, not %#llx", (ull)e->msr.old_value, (ull)old);
	if (x->kind == SCRY_EVENT_MSR_WRITE)
		CHECK(c, e->msr.new_value == x->base + i, "new value %#llx, not %#llx",
		      (ull)e->msr.new_value, (ull)(x->base + i));
	reply->action = x->action;
	reply->regs = &p->regs;
	reply->set = x->set;
	return 0;
}

/* LSTAR known; then N times op on every vCPU, the events as *x says. */
static int run_accesses(struct ctx *c, struct expectation *x, struct pump *p, uint64_t start,
			struct probe_vcpu *blocks)
{
	struct probe_op op = { .arg = x->index, .value = x->base, .step = 1,
			       .code = x->kind == SCRY_EVENT_MSR_READ ? PROBE_OP_RDMSR :
								       PROBE_OP_WRMSR };
	struct scry_subscription sub = SUB(MSR_READ, .msr = { .count = 1, .index = { x->index } });

	x->old_value = start;
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_do(c, i, OP(WRMSR, .arg = x->index, .value = start), NULL));
	sub.kind = x->kind;
	OK(c, subscribe(c, sub));
	DO(guest_start_all(c, &op, 1, N));
	DO(pump_run(p, ALL_VCPUS));
	for (unsigned i = 0; i < c->vcpus; i++) {
		CHECK(c, p->count[x->kind][i] == N, "vCPU %u: %llu events of %d accesses", i,
		      (ull)p->count[x->kind][i], N);
		DO(guest_block(c, i, &blocks[i]));
	}
	return 0;
}

/* What the guest itself reads afterwards, with nothing subscribed to reads. */
static int ends_as(struct ctx *c, uint32_t index, uint64_t value)
{
	struct probe_op result;

	for (unsigned i = 0; i < c->vcpus; i++) {
		DO(guest_do(c, i, OP(RDMSR, .arg = index), &result));
		CHECK(c, result.out[0] == value, "vCPU %u: the MSR ends as %#llx, not %#llx", i,
		      (ull)result.out[0], (ull)value);
	}
	return 0;
}

static int reads(struct ctx *c)
{
	struct expectation x = { .kind = SCRY_EVENT_MSR_READ, .index = MSR_LSTAR };
	struct pump p = { .c = c, .answer = check_access, .opaque = &x };
	struct probe_vcpu blocks[PROBE_VCPUS];

	DO(run_accesses(c, &x, &p, 0xffff800012345678, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].count == N && blocks[i].op[0].out[0] == x.old_value,
		      "the guest reads %#llx", (ull)blocks[i].op[0].out[0]);
	return 0;
}

static int read_changed(struct ctx *c)
{
	struct expectation x = { .kind = SCRY_EVENT_MSR_READ, .index = MSR_LSTAR,
				 .action = SCRY_SKIP };
	struct pump p = { .c = c, .answer = check_access, .opaque = &x };
	struct probe_vcpu blocks[PROBE_VCPUS];

	p.regs.gpr[SCRY_REG_RAX] = 0x89abcdef;
	p.regs.gpr[SCRY_REG_RDX] = 0x01234567;
	x.set = SCRY_REG_BIT(SCRY_REG_RAX) | SCRY_REG_BIT(SCRY_REG_RDX);
	DO(run_accesses(c, &x, &p, 0x1000, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].out[0] == 0x0123456789abcdef, "the guest reads %#llx",
		      (ull)blocks[i].op[0].out[0]);
	return 0;
}

static int writes(struct ctx *c)
{
	struct expectation x = { .kind = SCRY_EVENT_MSR_WRITE, .index = MSR_LSTAR,
				 .base = 0xffffffff81000000 };
	struct pump p = { .c = c, .answer = check_access, .opaque = &x };
	struct probe_vcpu blocks[PROBE_VCPUS];

	DO(run_accesses(c, &x, &p, 0x1000, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].count == N, "the guest did %llu", (ull)blocks[i].op[0].count);
	return ends_as(c, MSR_LSTAR, x.base + N - 1);
}

static int write_skipped(struct ctx *c)
{
	struct expectation x = { .kind = SCRY_EVENT_MSR_WRITE, .index = MSR_LSTAR, .base = 0x5000,
				 .action = SCRY_SKIP };
	struct pump p = { .c = c, .answer = check_access, .opaque = &x };
	struct probe_vcpu blocks[PROBE_VCPUS];

	DO(run_accesses(c, &x, &p, 0x1234, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].count == N && !blocks[i].exceptions[13],
		      "the guest did %llu, with %llu #GP", (ull)blocks[i].op[0].count,
		      (ull)blocks[i].exceptions[13]);
	return ends_as(c, MSR_LSTAR, 0x1234);
}

static int write_changed(struct ctx *c)
{
	struct expectation x = { .kind = SCRY_EVENT_MSR_WRITE, .index = MSR_FMASK, .base = 0x5000,
				 .set = SCRY_REG_BIT(SCRY_REG_RAX) };
	struct pump p = { .c = c, .answer = check_access, .opaque = &x };
	struct probe_vcpu blocks[PROBE_VCPUS];

	p.regs.gpr[SCRY_REG_RAX] = 0x47700;
	DO(run_accesses(c, &x, &p, 0x47700, blocks));
	return ends_as(c, MSR_FMASK, 0x47700);
}

/* Denied: exactly one #GP each, and the MSR as it was. */
static int denied(struct ctx *c, enum scry_event_kind kind)
{
	struct expectation x = { .index = MSR_LSTAR, .base = 0x5000, .action = SCRY_DENY,
				 .kind = kind };
	struct pump p = { .c = c, .answer = check_access, .opaque = &x };
	struct probe_vcpu blocks[PROBE_VCPUS];

	DO(run_accesses(c, &x, &p, 0x1234, blocks));
	for (unsigned i = 0; i < c->vcpus; i++)
		CHECK(c, blocks[i].op[0].faults == N && blocks[i].op[0].count == 0 &&
		      blocks[i].exceptions[13] == N && blocks[i].last_error == 0,
		      "the guest got %llu #GP for %d denied accesses",
		      (ull)blocks[i].exceptions[13], N);
	world_close(c);
	DO(world_open(c));
	return ends_as(c, MSR_LSTAR, 0x1234);
}

static int read_denied(struct ctx *c)
{
	return denied(c, SCRY_EVENT_MSR_READ);
}

static int write_denied(struct ctx *c)
{
	return denied(c, SCRY_EVENT_MSR_WRITE);
}

static int filter(struct ctx *c, struct scry_subscription sub, unsigned expect)
{
	const struct probe_op list[] = {
		OP(RDMSR, .arg = MSR_STAR), OP(RDMSR, .arg = MSR_LSTAR), OP(RDMSR, .arg = 0x277),
		/* Another value each time: some hypervisors do not tell of the same. */
		OP(WRMSR, .arg = MSR_STAR, .value = 1, .step = 1),
		OP(WRMSR, .arg = MSR_FMASK, .value = 1, .step = 1),
	};
	struct pump p = { .c = c };

	DO(pump_all(&p, sub, list, 5, 100));
	CHECK(c, p.total == 100 * expect * c->vcpus, "%s, %u listed: %llu events, not %u",
	      scry_event_name(sub.kind), sub.msr.count, (ull)p.total, 100 * expect * c->vcpus);
	return 0;
}

static int filters(struct ctx *c)
{
	struct scry_subscription full = SUB(MSR_READ, .msr = { .count = SCRY_FILTER_MSRS });
	struct scry_subscription over = SUB(MSR_READ, .msr = { .count = SCRY_FILTER_MSRS + 1 });

	for (uint32_t i = 0; i < SCRY_FILTER_MSRS; i++)
		full.msr.index[i] = MSR_LSTAR + 1 - SCRY_FILTER_MSRS + i;
	DO(filter(c, SUB(MSR_READ), 3));
	DO(filter(c, SUB(MSR_READ, .msr = { .count = 1, .index = { 0x277 } }), 1));
	DO(filter(c, SUB(MSR_READ, .msr = { .count = 2, .index = { MSR_FMASK, MSR_STAR } }), 1));
	DO(filter(c, full, 2));
	REFUSED(c, scry_subscribe(c->vm, &over), SCRY_E_INVAL);
	return 0;
}

static int write_filters(struct ctx *c)
{
	DO(filter(c, SUB(MSR_WRITE), 2));
	DO(filter(c, SUB(MSR_WRITE, .msr = { .count = 2, .index = { MSR_FMASK, MSR_STAR } }), 2));
	return filter(c, SUB(MSR_WRITE, .msr = { .count = 1, .index = { 0 } }), 0);
}

static int says_faults(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	(void)reply;
	CHECK(p->c, e->msr.faults == 1, "a write of %#llx to MSR %#x comes with faults %u",
	      (ull)e->msr.new_value, e->msr.index, e->msr.faults);
	return 0;
}

/* A write that raises #GP anyway is an event that says so. */
static int faulting(struct ctx *c)
{
	struct probe_op op = OP(WRMSR, .arg = MSR_LSTAR, .value = 0x800000000000);
	struct pump p = { .c = c, .answer = says_faults };
	struct probe_op result;
	struct probe_vcpu block;

	DO(guest_do(c, 0, op, &result));	/* TCG takes a non-canonical LSTAR */
	if (!result.faults)
		return 0;
	OK(c, subscribe(c, SUB(MSR_WRITE, .msr = { .count = 1, .index = { MSR_LSTAR } })));
	DO(guest_start(c, 0, &op, 1, 10));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, p.total == 10 && block.op[0].faults == 10, "%llu events, %llu #GP", (ull)p.total,
	      (ull)block.op[0].faults);
	return 0;
}

/* At CPL 3 it only raises #GP. */
static int at_cpl3(struct ctx *c)
{
	struct probe_op op = OP(RDMSR, .arg = MSR_LSTAR, .flags = PROBE_USER);
	struct pump p = { .c = c };
	struct probe_vcpu block;

	OK(c, subscribe(c, SUB(MSR_READ)));
	DO(guest_start_all(c, &op, 1, 100));
	DO(pump_run(&p, ALL_VCPUS));
	CHECK(c, p.total == 0, "%llu events of RDMSR at CPL 3, which only raises #GP", (ull)p.total);
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].faults == 100, "RDMSR at CPL 3 faulted %llu times of 100",
	      (ull)block.op[0].faults);
	return 0;
}

#define R { SCRY_CAP_EVENT_MSR_READ }
#define W { SCRY_CAP_EVENT_MSR_WRITE }

const struct test tests_msr_events[] = {
	{ "event-rdmsr", reads, R },
	{ "event-rdmsr-changed", read_changed, R },
	{ "event-rdmsr-deny", read_denied, R },
	{ "event-rdmsr-filter", filters, R },
	{ "event-rdmsr-cpl3", at_cpl3, R },
	{ "event-wrmsr", writes, W },
	{ "event-wrmsr-skip", write_skipped, W },
	{ "event-wrmsr-changed", write_changed, W },
	{ "event-wrmsr-deny", write_denied, W },
	{ "event-wrmsr-filter", write_filters, W },
	{ "event-wrmsr-faults", faulting, W },
	{ 0 }
};
