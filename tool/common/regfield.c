/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "regfield.h"

static bool parse_part(const char *text, struct reg_field *field)
{
	bool segment = is_segment(field->reg);

	if (!segment && !is_table(field->reg))
		return false;
	if (!strcmp(text, "base"))
		field->part = FIELD_BASE;
	else if (!strcmp(text, "limit"))
		field->part = FIELD_LIMIT;
	else if (!strcmp(text, "attr") && segment)
		field->part = FIELD_ATTR;
	else
		return false;
	return true;
}

bool parse_reg_field(const char *text, struct reg_field *field)
{
	const char *dot = strchr(text, '.');
	char name[16];
	int reg;

	if (snprintf(name, sizeof(name), "%.*s", dot ? (int)(dot - text) : 15, text) > 15)
		return false;
	reg = scry_reg_find(name);
	if (reg < 0)
		return false;
	*field = (struct reg_field){ .reg = (enum scry_reg)reg };
	return !dot || parse_part(dot + 1, field);
}

uint64_t reg_field_get(const struct scry_regs *regs, struct reg_field field)
{
	const struct scry_seg *seg;

	if (is_table(field.reg) && field.part == FIELD_LIMIT)
		return field.reg == SCRY_REG_GDTR ? regs->gdtr.limit : regs->idtr.limit;
	if (field.part == FIELD_VALUE || is_table(field.reg))
		return scry_reg_value(regs, field.reg);
	seg = &regs->seg[field.reg - SCRY_REG_ES];
	switch (field.part) {
	case FIELD_BASE:
		return seg->base;
	case FIELD_LIMIT:
		return seg->limit;
	default:
		return seg->attr;
	}
}

static bool set_u32(uint32_t *where, uint64_t value)
{
	*where = (uint32_t)value;
	return value <= UINT32_MAX;
}

static bool set_segment(struct scry_seg *seg, struct reg_field field, uint64_t value)
{
	switch (field.part) {
	case FIELD_BASE:
		seg->base = value;
		return true;
	case FIELD_LIMIT:
		return set_u32(&seg->limit, value);
	case FIELD_ATTR:
		return set_u32(&seg->attr, value);
	default:
		seg->selector = (uint16_t)value;
		return value <= UINT16_MAX;
	}
}

bool reg_field_set(struct scry_regs *regs, struct reg_field field, uint64_t value)
{
	if (is_segment(field.reg))
		return set_segment(&regs->seg[field.reg - SCRY_REG_ES], field, value);
	if (field.part == FIELD_LIMIT)
		return set_u32(field.reg == SCRY_REG_GDTR ? &regs->gdtr.limit : &regs->idtr.limit,
			       value);
	*scry_reg_ref(regs, field.reg) = value;
	return true;
}

struct bit {
	unsigned number;
	const char *name;
};

static const struct bit rflags_bits[] = {
	{ 0, "CF" }, { 2, "PF" }, { 4, "AF" }, { 6, "ZF" }, { 7, "SF" }, { 8, "TF" }, { 9, "IF" },
	{ 10, "DF" }, { 11, "OF" }, { 14, "NT" }, { 16, "RF" }, { 17, "VM" }, { 18, "AC" },
	{ 19, "VIF" }, { 20, "VIP" }, { 21, "ID" }, { 0, NULL },
};

static const struct bit cr0_bits[] = {
	{ 0, "PE" }, { 1, "MP" }, { 2, "EM" }, { 3, "TS" }, { 4, "ET" }, { 5, "NE" }, { 16, "WP" },
	{ 18, "AM" }, { 29, "NW" }, { 30, "CD" }, { 31, "PG" }, { 0, NULL },
};

static const struct bit cr4_bits[] = {
	{ 0, "VME" }, { 1, "PVI" }, { 2, "TSD" }, { 3, "DE" }, { 4, "PSE" }, { 5, "PAE" },
	{ 6, "MCE" }, { 7, "PGE" }, { 8, "PCE" }, { 9, "OSFXSR" }, { 10, "OSXMMEXCPT" },
	{ 11, "UMIP" }, { 12, "LA57" }, { 13, "VMXE" }, { 14, "SMXE" }, { 16, "FSGSBASE" },
	{ 17, "PCIDE" }, { 18, "OSXSAVE" }, { 20, "SMEP" }, { 21, "SMAP" }, { 22, "PKE" },
	{ 23, "CET" }, { 24, "PKS" }, { 0, NULL },
};

static const struct bit efer_bits[] = {
	{ 0, "SCE" }, { 8, "LME" }, { 10, "LMA" }, { 11, "NXE" }, { 12, "SVME" }, { 14, "FFXSR" },
	{ 0, NULL },
};

static const struct bit *bits_of(enum scry_reg reg)
{
	switch (reg) {
	case SCRY_REG_RFLAGS:
		return rflags_bits;
	case SCRY_REG_CR0:
		return cr0_bits;
	case SCRY_REG_CR4:
		return cr4_bits;
	case SCRY_REG_EFER:
		return efer_bits;
	default:
		return NULL;
	}
}

const char *reg_flags(enum scry_reg reg, uint64_t value, char *buf, size_t len)
{
	size_t used = 0;

	buf[0] = 0;
	for (const struct bit *b = bits_of(reg); b && b->name && used < len; b++)
		if (value >> b->number & 1)
			used += (size_t)snprintf(buf + used, len - used, "%s%s", used ? " " : "",
						 b->name);
	return buf;
}
