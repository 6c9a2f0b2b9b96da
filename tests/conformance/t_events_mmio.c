/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accesses to a device, its frames trapped: each told once, before it takes place. */
#include "conformance.h"

typedef unsigned long long ull;

#define N 20

/* Every machine of these tests has one; its comparator keeps what it is given. */
#define HPET            UINT64_C(0xfed00000)	/* IA-PC HPET specification 1.0a, 2.3 */
#define HPET_ID         (HPET + 0)		/* its lower half, of Intel's and QEMU's: */
#define HPET_ID_IS      0x8086a201u
#define HPET_COMPARATOR (HPET + 0x108)

#define APIC_VERSION    UINT64_C(0xfee00030)	/* Intel SDM volume 3, 11.4.8 */

struct seen {
	uint64_t count, reads, gpa;
	uint32_t size;
	enum scry_action action;
};

static int note(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct seen *s = p->opaque;

	CHECK(p->c, e->kind == SCRY_EVENT_MEMORY && !e->memory.walk, "an event of kind %u", e->kind);
	s->count++;
	s->reads += e->memory.access == SCRY_READ;
	s->gpa = e->memory.gpa;
	s->size = e->memory.size;
	reply->action = s->action;
	return 0;
}

/* All vCPUs do this N times; vCPU 0's result. */
static int run(struct ctx *c, struct probe_op op, struct seen *s, struct probe_op *result)
{
	struct pump p = { .c = c, .answer = note, .opaque = s };
	struct probe_vcpu block;

	DO(guest_start_all(c, &op, 1, N));
	DO(pump_run(&p, ALL_VCPUS));
	DO(guest_block(c, 0, &block));
	*result = block.op[0];
	return 0;
}

static int trap(struct ctx *c, uint32_t access)
{
	OK(c, scry_view_protect(c->vm, 0, HPET >> 12, 1, access));
	return 0;
}

static int reads(struct ctx *c)
{
	const struct probe_op op = OP(READ, .arg = HPET_ID, .size = 4, .flags = PROBE_CHECK,
				      .expect = HPET_ID_IS);
	uint64_t wanted = (uint64_t)N * c->vcpus;
	struct seen s = { 0 };
	struct probe_op result;

	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, SCRY_READ));
	DO(run(c, op, &s, &result));
	CHECK(c, s.count == wanted && s.reads == wanted, "%llu events, %llu reads, not %llu",
	      (ull)s.count, (ull)s.reads, (ull)wanted);
	CHECK(c, s.gpa == HPET_ID && s.size == 4, "%u bytes at %#llx", s.size, (ull)s.gpa);
	CHECK(c, result.count == N && !result.mismatches, "it read %#llx", (ull)result.out[0]);
	DO(trap(c, 0));
	DO(run(c, op, &s, &result));
	CHECK(c, s.count == wanted && !result.mismatches, "an event when nothing is trapped any more");
	return 0;
}

static int comparator(struct ctx *c, uint32_t *value)
{
	struct probe_op result;

	DO(guest_do(c, 0, OP(READ, .arg = HPET_COMPARATOR, .size = 4), &result));
	*value = (uint32_t)result.out[0];
	return 0;
}

/* Reads, which are not trapped, take place without an event. */
static int writes(struct ctx *c)
{
	uint64_t wanted = (uint64_t)N * c->vcpus;
	struct seen s = { 0 };
	struct probe_op result;
	uint32_t value;

	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, SCRY_WRITE));
	DO(run(c, OP(WRITE, .arg = HPET_COMPARATOR, .value = 0x1234, .size = 4), &s, &result));
	CHECK(c, s.count == wanted && !s.reads, "%llu events, %llu reads, not %llu", (ull)s.count,
	      (ull)s.reads, (ull)wanted);
	CHECK(c, s.gpa == HPET_COMPARATOR && s.size == 4, "%u bytes at %#llx", s.size, (ull)s.gpa);
	DO(comparator(c, &value));
	CHECK(c, value == 0x1234 && s.count == wanted, "the device has %#x", value);
	s = (struct seen){ .action = SCRY_SKIP };
	DO(run(c, OP(WRITE, .arg = HPET_COMPARATOR, .value = 0x77, .size = 4), &s, &result));
	DO(comparator(c, &value));
	CHECK(c, value == 0x1234 && s.count == wanted && result.count == N, "skipped, %#x", value);
	s = (struct seen){ .action = SCRY_DENY };
	DO(run(c, OP(WRITE, .arg = HPET_COMPARATOR, .value = 0x77, .size = 4), &s, &result));
	CHECK(c, s.count == wanted && result.faults == N, "denied: %llu events, %llu faults",
	      (ull)s.count, (ull)result.faults);
	DO(comparator(c, &value));
	CHECK(c, value == 0x1234, "denied, and the device has %#x", value);
	return 0;
}

/* A device that KVM may have in the kernel: its version, at the same place on every processor. */
static int local_apic(struct ctx *c)
{
	struct probe_op op = OP(READ, .arg = APIC_VERSION, .size = 4), result;
	uint64_t wanted = (uint64_t)N * c->vcpus;
	struct seen s = { 0 };

	DO(guest_do(c, 0, op, &result));
	op.flags = PROBE_CHECK;
	op.expect = result.out[0];
	DO(subscribe(c, SUB(MEMORY)));
	if (scry_view_protect(c->vm, 0, APIC_VERSION >> 12, 1, SCRY_READ) == SCRY_E_REFUSED)
		return skip(c, "a local APIC that the processor does not virtualise");
	DO(run(c, op, &s, &result));
	CHECK(c, s.count == wanted && s.reads == wanted && s.gpa == APIC_VERSION,
	      "%llu events, not %llu", (ull)s.count, (ull)wanted);
	CHECK(c, result.count == N && !result.mismatches, "it read %#llx", (ull)result.out[0]);
	return 0;
}

