/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_REGPRINT_H
#define TOOL_REGPRINT_H

#include <json-c/json.h>
#include <scry/regs.h>
#include <stdbool.h>

/* The registers that say most, or all of them. */
void regs_print(const struct scry_regs *regs, bool all);

/* All registers, as members of object. */
void regs_json(struct json_object *object, const struct scry_regs *regs);

#endif
