/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/refuse.h"
#include "ids.h"
#include "options.h"

struct kvmi_options kvmi_options = { .generation = KVMI_V12 };

/* What is known only once all arguments have been seen: a number's generation. */
#define NUMBERS 128
static struct {
	const char *text;
	bool event;
} numbers[NUMBERS];
static unsigned number_count;
static bool others;		/* there are options that mean nothing without a path */

static int set_path(const char *path)
{
	struct sockaddr_un *address = &kvmi_options.address;
	char folder[sizeof(address->sun_path)] = "";

	/* With -daemonize QEMU changes its folder. */
	if (path[0] != '/' && !getcwd(folder, sizeof(folder)))
		return refuse("the path of this folder is too long: give kvmi= a whole path");
	if (!path[0] || strlen(folder) + 1 + strlen(path) >= sizeof(address->sun_path))
		return refuse("kvmi=PATH: the path of the tool's socket has 1 to %zu bytes",
			      sizeof(address->sun_path) - 1);
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, folder);
	if (folder[0])
		strcat(address->sun_path, "/");
	strcat(address->sun_path, path);
	return 0;
}

static int set_generation(const char *value)
{
	if (strcmp(value, "7") == 0)
		kvmi_options.generation = KVMI_V7;
	else if (strcmp(value, "12") == 0)
		kvmi_options.generation = KVMI_V12;
	else
		return refuse("kvmi-version=%s: there are 7 (the kernels of the branch kvmi-v7) and 12",
			      value);
	return 0;
}

static int set_reply_timeout(const char *value)
{
	unsigned long seconds;
	char *end;

	seconds = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || seconds > 86400)
		return refuse("kvmi-reply-timeout=%s: 0 (for ever) to 86400 seconds", value);
	kvmi_options.reply_timeout_ns = seconds * UINT64_C(1000000000);
	return 0;
}

static int add_number(const char *text, bool event)
{
	if (number_count == NUMBERS)
		return refuse("more than %d numbers in kvmi-command= and kvmi-event=", NUMBERS);
	numbers[number_count].text = text;
	numbers[number_count++].event = event;
	return 0;
}

bool kvmi_option(const char *argument, int *status)
{
	const char *value = strchr(argument, '=');
	size_t len = value ? (size_t)(value++ - argument) : 0;

	if (len == 4 && strncmp(argument, "kvmi", len) == 0) {
		*status = set_path(value);
		return true;
	}
	if (len < 5 || strncmp(argument, "kvmi-", 5) != 0)
		return false;
	others = true;
	if (len == 12 && strncmp(argument, "kvmi-version", len) == 0)
		*status = set_generation(value);
	else if (len == 12 && strncmp(argument, "kvmi-command", len) == 0)
		*status = add_number(value, false);
	else if (len == 10 && strncmp(argument, "kvmi-event", len) == 0)
		*status = add_number(value, true);
	else if (len == 18 && strncmp(argument, "kvmi-reply-timeout", len) == 0)
		*status = set_reply_timeout(value);
	else if (len == 8 && strncmp(argument, "kvmi-key", len) == 0)
		kvmi_options.key = value, *status = 0;
	else
		return false;
	return true;
}

/* The allow lists are by number, as those of QEMU's object `introspection`. */
static int allow(const char *text, bool event)
{
	unsigned long number;
	char *end;
	int n;

	number = strtoul(text, &end, 0);
	n = *text && !*end && number <= UINT16_MAX ?
	    (event ? kvmi_event_of(kvmi_options.generation, (uint16_t)number) :
		     kvmi_command_of(kvmi_options.generation, (uint16_t)number)) : KVMI_NONE;
	if (n == KVMI_NONE)
		return refuse("kvmi-%s=%s: this generation of KVMI has no %s of that number",
			      event ? "event" : "command", text, event ? "event" : "command");
	if (event)
		kvmi_options.event.listed = kvmi_options.event.named[n] = true;
	else
		kvmi_options.command.listed = kvmi_options.command.named[n] = true;
	return 0;
}

int kvmi_options_check(void)
{
	if (others && !kvmi_options.address.sun_path[0])
		return refuse("the options kvmi-... go with kvmi=PATH, where the tool listens");
	for (unsigned i = 0; i < number_count; i++)
		if (allow(numbers[i].text, numbers[i].event) < 0)
			return -1;
	return 0;
}
