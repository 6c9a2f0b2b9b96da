/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_PT_H
#define SCRY_PT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct scry_vm;

/*
 * Intel Processor Trace: the path of each vCPU through the guest's code, as
 * packets (Intel SDM volume 3, chapter 33) that libipt and others decode, with the
 * guest's memory as image.  There are PSB, PSBEND, MODE.Exec, PIP, TNT, TIP,
 * TIP.PGE, TIP.PGD, FUP and OVF, and no timing; returns are not compressed.  Where
 * the processor is emulated its emulator makes them.  Outside the filter nothing is
 * traced, but where it was left is told.
 */

#define SCRY_PT_CR3    1u	/* only in the address space of cr3 */
#define SCRY_PT_RANGE  2u	/* only from `first` to `last` */
#define SCRY_PT_KERNEL 4u	/* only at CPL 0 to 2 */
#define SCRY_PT_USER   8u	/* only at CPL 3 */

/* Bytes of a vCPU's ring. */
#define SCRY_PT_RING_LEAST   (UINT64_C(1) << 16)
#define SCRY_PT_RING_DEFAULT (UINT64_C(1) << 22)
#define SCRY_PT_RING_MOST    (UINT64_C(1) << 30)

struct scry_pt_opts {
	size_t sz;		/* sizeof(struct scry_pt_opts) */
	uint64_t vcpus;		/* bit n = vCPU n; 0 = all */
	uint64_t ring;		/* a power of two; 0 = SCRY_PT_RING_DEFAULT */
	uint32_t flags;		/* SCRY_PT_...; KERNEL and USER together are neither */
	uint32_t reserved;
	uint64_t cr3;		/* as CR3 holds it; bits 0 to 11 and 63 do not count */
	uint64_t first, last;	/* linear addresses, by the translator's blocks */
};

/*
 * Begin to trace; opts = NULL for everything.  Packets that the client does not
 * read in time are lost, which OVF tells; the guest never waits.  SCRY_E_BUSY if
 * it has begun already.
 */
int scry_pt_start(struct scry_vm *vm, const struct scry_pt_opts *opts);

/*
 * Take the vCPU's next packets, at most len bytes; the last may be cut.  A PSB,
 * from which a decoder can begin, comes every 16 KiB.  Returns how many bytes there
 * were, 0 for none now.  Any thread, one at a time for a vCPU.  SCRY_E_STATE if
 * nothing was ever traced.
 */
int64_t scry_pt_read(struct scry_vm *vm, unsigned vcpu, void *buf, size_t len);

/* End.  What has not been read yet still can be, until the next start. */
int scry_pt_stop(struct scry_vm *vm);

#ifdef __cplusplus
}
#endif
#endif
