/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_OUTPUT_H
#define TOOL_OUTPUT_H

#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <stdbool.h>
#include <stdint.h>

#include "term.h"

/* Could it not be written, or has who reads it gone (as in "| head")? */
bool output_gone(void);

/*
 * For what prints line by line, called often: pass on what was printed, each tenth of a
 * second.  *last is when that was; false once output_gone().
 */
bool output_pass_on(uint64_t *last);

/*
 * Addresses and values of registers are JSON strings ("0x1000"), since many
 * readers keep a number as a double and would lose the low bits.
 */
struct json_object *json_hex(uint64_t value);
void json_add(struct json_object *object, const char *key, struct json_object *value);
void json_add_string(struct json_object *object, const char *key, const char *value);
void json_add_number(struct json_object *object, const char *key, uint64_t value);
void json_add_hex(struct json_object *object, const char *key, uint64_t value);

/* Print and free it. */
void json_print(struct json_object *object);
void json_print_to(FILE *to, struct json_object *object);

struct column {
	const char *name;
	bool right;		/* aligned to the right */
};

/* A table; with headings = false only its cells are shown. */
struct libscols_table *table_new(const struct column *columns, size_t count, bool headings);

/* A row: one string for each column. */
struct libscols_line *table_row(struct libscols_table *table, ...);
void table_colour(struct libscols_line *line, size_t column, enum colour c);

/* Print and free it. */
void table_print(struct libscols_table *table);
void table_print_indented(struct libscols_table *table, const char *indent);

#endif
