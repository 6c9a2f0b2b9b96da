/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>

#include "accel.h"
#include "refuse.h"

const struct accel *accel;

int accel_init(void)
{
	const bool *kvm_allowed = dlsym(RTLD_DEFAULT, "kvm_allowed");

	if (*qemu.tcg_allowed)
		accel = &accel_tcg;
	else if (kvm_allowed && *kvm_allowed)
		accel = &accel_kvm;
	else
		return refuse("it works under -accel tcg and -accel kvm only");
	return 0;
}
