/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TOOL_COMMAND_H
#define TOOL_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"

/* One option of a command; a table of them ends with name = NULL. */
struct opt {
	int key;		/* its letter, or a KEY_* for one without */
	const char *name;	/* long name */
	const char *arg;	/* what it takes, as the help shows it; NULL = nothing */
	const char *text;
};

/* Keys of options that have no letter. */
enum {
	KEY_JSON = 256,
	KEY_VCPU,
	KEY_CR3,
	KEY_PAUSE,
	KEY_FIRST_OWN,		/* a command's own keys begin here */
};

#define OPT_JSON { KEY_JSON, "json", NULL, "print JSON" }
#define OPT_VCPU { KEY_VCPU, "vcpu", "N", "the vCPU, counted from 0 (default: 0)" }

struct args;

/* Each command is one of these, named cmd_NAME; main.c has the table. */
struct command {
	const char *name;
	const char *summary;	/* half a line for the list */
	const char *usage;	/* what follows "scry NAME", one line each way of use */
	const char *about;	/* a paragraph */
	const struct opt *opts;
	const char *example;	/* lines, each beginning with "scry" */
	bool options_first;	/* the first word that is no option ends the options */
	int (*run)(struct args *args);
};

/* The words of one call. */
struct args {
	const struct command *command;
	int argc;
	char **argv;	/* argv[0] is the command's name */
	int next;	/* once the options are done: the next word */
};

/*
 * The next option's key, its argument in getopt's optarg; -1 when all are
 * done.  Takes care of --help and of what is no option of this command.
 */
int next_option(struct args *args);

/* The next word, called `what` where it is missing; or NULL if it may be missing. */
const char *next_word(struct args *args, const char *what);
const char *next_word_or_null(struct args *args);
void no_more_words(struct args *args);

/* Numbers on the command line; what is none ends in usage_error(). */
uint64_t number_arg(struct args *args, const char *what, const char *text);
uint64_t count_arg(struct args *args, const char *text);	/* not 0 */
int32_t pid_arg(struct args *args, const char *text);
unsigned vcpu_arg(struct args *args, const char *text);
uint64_t vcpu_bit(struct args *args, const char *text);	/* 1 << it */
unsigned seconds_arg(struct args *args, const char *text);	/* milliseconds */

/* The text of an option that narrows what is shown: an empty one is a usage error. */
const char *name_arg(struct args *args, const char *option, const char *text);

void print_help(const struct command *command);
void usage_error(const struct args *args, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

#endif
