/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_GUARD_H
#define AGENT_GUARD_H

#include "qemu.h"

/*
 * Calling QEMU's helpers outside a translated block: where one would raise an
 * exception in the guest, it is stopped instead.
 */

/* Put the detours in place.  0, or refuse(). */
int guard_init(void);

/* Call helper(env).  0, or -1 if it would have raised an exception. */
int guard_call(void (*helper)(struct qemu_env *), struct qemu_env *env);

#endif
