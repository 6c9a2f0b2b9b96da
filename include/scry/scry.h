/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCRY_H
#define SCRY_H

/* libscry: look into running virtual machines from the outside, and steer them. */
#include <scry/breakpoint.h>
#include <scry/error.h>
#include <scry/event.h>
#include <scry/linux.h>
#include <scry/memory.h>
#include <scry/paging.h>
#include <scry/pt.h>
#include <scry/regs.h>
#include <scry/view.h>
#include <scry/vm.h>
#include <scry/watchpoint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "1.2.3" of the library that runs. Static. */
const char *scry_version(void);

#ifdef __cplusplus
}
#endif
#endif
