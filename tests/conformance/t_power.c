/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's ends and beginnings.  Its machine is to reboot when it is reset. */
#include "conformance.h"

typedef unsigned long long ull;

#define N 20

/* Ports of the PC: keyboard controller, and what firmware makes of ACPI's PM1a control. */
#define RESET_BY_KEYBOARD OP(OUT, .arg = 0x64, .value = 0xfe, .size = 1)
#define SWITCH_OFF        OP(OUT, .arg = 0x604, .value = 0x2000, .size = 2)

struct ends {
	uint64_t count[3], starts, start_gpa;
	enum scry_action action;
};

static int note(struct pump *p, const struct scry_event *e, struct scry_reply *reply)
{
	struct ends *s = p->opaque;

	if (e->kind == SCRY_EVENT_SHUTDOWN) {
		CHECK(p->c, e->shutdown.type < 3, "an end of type %u", e->shutdown.type);
		s->count[e->shutdown.type]++;
		reply->action = s->action;
	} else if (e->kind == SCRY_EVENT_START) {
		s->starts++;
		s->start_gpa = e->start.gpa;
		CHECK(p->c, e->rip == 0 && e->vcpu > 0, "vCPU %u starts at %#llx", e->vcpu,
		      (ull)e->rip);
	}
	return 0;
}

/* Every vCPU asks for its end again and again, and is refused it. */
static int refused(struct ctx *c, struct probe_op op, enum scry_shutdown_type type)
{
	struct ends s = { .action = SCRY_SKIP };
	struct pump p = { .c = c, .answer = note, .opaque = &s };
	uint64_t all = (uint64_t)N * c->vcpus;

	DO(pump_all(&p, SUB(SHUTDOWN, .shutdown = { .types = 1u << type }), &op, 1, N));
	CHECK(c, s.count[type] == all && p.total == all, "%llu ends of this type, %llu in all, not %llu",
	      (ull)s.count[type], (ull)p.total, (ull)all);
	return guest_moves(c, 0);
}

static int reset_refused(struct ctx *c)
{
	return refused(c, RESET_BY_KEYBOARD, SCRY_SHUTDOWN_RESET);
}

static int off_refused(struct ctx *c)
{
	struct probe_op enabled = OP(IN, .arg = 0x604, .size = 2), result;

	DO(guest_do(c, 0, enabled, &result));
	CHECK(c, result.out[0] != 0xffff, "the machine has no PM1a control at port 0x604");
	return refused(c, SWITCH_OFF, SCRY_SHUTDOWN_OFF);
}

/* After the machine's reset: the probe comes up again, and starts its processors. */
static int comes_back(struct pump *p)
{
	struct ctx *c = p->c;
	struct ends *s = p->opaque;
	uint64_t end = now_ms() + WAIT_MS, magic = 0;
	struct scry_event e;
	int n;

	while (magic != PROBE_MAGIC) {
		n = pump_wait(c, &e, 1, 5);
		DO(n);
		if (n) {
			struct scry_reply reply = { .sz = sizeof(reply) };

			DO(note(p, &e, &reply));
			OK(c, scry_reply(c->vm, &e, &reply));
		}
		OK(c, scry_read_phys(c->vm, PROBE_GPA + offsetof(struct probe_header, magic), &magic, 8));
		CHECK(c, now_ms() < end, "the guest does not come back; %llu starts", (ull)s->starts);
	}
	/* The firmware may start them, too. */
	CHECK(c, c->vcpus == 1 ? !s->starts : s->starts && s->starts % (c->vcpus - 1) == 0,
	      "%llu processors started", (ull)s->starts);
	CHECK(c, c->vcpus == 1 || (s->start_gpa && s->start_gpa % 4096 == 0 && s->start_gpa < 0x100000),
	      "a processor started at %#llx", (ull)s->start_gpa);
	return 0;
}

