/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain loads and stores in trapped pages, which an agent may carry out itself in the
 * guest's place: in every mode and with all that may come with them as on the processor.
 */
#include <string.h>

#include "conformance.h"

typedef unsigned long long ull;

#define N         20
#define TIMES     4		/* of each size and place */
#define PAGE      4096u
#define FILL      UINT64_C(0x8877665544332211)
#define VALUE     UINT64_C(0x1122334455667788)
#define DR7_WRITE UINT64_C(0x90401)	/* DR0 watches writes of 8 bytes */
#define MAX_XLATS 32u

static int trap(struct ctx *c, uint64_t gpa, uint64_t pages, uint32_t access)
{
	OK(c, scry_view_protect(c->vm, 0, gpa >> 12, pages, access));
	return 0;
}

static uint64_t mask(uint32_t size)
{
	return size < 8 ? (UINT64_C(1) << 8 * size) - 1 : UINT64_MAX;
}

/* A store and a load of each size, at this address, with these flags, so often. */
static int all_sizes(struct ctx *c, uint64_t at, uint16_t flags, uint64_t times, const char *how)
{
	for (uint32_t size = 1; size <= 8; size *= 2) {
		const struct probe_op list[] = {
			OP(WRITE, .arg = at, .value = VALUE, .size = size, .flags = flags),
			OP(READ, .arg = at, .size = size, .flags = flags | PROBE_CHECK,
			   .expect = VALUE & mask(size)),
		};
		uint64_t value, expected = (VALUE & mask(size)) | (FILL & ~mask(size));
		struct pump p = { .c = c };
		struct probe_vcpu block;

		OK(c, scry_write_phys(c->vm, at, &(uint64_t){ FILL }, 8));
		DO(guest_start(c, 0, list, 2, times));
		DO(pump_run(&p, 1));
		DO(guest_block(c, 0, &block));
		OK(c, scry_read_phys(c->vm, at, &value, 8));
		CHECK(c, value == expected, "%s, %u bytes: %#llx in memory, not %#llx", how, size,
		      (ull)value, (ull)expected);
		CHECK(c, block.op[0].count == times && block.op[1].count == times &&
		      !block.op[1].mismatches, "%s, %u bytes: %llu stores, %llu loads, the last of %#llx",
		      how, size, (ull)block.op[0].count, (ull)block.op[1].count,
		      (ull)block.op[1].out[0]);
	}
	return 0;
}

/* By the kernel and by user space, whole or with a byte in the next page. */
static int everywhere(struct ctx *c, const char *how)
{
	uint64_t gpa = c->probe.scratch;

	DO(all_sizes(c, gpa + 16, 0, TIMES, how));
	DO(all_sizes(c, gpa + 16, PROBE_USER, TIMES, how));
	DO(all_sizes(c, gpa + 3, 0, TIMES, how));
	return all_sizes(c, gpa + PAGE - 1, PROBE_USER, TIMES, how);
}

static int sizes(struct ctx *c)
{
	DO(everywhere(c, "untrapped"));
	DO(trap(c, c->probe.scratch, 2, SCRY_WRITE));
	DO(everywhere(c, "writes trapped"));
	DO(trap(c, c->probe.scratch, 2, SCRY_READ | SCRY_WRITE | SCRY_EXEC));
	return everywhere(c, "all trapped");
}

/* The same by steps. */
static int stepped(struct ctx *c)
{
	DO(subscribe(c, SUB(STEP, .vcpus = 1, .step = { .use_range = 1, .last = UINT64_MAX })));
	DO(trap(c, c->probe.scratch, 1, SCRY_READ | SCRY_WRITE));
	return all_sizes(c, c->probe.scratch + 16, 0, 1, "stepped");
}

/* In the place of the trapped page stands another. */
static int elsewhere(struct ctx *c)
{
	uint64_t here = c->probe.scratch, there = here + PAGE, value;
	const struct probe_op list[] = {
		OP(WRITE, .arg = here, .value = VALUE, .size = 8),
		OP(READ, .arg = here, .size = 8, .flags = PROBE_CHECK, .expect = VALUE),
	};
	struct probe_vcpu block;

	OK(c, scry_write_phys(c->vm, here, &(uint64_t){ 1 }, 8));
	OK(c, scry_write_phys(c->vm, there, &(uint64_t){ 2 }, 8));
	OK(c, scry_view_remap(c->vm, 0, here >> 12, there >> 12));
	DO(trap(c, here, 1, SCRY_READ | SCRY_WRITE));
	DO(guest_run(c, 0, list, 2, N, &block));
	OK(c, scry_view_remap(c->vm, 0, here >> 12, here >> 12));
	CHECK(c, block.op[1].count == N && !block.op[1].mismatches, "the guest read %#llx",
	      (ull)block.op[1].out[0]);
	OK(c, scry_read_phys(c->vm, there, &value, 8));
	CHECK(c, value == VALUE, "%#llx in the page that is shown", (ull)value);
	OK(c, scry_read_phys(c->vm, here, &value, 8));
	CHECK(c, value == 1, "%#llx in the page that is not", (ull)value);
	return 0;
}

