/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_H
#define AGENT_KVM_H

#include <linux/kvm.h>

#include <scry/breakpoint.h>
#include <scry/watchpoint.h>

#include "agent/event/filter.h"
#include "agent/vcpu/vcpu.h"
#include "insn.h"
#include "progress.h"
#include "step.h"

/*
 * The agent under stock KVM.  It stands between QEMU and ioctl(): what QEMU tells
 * KVM it hears, and of each return of KVM_RUN it has the first look, in the
 * vCPU's thread and without QEMU's big lock.
 */

#define KVM_CODE      15	/* bytes of the longest instruction */
#define DR7_USERS     0xffu	/* any register is in use */
#define DR6_BREAKPOINTS 15u
#define DR6_STEP      0x4000u
#define RFLAGS_TF     0x100u
#define RFLAGS_DF     0x400u
#define RFLAGS_RF     0x10000u
#define VECTOR_DB     1
#define VECTOR_BP     3
#define MSR_LSTAR     0xc0000082u
#define MSR_CSTAR     0xc0000083u

/* What it keeps of one vCPU, in its thread unless no vCPU executes. */
struct kvcpu {
	struct qemu_cpu *cpu;
	int fd;
	struct kvm_run *run;	/* NULL: not made yet */

	/*
	 * KVM is in the middle of an instruction (an MSR, a port), which the next
	 * KVM_RUN finishes.
	 */
	bool unfinished;
	_Atomic uint32_t synced;	/* KVM_SYNC_X86_...: struct kvm_run has these, see sync.h */
	uint64_t next_rip;	/* behind it, once kvm_finish() has been called */

	struct insn insn;	/* the last that kvm_decode() has looked at */
	struct progress progress;	/* of the instruction at rip */
	struct told told[TOLD_MOST];	/* progress.accesses of them */
	struct step step;

	bool steps_in;		/* the next instruction is executed in step_view */
	unsigned step_view;
	unsigned long patience;	/* ns for what the others are held for, see alone.c */

	struct kvm_guest_debug debug;	/* as it is in force */
	uint32_t qemus;		/* control of what QEMU itself (its gdbstub) has set */
	uint8_t points, watches, guests;	/* bit n: debug register n has those; or what the guest has */
	bool shut;		/* after a triple fault: only NMI or INIT ends that */
	bool waits;		/* for its start-up message */
};

/* What QEMU has told KVM of. */
extern struct kvm_vm {
	int fd;			/* -1: none yet */
	bool syncs;		/* KVM_RUN can leave registers, see sync.h */
	unsigned vcpus;
	struct kvcpu vcpu[SCRY_AGENT_VCPUS];
	struct kvm_msr_filter msr_filter;	/* QEMU's own, without the bitmaps */
	unsigned long msr_exits;		/* reasons for which QEMU wants MSR exits */
} kvm;

/* What of KVM_RUN's returns is QEMU's to see. */
enum kvm_outcome {
	KVM_TO_QEMU,
	KVM_AGAIN,		/* nothing: run on */
};

/* hook.c: get in between.  0, or refuse(). */
int kvm_hook_init(void);
void kvm_hook_leave(void);
/* Which file does this thread's next request of QEMU's to KVM go to?  NULL: no more of that. */
void kvm_hook_listen(int *fd);
/* In the thread of a vCPU, with QEMU's big lock: this is its file. */
void kvm_hook_vcpu(int fd);

/*
 * learn.c: service thread, without QEMU's big lock: what QEMU has told KVM before the agent
 * came.  0, or refuse().
 */
int kvm_learn(void);
/* KVM's own answer: as ioctl(); not for KVM_RUN. */
int kvm_ioctl(int fd, unsigned long request, void *argument);
/* KVM_RUN's. */
int kvm_ioctl_run(struct kvcpu *k);
/* KVM's side of a vCPU; of one that is not known to KVM one whose every ioctl() fails. */
struct kvcpu *kvm_of(const struct vcpu *vcpu);

/*
 * In DR7 of a debug exit beforehand, where no other exit has anything to be finished: while KVM is
 * told to step it says so of each instruction that it emulates, whatever TF is, and leaves this.
 */
#define KVM_EMULATED (~UINT64_C(0))

/* run.c: instead of KVM_RUN. */
int kvm_run(struct vcpu *vcpu, struct kvcpu *k);
/* KVM_RUN itself, as ioctl(). */
int kvm_enter(struct kvcpu *k);
/* The same, to finish what KVM is in the middle of: then it fails with EINTR. */
int kvm_run_no_further(struct kvcpu *k);
/* Finish what KVM is in the middle of, and put the vCPU back in front of the instruction. */
void kvm_finish(struct kvcpu *k);
/*
 * Ask the client of an event of the instruction at rip.  True: it says to go on
 * with it as it is; false: its answer has been carried out already.
 */
