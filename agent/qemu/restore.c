/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/pt/pt.h"
#include "agent/vcpu/vcpu.h"
#include "restore.h"

/* Steps when translated code goes: an address in it may come to mean another instruction. */
static _Atomic uint32_t flushes;

static void flushed(uint64_t id)
{
	(void)id;
	atomic_fetch_add(&flushes, 1);
	pt_flushed();
}

void restore_init(uint64_t plugin_id)
{
	qemu.qemu_plugin_register_flush_cb(plugin_id, flushed);
}

static struct restored *entry_of(struct vcpu *vcpu, uintptr_t host_pc)
{
	return &vcpu->restored[(host_pc >> 4 ^ host_pc >> 10) % VCPU_RESTORED];
}

void restore_state(struct vcpu *vcpu, uintptr_t host_pc)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	struct restored *r = entry_of(vcpu, host_pc);
	uint64_t eip = cpu_get64(cpu, cpu_layout.eip);
	uint32_t cc_op = cpu_get32(cpu, cpu_layout.cc_op);
	uint32_t now = atomic_load_explicit(&flushes, memory_order_relaxed);

	/* The block stands for given modes and CS base: nothing else has a say in the result. */
	if (r->host_pc != host_pc || r->flushes != now || r->eip != eip || r->cc_op != cc_op) {
		*r = (struct restored){ host_pc, eip, .cc_op = cc_op, .flushes = now };
		qemu.cpu_restore_state(cpu, host_pc, true);
		r->eip_after = cpu_get64(cpu, cpu_layout.eip);
		r->cc_op_after = cpu_get32(cpu, cpu_layout.cc_op);
		return;
	}
	cpu_put64(cpu, cpu_layout.eip, r->eip_after);
	cpu_put32(cpu, cpu_layout.cc_op, r->cc_op_after);
}