/* The guest watches the place itself: *caught is how often it is told. */
static int watch(struct ctx *c, uint64_t at, uint64_t *caught)
{
	const struct probe_op set[] = {
		OP(DR_WRITE, .arg = 0, .value = at), OP(DR_WRITE, .arg = 7, .value = DR7_WRITE),
	};
	const struct probe_op write = OP(WRITE, .arg = at, .value = VALUE, .size = 8);
	struct probe_vcpu block;

	DO(guest_run(c, 0, set, 2, 1, &block));
	*caught = block.exceptions[1];
	DO(guest_run(c, 0, &write, 1, N, &block));
	*caught = block.exceptions[1] - *caught;
	CHECK(c, block.op[0].count == N, "%llu writes", (ull)block.op[0].count);
	return 0;
}

static int watched(struct ctx *c)
{
	uint64_t at = c->probe.scratch, untrapped, trapped;

	DO(watch(c, at, &untrapped));
	if (!untrapped)
		return skip(c, "the guest's processor has no watchpoints");
	DO(trap(c, at, 1, SCRY_WRITE));
	DO(watch(c, at, &trapped));
	CHECK(c, untrapped == N && trapped == N, "of %u writes the guest is told of %llu, trapped of "
	      "%llu", N, (ull)untrapped, (ull)trapped);
	return guest_do(c, 0, OP(RESET), NULL);
}

/* Of what the probe reads in a paging mode: that it has found what is there. */
static int check_seen(struct ctx *c, unsigned mode)
{
	uint64_t count = c->probe.xlat[mode].count, loads = 0;
	struct probe_xlat table[MAX_XLATS];

	CHECK(c, count && count <= MAX_XLATS, "%llu translations", (ull)count);
	OK(c, scry_read_phys(c->vm, c->probe.xlat[mode].table, table, count * sizeof(table[0])));
	for (uint64_t i = 0; i < count; i++) {
		const struct probe_xlat *x = &table[i];

		if (x->fault || x->gpa - c->probe.targets >= PROBE_TARGETS * PAGE)
			continue;
		CHECK(c, x->seen == (PROBE_STAMP ^ x->gpa), "mode %u: %#llx at %#llx", mode,
		      (ull)x->seen, (ull)x->gva);
		loads++;
	}
	CHECK(c, loads, "mode %u: nothing is read", mode);
	return 0;
}

static int forget_seen(struct ctx *c, unsigned mode)
{
	uint64_t at = c->probe.xlat[mode].table + offsetof(struct probe_xlat, seen);

	for (uint64_t i = 0; i < c->probe.xlat[mode].count; i++, at += sizeof(struct probe_xlat))
		OK(c, scry_write_phys(c->vm, at, &(uint64_t){ 0 }, 8));
	return 0;
}

/* Loads in each paging mode, in code of 32 bits and of 64. */
static int modes(struct ctx *c)
{
	struct probe_vcpu block;

	DO(trap(c, c->probe.targets, PROBE_TARGETS, SCRY_READ | SCRY_WRITE));
	for (unsigned mode = PROBE_PAGING_OFF; mode < PROBE_PAGING_MODES; mode++) {
		const struct probe_op op = OP(PAGING, .value = mode);

		if (mode == PROBE_PAGING_5LEVEL && !(c->probe.features & PROBE_HAS_LA57))
			continue;
		DO(forget_seen(c, mode));
		DO(guest_start(c, 0, &op, 1, 1));
		DO(guest_wait_waits(c, 0));
		DO(check_seen(c, mode));
		DO(guest_release(c, 0));
		DO(guest_wait(c, 0));
		DO(guest_block(c, 0, &block));
		CHECK(c, block.op[0].count == 1, "mode %u: it does not come back", mode);
	}
	return 0;
}

#define NEEDS { SCRY_CAP_EVENT_MEMORY }

const struct test tests_moves[] = {
	{ "move-sizes", sizes, NEEDS },
	{ "move-stepped", stepped, { SCRY_CAP_EVENT_MEMORY, SCRY_CAP_EVENT_STEP } },
	{ "view-moves", elsewhere, { SCRY_CAP_VIEWS, SCRY_CAP_EVENT_MEMORY } },
	{ "move-watched", watched, NEEDS },
	{ "move-modes", modes, NEEDS },
	{ 0 }
};
