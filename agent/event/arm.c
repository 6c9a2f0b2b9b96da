/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "agent/accel.h"
#include "agent/pt/pt.h"
#include "agent/vcpu/vcpu.h"
#include "arm.h"
#include "breakpoint.h"
#include "event.h"
#include "step.h"
#include "watchpoint.h"

#define RW_REGISTERS 2		/* QEMU_PLUGIN_CB_RW_REGS */

static uint64_t plugin_id;

/* These change only while no vCPU is in a block. */
static struct filters *armed;
static uint32_t watched;	/* the kinds for which instructions are watched */
static bool translates;		/* QEMU calls translated() */

void arm_init(uint64_t id)
{
	plugin_id = id;
}

bool arm_any(void)
{
	return armed || breakpoint_any() || watchpoint_any();
}

const struct filters *arm_filters(void)
{
	return armed;
}

static void call_at(struct qemu_insn *insn, struct site site)
{
	void *packed;

	_Static_assert(sizeof(site) == sizeof(packed), "travels in a pointer");
	memcpy(&packed, &site, sizeof(packed));
	qemu.qemu_plugin_register_vcpu_insn_exec_cb(insn, event_callback, RW_REGISTERS, packed);
}

static void watch(struct qemu_insn *insn)
{
	struct site site;
	uint8_t bytes[16];
	size_t len = qemu.qemu_plugin_insn_size(insn);

	if (len > sizeof(bytes))
		return;
	if (watched & 1u << SCRY_EVENT_BREAKPOINT &&
	    breakpoint_possible(qemu.qemu_plugin_insn_vaddr(insn)))
		call_at(insn, (struct site){ .kind = SCRY_EVENT_BREAKPOINT, .len = (uint8_t)len });
	qemu_insn_bytes(insn, bytes, len);
	if (site_decode(bytes, len, &site) && watched & 1u << site.kind)
		call_at(insn, site);
}

/* A block is being translated. */
static void translated(uint64_t id, struct qemu_tb *tb)
{
	size_t count = qemu.qemu_plugin_tb_n_insns(tb);

	(void)id;
	if (pt_on())
		pt_translated(tb);
	if (watched & 1u << SCRY_EVENT_STEP && count == 1)
		qemu.qemu_plugin_register_vcpu_insn_exec_cb(qemu.qemu_plugin_tb_get_insn(tb, 0),
							    step_callback, RW_REGISTERS, NULL);
	for (size_t i = 0; watched && i < count; i++)
		watch(qemu.qemu_plugin_tb_get_insn(tb, i));
}

bool arm_watches(enum scry_event_kind kind)
{
	return watched >> kind & 1;
}

/* What nobody hears of does not pass, and would have the next event there pass instead. */
static void forget_passing(void)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		vcpus[i].passes &= vcpus[i].passes_all || arm_watches(vcpus[i].passing.kind);
}

void arm_again(struct qemu_cpu *cpu, bool anew)
{
	uint32_t before = watched;
	bool called = translates;

	watched = armed ? armed->kinds & FILTER_SITES : 0;
	if (breakpoint_any())
		watched |= 1u << SCRY_EVENT_BREAKPOINT;
	translates = watched || pt_on();
	forget_passing();
	if (called != translates)
		qemu.qemu_plugin_register_vcpu_tb_trans_cb(plugin_id,
							   translates ? translated : NULL);
	if (before != watched || anew)
		qemu.tb_flush(cpu);
}

void arm_sites(struct qemu_cpu *cpu, const struct filters *filters)
{
	arm_again(cpu, false);
	for (unsigned i = 0; i < vcpu_count; i++)
		step_arm(&vcpus[i], filters);
}

/* Runs while no vCPU is in a block. */
static void apply(struct qemu_cpu *cpu, void *filters)
{
	struct filters *new = filters;

	free(armed);
	armed = new;
	accel->filters_changed(cpu, new);
}

void arm(struct filters *filters)
{
	vcpu_run_exclusive(apply, filters);
}
