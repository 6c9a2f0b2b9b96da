/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: control registers written. */
#include "conformance.h"

typedef unsigned long long ull;

#define N many(1000)

/* What a stream of writes of two values in turn must show. */
struct alternation {
	uint32_t cr;
	uint64_t values[2];	/* of even and odd rounds */
	uint64_t before;	/* the first */
	uint64_t seen[PROBE_VCPUS];
	enum scry_action action;
};

static int check_write(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct alternation *a = p->opaque;
	struct ctx *c = p->c;
	uint64_t i = a->seen[e->vcpu]++;
	uint64_t old = i == 0 || a->action != SCRY_CONTINUE ? a->before : a->values[(i - 1) & 1];

	CHECK(c, e->kind == SCRY_EVENT_CR_WRITE && e->cr.cr == a->cr, "an event of CR%u", e->cr.cr);
	CHECK(c, e->cr.new_value == a->values[i & 1], "write %llu: new value %#llx", (ull)i,
	      (ull)e->cr.new_value);
	CHECK(c, e->cr.old_value == old, "write %llu: old value %#llx, not %#llx", (ull)i,
	      (ull)e->cr.old_value, (ull)old);
	CHECK(c, e->cpl == 0 && e->rip - c->probe.text < c->probe.text_size, "cpl %u, rip %#llx",
	      e->cpl, (ull)e->rip);
	CHECK(c, e->insn_len == 3 || e->insn_len == 4, "an instruction of %u bytes", e->insn_len);
	reply->action = a->action;
	return 0;
}

/* N writes of two values in turn on every vCPU; the results are in blocks. */
static int run_alternation(struct ctx *c, struct alternation *a, unsigned code,
			   struct probe_vcpu *blocks)
{
	struct probe_op op = { .code = (uint16_t)code, .value = a->values[0],
			       .toggle = a->values[0] ^ a->values[1] };
	struct pump p = { .c = c, .answer = check_write, .opaque = a };

	OK(c, subscribe(c, SUB(CR_WRITE, .cr = { .cr = a->cr })));
	DO(guest_start_all(c, &op, 1, N));
	DO(pump_run(&p, ALL_VCPUS));
	for (unsigned i = 0; i < c->vcpus; i++) {
		CHECK(c, p.count[SCRY_EVENT_CR_WRITE][i] == N, "vCPU %u: %llu events of %d writes", i,
		      (ull)p.count[SCRY_EVENT_CR_WRITE][i], N);
		DO(guest_block(c, i, &blocks[i]));
	}
	return 0;
}

static int writes(struct ctx *c, struct alternation a, unsigned code)
{
	struct probe_vcpu blocks[PROBE_VCPUS];

	DO(run_alternation(c, &a, code, blocks));
	for (unsigned i = 0; i < c->vcpus; i++) {
		const struct probe_op *op = &blocks[i].op[0];

		CHECK(c, op->count == N && op->faults == 0, "vCPU %u did %llu, faulted %llu times", i,
		      (ull)op->count, (ull)op->faults);
		CHECK(c, op->out[0] == a.values[(N - 1) & 1], "vCPU %u: the register ends as %#llx", i,
		      (ull)op->out[0]);
	}
	return 0;
}

static int cr0(struct ctx *c)
{
	uint64_t v = c->probe.cr0;

	return writes(c, (struct alternation){ 0, { v ^ 8, v }, v, { 0 }, SCRY_CONTINUE },
		      PROBE_OP_CR0);
}

static int cr3(struct ctx *c)
{
	const uint64_t *v = c->probe.cr3;

	return writes(c, (struct alternation){ 3, { v[1], v[0] }, v[0], { 0 }, SCRY_CONTINUE },
		      PROBE_OP_CR3);
}

static int cr4(struct ctx *c)
{
	uint64_t v = c->probe.cr4;

	return writes(c, (struct alternation){ 4, { v ^ 4, v }, v, { 0 }, SCRY_CONTINUE },
		      PROBE_OP_CR4);
}

