/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guest-physical memory. */
#include <string.h>

#include "conformance.h"

static uint64_t stamp(uint64_t gpa)
{
	return PROBE_STAMP ^ gpa;
}

static int phys_read(struct ctx *c)
{
	uint64_t words[PROBE_TARGETS * 512], t = c->probe.targets, value, expect;

	OK(c, scry_read_phys(c->vm, t, words, sizeof(words)));
	for (size_t i = 0; i < PROBE_TARGETS * 512; i++)
		CHECK(c, words[i] == stamp(t + 8 * i), "word %zu is %#llx", i,
		      (unsigned long long)words[i]);
	for (unsigned i = 1; i < 24; i++) {	/* unaligned, and over a page's end */
		uint64_t gpa = t + 4096 - 12 + i;

		memcpy(&expect, (char *)words + 4096 - 12 + i, 8);
		value = 0;
		OK(c, scry_read_phys(c->vm, gpa, &value, 8));
		CHECK(c, value == expect, "scry_read_phys() at offset %u: %#llx", i,
		      (unsigned long long)value);
		OK(c, scry_read_phys_u64(c->vm, gpa, &value));
		CHECK(c, value == expect, "scry_read_phys_u64() at offset %u: %#llx", i,
		      (unsigned long long)value);
	}
	OK(c, scry_read_phys(c->vm, t, NULL, 0));
	return 0;
}

/* Memory is read now, not as it was: the guest counts in it meanwhile. */
static int phys_read_live(struct ctx *c)
{
	struct probe_op add = OP(XADD, .arg = c->probe.scratch, .value = 1), read;
	uint64_t before, after;

	DO(guest_do(c, 0, OP(WRITE, .size = 8, .arg = c->probe.scratch), NULL));
	for (unsigned i = 1; i <= 100; i++) {
		DO(guest_do(c, 0, add, &read));
		OK(c, scry_read_phys_u64(c->vm, c->probe.scratch, &after));
		CHECK(c, read.out[0] == i - 1 && after == i, "after %u additions: %llu", i,
		      (unsigned long long)after);
	}
	DO(guest_start(c, 0, &add, 1, FOREVER));
	DO(guest_wait_rounds(c, 0, 10));
	OK(c, scry_read_phys_u64(c->vm, c->probe.scratch, &before));
	DO(guest_moves(c, 0));
	OK(c, scry_read_phys_u64(c->vm, c->probe.scratch, &after));
	CHECK(c, after > before, "the guest counts, but the same value is read");
	return 0;
}

static int phys_write(struct ctx *c)
{
	uint64_t s = c->probe.scratch, values[3] = { 0x1122334455667788, 0, ~0ull }, seen[3];
	struct probe_op result;

	OK(c, scry_write_phys(c->vm, s + 4096 - 12, values, sizeof(values)));
	OK(c, scry_read_phys(c->vm, s + 4096 - 12, seen, sizeof(seen)));
	CHECK(c, !memcmp(values, seen, sizeof(seen)), "what was written is not read back");
	DO(guest_do(c, 0, OP(READ, .size = 8, .arg = s + 4096 - 12), &result));
	CHECK(c, result.out[0] == values[0], "the guest reads %#llx", (unsigned long long)result.out[0]);
	for (uint32_t size = 1; size <= 8; size *= 2) {
		uint64_t value = 0xa5a5a5a5a5a5a5a5 >> (64 - 8 * size);

		OK(c, scry_write_phys(c->vm, s + 64 + size, &value, size));
		DO(guest_do(c, 0, OP(READ, .size = size, .arg = s + 64 + size), &result));
		CHECK(c, result.out[0] == value, "%u bytes: the guest reads %#llx", size,
		      (unsigned long long)result.out[0]);
	}
	OK(c, scry_write_phys(c->vm, s, NULL, 0));
	return 0;
}

