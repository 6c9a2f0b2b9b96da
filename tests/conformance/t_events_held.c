/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* While an event is held: its vCPU waits, and everything else still works. */
#include <string.h>

#include "conformance.h"

typedef unsigned long long ull;

#define BIT    SCRY_REG_BIT
#define WRITES 100

/* vCPU 0 waits in the event of a CPUID with this list. */
static int hold_event(struct ctx *c, const struct probe_op *list, unsigned count, uint64_t repeat,
		      struct scry_event *e)
{
	OK(c, subscribe(c, SUB(CPUID, .vcpus = 1)));
	DO(guest_start(c, 0, list, count, repeat));
	DO(pump_one(c, e));
	CHECK(c, e->kind == SCRY_EVENT_CPUID && e->vcpu == 0, "an event of kind %u, vCPU %u", e->kind,
	      e->vcpu);
	return 0;
}

static int go_on(struct ctx *c, const struct scry_event *e)
{
	OK(c, scry_reply_action(c->vm, e, SCRY_CONTINUE));
	return guest_wait(c, 0);
}

/* A slow reply holds up its own vCPU only, and no longer than it takes. */
static int slow(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct scry_event e, other;

	DO(hold_event(c, &op, 1, 1, &e));
	sleep_ms(150);
	DO(guest_stands(c, 0));
	for (unsigned i = 1; i < c->vcpus; i++)
		DO(guest_moves(c, i));
	CHECK(c, scry_event_wait(c->vm, &other, 1, 20) == 0, "a held event is delivered again");
	sleep_ms(1500);
	DO(guest_stands(c, 0));
	return go_on(c, &e);
}

/* The vCPU's registers can be read and written, and are what the event says. */
static int registers(struct ctx *c)
{
	struct probe_op op = OP(CPUID, .arg = 1), result;
	struct scry_regs regs, other;
	struct scry_event e;
	struct probe_vcpu block;
	uint64_t value;
	int ret;

	DO(guest_do(c, 0, OP(CPUID), &result));
	DO(hold_event(c, &op, 1, 1, &e));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	CHECK(c, !memcmp(regs.gpr, e.gpr, sizeof(e.gpr)) && regs.rip == e.rip && regs.cr3 == e.cr3 &&
	      regs.rflags == e.rflags, "rip %#llx, but the event says %#llx; or another differs",
	      (ull)regs.rip, (ull)e.rip);
	OK(c, scry_msr_get(c->vm, 0, 0xc0000101, &value));
	CHECK(c, value == regs.seg[5].base, "GS_BASE reads %#llx", (ull)value);
	if (scry_cap(c->vm, SCRY_CAP_MSR_WRITE, NULL))
		OK(c, scry_msr_set(c->vm, 0, 0xc0000082, 0x4242));
	ret = scry_xsave_get(c->vm, 0, NULL, 0);
	CHECK(c, ret >= 0 || (ret == SCRY_E_REFUSED && !(c->probe.features & PROBE_HAS_XSAVE)),
	      "scry_xsave_get() gave %d", ret);
	regs.gpr[SCRY_REG_RAX] = 0;	/* another leaf than the guest asks for */
	OK(c, scry_regs_set(c->vm, 0, &regs, BIT(SCRY_REG_RAX)));
	for (unsigned i = 1; i < c->vcpus; i++)
		OK(c, scry_regs_get(c->vm, i, &other));
	DO(go_on(c, &e));
	DO(guest_block(c, 0, &block));
	CHECK(c, !memcmp(block.op[0].out, result.out, sizeof(result.out)),
	      "rax = 0 was written, but CPUID answers %#llx", (ull)block.op[0].out[0]);
	if (!scry_cap(c->vm, SCRY_CAP_MSR_WRITE, NULL))
		return 0;
	DO(guest_do(c, 0, OP(RDMSR, .arg = 0xc0000082), &result));
	CHECK(c, result.out[0] == 0x4242, "the guest reads LSTAR %#llx", (ull)result.out[0]);
	return 0;
}

/* A pause holds the vCPU beyond the reply; the reply does not undo the pause. */
static int paused(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct scry_event e;

	DO(hold_event(c, &op, 1, 1, &e));
	OK(c, scry_pause(c->vm));
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_stands(c, i));
	OK(c, scry_resume(c->vm));
	DO(guest_stands(c, 0));		/* the event still holds it */
	for (unsigned i = 1; i < c->vcpus; i++)
		DO(guest_moves(c, i));

	OK(c, scry_pause(c->vm));
	OK(c, scry_vcpu_pause(c->vm, 0));
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	DO(guest_stands(c, 0));
	CHECK(c, guest_done(c, 0) == 0, "the guest went on in a pause");
	OK(c, scry_resume(c->vm));
	DO(guest_stands(c, 0));
	OK(c, scry_vcpu_resume(c->vm, 0));
	return guest_wait(c, 0);
}