/* Skipped: counted as done by the guest, without effect. */
static int skipped(struct ctx *c)
{
	struct probe_vcpu blocks[PROBE_VCPUS];
	uint64_t v = c->probe.cr0;
	struct alternation a = { 0, { v ^ 8, v ^ 0x40000 }, v, { 0 }, SCRY_SKIP };

	DO(run_alternation(c, &a, PROBE_OP_CR0, blocks));
	for (unsigned i = 0; i < c->vcpus; i++) {
		CHECK(c, blocks[i].op[0].count == N, "the guest did %llu", (ull)blocks[i].op[0].count);
		CHECK(c, blocks[i].op[0].out[0] == v, "CR0 is %#llx after writes that were skipped",
		      (ull)blocks[i].op[0].out[0]);
	}
	return 0;
}

/* Each is of a value that CR3 has not: some hypervisors tell of nothing else. */
static int denied(struct ctx *c)
{
	struct probe_vcpu blocks[PROBE_VCPUS];
	const uint64_t *v = c->probe.cr3;
	struct alternation a = { 3, { v[1], v[1] }, v[0], { 0 }, SCRY_DENY };
	struct scry_regs regs;

	DO(run_alternation(c, &a, PROBE_OP_CR3, blocks));
	for (unsigned i = 0; i < c->vcpus; i++) {
		CHECK(c, blocks[i].op[0].faults == N && blocks[i].exceptions[13] == N &&
		      blocks[i].last_error == 0, "the guest got %llu #GP for %d denied writes",
		      (ull)blocks[i].exceptions[13], N);
		OK(c, scry_regs_get(c->vm, i, &regs));
		CHECK(c, regs.cr3 == v[0], "a denied write reached CR3");
	}
	return 0;
}

/* How many events a list gives under a subscription. */
static int count_events(struct ctx *c, struct scry_subscription sub, const struct probe_op *list,
			unsigned count, uint64_t repeat, uint64_t *events)
{
	struct pump p = { .c = c };

	DO(pump_all(&p, sub, list, count, repeat));
	*events = p.total;
	return 0;
}

static int on_change(struct ctx *c)
{
	const uint64_t *v = c->probe.cr3, zero = c->probe.cr0;
	const struct probe_op cr3s[] = {	/* 2 changes in 4 writes */
		OP(CR3, .value = v[1]), OP(CR3, .value = v[1]), OP(CR3, .value = v[0]),
		OP(CR3, .value = v[0]),
	};
	const struct probe_op cr0s[] = {	/* TS changes twice, AM once there and back */
		OP(CR0, .value = zero ^ 8), OP(CR0, .value = zero ^ 0x40008),
		OP(CR0, .value = zero ^ 0x40000), OP(CR0, .value = zero),
	};
	uint64_t n;

	DO(count_events(c, SUB(CR_WRITE, .cr = { .cr = 3, .on_change = 1 }), cr3s, 4, 100, &n));
	CHECK(c, n == 200 * c->vcpus, "on change: %llu events, not %u", (ull)n, 200 * c->vcpus);
	DO(count_events(c, SUB(CR_WRITE, .cr = { .cr = 0, .on_change = 1, .mask = 0x40000 }), cr0s, 4,
			100, &n));
	CHECK(c, n == 200 * c->vcpus, "mask AM: %llu events, not %u", (ull)n, 200 * c->vcpus);
	DO(count_events(c, SUB(CR_WRITE, .cr = { .cr = 0, .on_change = 1, .mask = 0x10000 }), cr0s, 4,
			100, &n));
	CHECK(c, n == 0, "mask WP, which never changes: %llu events", (ull)n);
	return 0;
}

static int vcpu_mask(struct ctx *c)
{
	/* From [0], where it is, to [1] and back. */
	struct probe_op op = OP(CR3, .value = c->probe.cr3[1],
				.toggle = c->probe.cr3[0] ^ c->probe.cr3[1]);

	for (unsigned i = 0; i < c->vcpus; i++) {
		struct pump p = { .c = c };

		DO(pump_all(&p, SUB(CR_WRITE, .vcpus = 1ull << i, .cr = { .cr = 3 }), &op, 1, N));
		CHECK(c, p.total == N && p.count[SCRY_EVENT_CR_WRITE][i] == N,
		      "vCPU %u alone: %llu events, %llu of it", i, (ull)p.total,
		      (ull)p.count[SCRY_EVENT_CR_WRITE][i]);
	}
	return 0;
}

