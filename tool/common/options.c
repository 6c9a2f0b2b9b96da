/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "parse.h"

#define MAX_OPTS 32

/* What getopt_long() takes, made from a command's table. */
struct getopt_tables {
	char letters[2 * MAX_OPTS + 8];
	struct option longs[MAX_OPTS + 2];
};

static void add_option(struct getopt_tables *t, size_t i, const struct opt *opt)
{
	size_t len = strlen(t->letters);

	t->longs[i] = (struct option){ .name = opt->name, .has_arg = opt->arg != NULL,
				       .val = opt->key };
	if (opt->key < 256)
		snprintf(t->letters + len, sizeof(t->letters) - len, "%c%s", opt->key,
			 opt->arg ? ":" : "");
}

static const struct opt help_option = { 'h', "help", NULL, "show this help" };

static void make_tables(struct getopt_tables *t, const struct command *command)
{
	size_t i = 0;

	*t = (struct getopt_tables){ 0 };
	strcpy(t->letters, command->options_first ? "+:" : ":");
	for (; command->opts[i].name && i < MAX_OPTS; i++)
		add_option(t, i, &command->opts[i]);
	add_option(t, i, &help_option);
}

/* A long option that getopt_long() does not take: why. */
static void __attribute__((noreturn)) bad_option(struct args *args, const char *word)
{
	size_t len = strcspn(word, "="), matches = 0;

	for (const struct opt *opt = args->command->opts; opt->name && len > 2; opt++) {
		if (strncmp(opt->name, word + 2, len - 2))
			continue;
		if (strlen(opt->name) == len - 2)
			usage_error(args, "option '--%s' takes no value", opt->name);
		matches++;
	}
	if (matches > 1)
		usage_error(args, "option '%s' may mean several: write it out", word);
	usage_error(args, "there is no option '%s'", word);
}

int next_option(struct args *args)
{
	struct getopt_tables tables;
	int key;

	make_tables(&tables, args->command);
	opterr = 0;
	key = getopt_long(args->argc, args->argv, tables.letters, tables.longs, NULL);
	if (key == 'h') {
		print_help(args->command);
		exit(fflush(stdout) ? fail("cannot write the help") : EXIT_SUCCESS);
	}
	if (key == ':')
		usage_error(args, "option '%s' needs a value", args->argv[optind - 1]);
	if (key == '?' && optopt && optopt < 256)
		usage_error(args, "there is no option '-%c'", optopt);
	if (key == '?')
		bad_option(args, args->argv[optind - 1]);
	if (key == -1)
		args->next = optind;
	return key;
}

static const char *take_word(struct args *args)
{
	return args->next < args->argc ? args->argv[args->next++] : NULL;
}

const char *next_word_or_null(struct args *args)
{
	const char *word = take_word(args);

	/* An empty variable of a script must not mean "all". */
	if (word && !word[0])
		usage_error(args, "an empty word ('') names nothing: leave it out");
	return word;
}

const char *next_word(struct args *args, const char *what)
{
	const char *word = take_word(args);

	if (!word || !word[0])
		usage_error(args, "%s is %s", what, word ? "empty" : "missing");
	return word;
}

void no_more_words(struct args *args)
{
	const char *word = take_word(args);

	if (word)
		usage_error(args, "'%s' is one word too many", word);
}

uint64_t number_arg(struct args *args, const char *what, const char *text)
{
	uint64_t value;

	if (!parse_size(text, &value))
		usage_error(args, "%s '%s' is not a number: use forms like 0x1000, 4096, 4k, 2M",
			    what, text);
	return value;
}

uint64_t count_arg(struct args *args, const char *text)
{
	uint64_t count = number_arg(args, "count", text);

	if (!count)
		usage_error(args, "a count of 0 would show nothing: leave it out to have no end");
	return count;
}

int32_t pid_arg(struct args *args, const char *text)
{
	uint64_t pid;

	if (!parse_u64(text, &pid) || !pid || pid > INT32_MAX)
		usage_error(args, "'%s' is no PID: they are numbers from 1 on", text);
	return (int32_t)pid;
}

const char *name_arg(struct args *args, const char *option, const char *text)
{
	if (!text[0])
		usage_error(args, "%s is empty: leave it out to see all", option);
	return text;
}

unsigned vcpu_arg(struct args *args, const char *text)
{
	uint64_t value;

	if (!parse_u64(text, &value) || value > INT32_MAX)
		usage_error(args, "vCPU '%s' is not a number: they count from 0", text);
	return (unsigned)value;
}

uint64_t vcpu_bit(struct args *args, const char *text)
{
	unsigned vcpu = vcpu_arg(args, text);

	if (vcpu >= 64)
		usage_error(args, "no VM has a vCPU %u", vcpu);
	return UINT64_C(1) << vcpu;
}

unsigned seconds_arg(struct args *args, const char *text)
{
	unsigned ms;

	if (!parse_seconds(text, &ms))
		usage_error(args, "'%s' is not a time in seconds: use forms like 10 or 0.5", text);
	return ms;
}

static void print_option(const struct opt *opt)
{
	char left[64];
	int n = snprintf(left, sizeof(left), opt->key < 256 ? "-%c, --%s" : "%c   --%s",
			 opt->key < 256 ? opt->key : ' ', opt->name);

	if (opt->arg)
		snprintf(left + n, sizeof(left) - (size_t)n, " %s", opt->arg);
	printf("  %-24s  %s\n", left, opt->text);
}

/* Each line of text, behind a prefix. */
static void print_lines(const char *prefix, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		printf("%s%.*s\n", prefix, (int)len, text);
		text += len + (text[len] == '\n');
	}
}

void print_help(const struct command *command)
{
	char prefix[64];

	printf("scry %s: %s\n\nUsage:\n", command->name, command->summary);
	snprintf(prefix, sizeof(prefix), "  scry %s ", command->name);
	print_lines(prefix, command->usage);
	printf("\n");
	print_lines("", command->about);
	printf("\nOptions:\n");
	for (const struct opt *opt = command->opts; opt->name; opt++)
		print_option(opt);
	print_option(&help_option);
	printf("\nExample:\n");
	print_lines("  ", command->example);
}

void usage_error(const struct args *args, const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "scry: %s: ", args->command->name);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "; see 'scry help %s'\n", args->command->name);
	exit(EXIT_USAGE);
}
