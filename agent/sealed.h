/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef AGENT_SEALED_H
#define AGENT_SEALED_H

#include <stdint.h>

/*
 * A file of memory, zeroed, whose size nobody can change: else it could be shortened
 * under our hands, and a load be a bus error.  Its descriptor, or -1.
 */
int sealed_file(const char *name, uint64_t size);

#endif
