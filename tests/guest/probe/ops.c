/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One turn of one operation, and the table of them. */
#include "guest.h"

#define OP_TABLE(NAME, name, text) [PROBE_OP_##NAME] = op_##name,
static const op_fn ops[PROBE_OP_COUNT] = { PROBE_OPS(OP_TABLE) };
#undef OP_TABLE

void op_run(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t round)
{
	struct cpu *cpu = cpu_of(v);
	uint64_t value = (op->value + round * op->step) ^ (round & 1 ? op->toggle : 0);
	unsigned code = op->code;

	if (code >= PROBE_OP_COUNT)
		panic("unknown operation");
	cpu->faulted = false;
	if (op->flags & PROBE_USER)
		user_call(v, op, value, ops[code], cpu, cpu->user_stack + sizeof(cpu->user_stack));
	else
		ops[code](v, op, value);
	if (cpu->faulted) {
		op->faults++;
		return;
	}
	op->count++;
	op->sum += op->out[0];
	if (op->flags & PROBE_CHECK && op->out[0] != op->expect)
		op->mismatches++;
}

void op_nop(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)v, (void)op, (void)value;
}

void op_reset(volatile struct probe_vcpu *v, volatile struct probe_op *op, uint64_t value)
{
	(void)op, (void)value;
	cpu_reset(v);
}
