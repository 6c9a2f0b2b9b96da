/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The probe's mailbox, seen from outside. */
#include "conformance.h"

static uint64_t field(unsigned vcpu, size_t offset)
{
	return PROBE_VCPU_GPA + (uint64_t)vcpu * PROBE_VCPU_SIZE + offset;
}

#define FIELD(vcpu, name) field(vcpu, offsetof(struct probe_vcpu, name))

static int put32(struct ctx *c, uint64_t gpa, uint32_t value)
{
	OK(c, scry_write_phys(c->vm, gpa, &value, sizeof(value)));
	return 0;
}

static int get32(struct ctx *c, uint64_t gpa, uint32_t *value)
{
	OK(c, scry_read_phys(c->vm, gpa, value, sizeof(*value)));
	return 0;
}

static int get64(struct ctx *c, uint64_t gpa, uint64_t *value)
{
	OK(c, scry_read_phys(c->vm, gpa, value, sizeof(*value)));
	return 0;
}

int guest_start(struct ctx *c, unsigned vcpu, const struct probe_op *list, unsigned count,
		uint64_t repeat)
{
	uint32_t sequence;

	OK(c, scry_write_phys(c->vm, FIELD(vcpu, op), list, count * sizeof(*list)));
	OK(c, scry_write_phys(c->vm, FIELD(vcpu, repeat), &repeat, sizeof(repeat)));
	DO(put32(c, FIELD(vcpu, op_count), count));
	DO(put32(c, FIELD(vcpu, release), 0));
	DO(put32(c, FIELD(vcpu, stop), 0));
	DO(get32(c, FIELD(vcpu, sequence), &sequence));
	return put32(c, FIELD(vcpu, sequence), sequence + 1);
}

int guest_start_all(struct ctx *c, const struct probe_op *list, unsigned count, uint64_t repeat)
{
	for (unsigned i = 0; i < c->vcpus; i++)
		DO(guest_start(c, i, list, count, repeat));
	return 0;
}

static int check_panic(struct ctx *c, unsigned vcpu)
{
	struct probe_vcpu block;
	uint32_t state;

	DO(get32(c, FIELD(vcpu, state), &state));
	if (state != PROBE_PANIC)
		return 0;
	DO(guest_block(c, vcpu, &block));
	return fail(c, "the probe's vCPU %u got exception %llu at rip %#llx (error %#llx, cr2 %#llx)",
		    vcpu, (unsigned long long)block.last_vector, (unsigned long long)block.last_rip,
		    (unsigned long long)block.last_error, (unsigned long long)block.last_cr2);
}

int guest_done(struct ctx *c, unsigned vcpu)
{
	uint32_t sequence, done;

	DO(get32(c, FIELD(vcpu, sequence), &sequence));
	DO(get32(c, FIELD(vcpu, done), &done));
	if (sequence == done)
		return 1;
	return check_panic(c, vcpu);
}

int guest_wait(struct ctx *c, unsigned vcpu)
{
	uint64_t end = now_ms() + WAIT_MS;
	int done;

	while ((done = guest_done(c, vcpu)) == 0) {
		CHECK(c, now_ms() < end, "the probe's vCPU %u does not finish its command", vcpu);
		sleep_ms(1);
	}
	return done < 0 ? -1 : 0;
}

int guest_wait_waits(struct ctx *c, unsigned vcpu)
{
	uint64_t end = now_ms() + WAIT_MS;
	uint32_t state;

	for (;;) {
		DO(get32(c, FIELD(vcpu, state), &state));
		if (state == PROBE_WAITS)
			return 0;
		DO(check_panic(c, vcpu));
		CHECK(c, now_ms() < end, "the probe's vCPU %u does not come to its wait", vcpu);
		sleep_ms(1);
	}
}

int guest_wait_rounds(struct ctx *c, unsigned vcpu, uint64_t rounds)
{
	uint64_t end = now_ms() + WAIT_MS, seen;

	for (;;) {
		DO(get64(c, FIELD(vcpu, rounds), &seen));
		if (seen >= rounds)
			return 0;
		DO(check_panic(c, vcpu));
		CHECK(c, now_ms() < end, "the probe's vCPU %u did %llu rounds of %llu", vcpu,
		      (unsigned long long)seen, (unsigned long long)rounds);
		sleep_ms(1);
	}
}

int guest_release(struct ctx *c, unsigned vcpu)
{
	return put32(c, FIELD(vcpu, release), 1);
}

int guest_stop(struct ctx *c, unsigned vcpu)
{
	DO(put32(c, FIELD(vcpu, stop), 1));
	DO(guest_release(c, vcpu));
	return guest_wait(c, vcpu);
}

int guest_recover(struct ctx *c, unsigned vcpu)
{
	uint64_t end = now_ms() + WAIT_MS;
	uint32_t state;

	DO(put32(c, FIELD(vcpu, stop), 1));
	DO(guest_release(c, vcpu));
	do {
		CHECK(c, now_ms() < end, "the probe's vCPU %u does not stop", vcpu);
		sleep_ms(1);
		DO(get32(c, FIELD(vcpu, state), &state));
	} while (state != PROBE_IDLE);
	return guest_wait(c, vcpu);
}

int guest_go(struct ctx *c, uint32_t value)
{
	return put32(c, PROBE_GPA + offsetof(struct probe_header, go), value);
}

int guest_block(struct ctx *c, unsigned vcpu, struct probe_vcpu *block)
{
	OK(c, scry_read_phys(c->vm, field(vcpu, 0), block, sizeof(*block)));
	return 0;
}

int guest_beats(struct ctx *c, unsigned vcpu, uint64_t *beats)
{
	return get64(c, FIELD(vcpu, beats), beats);
}

int guest_run(struct ctx *c, unsigned vcpu, const struct probe_op *list, unsigned count,
	      uint64_t repeat, struct probe_vcpu *block)
{
	DO(guest_start(c, vcpu, list, count, repeat));
	DO(guest_wait(c, vcpu));
	return guest_block(c, vcpu, block);
}

int guest_do(struct ctx *c, unsigned vcpu, struct probe_op op, struct probe_op *result)
{
	struct probe_vcpu block;

	DO(guest_run(c, vcpu, &op, 1, 1, &block));
	if (result)
		*result = block.op[0];
	return 0;
}

static bool halts_alone(struct ctx *c)
{
	return scry_cap(c->vm, SCRY_CAP_VCPU_PAUSE, NULL) > 0;
}

int guest_halt(struct ctx *c, unsigned vcpu)
{
	OK(c, halts_alone(c) ? scry_vcpu_pause(c->vm, vcpu) : scry_pause(c->vm));
	return 0;
}

int guest_unhalt(struct ctx *c, unsigned vcpu)
{
	OK(c, halts_alone(c) ? scry_vcpu_resume(c->vm, vcpu) : scry_resume(c->vm));
	return 0;
}

int guest_moves(struct ctx *c, unsigned vcpu)
{
	uint64_t end = now_ms() + WAIT_MS, before, after;

	DO(guest_beats(c, vcpu, &before));
	do {
		CHECK(c, now_ms() < end, "vCPU %u stands still where it should run", vcpu);
		sleep_ms(1);
		DO(guest_beats(c, vcpu, &after));
	} while (after == before);
	return 0;
}

int guest_stands(struct ctx *c, unsigned vcpu)
{
	uint64_t before, after;

	DO(guest_beats(c, vcpu, &before));
	sleep_ms(30);
	DO(guest_beats(c, vcpu, &after));
	CHECK(c, after == before, "vCPU %u ran %llu steps while it should stand still", vcpu,
	      (unsigned long long)(after - before));
	return 0;
}
