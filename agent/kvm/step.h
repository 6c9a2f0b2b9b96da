/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_KVM_STEP_H
#define AGENT_KVM_STEP_H

#include <stdbool.h>
#include <stdint.h>

#define KVM_REGISTERS 4	/* debug registers for addresses */
#define NO_VECTOR     (-1)

/* Where a step may go other than to the next instruction, which has a breakpoint meanwhile. */
struct target {
	uint64_t address;	/* linear; 0 = none */
	int vector;		/* whose handler it is, or NO_VECTOR */
};

/* The step of one instruction, or of the delivery of an exception or interrupt in front of it. */
struct step {
	bool on;		/* the guest-debug registers are its own */
	bool left;		/* an exception has taken it to a handler that nobody caught */
	/* It has come out for QEMU to serve a device, and goes on in the next KVM_RUN: device_step.c. */
	enum { STEP_WHOLE, STEP_READS, STEP_WRITES } half;
	bool over;		/* why: RF does not have the instruction pass by its breakpoint */
	uint64_t rip;		/* where it began */
	struct target target[KVM_REGISTERS];
	enum { STEP_SAVES_NOTHING, STEP_PUSHES, STEP_SYSCALL } saves;	/* the flags, where */
	bool pops;		/* it takes flags from elsewhere */
	bool tf, tf_behind;	/* the guest's own TF: as it is, and when it has been executed */
	uint64_t watched;	/* bits of DR6: its own watchpoints, when the instruction ends */
	uint8_t hits;		/* watchpoints of the client's, the same */
	bool tells;		/* those who are told of steps now have been since it ended */
	uint64_t due;		/* bits of DR6: its own #DB, when the client has been told */
	bool flags_out;		/* a step's TF is in the flags that such an exception saved */
};

#endif
