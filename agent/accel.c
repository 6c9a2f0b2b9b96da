/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accel.h"
#include "refuse.h"

const struct accel *accel;

int accel_init(void)
{
	if (*qemu.tcg_allowed)
		accel = &accel_tcg;
	else
		return refuse("it works under -accel tcg only, for now");
	return 0;
}
