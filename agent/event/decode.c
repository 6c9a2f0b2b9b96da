/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decode.h"

#define REX_B 1u
#define REX_R 4u

/* What comes before the opcode. */
struct prefixes {
	uint8_t rex;
	bool lock, rep, size;
};

/* The bytes of an instruction from its opcode on. */
struct opcode {
	const uint8_t *bytes;
	size_t len;
	struct prefixes prefix;
};

/* Outside 64-bit mode 0x40 to 0x4f are whole instructions, so that nothing follows. */
static bool see_prefix(uint8_t byte, struct prefixes *p)
{
	if ((byte & 0xf0) == 0x40) {
		p->rex = byte;
		return true;
	}
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x67:
		return true;
	case 0x66:
		p->size = true;
		return true;
	case 0xf0:
		p->lock = true;
		return true;
	case 0xf2: case 0xf3:
		p->rep = true;
		return true;
	}
	return false;
}

static unsigned modrm_reg(const struct opcode *op)
{
	return (op->bytes[2] >> 3 & 7) | (op->prefix.rex & REX_R ? 8 : 0);
}

static bool decode_mov_cr(const struct opcode *op, enum scry_event_kind kind, struct site *site)
{
	site->kind = (uint8_t)kind;
	site->number = (uint8_t)modrm_reg(op);
	switch (site->number) {
	case 0: case 2: case 3: case 4: case 8:
		return true;
	}
	return false;
}

static bool decode_mov_dr(const struct opcode *op, enum scry_event_kind kind, struct site *site)
{
	site->kind = (uint8_t)kind;
	site->number = (uint8_t)modrm_reg(op);
	return site->number < 8;
}

/* The opcodes of two bytes and a ModRM that moves a general register. */
static bool decode_mov(const struct opcode *op, struct site *site)
{
	if (op->len < 3)
		return false;
	site->reg = (uint8_t)((op->bytes[2] & 7) | (op->prefix.rex & REX_B ? 8 : 0));
	switch (op->bytes[1]) {
	case 0x20:
		return decode_mov_cr(op, SCRY_EVENT_CR_READ, site);
	case 0x21:
		return decode_mov_dr(op, SCRY_EVENT_DR_READ, site);
	case 0x22:
		return decode_mov_cr(op, SCRY_EVENT_CR_WRITE, site);
	default:
		return decode_mov_dr(op, SCRY_EVENT_DR_WRITE, site);
	}
}

static bool is_table(struct site *site, enum scry_table_reg table, unsigned access)
{
	site->kind = SCRY_EVENT_DESCRIPTOR;
	site->number = (uint8_t)table;
	site->access = (uint8_t)access;
	return true;
}

/* 0F 00: SLDT, STR, LLDT, LTR. */
static bool decode_group6(const struct opcode *op, struct site *site)
{
	unsigned reg = op->len < 3 ? 7 : op->bytes[2] >> 3 & 7;

	return reg < 4 && is_table(site, reg & 1 ? SCRY_TABLE_TR : SCRY_TABLE_LDTR,
				   reg & 2 ? SCRY_WRITE : SCRY_READ);
}

static bool is_form(struct site *site, enum scry_event_kind kind, enum site_form form)
{
	site->kind = (uint8_t)kind;
	site->form = (uint8_t)form;
	return true;
}

static bool decode_msw(const struct opcode *op, struct site *site)
{
	bool in_register = op->bytes[2] >> 6 == 3;

	site->reg = (uint8_t)((op->bytes[2] & 7) | (op->prefix.rex & REX_B ? 8 : 0));
	if ((op->bytes[2] >> 3 & 7) == 4)
		return is_form(site, SCRY_EVENT_CR_READ, SITE_SMSW);
	return is_form(site, SCRY_EVENT_CR_WRITE,
		       in_register ? SITE_LMSW_REGISTER : SITE_LMSW_MEMORY);
}

/* 0F 01 with a ModRM that is an instruction of its own. */
static bool decode_group7_plain(uint8_t modrm, struct site *site)
{
	switch (modrm) {
	case 0xc1:
		return is_form(site, SCRY_EVENT_HYPERCALL, SITE_PLAIN);
	case 0xd1:
		return is_form(site, SCRY_EVENT_XSETBV, SITE_PLAIN);
	case 0xd9:
		return is_form(site, SCRY_EVENT_HYPERCALL, SITE_VMMCALL);
	case 0xf9:
		return is_form(site, SCRY_EVENT_RDTSC, SITE_RDTSCP);
	}
	return false;
}