/* The end of the region that the scratch pages lie in. */
static int scratch_region_end(struct ctx *c, uint64_t *end)
{
	struct scry_region regions[64];
	int n = scry_memory_map(c->vm, regions, 64);

	OK(c, n);
	for (int i = 0; i < n && i < 64; i++) {
		*end = regions[i].gpa + regions[i].size;
		while (++i < n && regions[i].gpa == *end)
			*end += regions[i].size;
		i--;
		if (*end > c->probe.scratch)
			return 0;
	}
	return fail(c, "the map leaves out the guest's memory");
}

static int holes(struct ctx *c)
{
	uint64_t end, before, after, value;
	char buf[64];

	memset(buf, 0x5a, sizeof(buf));
	REFUSED(c, scry_read_phys(c->vm, PROBE_NOWHERE, buf, 8), SCRY_E_ADDRESS);
	REFUSED(c, scry_read_phys_u64(c->vm, PROBE_NOWHERE, &value), SCRY_E_ADDRESS);
	REFUSED(c, scry_write_phys(c->vm, PROBE_NOWHERE, buf, 8), SCRY_E_ADDRESS);
	DO(scratch_region_end(c, &end));
	OK(c, scry_read_phys(c->vm, end - 8, &before, 8));
	REFUSED(c, scry_read_phys(c->vm, end - 8, buf, 16), SCRY_E_ADDRESS);
	REFUSED(c, scry_read_phys_u64(c->vm, end - 7, &value), SCRY_E_ADDRESS);
	REFUSED(c, scry_write_phys(c->vm, end - 8, buf, 16), SCRY_E_ADDRESS);
	OK(c, scry_read_phys(c->vm, end - 8, &after, 8));
	CHECK(c, before == after, "a write half outside wrote its first half");
	REFUSED(c, scry_read_phys(c->vm, UINT64_MAX - 3, buf, 8), SCRY_E_ADDRESS);
	REFUSED(c, scry_read_phys_u64(c->vm, UINT64_MAX - 3, &value), SCRY_E_ADDRESS);
	REFUSED(c, scry_write_phys(c->vm, UINT64_MAX - 3, buf, 8), SCRY_E_ADDRESS);
	REFUSED(c, scry_read_phys(c->vm, c->probe.scratch, buf, SIZE_MAX), SCRY_E_ADDRESS);
	return 0;
}

static int rom(struct ctx *c)
{
	struct scry_region regions[64];
	int n = scry_memory_map(c->vm, regions, 64);
	uint64_t before, after, other;

	OK(c, n);
	for (int i = 0; i < n && i < 64; i++) {
		if (!(regions[i].flags & SCRY_REGION_ROM))
			continue;
		OK(c, scry_read_phys(c->vm, regions[i].gpa, &before, 8));
		other = ~before;
		REFUSED(c, scry_write_phys(c->vm, regions[i].gpa, &other, 8), SCRY_E_REFUSED);
		OK(c, scry_read_phys(c->vm, regions[i].gpa, &after, 8));
		CHECK(c, before == after, "ROM was written");
	}
	return 0;
}

static int vectored(struct ctx *c)
{
	uint64_t t = c->probe.targets, s = c->probe.scratch, in[3] = { 0 }, out[2] = { 3, 4 };
	struct scry_iov reads[] = {
		{ t + 8, &in[0], 8, 1 }, { PROBE_NOWHERE, &in[1], 8, 1 }, { t + 4096, &in[2], 8, 1 },
		{ t, NULL, 0, 1 },
	};
	struct scry_iov writes[] = {
		{ PROBE_NOWHERE, &out[0], 8, 1 }, { s + 16, &out[0], 8, 1 }, { s + 4092, &out[1], 8, 1 },
	};
	uint64_t value;

	CHECK(c, scry_readv_phys(c->vm, reads, 4) == 1, "not 1 piece failed");
	CHECK(c, reads[0].status == 0 && reads[1].status == SCRY_E_ADDRESS && reads[2].status == 0 &&
	      reads[3].status == 0, "the pieces' states are wrong");
	CHECK(c, in[0] == stamp(t + 8) && in[2] == stamp(t + 4096), "the pieces' bytes are wrong");
	CHECK(c, scry_writev_phys(c->vm, writes, 3) == 1, "not 1 piece failed to write");
	CHECK(c, writes[0].status == SCRY_E_ADDRESS && writes[1].status == 0 && writes[2].status == 0,
	      "the written pieces' states are wrong");
	OK(c, scry_read_phys_u64(c->vm, s + 16, &value));
	CHECK(c, value == 3, "piece 1 was not written");
	OK(c, scry_read_phys_u64(c->vm, s + 4092, &value));
	CHECK(c, value == 4, "piece 2 was not written");
	CHECK(c, scry_readv_phys(c->vm, NULL, 0) == 0, "no piece at all");
	return 0;
}

