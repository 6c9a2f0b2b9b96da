/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "protocol/rules.h"
#include "regs.h"

#define BIT(n) (UINT64_C(1) << (n))

/* A bit that exists only with a feature of the guest's CPUID. */
struct feature {
	uint8_t bit;
	uint32_t leaf;
	uint8_t reg;	/* 0 EAX, 1 EBX, 2 ECX, 3 EDX */
	uint8_t feature;
};

static const struct feature cr4_features[] = {
	{ 0, 1, 3, 1 },	  { 1, 1, 3, 1 },   { 2, 1, 3, 4 },   { 3, 1, 3, 2 },	{ 4, 1, 3, 3 },
	{ 5, 1, 3, 6 },	  { 6, 1, 3, 7 },   { 7, 1, 3, 13 },  { 8, 1, 3, 0 },	{ 9, 1, 3, 24 },
	{ 10, 1, 3, 25 }, { 11, 7, 2, 2 },  { 12, 7, 2, 16 }, { 16, 7, 1, 0 },	{ 17, 1, 2, 17 },
	{ 18, 1, 2, 26 }, { 20, 7, 1, 7 },  { 21, 7, 1, 20 }, { 22, 7, 2, 3 },	{ 24, 7, 2, 31 },
};

static const struct feature efer_features[] = {
	{ 0, 0x80000001, 3, 11 },  { 8, 0x80000001, 3, 29 },  { 10, 0x80000001, 3, 29 },
	{ 11, 0x80000001, 3, 20 }, { 12, 0x80000001, 2, 2 },  { 14, 0x80000001, 3, 25 },
};

static uint32_t cpuid(struct qemu_cpu *cpu, uint32_t leaf, int reg)
{
	uint32_t r[4];

	qemu.cpu_x86_cpuid(cpu_env(cpu), leaf, 0, &r[0], &r[1], &r[2], &r[3]);
	return r[reg];
}

static uint64_t feature_bits(struct qemu_cpu *cpu, const struct feature *table, size_t count)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < count; i++)
		if (cpuid(cpu, table[i].leaf, table[i].reg) >> table[i].feature & 1)
			bits |= BIT(table[i].bit);
	return bits;
}

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

bool rip_valid(struct qemu_cpu *cpu, uint64_t rip)
{
	return scry_rules_rip(rip, cpu_hflags(cpu) & HF_CS64, cpu_get64(cpu, cpu_layout.cr4));
}

int regs_check(struct qemu_cpu *cpu, const struct scry_regs *now, const struct scry_regs *wanted,
	       uint64_t mask, char *text, size_t size)
{
	const struct scry_rules rules = {
		.cr4 = feature_bits(cpu, cr4_features, COUNT(cr4_features)),
		.efer = feature_bits(cpu, efer_features, COUNT(efer_features)),
		.xcr0 = (uint64_t)cpuid(cpu, 0xd, 3) << 32 | cpuid(cpu, 0xd, 0),
		.width = cpuid(cpu, 0x80000008, 0) & 0xff,
	};

	return scry_rules_check(&rules, now, wanted, mask, text, size);
}