/* The reset takes place when it is answered so. */
static int reset(struct ctx *c)
{
	struct ends s = { 0 };
	struct pump p = { .c = c, .answer = note, .opaque = &s };

	DO(subscribe(c, SUB(SHUTDOWN)));
	DO(subscribe(c, SUB(START)));
	OK(c, scry_write_phys(c->vm, PROBE_GPA + offsetof(struct probe_header, magic), &(uint64_t){ 0 },
			      8));
	DO(guest_start(c, c->vcpus - 1, &RESET_BY_KEYBOARD, 1, 1));
	DO(comes_back(&p));
	CHECK(c, s.count[SCRY_SHUTDOWN_RESET] >= 1, "not told of");
	return 0;
}

/* An interrupt table that is not there, and an interrupt, whose instruction's page is trapped so. */
static int triple_fault_in(struct ctx *c, uint32_t trap)
{
	static const struct probe_op list[] = {
		OP(LIDT, .value = UINT64_C(1) << 45), OP(INT3),
	};
	unsigned last = c->vcpus - 1;
	struct ends s = { 0 };
	struct pump p = { .c = c, .answer = note, .opaque = &s };
	struct probe_vcpu block;
	struct scry_event e;

	DO(guest_run(c, last, &OP(INT3), 1, 1, &block));
	if (trap)
		OK(c, scry_view_protect(c->vm, 0, (block.last_rip - 1) >> 12, 1, trap));
	DO(subscribe(c, SUB(SHUTDOWN)));
	DO(subscribe(c, SUB(START)));
	DO(guest_start(c, last, list, 2, 1));
	DO(pump_one(c, &e));
	if (trap)
		OK(c, scry_view_protect(c->vm, 0, (block.last_rip - 1) >> 12, 1, 0));
	CHECK(c, e.kind == SCRY_EVENT_SHUTDOWN && e.shutdown.type == SCRY_SHUTDOWN_TRIPLE_FAULT &&
	      e.vcpu == last, "kind %u, type %u, vCPU %u", e.kind, e.shutdown.type, e.vcpu);
	OK(c, scry_reply_action(c->vm, &e, SCRY_SKIP));
	DO(guest_stands(c, last));
	if (last)
		DO(guest_moves(c, 0));
	/* The one thing that the processor still takes, which it cannot deliver, either. */
	OK(c, scry_write_phys(c->vm, PROBE_GPA + offsetof(struct probe_header, magic), &(uint64_t){ 0 },
			      8));
	OK(c, scry_inject(c->vm, last, &(struct scry_injection){
		.sz = sizeof(struct scry_injection), .type = SCRY_INTERRUPT_NMI }));
	DO(comes_back(&p));
	/* Firmware that comes up so can reset the machine once more. */
	CHECK(c, s.count[SCRY_SHUTDOWN_TRIPLE_FAULT] == 1, "%llu triple faults",
	      (ull)s.count[SCRY_SHUTDOWN_TRIPLE_FAULT]);
	return 0;
}

static int triple_fault(struct ctx *c)
{
	return triple_fault_in(c, 0);
}

static int triple_fault_trapped(struct ctx *c)
{
	return triple_fault_in(c, SCRY_EXEC);
}

#define NEEDS { SCRY_CAP_EVENT_SHUTDOWN, SCRY_CAP_EVENT_START }
#define NEEDS_VIEWS { SCRY_CAP_EVENT_SHUTDOWN, SCRY_CAP_EVENT_START, SCRY_CAP_EVENT_MEMORY }

const struct test tests_power[] = {
	{ "shutdown-reset-refused", reset_refused, NEEDS },
	{ "shutdown-off-refused", off_refused, NEEDS },
	{ "shutdown-reset", reset, NEEDS },
	{ "shutdown-triple-fault", triple_fault, NEEDS },
	{ "shutdown-triple-fault-trapped", triple_fault_trapped, NEEDS_VIEWS },
	{ 0 },
};
