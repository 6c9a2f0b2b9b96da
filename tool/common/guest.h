/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_GUEST_H
#define TOOL_GUEST_H

#include <stdio.h>

#include <scry/linux.h>
#include <scry/scry.h>

#include "command.h"
#include "output.h"

/* A VM whose Linux is looked into. */
struct guest {
	struct scry_vm *vm;
	struct scry_linux *os;
	bool paused;
};

/*
 * Open the VM, hold it where that can be done, so that what is seen holds together, and
 * find its Linux: 0, or EXIT_FAILURE with the reason said.
 */
int guest_open(struct guest *guest, const char *uri);
void guest_close(struct guest *guest);

/* Let it go on, once all has been seen. */
void guest_release(struct guest *guest);

/*
 * Text that is gathered while the guest is held, and printed when it goes on again: who
 * reads it may take any time.
 */
struct held_text {
	FILE *to;
	char *text;
	size_t len;
};

void held_text_begin(struct held_text *text);
/* Let the guest go on; print it, unless there was a failure that says all. */
void held_text_end(struct held_text *text, struct guest *guest, bool print);

/*
 * All of a command that takes VM and --json and nothing more: fn is called with the guest,
 * and gives the exit status.
 */
int with_guest(struct args *args, int (*fn)(struct guest *guest, bool json));

/* A list to be printed: a table, or a JSON array. */
struct listing {
	struct libscols_table *table;	/* NULL = JSON */
	struct json_object *array;	/* NULL = table */
};

void listing_begin(struct listing *list, bool json, const struct column *columns, size_t count);

/*
 * Print it if ret, a result of the library, is no failure; and free it: the exit status.
 * If there is nothing in it `none`, unless NULL, is said.
 */
int listing_end(struct listing *list, int ret, const char *none);

/* The task of that PID: 0 or EXIT_FAILURE. */
int guest_task(struct guest *guest, int32_t pid, struct scry_linux_task *task);

/*
 * Text of the guest's, which may be anything: what is no printable UTF-8 becomes \xNN.
 * clean() gives a string to be freed; len bytes, or less if a 0 byte comes.
 */
char *clean(const char *text, size_t len);
void json_add_text(struct json_object *object, const char *key, const char *text);

/* The words of a task's command line: one string with blanks, and a JSON array. */
char *task_command(struct guest *guest, const struct scry_linux_task *task);
struct json_object *strings_json(const char *strings, int64_t len);

/* Its command line (or with env = true its environment), to be freed, and its length; NULL = none. */
char *task_strings(struct guest *guest, const struct scry_linux_task *task, bool env,
		   int64_t *len);

#endif
