/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "qemuargs.h"

#define MIB (UINT64_C(1) << 20)
#define DEFAULT_RAM (128 * MIB)
#define RAM_ALIGN 8192		/* QEMU rounds -m up to it */

/* The value of key in QEMU's "a=b,c=d", where a first part with no "=" is of the key `implied`. */
static bool find_key(const char *text, const char *key, const char *implied, char *value,
		     size_t size)
{
	size_t key_len = strlen(key);
	bool first = true, found = false;

	while (*text) {
		size_t len = strcspn(text, ",");
		const char *equals = memchr(text, '=', len);
		const char *from = NULL;

		if (equals && (size_t)(equals - text) == key_len && !strncmp(text, key, key_len))
			from = equals + 1;
		else if (!equals && first && implied && !strcmp(implied, key))
			from = text;
		if (from) {
			snprintf(value, size, "%.*s", (int)(text + len - from), from);
			found = true;
		}
		first = false;
		text += len + (text[len] == ',');
	}
	return found;
}

/* A size as -m takes it: MiB without a suffix, decimals allowed with one. */
static bool parse_ram(const char *text, uint64_t *bytes)
{
	static const char units[] = "bkmgt";
	const char *unit;
	char *end;
	double value, scale = (double)MIB;

	if (!parse_u64(text, bytes)) {
		value = strtod(text, &end);
		if (end == text || !(value >= 0) || !end[0] || end[1])
			return false;
		unit = strchr(units, end[0] | 0x20);
		if (!unit)
			return false;
		scale = (double)(UINT64_C(1) << (10 * (unit - units)));
	} else {
		value = (double)*bytes;
	}
	if (value * scale > (double)(UINT64_C(1) << 52))
		return false;
	*bytes = ((uint64_t)(value * scale) + RAM_ALIGN - 1) / RAM_ALIGN * RAM_ALIGN;
	return true;
}

bool qemu_ram_parse(const char *value, uint64_t *bytes)
{
	char size[64];

	return !find_key(value, "size", "size", size, sizeof(size)) || parse_ram(size, bytes);
}

static void take_m(struct qemu_args *args, const char *value)
{
	if (!qemu_ram_parse(value, &args->ram))
		args->bad_m = value;
	/* -m 0 means the default, too. */
	if (!args->ram)
		args->ram = DEFAULT_RAM;
}

/* "tcg", "kvm", or a list "kvm:tcg" of what to try in turn. */
bool qemu_accel_known(const char *accel)
{
	while (!strncmp(accel, "tcg", 3) || !strncmp(accel, "kvm", 3)) {
		if (!accel[3])
			return true;
		if (accel[3] != ':')
			return false;
		accel += 4;
	}
	return false;
}

static void take_accel(struct qemu_args *args, const char *accel)
{
	args->own_accel = true;
	if (!qemu_accel_known(accel) && !args->accel[0])
		snprintf(args->accel, sizeof(args->accel), "%s", accel);
}

static void take_machine(struct qemu_args *args, const char *value)
{
	char text[64];

	if (find_key(value, "accel", NULL, text, sizeof(text)))
		take_accel(args, text);
	if (find_key(value, "memory-backend", NULL, text, sizeof(text)))
		args->own_backend = true;
}

static void take_plugin(struct qemu_args *args, const char *value)
{
	if (strstr(value, "scry-agent.so"))
		args->own_agent = true;
}

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}

static void take_option(struct qemu_args *args, const char *option, const char *value)
{
	static const char *const displays[] = { "display", "nographic", "vnc", "spice", "curses",
						"daemonize", NULL };
	static const char *const backends[] = { "numa", "mem-path", NULL };
	char accel[64];

	if (is_one_of(option, displays))
		args->own_display = true;
	else if (is_one_of(option, backends))
		args->own_backend = true;
	else if (!strcmp(option, "enable-kvm"))
		take_accel(args, "kvm");
	else if (!strcmp(option, "m"))
		take_m(args, value);
	else if (!strcmp(option, "accel") &&
		 find_key(value, "accel", "accel", accel, sizeof(accel)))
		take_accel(args, accel);
	else if (!strcmp(option, "machine") || !strcmp(option, "M"))
		take_machine(args, value);
	else if (!strcmp(option, "plugin"))
		take_plugin(args, value);
}

void qemu_args_parse(char *const *words, size_t count, struct qemu_args *args)
{
	*args = (struct qemu_args){ .ram = DEFAULT_RAM };
	for (size_t i = 0; i < count; i++) {
		const char *option = words[i];

		if (option[0] != '-' || !option[1])
			continue;
		/* QEMU takes --option, too. */
		option += option[1] == '-' ? 2 : 1;
		take_option(args, option, i + 1 < count ? words[i + 1] : "");
	}
}
