/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_REGFIELD_H
#define TOOL_REGFIELD_H

#include <scry/regs.h>
#include <stdbool.h>

/* A register, or one part of a segment or table register: "rax", "fs.base", "gdtr.limit". */
struct reg_field {
	enum scry_reg reg;
	enum {
		FIELD_VALUE,	/* the register; a segment's selector; a table's base */
		FIELD_BASE,
		FIELD_LIMIT,
		FIELD_ATTR,
	} part;
};

bool parse_reg_field(const char *text, struct reg_field *field);
uint64_t reg_field_get(const struct scry_regs *regs, struct reg_field field);

/* False if the value is too wide for the field. */
bool reg_field_set(struct scry_regs *regs, struct reg_field field, uint64_t value);

static inline bool is_segment(enum scry_reg reg)
{
	return reg >= SCRY_REG_ES && reg <= SCRY_REG_TR;
}

static inline bool is_table(enum scry_reg reg)
{
	return reg == SCRY_REG_GDTR || reg == SCRY_REG_IDTR;
}

/*
 * The names of the bits that are set in rflags, cr0, cr4 or efer, with a blank
 * between; "" for another register.
 */
const char *reg_flags(enum scry_reg reg, uint64_t value, char *buf, size_t len);

#endif