static int check_partial(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	const uint64_t v = p->c->probe.cr0;
	bool lmsw = e->sequence & 1;

	(void)reply;
	CHECK(p->c, e->cr.cr == 0 && e->cr.old_value == (lmsw ? v : v ^ 8) &&
	      e->cr.new_value == (lmsw ? v ^ 8 : v), "%s: CR%u %#llx -> %#llx", lmsw ? "lmsw" : "clts",
	      e->cr.cr, (ull)e->cr.old_value, (ull)e->cr.new_value);
	return 0;
}

/* LMSW and CLTS write CR0 too. */
static int partial(struct ctx *c)
{
	const struct probe_op list[] = {
		OP(LMSW, .value = (c->probe.cr0 & 0xf) ^ 8), OP(CLTS),
	};
	struct pump p = { .c = c, .answer = check_partial };

	OK(c, subscribe(c, SUB(CR_WRITE, .cr = { .cr = 0 })));
	DO(guest_start_all(c, list, 2, 100));
	DO(pump_run(&p, ALL_VCPUS));
	CHECK(c, p.total == 200 * c->vcpus, "%llu events, not %u", (ull)p.total, 200 * c->vcpus);
	return 0;
}

/* The other control registers, and what only reads, give none. */
static int others(struct ctx *c)
{
	const struct probe_op list[] = {
		OP(CR4, .value = c->probe.cr4, .toggle = 4), OP(CR8, .value = 3),
		OP(CR0, .value = c->probe.cr0), OP(CPUID), OP(RDMSR, .arg = 0xc0000080), OP(INT3),
		OP(CR3, .value = c->probe.cr3[0], .flags = PROBE_USER),
	};
	uint64_t n = 0;

	DO(count_events(c, SUB(CR_WRITE, .cr = { .cr = 3 }), list, 7, 100, &n));
	CHECK(c, n == 0, "%llu events of CR3, which only CPL 3 tried to write", (ull)n);
	return 0;
}

static int bad_filter(struct ctx *c)
{
	struct scry_subscription sub = SUB(CR_WRITE, .cr = { .cr = 1 });

	REFUSED(c, scry_subscribe(c->vm, &sub), SCRY_E_INVAL);
	sub.cr.cr = 3;
	sub.sz = 4;
	REFUSED(c, scry_subscribe(c->vm, &sub), SCRY_E_INVAL);
	sub.sz = sizeof(sub);
	sub.kind = SCRY_EVENT_COUNT;
	REFUSED(c, scry_subscribe(c->vm, &sub), SCRY_E_INVAL);
	sub.kind = SCRY_EVENT_CR_WRITE;
	if (c->vcpus < 63) {
		sub.vcpus = 1ull << 63;
		REFUSED(c, scry_subscribe(c->vm, &sub), SCRY_E_INVAL);
	}
	REFUSED(c, scry_unsubscribe(c->vm, 12345), SCRY_E_NOTFOUND);
	REFUSED(c, scry_unsubscribe(c->vm, -1), SCRY_E_INVAL);
	return 0;
}

const struct test tests_cr[] = {
	{ "event-cr0", cr0, { SCRY_CAP_EVENT_CR_WRITE } },
	{ "event-cr3", cr3, { SCRY_CAP_EVENT_CR_WRITE } },
	{ "event-cr4", cr4, { SCRY_CAP_EVENT_CR_WRITE } },
	{ "event-cr-skip", skipped, { SCRY_CAP_EVENT_CR_WRITE } },
	{ "event-cr-deny", denied, { SCRY_CAP_EVENT_CR_WRITE, SCRY_CAP_REGS_READ } },
	{ "event-cr-on-change", on_change, { SCRY_CAP_EVENT_CR_WRITE } },
	{ "event-cr-vcpu-mask", vcpu_mask, { SCRY_CAP_EVENT_CR_WRITE } },
	{ "event-cr-lmsw-clts", partial, { SCRY_CAP_EVENT_CR_WRITE } },
	{ "event-cr-others", others, { SCRY_CAP_EVENT_CR_WRITE } },
	{ "event-cr-bad-filter", bad_filter, { SCRY_CAP_EVENT_CR_WRITE } },
	{ 0 }
};
