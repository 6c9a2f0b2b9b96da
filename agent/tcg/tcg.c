/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/accel.h"
#include "agent/event/arm.h"
#include "agent/event/inject.h"
#include "agent/event/interrupt.h"
#include "agent/event/power.h"
#include "agent/event/step.h"
#include "agent/memory/access.h"
#include "agent/memory/look.h"
#include "agent/memory/pass.h"
#include "agent/memory/view.h"
#include "agent/memory/watch.h"
#include "agent/qemu/guard.h"
#include "agent/qemu/restore.h"
#include "agent/refuse.h"
#include "agent/vcpu/msr.h"
#include "agent/vcpu/regs.h"

static int check_mode(unsigned most)
{
	if (*qemu.use_icount)
		return refuse("it does not work with -icount: leave that out");
	if (*qemu.replay_mode)
		return refuse("it does not work with record/replay: leave that out");
	if (!*qemu.mttcg_enabled && most > 1)
		return refuse("all vCPUs would share one thread: use -accel tcg,thread=multi, or "
			      "-smp 1");
	return 0;
}

static int init(uint64_t plugin_id, unsigned most)
{
	if (check_mode(most) < 0 || guard_init() < 0 || interrupt_init() < 0 || step_init() < 0 ||
	    look_init() < 0 || access_init() < 0 || power_init() < 0)
		return -1;
	arm_init(plugin_id);
	restore_init(plugin_id);
	return 0;
}

static void caps(struct scry_agent_caps *caps)
{
	(void)caps;	/* all of them */
}

static void clocks(bool stop)
{
	(void)stop;	/* QEMU's own are all there are */
}

static void settle(struct vcpu *vcpu)
{
	(void)vcpu;	/* QEMU's own are the vCPU's */
}

/*
 * Inside a block the arithmetic flags and DF are kept apart from env.eflags;
 * between blocks they are in it.
 */
static void step_out(struct vcpu *vcpu)
{
	struct qemu_cpu *cpu = vcpu->cpu;

	cpu_put64(cpu, cpu_layout.eflags, cpu_rflags_in_block(cpu));
	vcpu->cs_base = cpu_get64(cpu, cpu_segment(1) + cpu_layout.seg.base);
}

static bool step_in(struct vcpu *vcpu)
{
	struct qemu_cpu *cpu = vcpu->cpu;
	uint64_t flags = cpu_get64(cpu, cpu_layout.eflags);

	qemu.helper.write_eflags(cpu_env(cpu), flags, 0);
	flags &= ~(uint64_t)(EFLAGS_ARITHMETIC | EFLAGS_DF);
	cpu_put64(cpu, cpu_layout.eflags, flags | 2);
	qemu.cpu_exit(cpu);	/* QEMU may have told it to stop meanwhile */
	return cpu_get64(cpu, cpu_layout.eip) == vcpu->rip &&
	       cpu_get64(cpu, cpu_segment(1) + cpu_layout.seg.base) == vcpu->cs_base;
}

static int get(struct vcpu *vcpu, struct scry_regs *regs)
{
	regs_get(vcpu->cpu, regs);
	return 0;
}

static int put(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask)
{
	struct qemu_cpu *cpu = vcpu->cpu;

	regs_put(cpu, regs, mask);
	vcpu->rip = cpu_get64(cpu, cpu_layout.eip);
	vcpu->cs_base = cpu_get64(cpu, cpu_segment(1) + cpu_layout.seg.base);
	return 0;
}

static bool put_simple(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask)
{
	if (mask & SCRY_REG_BIT(SCRY_REG_RIP)) {
		if (!rip_valid(vcpu->cpu, regs->rip))
			return false;
		cpu_put64(vcpu->cpu, cpu_layout.eip, regs->rip);
		vcpu->rip = regs->rip;
	}
	regs_put(vcpu->cpu, regs, mask & SCRY_REGS_GPR);
	return true;
}

static int read_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	return msr_read(vcpu->cpu, index, value);
}

static int write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	return msr_write(vcpu->cpu, index, value);
}

static uint64_t xcr0(struct vcpu *vcpu)
{
	return cpu_get64(vcpu->cpu, cpu_layout.xcr0);
}

static int get_xsave(struct vcpu *vcpu, void *area, uint32_t size)
{
	qemu.x86_cpu_xsave_all_areas(vcpu->cpu, area, size);
	return 0;
}

static int put_xsave(struct vcpu *vcpu, const void *area, uint32_t size)
{
	qemu.x86_cpu_xrstor_all_areas(vcpu->cpu, area, size);
	qemu.update_fp_status(cpu_env(vcpu->cpu));
	qemu.update_mxcsr_status(cpu_env(vcpu->cpu));
	return 0;
}

/* No HLT can have halted it there. */
static bool waits_for_start(struct vcpu *vcpu)
{
	return cpu_get32(vcpu->cpu, cpu_layout.halted) && power_waits_for_start(vcpu);
}

static uint64_t physical(const struct vcpu *vcpu, uint64_t address)
{
	uint64_t in_page = address % 4096u, page;
	uint64_t attributes;	/* MemTxAttrs: 4 bytes in 7.2, 8 in 10.0 */

	page = qemu.x86_cpu_get_phys_page_attrs_debug(vcpu->cpu, address - in_page, &attributes);
	return page == ~UINT64_C(0) ? page : page | in_page;
}

static const char *enter(struct vcpu *vcpu, unsigned view)
{
	view_enter(vcpu, view);
	return NULL;
}

static void breakpoints_changed(struct qemu_cpu *cpu, bool known)
{
	/* Code translated so far does not ask at a new address; where it asks in vain it may. */
	arm_again(cpu, !known);
}

static const char *views_changed(void)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		if (qemu.qemu_get_cpu((int)i) == vcpus[i].cpu)
			qemu.tlb_flush(vcpus[i].cpu);
	return NULL;
}

const struct accel accel_tcg = {
	.name = "TCG",
	.init = init,
	.caps = caps,
	.clocks = clocks,
	.settle = settle,
	.step_out = step_out,
	.step_in = step_in,
	.regs_get = get,
	.regs_put = put,
	.regs_put_simple = put_simple,
	.msr_read = read_msr,
	.msr_write = write_msr,
	.xcr0 = xcr0,
	.xsave_get = get_xsave,
	.xsave_put = put_xsave,
	.waits_for_start = waits_for_start,
	.inject = inject_later,
	.physical = physical,
	.view_enter = enter,
	.view_step = pass_step,
	.filters_changed = arm_sites,
	.breakpoints_changed = breakpoints_changed,
	.watchpoints_changed = watch_changed,
	.views_changed = views_changed,
};
