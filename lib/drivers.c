/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"
#include "drivers/dump/dump.h"
#include "drivers/kvmi/kvmi.h"
#include "drivers/qemu/qemu.h"
#ifdef SCRY_HAVE_XEN
#include "drivers/xen/xen.h"
#endif

const struct scry_driver *const scry_drivers[] = {
	&scry_driver_qemu,
	&scry_driver_kvmi,
	&scry_driver_dump,
#ifdef SCRY_HAVE_XEN
	&scry_driver_xen,
#endif
	NULL,
};