static bool decode_group7(const struct opcode *op, struct site *site)
{
	unsigned reg;

	if (op->len < 3)
		return false;
	reg = op->bytes[2] >> 3 & 7;
	if (reg == 4 || reg == 6)
		return decode_msw(op, site);
	if (op->bytes[2] >> 6 == 3)
		return decode_group7_plain(op->bytes[2], site);
	if (reg < 4)
		return is_table(site, reg & 1 ? SCRY_TABLE_IDTR : SCRY_TABLE_GDTR,
				reg & 2 ? SCRY_WRITE : SCRY_READ);
	return reg == 7 && is_form(site, SCRY_EVENT_INVLPG, SITE_PLAIN);
}

static bool decode_0f(const struct opcode *op, struct site *site)
{
	switch (op->len > 1 ? op->bytes[1] : 0xff) {
	case 0x00:
		return decode_group6(op, site);
	case 0x01:
		return decode_group7(op, site);
	case 0x05:
		return is_form(site, SCRY_EVENT_SYSCALL, SITE_PLAIN);
	case 0x06:
		return is_form(site, SCRY_EVENT_CR_WRITE, SITE_CLTS);
	case 0x20: case 0x21: case 0x22: case 0x23:
		return decode_mov(op, site);
	case 0x30:
		return is_form(site, SCRY_EVENT_MSR_WRITE, SITE_PLAIN);
	case 0x31:
		return is_form(site, SCRY_EVENT_RDTSC, SITE_PLAIN);
	case 0x32:
		return is_form(site, SCRY_EVENT_MSR_READ, SITE_PLAIN);
	case 0x34:
		return is_form(site, SCRY_EVENT_SYSCALL, SITE_SYSENTER);
	case 0xa2:
		return is_form(site, SCRY_EVENT_CPUID, SITE_PLAIN);
	}
	return false;
}

/* The opcodes of IN and OUT have their direction in bit 1, and in bit 0 "not a byte". */
static bool is_io(const struct opcode *op, unsigned flags, struct site *site)
{
	uint8_t byte = op->bytes[0];

	if (byte & 2)
		flags |= SITE_IO_OUT;
	if (!(byte & 1))
		flags |= SITE_IO_BYTE;
	if (op->prefix.size)
		flags |= SITE_IO_SHORT;
	if (op->prefix.rep && flags & SITE_IO_STRING)
		flags |= SITE_IO_REP;
	site->kind = SCRY_EVENT_IO;
	site->io = (uint8_t)flags;
	site->access = flags & SITE_IO_OUT ? SCRY_WRITE : SCRY_READ;
	site->number = flags & SITE_IO_NUMBER ? op->bytes[1] : 0;
	return true;
}

static bool decode_one(const struct opcode *op, struct site *site)
{
	switch (op->bytes[0]) {
	case 0x0f:
		return decode_0f(op, site);
	case 0x6c: case 0x6d: case 0x6e: case 0x6f:
		return is_io(op, SITE_IO_STRING, site);
	case 0xcc:
		return is_form(site, SCRY_EVENT_INT3, SITE_PLAIN);
	case 0xcd:
		return op->len > 1 && op->bytes[1] == 3 &&
		       is_form(site, SCRY_EVENT_INT3, SITE_PLAIN);
	case 0xe4: case 0xe5: case 0xe6: case 0xe7:
		return op->len > 1 && is_io(op, SITE_IO_NUMBER, site);
	case 0xec: case 0xed: case 0xee: case 0xef:
		return is_io(op, 0, site);
	case 0xf4:
		return is_form(site, SCRY_EVENT_HLT, SITE_PLAIN);
	}
	return false;
}

bool site_decode(const uint8_t *bytes, size_t len, struct site *site)
{
	struct opcode op = { .bytes = bytes, .len = len };

	*site = (struct site){ .len = (uint8_t)len };
	while (op.len > 1 && see_prefix(*op.bytes, &op.prefix)) {
		op.bytes++;
		op.len--;
	}
	site->lock = op.prefix.lock;
	return op.len && decode_one(&op, site);
}
