/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_ACCEL_H
#define AGENT_ACCEL_H

#include <scry/breakpoint.h>
#include <scry/regs.h>
#include <scry/watchpoint.h>

#include "agent/event/filter.h"
#include "agent/vcpu/vcpu.h"

/*
 * What differs between QEMU's accelerators: tcg/ and kvm/ implement it, and all
 * that serves the client stands on it.
 */
struct accel {
	const char *name;
	bool one_view;		/* all vCPUs are in the same */

	/* From qemu_plugin_install(), for `most` vCPUs at most.  0, or refuse(). */
	int (*init)(uint64_t plugin_id, unsigned most);
	/*
	 * Optional, where the agent may come to a VM that runs: the service thread has had init()
	 * called with the big lock held, and then, without it, has what is known of the VM learnt.
	 * 0, or refuse().
	 */
	int (*learn)(void);
	/* With the big lock held, no client: undo init().  NULL, or why that cannot be. */
	const char *(*leave)(void);
	/* Every capability is supported, without a reason, before. */
	void (*caps)(struct scry_agent_caps *caps);

	/* Service thread, all vCPUs paused: stop their clocks (true), or let them go on from there. */
	void (*clocks)(bool stop);

	/*
	 * The rest but the last five is about a vCPU that is stopped or waits in an event,
	 * in its own thread.
	 */

	/*
	 * With QEMU's big lock: QEMU has just worked for it, and may have taken its
	 * registers; have them where they are looked for.
	 */
	void (*settle)(struct vcpu *vcpu);
	/* vcpu_step_out(), vcpu_step_in(), when it is in an event. */
	void (*step_out)(struct vcpu *vcpu);
	bool (*step_in)(struct vcpu *vcpu);

	/* Stepped out.  What is put has been checked; -1 if it is refused all the same, or has gone. */
	int (*regs_get)(struct vcpu *vcpu, struct scry_regs *regs);
	int (*regs_put)(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask);
	/*
	 * General registers and rip, whether stepped out or not; false = the processor
	 * would refuse it.  NULL: there is no shorter way than the above.
	 */
	bool (*regs_put_simple)(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask);
	/* 0, or -1 where the instruction would raise #GP. */
	int (*msr_read)(struct vcpu *vcpu, uint32_t index, uint64_t *value);
	int (*msr_write)(struct vcpu *vcpu, uint32_t index, uint64_t value);
	/* The XSAVE area, in standard format, of at most `size` bytes; -1 as above. */
	uint64_t (*xcr0)(struct vcpu *vcpu);
	int (*xsave_get)(struct vcpu *vcpu, void *area, uint32_t size);
	int (*xsave_put)(struct vcpu *vcpu, const void *area, uint32_t size);

	/* Does it wait for its start-up message? */
	bool (*waits_for_start)(struct vcpu *vcpu);
	/* Take this exception when it goes on, halted or not. */
	void (*inject)(struct vcpu *vcpu, const struct scry_exception *exception);

	/* Where this linear address lies now, or all ones. */
	uint64_t (*physical)(const struct vcpu *vcpu, uint64_t address);

	/* Be in this view, or why it cannot be; execute the next instruction in that one. */
	const char *(*view_enter)(struct vcpu *vcpu, unsigned view);
	void (*view_step)(struct vcpu *vcpu, unsigned view);

	/* Optional: why this, which is well-formed, cannot be subscribed to; NULL = it can. */
	const char *(*subscription_lacks)(const struct scry_subscription *sub);
	/* While no vCPU executes: these have changed. */
	void (*filters_changed)(struct qemu_cpu *cpu, const struct filters *filters);
	/* Optional: number n is to be there (NULL, or why it cannot be), or no more. */
	const char *(*breakpoint_plant)(int n, const struct scry_breakpoint *breakpoint);
	void (*breakpoint_lift)(int n);
	void (*breakpoints_changed)(struct qemu_cpu *cpu, bool known);	/* known: an address had one */
	/* Optional, as of breakpoints. */
	const char *(*watchpoint_plant)(int n, const struct scry_watchpoint *watchpoint);
	void (*watchpoint_lift)(int n);
	void (*watchpoints_changed)(void);
	/* NULL, or why it cannot be so. */
	const char *(*views_changed)(void);
	/* Optional: NULL, or why none of these frames can be trapped so, or, if 0, be remapped. */
	const char *(*view_lacks)(uint64_t gfn, uint64_t count, uint32_t traps);
};

extern const struct accel accel_tcg, accel_kvm;
extern const struct accel *accel;	/* that QEMU runs with */

/* Set it.  0, or refuse(). */
int accel_init(void);

#endif
