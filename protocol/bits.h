/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_PROTOCOL_BITS_H
#define SCRY_PROTOCOL_BITS_H

#include <stdint.h>

/* Bits of control registers and EFER (Intel SDM volume 3, 2.5 and 2.2.1). */
#define CR0_PE      UINT64_C(1)
#define CR0_TS      (UINT64_C(1) << 3)
#define CR0_ET      (UINT64_C(1) << 4)
#define CR0_NW      (UINT64_C(1) << 29)
#define CR0_CD      (UINT64_C(1) << 30)
#define CR0_PG      (UINT64_C(1) << 31)
#define CR4_TSD     (UINT64_C(1) << 2)
#define CR4_DE      (UINT64_C(1) << 3)
#define CR4_PSE     (UINT64_C(1) << 4)
#define CR4_PAE     (UINT64_C(1) << 5)
#define CR4_UMIP    (UINT64_C(1) << 11)
#define CR4_LA57    (UINT64_C(1) << 12)
#define CR4_VMXE    (UINT64_C(1) << 13)
#define CR4_PCIDE   (UINT64_C(1) << 17)
#define CR4_OSXSAVE (UINT64_C(1) << 18)
#define DR7_USED    UINT64_C(0x600)	/* GE, and the bit that is always set */
#define EFER_SCE    UINT64_C(1)
#define EFER_LME    (UINT64_C(1) << 8)
#define EFER_LMA    (UINT64_C(1) << 10)
#define EFER_NXE    (UINT64_C(1) << 11)
#define EFER_SVME   (UINT64_C(1) << 12)	/* AMD */

#define OPCODE_STI 0xfb	/* interrupts stay off for the instruction behind it */

#define APIC_BASE_BSP (UINT64_C(1) << 8)	/* of MSR 0x1b: the processor that boots */

#endif