bool kvm_ask(struct vcpu *vcpu, struct kvcpu *k, struct scry_event *event);
/* Go on behind the instruction at rip, whose length is known. */
void kvm_skip(struct kvcpu *k);
/* Raise vcpu->exception at rip. */
void kvm_raise(struct vcpu *vcpu, struct kvcpu *k);
/* Fill what each event says of its vCPU, and number it. */
void kvm_describe(struct vcpu *vcpu, struct scry_event *event);

/* What KVM_RUN has come back for, which did not fail, may be an event; *ret as kvm_trap()'s. */
enum kvm_outcome kvm_look(struct vcpu *vcpu, struct kvcpu *k, int *ret);

/* trap.c: an instruction is stepped, and *ret is KVM_RUN's newer answer. */
/* The next instruction is executed in k->step_view. */
enum kvm_outcome kvm_step_in_view(struct vcpu *vcpu, struct kvcpu *k, int *ret);
/* KVM_RUN has failed as of an access to a page that is trapped. */
enum kvm_outcome kvm_trap(struct vcpu *vcpu, struct kvcpu *k, int *ret);
/* It goes on with what such a step has begun; with all pages open. */
enum kvm_outcome kvm_trap_go_on(struct vcpu *vcpu, struct kvcpu *k, int *ret);

/* dirty.c: QEMU's note that it holds a vCPU's registers, to be given to KVM before it runs. */
int kvm_dirty_init(void);
void kvm_settle(struct vcpu *vcpu);

/* state.c */
void kvm_gprs(const struct kvm_regs *from, uint64_t *gpr);	/* in scry's order */
void kvm_set_gprs(struct kvm_regs *to, const uint64_t *gpr);
int kvm_regs_get(struct vcpu *vcpu, struct scry_regs *regs);
int kvm_regs_put(struct vcpu *vcpu, const struct scry_regs *regs, uint64_t mask);
int kvm_msr_read(struct vcpu *vcpu, uint32_t index, uint64_t *value);
int kvm_msr_write(struct vcpu *vcpu, uint32_t index, uint64_t value);
uint64_t kvm_xcr0(struct vcpu *vcpu);
int kvm_xsave_get(struct vcpu *vcpu, void *area, uint32_t size);
int kvm_xsave_put(struct vcpu *vcpu, const void *area, uint32_t size);
bool kvm_waits_for_start(struct vcpu *vcpu);
/* Are interrupts held back for one instruction, by STI or MOV SS: KVM_X86_SHADOW_INT_... */
uint8_t kvm_shadow(struct kvcpu *k);
void kvm_set_shadow(struct kvcpu *k, uint8_t shadow);
/* Does it take an exception or interrupt, whose vector this is, before the instruction at rip? */
bool kvm_delivers(struct kvcpu *k, uint8_t *vector);
/* Have it take this next, halted or not; outside = it is not of the instruction at rip. */
void kvm_queue_exception(struct kvcpu *k, const struct scry_exception *exception, bool outside);

/*
 * code.c: what is at a linear address, in the vCPU's address space and the view that it is
 * in.  False: not mapped.
 */
bool kvm_physical(struct kvcpu *k, uint64_t gva, uint64_t *gpa);
/* By the tables of this root, in the vCPU's paging mode; may CPL 3 access it? */
bool kvm_walk(struct kvcpu *k, uint64_t cr3, uint64_t gva, uint64_t *gpa, bool *user);
bool kvm_virtual(struct kvcpu *k, uint64_t gva, void *data, unsigned len, bool write);

/* insn.c: does it execute 64-bit code? */
bool kvm_is_64bit(const struct kvm_sregs *s);
/* Of the instruction at rip: linear. */
uint64_t kvm_code_address(const struct kvm_sregs *s, const struct kvm_regs *r);
/* Of an instruction of 64-bit code; 0 = it is none. */
uint32_t kvm_length_64(const uint8_t *bytes, unsigned len);

/* code.c: up to KVM_CODE bytes of code; how many there are. */
unsigned kvm_code(struct kvcpu *k, uint64_t gva, uint8_t *bytes);

/* The instruction at rip. */
struct kvm_insn {
	uint32_t len;		/* 0 = not known */
	bool string, rep;	/* INS, OUTS; with a prefix */
	uint64_t target;	/* where INS writes, linear */
};

/* False where it cannot be read or is none. */
bool kvm_insn(struct kvcpu *k, struct kvm_insn *insn);

/* clock.c */
void kvm_clocks(bool stop);

