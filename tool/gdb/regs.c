/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../common/message.h"
#include "describe.h"
#include "gdb.h"

#define FTAG_OFFSET   4		/* of the FXSAVE area: a bit a register */
#define FSTAT_OFFSET  2
#define ST_OFFSET     32
#define STATE_BV      512	/* offset of XSTATE_BV: which components there are */
#define X87_AND_SSE   3u

/* A vCPU's registers, with an XSAVE area where it has one. */
struct state {
	struct scry_regs regs;
	unsigned char *xsave;		/* or NULL */
	size_t xsave_size;
};

static bool state_get(struct gdb *g, struct state *s)
{
	int size;

	*s = (struct state){ 0 };
	if (scry_regs_get(g->vm, g->vcpu, &s->regs) < 0)
		return false;
	size = scry_xsave_get(g->vm, g->vcpu, NULL, 0);
	if (size < SCRY_XSAVE_LEAST)
		return true;
	s->xsave = checked(malloc((size_t)size));
	s->xsave_size = (size_t)size;
	if (scry_xsave_get(g->vm, g->vcpu, s->xsave, s->xsave_size) != size) {
		free(s->xsave);
		s->xsave = NULL;
	}
	return true;
}

/* The tag word in full, two bits a register: valid, zero, special, empty (SDM vol. 1, 8.1.7). */
static uint16_t full_tags(const unsigned char *x)
{
	unsigned top = x[FSTAT_OFFSET + 1] >> 3 & 7;
	uint16_t tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		const unsigned char *st = x + ST_OFFSET + 16 * ((i - top) & 7);
		uint64_t mantissa;
		uint16_t exponent;
		unsigned tag = 0;

		memcpy(&mantissa, st, 8);
		memcpy(&exponent, st + 8, 2);
		exponent &= 0x7fff;
		if (!(x[FTAG_OFFSET] >> i & 1))
			tag = 3;
		else if (!exponent && !mantissa)
			tag = 1;
		else if (exponent == 0x7fff || !(mantissa >> 63))
			tag = 2;
		tags |= (uint16_t)(tag << (2 * i));
	}
	return tags;
}

static void put_reg(struct gdb *g, const struct state *s, const struct gdb_reg *r)
{
	unsigned char bytes[16] = { 0 };
	struct reg_field field;
	uint64_t value;

	if (r->field) {
		parse_reg_field(r->field, &field);
		value = reg_field_get(&s->regs, field);
		memcpy(bytes, &value, sizeof(value));
	} else if (!s->xsave) {
		out_unknown(&g->out, r->bits / 8);
		return;
	} else if (r->offset == FTAG_OFFSET) {
		value = full_tags(s->xsave);
		memcpy(bytes, &value, 2);
	} else {
		memcpy(bytes, s->xsave + r->offset, r->bytes);
	}
	out_hex(&g->out, bytes, r->bits / 8);
}

void gdb_regs_get(struct gdb *g)
{
	struct state s;

	if (!state_get(g, &s)) {
		gdb_fail_lib(g);
		return;
	}
	for (unsigned i = 0; i < gdb_reg_count; i++)
		put_reg(g, &s, &gdb_regs[i]);
	free(s.xsave);
}

void gdb_reg_get(struct gdb *g, const char *number)
{
	struct state s;
	uint64_t n;

	if (!take_hex(&number, &n) || *number || n >= gdb_reg_count)
		gdb_fail(g, "there is no such register");
	else if (!state_get(g, &s))
		gdb_fail_lib(g);
	else {
		put_reg(g, &s, &gdb_regs[n]);
		free(s.xsave);
	}
}

/* Change one register of *s: what is to be written then is noted; false if it cannot be. */
static bool change(struct state *s, const struct gdb_reg *r, const unsigned char *bytes,
		   uint64_t *mask, bool *fpu)
{
	struct reg_field field;
	uint64_t value = 0;

	if (r->field) {
		parse_reg_field(r->field, &field);
		memcpy(&value, bytes, r->bits / 8 < 8 ? r->bits / 8 : 8);
		if (value == reg_field_get(&s->regs, field))
			return true;
		*mask |= SCRY_REG_BIT(field.reg);
		return reg_field_set(&s->regs, field, value);
	}
	/* GDB sends all: what has not changed need not be written. */
	if (r->offset == FTAG_OFFSET || !s->xsave)
		return true;
	if (memcmp(s->xsave + r->offset, bytes, r->bytes)) {
		memcpy(s->xsave + r->offset, bytes, r->bytes);
		s->xsave[STATE_BV] |= X87_AND_SSE;
		*fpu = true;
	}
	return true;
}

static void write_back(struct gdb *g, const struct state *s, uint64_t mask, bool fpu)
{
	if ((mask && scry_regs_set(g->vm, g->vcpu, &s->regs, mask) < 0) ||
	    (fpu && scry_xsave_set(g->vm, g->vcpu, s->xsave, s->xsave_size) < 0)) {
		gdb_fail_lib(g);
		return;
	}
	gdb_forget_as(g);
	out_text(&g->out, "OK");
}

/* The registers from number `first` to `end`, in hex. */
static void set_some(struct gdb *g, unsigned first, unsigned end, const char *hex)
{
	unsigned char bytes[16];
	uint64_t mask = 0;
	bool fpu = false, good = true;
	struct state s;

	if (!state_get(g, &s)) {
		gdb_fail_lib(g);
		return;
	}
	for (unsigned i = first; good && i < end; i++) {
		size_t len = gdb_regs[i].bits / 8;
		char one[33];

		good = strlen(hex) >= 2 * len;
		if (!good)
			break;
		memcpy(one, hex, 2 * len);
		one[2 * len] = 0;
		hex += 2 * len;
		if (one[0] == 'x')
			continue;	/* not known, not to be written */
		good = take_bytes(one, bytes, len) && change(&s, &gdb_regs[i], bytes, &mask, &fpu);
	}
	if (!good || *hex)
		gdb_fail(g, "these are no values of registers");
	else
		write_back(g, &s, mask, fpu);
	free(s.xsave);
}

void gdb_regs_set(struct gdb *g, const char *hex)
{
	set_some(g, 0, gdb_reg_count, hex);
}

void gdb_reg_set(struct gdb *g, const char *number)
{
	uint64_t n;

	if (!take_hex(&number, &n) || !take_text(&number, "=") || n >= gdb_reg_count)
		gdb_fail(g, "there is no such register");
	else
		set_some(g, (unsigned)n, (unsigned)n + 1, number);
}
