/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "output.h"

#define FLUSH_NS 100000000u	/* the longest that a line stays in the buffer */

bool output_gone(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	return ferror(stdout) || (poll(&p, 1, 0) > 0 && p.revents & (POLLERR | POLLHUP));
}

bool output_pass_on(uint64_t *last)
{
	uint64_t now = now_ns();

	if (now - *last < FLUSH_NS)
		return true;
	*last = now;
	fflush(stdout);
	return !output_gone();
}

struct json_object *json_hex(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return checked(json_object_new_string(text));
}

void json_add(struct json_object *object, const char *key, struct json_object *value)
{
	if (json_object_object_add(object, key, value) < 0)
		die_nomem();
}

void json_add_string(struct json_object *object, const char *key, const char *value)
{
	json_add(object, key, checked(json_object_new_string(value)));
}

void json_add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_add(object, key, checked(json_object_new_uint64(value)));
}

void json_add_hex(struct json_object *object, const char *key, uint64_t value)
{
	json_add(object, key, json_hex(value));
}

void json_print_to(FILE *to, struct json_object *object)
{
	fprintf(to, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							   JSON_C_TO_STRING_SPACED |
							   JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

void json_print(struct json_object *object)
{
	json_print_to(stdout, object);
}

struct libscols_table *table_new(const struct column *columns, size_t count, bool headings)
{
	struct libscols_table *table = checked(scols_new_table());

	for (size_t i = 0; i < count; i++)
		checked(scols_table_new_column(table, columns[i].name, 0,
					       columns[i].right ? SCOLS_FL_RIGHT : 0));
	scols_table_enable_noheadings(table, !headings);
	scols_table_enable_minout(table, 1);
	scols_table_enable_colors(table, colour_on());
	scols_table_set_column_separator(table, "  ");
	return table;
}

struct libscols_line *table_row(struct libscols_table *table, ...)
{
	struct libscols_line *line = checked(scols_table_new_line(table, NULL));
	va_list ap;

	va_start(ap, table);
	for (size_t i = 0; i < scols_table_get_ncols(table); i++)
		if (scols_line_set_data(line, i, va_arg(ap, const char *)))
			die_nomem();
	va_end(ap);
	return line;
}

void table_colour(struct libscols_line *line, size_t column, enum colour c)
{
	if (colour_on() && scols_cell_set_color(scols_line_get_cell(line, column), colour(c)))
		die_nomem();
}

void table_print(struct libscols_table *table)
{
	scols_print_table(table);
	scols_unref_table(table);
}

void table_print_indented(struct libscols_table *table, const char *indent)
{
	char *text, *rest;

	if (scols_print_table_to_string(table, &text) < 0)
		die_nomem();
	rest = text;
	for (const char *line; (line = strsep(&rest, "\n")) && (*line || rest);)
		printf("%s%s\n", indent, line);
	free(text);
	scols_unref_table(table);
}