/* An event that comes up as the VM is being paused is not lost. */
static int pause_races(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct pump p = { .c = c };
	struct scry_event events[PROBE_VCPUS];
	uint64_t replied = 0;
	int n;

	OK(c, subscribe(c, SUB(CPUID)));
	DO(guest_start_all(c, &op, 1, 300));
	for (int i = 0; i < 100; i++) {
		OK(c, scry_pause(c->vm));
		n = pump_wait(c, events, PROBE_VCPUS, 0);
		DO(n);
		for (int j = 0; j < n; j++)
			OK(c, scry_reply_action(c->vm, &events[j], SCRY_CONTINUE));
		replied += (uint64_t)n;
		OK(c, scry_resume(c->vm));
	}
	DO(pump_run(&p, ALL_VCPUS));
	CHECK(c, replied + p.total == 300 * c->vcpus, "%llu events, not %u", (ull)(replied + p.total),
	      300 * c->vcpus);
	return 0;
}

/* Code that is written while the event is held is what the vCPU executes next. */
static int code(struct ctx *c)
{
	const struct probe_op exec = OP(EXEC, .arg = c->probe.patch_inline);
	uint64_t imm = c->probe.patch_inline + c->probe.patch_imm;
	struct scry_event e;
	struct probe_vcpu block;
	uint32_t value = 1;

	OK(c, subscribe(c, SUB(CPUID, .vcpus = 1)));
	for (uint32_t i = 2; i < 30; i++) {
		DO(guest_start(c, 0, &exec, 1, 1));
		DO(pump_one(c, &e));
		CHECK(c, e.rip + 3 == imm, "CPUID at %#llx, not right before the code to change",
		      (ull)e.rip);
		if (i & 1)		/* every other time as the guest had it */
			OK(c, scry_write_phys(c->vm, imm, &i, 4));
		OK(c, scry_read_phys(c->vm, imm, &value, 4));
		DO(go_on(c, &e));
		DO(guest_block(c, 0, &block));
		CHECK(c, block.op[0].out[0] == value, "%u was written behind the CPUID, but %llu executed",
		      value, (ull)block.op[0].out[0]);
	}
	value = 1;
	OK(c, scry_write_phys(c->vm, imm, &value, 4));
	return 0;
}

/* Every general register, in the reply. */
static int set_in_reply(struct ctx *c)
{
	struct probe_op op = OP(EXEC, .arg = c->probe.patch_inline);
	struct scry_reply reply = { .sz = sizeof(reply) };
	bool all = whole(c, SCRY_CAP_REGS_WRITE);
	struct scry_event e;
	struct scry_regs regs;
	struct probe_vcpu block;

	DO(hold_event(c, &op, 1, 1, &e));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	regs.rip = e.rip + e.insn_len + 5;	/* behind CPUID and mov $1,%eax */
	regs.gpr[SCRY_REG_RAX] = 0xfeedface;
	regs.cr2 = 0x1234;
	reply.regs = &regs;
	reply.set = SCRY_REGS_GPR | BIT(SCRY_REG_RIP) | (all ? BIT(SCRY_REG_CR2) : 0);
	OK(c, scry_reply(c->vm, &e, &reply));
	DO(guest_wait(c, 0));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].out[0] == 0xfeedface, "the guest's function returned %#llx",
	      (ull)block.op[0].out[0]);
	OK(c, scry_regs_get(c->vm, 0, &regs));
	CHECK(c, !all || regs.cr2 == 0x1234, "cr2 in the reply was not written: %#llx", (ull)regs.cr2);
	return 0;
}

