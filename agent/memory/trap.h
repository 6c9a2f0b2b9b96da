/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_TRAP_H
#define AGENT_TRAP_H

#include <stdbool.h>
#include <stdint.h>

/* What the vCPU is looking up in its TLB. */
struct tlb_access {
	bool on, walk;		/* walk: an entry of the page tables, on the way to gva */
	uint32_t type, size;	/* SCRY_READ, SCRY_WRITE or SCRY_EXEC; of the outer access */
	uint64_t gva;
	uintptr_t host_pc;	/* of the translated code, or 0 */
};

/* An access that its view traps. */
struct trap {
	uint64_t rip, gva, gpa;
	uintptr_t host_pc;
	uint32_t access, size;
	uint32_t insn_len;	/* 0 = it has none, or none that is known */
	bool walk, locked;
	bool fetch;		/* the instruction's own, or the walk for it */
	bool silent;		/* nobody wants to know of it, but it is to come by each time */
};

/* What of the instruction at rip has hit watchpoints, and is told of behind it. */
struct watch_hit {
	uint8_t set;		/* of watchpoints; 0 = none */
	bool delivery;		/* by the delivery of an exception or interrupt */
	uint64_t rip, rcx;
};

/* Data that is read in place of memory's, from gva on; size 0 = none.  gpa 0: there is no frame yet. */
struct substitute {
	uint64_t gva, gpa;
	uint32_t size;
};

/* What of an instruction has been told of. */
#define PASS_MOST 16
struct pass {
	uint64_t rip, rcx;
	bool again;		/* it is tried again */
	unsigned count;
	struct {
		uint64_t gfn;
		uintptr_t host_pc;
		uint32_t access;
		bool fetch;
	} page[PASS_MOST];
};

/* The next instruction is executed in another view than those behind it. */
struct step_over {
	bool on;
	unsigned back;		/* the view of those */
	uint64_t rip;
};

#endif
