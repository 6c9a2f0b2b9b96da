/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SCRY_AGENT_KVM_SELFTEST_H
#define SCRY_AGENT_KVM_SELFTEST_H

/*
 * Does this host's KVM tell of an access to RAM that is closed to QEMU, on which all
 * traps stand?  Tried once, in a small VM of its own.  NULL, or why not.
 */
const char *kvm_tells_nothing(void);

/* The same: of a write that the debug registers watch? */
const char *kvm_watches_nothing(void);

#endif