/* In the place of the probe's function: a write, a read. */
static const uint8_t code[] = {
	0x67, 0xc7, 0x04, 0x25, 0x08, 0x01, 0xd0, 0xfe, 0x55, 0, 0, 0,	/* 0: movl $0x55, comparator */
	0x67, 0x8b, 0x04, 0x25, 0x08, 0x01, 0xd0, 0xfe,			/* 12: mov comparator, %eax */
	0xc3,								/* 20: ret */
};

struct steps {
	uint64_t page;
	uint64_t at[sizeof(code)];
	uint64_t accesses;
};

static int note_step(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct steps *s = p->opaque;

	(void)reply;
	s->accesses += e->kind == SCRY_EVENT_MEMORY;
	if (e->kind == SCRY_EVENT_STEP && e->rip - s->page < sizeof(code))
		s->at[e->rip - s->page]++;
	return 0;
}

static int step_through(struct ctx *c, struct steps *s)
{
	const struct probe_op op = OP(EXEC, .arg = s->page, .flags = PROBE_CHECK, .expect = 0x55);
	struct pump p = { .c = c, .answer = note_step, .opaque = s };
	int number = subscribe(c, SUB(STEP, .vcpus = 1));
	struct probe_vcpu block;

	DO(number);
	DO(guest_start(c, 0, &op, 1, N));
	DO(pump_done(&p, 1));
	OK(c, scry_unsubscribe(c->vm, number));
	DO(pump_drain(c));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].count == N && !block.op[0].mismatches, "it read %#llx",
	      (ull)block.op[0].out[0]);
	for (unsigned i = 0; i < sizeof(code); i++)
		CHECK(c, s->at[i] == (i == 0 || i == 12 || i == 20 ? N : 0),
		      "it came to byte %u %llu times", i, (ull)s->at[i]);
	return 0;
}

/* An access to a device is one step, its frame trapped or not. */
static int steps(struct ctx *c)
{
	struct steps s = { .page = c->probe.patch };

	OK(c, scry_write_phys(c->vm, s.page, code, sizeof(code)));
	DO(step_through(c, &s));
	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, SCRY_READ | SCRY_WRITE));
	s = (struct steps){ .page = c->probe.patch };
	DO(step_through(c, &s));
	CHECK(c, s.accesses == (uint64_t)2 * N, "%llu accesses", (ull)s.accesses);
	return 0;
}

/* What reads and writes, with and without LOCK, each told of once; and the device has the sum. */
static int modified(struct ctx *c)
{
	static const uint8_t ors[] = {
		0x67, 0xc7, 0x04, 0x25, 0x08, 0x01, 0xd0, 0xfe, 0x50, 0, 0, 0,	/* movl $0x50, comparator */
		0x67, 0x83, 0x0c, 0x25, 0x08, 0x01, 0xd0, 0xfe, 0x05,		/* orl $5, comparator */
		0xf0, 0x67, 0x83, 0x0c, 0x25, 0x08, 0x01, 0xd0, 0xfe, 0x0a,	/* lock orl $10, comparator */
		0x67, 0x8b, 0x04, 0x25, 0x08, 0x01, 0xd0, 0xfe,			/* mov comparator, %eax */
		0xc3,								/* ret */
	};
	const struct probe_op op = OP(EXEC, .arg = c->probe.patch, .flags = PROBE_CHECK, .expect = 0x5f);
	struct seen s = { 0 };
	struct probe_op result;
	struct pump p = { .c = c, .answer = note, .opaque = &s };
	struct probe_vcpu block;

	OK(c, scry_write_phys(c->vm, c->probe.patch, ors, sizeof(ors)));
	DO(guest_do(c, 0, op, &result));
	CHECK(c, !result.mismatches, "untrapped it read %#llx", (ull)result.out[0]);
	DO(subscribe(c, SUB(MEMORY)));
	DO(trap(c, SCRY_READ | SCRY_WRITE));
	DO(guest_start(c, 0, &op, 1, N));
	DO(pump_run(&p, 1));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].count == N && !block.op[0].mismatches, "it read %#llx",
	      (ull)block.op[0].out[0]);
	/* mov; or reads, and writes; lock or, both in one; mov */
	CHECK(c, s.count == (uint64_t)5 * N && s.reads == (uint64_t)2 * N,
	      "%llu events, %llu that only read", (ull)s.count, (ull)s.reads);
	return 0;
}

#define NEEDS { SCRY_CAP_EVENT_MMIO }

const struct test tests_mmio[] = {
	{ "mmio-reads", reads, NEEDS },
	{ "mmio-writes", writes, NEEDS },
	{ "mmio-modified", modified, NEEDS },
	{ "mmio-local-apic", local_apic, NEEDS },
	{ "mmio-steps", steps, { SCRY_CAP_EVENT_MMIO, SCRY_CAP_EVENT_STEP } },
	{ 0 }
};
