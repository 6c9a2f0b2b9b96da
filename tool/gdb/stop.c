/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "gdb.h"

/* Their numbers in the target description: GDB looks at these at once. */
#define NUMBER_RBP 6
#define NUMBER_RSP 7
#define NUMBER_RIP 16

static void out_reg(struct gdb *g, unsigned number, uint64_t value)
{
	out_text(&g->out, "%02x:", number);
	out_hex(&g->out, &value, sizeof(value));
	out_text(&g->out, ";");
}

void gdb_tell_stop(struct gdb *g)
{
	struct scry_regs regs;

	out_text(&g->out, "T%02xthread:%x;", g->signal, g->stopped + 1);
	if (scry_regs_get(g->vm, g->stopped, &regs) == 0) {
		out_reg(g, NUMBER_RBP, regs.gpr[SCRY_REG_RBP]);
		out_reg(g, NUMBER_RSP, regs.gpr[SCRY_REG_RSP]);
		out_reg(g, NUMBER_RIP, regs.rip);
	}
	if (!g->hit)
		return;
	if (g->hit->type == POINT_SOFT && g->swbreak)
		out_text(&g->out, "swbreak:;");
	else if (g->hit->type == POINT_HARD && g->hwbreak)
		out_text(&g->out, "hwbreak:;");
	else if (g->hit->type >= POINT_WRITE)
		out_text(&g->out, "%swatch:%" PRIx64 ";", g->hit->type == POINT_READ ? "r" :
			 g->hit->type == POINT_ACCESS ? "a" : "", g->hit->address);
}