static int ram_map(struct ctx *c)
{
	volatile uint64_t *p = scry_phys_ptr(c->vm, c->probe.scratch, 4096);
	struct probe_op result;
	uint64_t end;

	CHECK(c, p, "scry_phys_ptr(): %s", scry_errmsg());
	for (uint64_t i = 1; i <= 100; i++) {
		p[3] = i * 0x100000001;
		DO(guest_do(c, 0, OP(READ, .size = 8, .arg = c->probe.scratch + 24), &result));
		CHECK(c, result.out[0] == i * 0x100000001, "the guest reads %#llx",
		      (unsigned long long)result.out[0]);
		DO(guest_do(c, 0, OP(WRITE, .size = 8, .arg = c->probe.scratch + 32, .value = i), NULL));
		CHECK(c, p[4] == i, "the mapping shows %#llx", (unsigned long long)p[4]);
	}
	CHECK(c, !scry_phys_ptr(c->vm, PROBE_NOWHERE, 1) && *scry_errmsg(), "a pointer into a hole");
	DO(scratch_region_end(c, &end));
	CHECK(c, scry_phys_ptr(c->vm, end - 8, 8), "no pointer to the last 8 bytes");
	CHECK(c, !scry_phys_ptr(c->vm, end - 8, 9), "a pointer half outside");
	CHECK(c, !scry_phys_ptr(c->vm, c->probe.scratch, SIZE_MAX), "a pointer to everything");
	return 0;
}

/* The imm32 of "mov $imm32, %eax" at the start of the patch page. */
static int patch(struct ctx *c, struct scry_as *as, uint32_t value)
{
	if (as)
		OK(c, scry_write_virt(as, c->probe.patch + 1, &value, 4));
	else
		OK(c, scry_write_phys(c->vm, c->probe.patch + 1, &value, 4));
	return 0;
}

/* While the guest calls it, each call that begins after the write returns the new value. */
static int code_write(struct ctx *c)
{
	struct probe_op exec = OP(EXEC, .arg = c->probe.patch);
	struct probe_vcpu block;
	struct scry_as *as;

	DO(world_as(c, &as));
	DO(guest_start_all(c, &exec, 1, FOREVER));
	for (uint32_t value = 2; value < 202; value++) {
		DO(patch(c, value & 1 ? as : NULL, value));
		for (unsigned i = 0; i < c->vcpus; i++) {
			DO(guest_block(c, i, &block));
			DO(guest_wait_rounds(c, i, block.rounds + 2));
			DO(guest_block(c, i, &block));
			CHECK(c, block.op[0].out[0] == value, "vCPU %u executes %llu after %u was written",
			      i, (unsigned long long)block.op[0].out[0], value);
		}
	}
	return patch(c, NULL, 1);
}

const struct test tests_memory[] = {
	{ "phys-read", phys_read, { SCRY_CAP_PHYS_READ } },
	{ "phys-read-live", phys_read_live, { SCRY_CAP_PHYS_READ } },
	{ "phys-write", phys_write, { SCRY_CAP_PHYS_WRITE } },
	{ "holes", holes, { SCRY_CAP_PHYS_READ, SCRY_CAP_PHYS_WRITE } },
	{ "rom", rom, { SCRY_CAP_PHYS_WRITE } },
	{ "vectored", vectored, { SCRY_CAP_PHYS_READ, SCRY_CAP_PHYS_WRITE } },
	{ "ram-map", ram_map, { SCRY_CAP_RAM_MAP } },
	{ "code-write", code_write, { SCRY_CAP_PHYS_WRITE } },
	{ 0 }
};
