/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_HEXDUMP_H
#define TOOL_HEXDUMP_H

#include <stddef.h>
#include <stdint.h>

/* Lines of 16 bytes as xxd prints them, behind the address of their first. */
void hexdump(uint64_t address, const uint8_t *bytes, size_t len);

#endif
