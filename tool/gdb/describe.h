/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_GDB_DESCRIBE_H
#define TOOL_GDB_DESCRIBE_H

#include "../common/regfield.h"

/* A register as GDB numbers them: by its place in the table. */
struct gdb_reg {
	const char *name, *type;
	unsigned bits;
	const char *field;	/* as parse_reg_field() takes it; NULL = of the FPU: */
	unsigned offset, bytes;	/* where in the XSAVE area it is, and of what size */
	const char *feature;	/* begins here, if not NULL */
};

extern const struct gdb_reg gdb_regs[];
extern const unsigned gdb_reg_count;

#endif
