/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_UNIT_H
#define SCRY_UNIT_H

#include <scry/scry.h>

#include "../lib/test.h"

/*
 * The core's tests run over a driver in memory, "fake:NAME", that records what
 * the core asks of it and does what a test tells it to.
 */
#define FAKE_REGIONS 6
#define FAKE_VCPUS   3

#define MIB UINT64_C(0x100000)

/* The map at the start of each test; touching regions touch on purpose. */
#define RAM_GPA     UINT64_C(0)		/* mapped; the largest */
#define RAM_SIZE    (6 * MIB)
#define SECOND_GPA  RAM_SIZE		/* mapped elsewhere */
#define SECOND_SIZE UINT64_C(0x10000)
#define FAR_GPA     (SECOND_GPA + SECOND_SIZE)	/* RAM that is not mapped */
#define FAR_SIZE    UINT64_C(0x10000)
#define HOLE_GPA    (FAR_GPA + FAR_SIZE)
#define ROM_GPA     (8 * MIB)		/* mapped, a hole on both sides */
#define ROM_SIZE    UINT64_C(0x10000)
#define HIGH_GPA    UINT64_C(0x100000000)	/* mapped */
#define HIGH_SIZE   MIB
#define TOP_GPA     UINT64_C(0xfffffffffffff000)	/* the last page there can be */
#define TOP_SIZE    UINT64_C(0x1000)

struct fake {
	/* What it is. */
	struct scry_region region[FAKE_REGIONS];
	unsigned char *bytes[FAKE_REGIONS];
	size_t regions;
	uint64_t life;			/* the word that struct scry_ram points to */
	struct scry_regs regs[FAKE_VCPUS];
	int waits[FAKE_VCPUS];		/* in an event */

	/* What it is told to do. */
	int gone;
	int fail_map, fail_stop_of, fail_clocks;	/* fail_stop_of: vCPU + 1 */
	void (*on_read)(void);		/* called at the end of the next read() */
	int restless;			/* life steps during so many map() calls */
	int room;			/* subscriptions that there can be */
	int fail_subscribe;		/* the code where there are more */
	int event_fd;

	/* What it saw. */
	int opens, closes, maps, reads, writes;
	int running[FAKE_VCPUS];
	int clocks_stopped;
	int subscriptions, replies;
	uint32_t denied[RAM_SIZE >> 12];	/* view 0's accesses that are told, by gfn */
	_Atomic int misused;		/* stop of a stopped vCPU, registers of a running one */
	size_t log_len;
	char log[4096];			/* "s0 s1 c1 g0 ..." */
};

extern struct fake fake;

/* cmocka set-up and tear-down: a fresh fake VM, opened as the test's state. */
int unit_open(void **state);
int unit_close(void **state);

/* Where the byte at gpa is kept; NULL in a hole. */
unsigned char *fake_at(uint64_t gpa);
uint64_t fake_u64(uint64_t gpa);
void fake_set_u64(uint64_t gpa, uint64_t value);
void fake_clear_log(void);

#endif
