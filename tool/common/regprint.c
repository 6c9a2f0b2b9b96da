/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "message.h"
#include "output.h"
#include "regfield.h"
#include "regprint.h"

static void print_name(enum scry_reg reg)
{
	printf("%s%-6s%s ", colour(CYAN), scry_reg_name(reg), colour(PLAIN));
}

static void print_value(const struct scry_regs *regs, enum scry_reg reg)
{
	print_name(reg);
	printf("%016" PRIx64, scry_reg_value(regs, reg));
}

/* Three columns, in the order in which people look for them. */
static void print_general(const struct scry_regs *regs)
{
	static const enum scry_reg order[] = {
		SCRY_REG_RAX, SCRY_REG_RBX, SCRY_REG_RCX, SCRY_REG_RDX, SCRY_REG_RSI,
		SCRY_REG_RDI, SCRY_REG_RBP, SCRY_REG_RSP, SCRY_REG_RIP, SCRY_REG_R8,
		SCRY_REG_R9,  SCRY_REG_R10, SCRY_REG_R11, SCRY_REG_R12, SCRY_REG_R13,
		SCRY_REG_R14, SCRY_REG_R15, SCRY_REG_CR2,
	};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		print_value(regs, order[i]);
		printf(i % 3 == 2 ? "\n" : "   ");
	}
}

static void print_flags(const struct scry_regs *regs, enum scry_reg reg)
{
	char flags[160];

	print_value(regs, reg);
	reg_flags(reg, scry_reg_value(regs, reg), flags, sizeof(flags));
	printf("%s%s\n", flags[0] ? "   " : "", flags);
}

static void print_segments(const struct scry_regs *regs)
{
	for (enum scry_reg r = SCRY_REG_ES; r <= SCRY_REG_TR; r++) {
		const struct scry_seg *s = &regs->seg[r - SCRY_REG_ES];

		print_name(r);
		printf("%04x   base %016" PRIx64 "   limit %08" PRIx32 "   attr %05" PRIx32 "\n",
		       s->selector, s->base, s->limit, s->attr);
	}
	for (enum scry_reg r = SCRY_REG_GDTR; r <= SCRY_REG_IDTR; r++) {
		print_name(r);
		printf("       base %016" PRIx64 "   limit %08" PRIx64 "\n",
		       scry_reg_value(regs, r),
		       reg_field_get(regs, (struct reg_field){ r, FIELD_LIMIT }));
	}
}

static void print_selectors(const struct scry_regs *regs)
{
	for (enum scry_reg r = SCRY_REG_ES; r <= SCRY_REG_GS; r++)
		printf("%s%s%s %04x%s", colour(CYAN), scry_reg_name(r), colour(PLAIN),
		       regs->seg[r - SCRY_REG_ES].selector, r == SCRY_REG_GS ? "\n" : "   ");
}

void regs_print(const struct scry_regs *regs, bool all)
{
	static const enum scry_reg flagged[] = {
		SCRY_REG_RFLAGS, SCRY_REG_CR0, SCRY_REG_CR3, SCRY_REG_CR4, SCRY_REG_EFER,
	};

	print_general(regs);
	for (size_t i = 0; i < sizeof(flagged) / sizeof(flagged[0]); i++)
		print_flags(regs, flagged[i]);
	if (!all) {
		print_selectors(regs);
		return;
	}
	for (enum scry_reg r = SCRY_REG_CR8; r <= SCRY_REG_DR7; r++)
		print_flags(regs, r);
	print_segments(regs);
}

static struct json_object *segment_json(const struct scry_seg *seg)
{
	struct json_object *o = checked(json_object_new_object());

	json_add_hex(o, "selector", seg->selector);
	json_add_hex(o, "base", seg->base);
	json_add_hex(o, "limit", seg->limit);
	json_add_hex(o, "attr", seg->attr);
	return o;
}

static struct json_object *table_json(const struct scry_table *table)
{
	struct json_object *o = checked(json_object_new_object());

	json_add_hex(o, "base", table->base);
	json_add_hex(o, "limit", table->limit);
	return o;
}

void regs_json(struct json_object *object, const struct scry_regs *regs)
{
	for (enum scry_reg r = 0; r < SCRY_REG_COUNT; r++) {
		struct json_object *value;

		if (is_segment(r))
			value = segment_json(&regs->seg[r - SCRY_REG_ES]);
		else if (is_table(r))
			value = table_json(r == SCRY_REG_GDTR ? &regs->gdtr : &regs->idtr);
		else
			value = json_hex(scry_reg_value(regs, r));
		json_add(object, scry_reg_name(r), value);
	}
}
