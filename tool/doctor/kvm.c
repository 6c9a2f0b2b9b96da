/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "doctor.h"

#define DEVICE "/dev/kvm"

/* What of the kernel's the agent builds on, and what for. */
static const struct {
	int cap, bits;		/* the bits that it must have; 0 = any */
	const char *since, *what;
} needs[] = {
	{ KVM_CAP_X86_USER_SPACE_MSR, 0, "5.10", "MSR events" },
	{ KVM_CAP_X86_MSR_FILTER, 0, "5.10", "MSR events" },
	{ KVM_CAP_SET_GUEST_DEBUG2, KVM_GUESTDBG_BLOCKIRQ, "5.15", "single-step" },
};

static void report_caps(struct findings *f, int kvm)
{
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		int has = ioctl(kvm, KVM_CHECK_EXTENSION, (long)needs[i].cap);

		if (has > 0 && (has & needs[i].bits) == needs[i].bits)
			continue;
		finding(f, FINDING_NOTE, "KVM", NULL, "this kernel's has not all that the agent needs "
			"for %s, as Linux %s has", needs[i].what, needs[i].since);
		return;
	}
	finding(f, FINDING_OK, "KVM", NULL, "this kernel's has what the agent needs ('scry caps' "
		"tells what KVM keeps to itself, 'scry doctor --qemu BINARY -- -accel kvm' tries it, "
		"'scry attach PID' has it come into a QEMU that runs already)");
}

static void report_refusal(struct findings *f, int error)
{
	if (error == ENOENT)
		finding(f, FINDING_NOTE, "KVM", "sudo modprobe kvm-intel || sudo modprobe kvm-amd",
			"there is no " DEVICE ": VMs run under TCG, which lacks nothing but speed");
	else if (error == EACCES)
		finding(f, FINDING_NOTE, "KVM", "sudo usermod -aG kvm $USER, then log in again",
			"this user may not use " DEVICE ": VMs run under TCG");
	else
		finding(f, FINDING_NOTE, "KVM", NULL, DEVICE " cannot be opened: %s",
			strerror(error));
}

void doctor_kvm(struct findings *f)
{
	int kvm = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		report_refusal(f, errno);
		return;
	}
	if (ioctl(kvm, KVM_GET_API_VERSION, 0L) != KVM_API_VERSION)
		finding(f, FINDING_NOTE, "KVM", NULL, DEVICE " does not speak KVM's interface");
	else
		report_caps(f, kvm);
	close(kvm);
}
