/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"
#include "drivers/dump/dump.h"
#include "drivers/kvmi/kvmi.h"
#include "drivers/qemu/qemu.h"

const struct scry_driver *const scry_drivers[] = {
	&scry_driver_qemu,
	&scry_driver_kvmi,
	&scry_driver_dump,
	NULL,
};