/* A refused register leaves the event waiting; so does a bad reply. */
static int bad_reply(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct scry_reply reply = { .sz = sizeof(reply) };
	struct scry_event e, wrong;
	struct scry_regs regs, after;

	DO(hold_event(c, &op, 1, 1, &e));
	OK(c, scry_regs_get(c->vm, 0, &regs));
	reply.regs = &regs;
	reply.set = BIT(SCRY_REG_RBX) |
		    (whole(c, SCRY_CAP_REGS_WRITE) ? BIT(SCRY_REG_CR4) : BIT(SCRY_REG_RIP));
	regs.cr4 |= 1ull << 31;
	regs.rip ^= 1ull << 62;
	regs.gpr[SCRY_REG_RBX] ^= 1;
	REFUSED(c, scry_reply(c->vm, &e, &reply), SCRY_E_REFUSED);
	OK(c, scry_regs_get(c->vm, 0, &after));
	CHECK(c, after.gpr[SCRY_REG_RBX] == (regs.gpr[SCRY_REG_RBX] ^ 1), "a refused reply wrote rbx");
	reply.set = 0;
	reply.action = (enum scry_action)99;
	REFUSED(c, scry_reply(c->vm, &e, &reply), SCRY_E_INVAL);
	reply.action = SCRY_CONTINUE;
	reply.set = 1;
	reply.regs = NULL;
	REFUSED(c, scry_reply(c->vm, &e, &reply), SCRY_E_INVAL);
	wrong = e;
	wrong.vcpu = c->vcpus;
	REFUSED(c, scry_reply_action(c->vm, &wrong, SCRY_CONTINUE), SCRY_E_INVAL);
	DO(guest_stands(c, 0));
	DO(go_on(c, &e));
	REFUSED(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE), SCRY_E_STATE);
	return 0;
}

/* Memory can be read and written, also what the waiting vCPU is about to use. */
static int memory(struct ctx *c)
{
	const struct probe_op list[] = { OP(CPUID), OP(READ, .size = 8, .arg = c->probe.scratch) };
	struct scry_event e;
	struct probe_vcpu block;
	struct scry_as *as;
	uint64_t value;

	DO(hold_event(c, list, 2, 1, &e));
	value = 0x77;
	OK(c, scry_write_phys(c->vm, c->probe.scratch, &value, 8));
	OK(c, scry_read_phys_u64(c->vm, c->probe.targets, &value));
	CHECK(c, value == (PROBE_STAMP ^ c->probe.targets), "%#llx is read", (ull)value);
	DO(world_as(c, &as));
	OK(c, scry_read_virt_u64(as, PROBE_ALIAS + c->probe.scratch, &value));
	CHECK(c, value == 0x77, "%#llx is read virtually", (ull)value);
	DO(go_on(c, &e));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[1].out[0] == 0x77, "the guest reads %#llx", (ull)block.op[1].out[0]);
	return 0;
}

/* Unsubscribed while its event is held: the event is still there to be answered. */
static int unsubscribed(struct ctx *c)
{
	struct probe_op op = OP(CPUID);
	struct scry_event e;
	int number = subscribe(c, SUB(CPUID));

	DO(number);
	DO(guest_start(c, 0, &op, 1, 1000));
	DO(pump_one(c, &e));
	OK(c, scry_unsubscribe(c->vm, number));
	DO(guest_stands(c, 0));
	DO(go_on(c, &e));
	CHECK(c, scry_event_wait(c->vm, &e, 1, 20) == 0, "an event after scry_unsubscribe()");
	return 0;
}

/* Closing the handle lets the vCPU go on as if nothing had been. */
static int closed(struct ctx *c)
{
	struct probe_op op = OP(CPUID), result;
	struct scry_event e;
	struct probe_vcpu block;

	DO(guest_do(c, 0, op, &result));
	for (int i = 0; i < 10; i++) {
		DO(hold_event(c, &op, 1, 1, &e));
		world_close(c);
		DO(world_open(c));
		DO(guest_wait(c, 0));
		DO(guest_block(c, 0, &block));
		CHECK(c, block.op[0].count == 1 && !memcmp(block.op[0].out, result.out, 32),
		      "the guest's CPUID gave %#llx", (ull)block.op[0].out[0]);
	}
	return 0;
}

/* Whatever it asks for. */
static int all_too_late(struct ctx *c, const struct scry_event *e)
{
	struct scry_regs regs;
	uint64_t value = 0;

	REFUSED(c, scry_reply_action(c->vm, e, SCRY_CONTINUE), SCRY_E_TIMEOUT);
	REFUSED(c, scry_regs_get(c->vm, 0, &regs), SCRY_E_TIMEOUT);
	REFUSED(c, scry_read_phys(c->vm, PROBE_GPA, &value, sizeof(value)), SCRY_E_TIMEOUT);
	REFUSED(c, scry_pause(c->vm), SCRY_E_TIMEOUT);
	REFUSED(c, scry_subscribe(c->vm, &SUB(CPUID)), SCRY_E_TIMEOUT);
	return 0;
}

