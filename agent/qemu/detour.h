/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_DETOUR_H
#define AGENT_DETOUR_H

/*
 * Lead every call of function to hook; *original is then what calls the
 * function as it was.  To be made while no thread can be in function's first
 * bytes: from qemu_plugin_install(), before any vCPU runs, or under the lock that its
 * callers hold.  NULL, or a few words on why it cannot be done.
 */
const char *detour_install(void *function, void *hook, void **original);

/* All functions are as they were; detour_install() may put detours in place once more. */
void detours_lift(void);

#endif
