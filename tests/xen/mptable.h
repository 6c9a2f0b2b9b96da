/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef XEN_MPTABLE_H
#define XEN_MPTABLE_H

#include <xenctrl.h>

/*
 * Tell the domain of its processors by a table that a BIOS would have left.  Without
 * one, or ACPI's, Linux does not set up its clock.
 */
int mptable_write(xc_interface *xch, uint32_t domid, unsigned vcpus);

#endif