/* msr_exit.c, io_exit.c, hlt_exit.c, debug.c */
/* Why KVM cannot tell of these; NULL = it can. */
const char *kvm_msr_lacks(const struct scry_subscription *sub);
void kvm_msr_arm(const struct filters *filters);
enum kvm_outcome kvm_msr_exit(struct vcpu *vcpu, struct kvcpu *k);
enum kvm_outcome kvm_io_exit(struct vcpu *vcpu, struct kvcpu *k);
enum kvm_outcome kvm_hlt_exit(struct vcpu *vcpu, struct kvcpu *k);
/* Does HLT halt in QEMU, which has the local APICs? */
bool kvm_halts_in_qemu(void);
/* Why HLT is no event; NULL = it is one. */
const char *kvm_hlt_lacks(void);
/*
 * io_done.c: if KVM has done with the OUT or OUTS of this exit, put the vCPU back in front
 * of it; *after is how to go on with it.
 */
bool kvm_out_take_back(struct kvcpu *k, struct kvm_regs *after);
void kvm_debug_arm(const struct filters *filters);
enum kvm_outcome kvm_debug_exit(struct vcpu *vcpu, struct kvcpu *k);
/* QEMU sets its own; as ioctl(). */
int kvm_qemus_debug(struct kvcpu *k, const struct kvm_guest_debug *debug);
/* Why the registers are not to be had; NULL = they are. */
const char *kvm_debug_lacks(void);
/* Have this be in force, and QEMU's INT3. */
void kvm_debug_set(struct kvcpu *k, const struct kvm_guest_debug *debug);
/* A #DB that is the guest's own, with these bits of DR6. */
void kvm_guests_debug(struct kvcpu *k, uint64_t dr6);

/* breakpoint.c: as of struct accel */
const char *kvm_breakpoint_plant(int n, const struct scry_breakpoint *breakpoint);
void kvm_breakpoint_lift(int n);
/* Have those in a debug register be met otherwise; false: there are none, or they cannot be. */
bool kvm_breakpoint_gives_way(void);
/* Tell of one at rip, if there is.  True: go on with the instruction. */
bool kvm_breakpoint(struct vcpu *vcpu, struct kvcpu *k);
/* The same, for those whose pages are trapped. */
bool kvm_breakpoint_in_page(struct vcpu *vcpu, struct kvcpu *k);
/* The same, when none can be met otherwise. */
bool kvm_breakpoint_look(struct vcpu *vcpu, struct kvcpu *k);
/* Go on with the instruction at rip, or be caught in front of it; which is it now? */
void kvm_breakpoint_pass(struct kvcpu *k, bool passes);
bool kvm_breakpoint_passes(struct kvcpu *k);

/* own_watch.c: bits of DR6, for the guest's watchpoints that the instruction in k->insn hits. */
uint64_t kvm_own_watches(struct kvcpu *k);

/* watchpoint.c: as of struct accel */
const char *kvm_watchpoint_plant(int n, const struct scry_watchpoint *watchpoint);
void kvm_watchpoint_lift(int n);
/* Those below tell of them, and give true if the client injects something. */
/* The instruction before rip has hit what these bits of DR6 say. */
bool kvm_watchpoint_hit(struct vcpu *vcpu, struct kvcpu *k, uint64_t dr6);
/* Before a step, in which they are not in force: which will it hit?  And behind it. */
void kvm_watchpoint_foresee(struct vcpu *vcpu, struct kvcpu *k);
bool kvm_watchpoint_stepped(struct vcpu *vcpu, struct kvcpu *k);

/* step.c: before KVM_RUN, of which it is a step */
void kvm_step_begin(struct vcpu *vcpu, struct kvcpu *k);
/* Has KVM_RUN, which did not fail, come back with the step's end? */
bool kvm_step_ended(const struct kvcpu *k);
/* It has come back with EINTR: is that its end all the same?  Then *k->run says so. */
bool kvm_step_arrived(struct kvcpu *k);
/* It has come back otherwise. */
void kvm_step_broken(struct kvcpu *k);
/* At its end, of which nothing is left to the guest. */
void kvm_step_end(struct vcpu *vcpu, struct kvcpu *k);
/* Then: the client is told if it wants to be. */
enum kvm_outcome kvm_step_tell(struct vcpu *vcpu, struct kvcpu *k);
/* No step is under way: the guest-debug registers are as k->debug says. */
void kvm_step_stop(struct kvcpu *k);

/* device_step.c: of a step that KVM_RUN has come out of, what is half done? */
int kvm_step_half(struct kvcpu *k, int ret);
/* QEMU has served the device: in place of KVM_RUN; *ret as kvm_trap()'s. */
enum kvm_outcome kvm_step_go_on(struct vcpu *vcpu, struct kvcpu *k, int *ret);

/* power.c: before KVM_RUN; true, with errno: QEMU is to have a look first. */
bool kvm_power_look(struct vcpu *vcpu, struct kvcpu *k);
enum kvm_outcome kvm_triple_fault(struct vcpu *vcpu, struct kvcpu *k, int *ret);

#endif
