/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/guest.h"

/* A stamp before each line of a record, as dmesg(1) has it. */
static int print_record(const struct scry_linux_record *record, void *opaque)
{
	const char *text = record->text, *end = text + record->length;

	do {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t len = (size_t)((newline ? newline : end) - text);
		char *line = clean(text, len);

		fprintf(opaque, "%s[%5" PRIu64 ".%06" PRIu64 "]%s %s%s%s\n", colour(GREEN),
			record->time_ns / 1000000000, record->time_ns / 1000 % 1000000,
			colour(PLAIN), colour(record->level < 4 ? RED : PLAIN), line, colour(PLAIN));
		free(line);
		text += len + 1;
	} while (text < end);
	return 0;
}

static int add_record(const struct scry_linux_record *record, void *opaque)
{
	struct json_object *o = checked(json_object_new_object());

	json_add_number(o, "sequence", record->sequence);
	json_add_number(o, "time_ns", record->time_ns);
	json_add_number(o, "level", record->level);
	json_add_number(o, "facility", record->facility);
	json_add_text(o, "text", record->text);
	json_object_array_add(opaque, o);
	return 0;
}

static int show_text(struct guest *guest)
{
	struct held_text text;
	int ret;

	held_text_begin(&text);
	ret = scry_linux_log(guest->os, print_record, text.to) < 0 ? fail_lib() : 0;
	held_text_end(&text, guest, true);
	return ret;
}

static int show(struct guest *guest, bool json)
{
	struct json_object *array;

	if (!json)
		return show_text(guest);
	array = checked(json_object_new_array());
	if (scry_linux_log(guest->os, add_record, array) < 0) {
		json_object_put(array);
		return fail_lib();
	}
	guest_release(guest);
	json_print(array);
	return 0;
}

static int run(struct args *args)
{
	return with_guest(args, show);
}

const struct command cmd_dmesg = {
	.name = "dmesg",
	.summary = "kernel log of a Linux guest",
	.usage = "[--json] VM",
	.about = "Shows what is in the log of a Linux guest's kernel, also when the guest has\n"
		 "panicked, hangs, or lets none of its users see it.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry dmesg web | tail",
	.run = run,
};
