/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_MSRNAME_H
#define TOOL_MSRNAME_H

#include <stdbool.h>
#include <stdint.h>

/* "lstar" for 0xc0000082; "" for an MSR without a name here. */
const char *msr_name(uint32_t index);

/* All that have a name here, one a line with its index. */
void print_msr_names(void);

/* An MSR's index, as a number or by name. */
bool parse_msr(const char *text, uint32_t *index);

#endif
