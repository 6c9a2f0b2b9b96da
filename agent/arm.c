/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "arm.h"
#include "event.h"
#include "step.h"
#include "vcpu.h"

#define RW_REGISTERS 2		/* QEMU_PLUGIN_CB_RW_REGS */

static uint64_t plugin_id;
static struct filters *armed;	/* changes only while no vCPU is in a block */

void arm_init(uint64_t id)
{
	plugin_id = id;
}

const struct filters *arm_filters(void)
{
	return armed;
}

static void watch(struct qemu_insn *insn)
{
	union {
		struct site site;
		void *pointer;
	} packed;
	uint8_t copy[16];
	const uint8_t *bytes = copy;
	size_t len = qemu.qemu_plugin_insn_size(insn);

	_Static_assert(sizeof(struct site) == sizeof(void *), "travels in a pointer");
	if (len > sizeof(copy))
		return;
	if (qemu.plugin_version < 3)	/* gives a pointer, and ignores the rest */
		bytes = qemu.qemu_plugin_insn_data(insn, copy, len);
	else
		qemu.qemu_plugin_insn_data(insn, copy, len);
	if (site_decode(bytes, len, &packed.site) && armed->kinds & 1u << packed.site.kind)
		qemu.qemu_plugin_register_vcpu_insn_exec_cb(insn, event_callback, RW_REGISTERS,
							    packed.pointer);
}

/* A block is being translated. */
static void translated(uint64_t id, struct qemu_tb *tb)
{
	size_t count = qemu.qemu_plugin_tb_n_insns(tb);

	(void)id;
	if (armed && armed->kinds & 1u << SCRY_EVENT_STEP && count == 1)
		qemu.qemu_plugin_register_vcpu_insn_exec_cb(qemu.qemu_plugin_tb_get_insn(tb, 0),
							    step_callback, RW_REGISTERS, NULL);
	for (size_t i = 0; armed && i < count; i++)
		watch(qemu.qemu_plugin_tb_get_insn(tb, i));
}

/* Runs while no vCPU is in a block. */
static void apply(struct qemu_cpu *cpu, void *filters)
{
	struct filters *new = filters;
	uint32_t before = armed ? armed->kinds & FILTER_SITES : 0;
	uint32_t after = new ? new->kinds & FILTER_SITES : 0;

	free(armed);
	armed = new;
	if (!before != !after)
		qemu.qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, after ? translated : NULL);
	if (before != after)
		qemu.tb_flush(cpu);
	for (unsigned i = 0; i < vcpu_count; i++)
		step_arm(&vcpus[i], new);
}

void arm(struct filters *filters)
{
	vcpu_run_exclusive(apply, filters);
}