/* No reply in time: the guest goes on as if the client had died, and the client is told. */
static int too_long(struct ctx *c)
{
	const struct scry_open_opts opts = { .sz = sizeof(opts), .reply_timeout_ms = 2000 };
	struct probe_op op = OP(CPUID), result;
	struct scry_event e, none;
	struct probe_vcpu block;
	uint64_t end;
	int ret;

	DO(guest_do(c, 0, op, &result));
	world_close(c);
	OK(c, scry_open(&c->vm, c->uri, &opts));
	DO(hold_event(c, &op, 1, 1000, &e));
	DO(guest_halt(c, 0));
	sleep_ms(2300);			/* which does not count */
	DO(guest_unhalt(c, 0));
	OK(c, scry_reply_action(c->vm, &e, SCRY_CONTINUE));
	DO(pump_one(c, &e));
	end = now_ms() + WAIT_MS;
	while ((ret = scry_event_wait(c->vm, &none, 1, 100)) == 0)
		CHECK(c, now_ms() < end, "the client is not told that it was too late");
	CHECK(c, ret == SCRY_E_TIMEOUT, "waiting gives %d: %s", ret, scry_errmsg());
	CHECK(c, strstr(scry_errmsg(), "within 2000 ms"), "the sentence is: %s", scry_errmsg());
	DO(all_too_late(c, &e));

	world_close(c);
	DO(world_open(c));
	DO(guest_wait(c, 0));
	DO(guest_block(c, 0, &block));
	CHECK(c, block.op[0].count == 1000 && !memcmp(block.op[0].out, result.out, 32),
	      "the guest's CPUID gave %#llx", (ull)block.op[0].out[0]);
	return 0;
}

/* Its registers are written while the others work: those notice nothing of it. */
static int others_work(struct ctx *c)
{
	const struct probe_op work = OP(CHECKSUM, .value = 200, .flags = PROBE_CHECK,
					.expect = probe_checksum(200)), op = OP(CPUID);
	unsigned reg = whole(c, SCRY_CAP_REGS_WRITE) ? SCRY_REG_CR2 : SCRY_REG_RBX;
	struct probe_vcpu block;
	struct scry_regs regs;
	struct scry_event e;

	DO(hold_event(c, &op, 1, 1, &e));
	for (unsigned i = 1; i < c->vcpus; i++) {
		DO(guest_start(c, i, &work, 1, FOREVER));
		DO(guest_wait_rounds(c, i, 1));
	}
	OK(c, scry_regs_get(c->vm, 0, &regs));
	for (unsigned n = 0; n < WRITES; n++) {
		*scry_reg_ref(&regs, reg) += n;
		OK(c, scry_regs_set(c->vm, 0, &regs, BIT(reg)));
	}
	DO(go_on(c, &e));
	for (unsigned i = 1; i < c->vcpus; i++) {
		DO(guest_stop(c, i));
		DO(guest_block(c, i, &block));
		CHECK(c, !block.op[0].mismatches && !block.op[0].faults, "vCPU %u: %llu of %llu sums are "
		      "wrong", i, (ull)block.op[0].mismatches, (ull)block.op[0].count);
	}
	return 0;
}

#define CPUID_AND(cap) { SCRY_CAP_EVENT_CPUID, SCRY_CAP_##cap }

const struct test tests_held[] = {
	{ "held-slow", slow, { SCRY_CAP_EVENT_CPUID } },
	{ "held-registers", registers, CPUID_AND(REGS_WRITE) },
	{ "held-pause", paused, { SCRY_CAP_EVENT_CPUID, SCRY_CAP_PAUSE, SCRY_CAP_VCPU_PAUSE } },
	{ "held-pause-races", pause_races, CPUID_AND(PAUSE) },
	{ "held-code", code, CPUID_AND(PHYS_WRITE) },
	{ "held-reply-registers", set_in_reply, CPUID_AND(REGS_WRITE) },
	{ "held-bad-reply", bad_reply, CPUID_AND(REGS_WRITE) },
	{ "held-others-work", others_work, CPUID_AND(REGS_WRITE) },
	{ "held-memory", memory, CPUID_AND(PHYS_WRITE) },
	{ "held-unsubscribe", unsubscribed, { SCRY_CAP_EVENT_CPUID } },
	{ "held-close", closed, { SCRY_CAP_EVENT_CPUID } },
	{ "held-too-long", too_long, CPUID_AND(PAUSE) },
	{ 0 }
};
