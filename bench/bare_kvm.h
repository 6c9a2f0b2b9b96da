/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_BENCH_BARE_KVM_H
#define SCRY_BENCH_BARE_KVM_H

#include <stdint.h>

/* What KVM itself takes for an exit: a VM of one page of code, answered in this process at once. */

#define BARE_MSR 0xc0000082u	/* LSTAR, also for the guest of the measured work */

enum bare_exit {
	BARE_WRMSR,	/* of BARE_MSR, by KVM's MSR filter */
	BARE_MMIO,	/* a write of 8 bytes where only reads are let through */
};

struct bare_kvm;

struct bare_kvm *bare_kvm_start(enum bare_exit exit);	/* NULL after a message */
void bare_kvm_stop(struct bare_kvm *bare);
double bare_kvm_ns(struct bare_kvm *bare, int ms);	/* of one exit, measured for so long; -1 */

#endif
