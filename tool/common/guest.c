/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "../../protocol/text.h"
#include "guest.h"
#include "parse.h"
#include "target.h"

#define STRINGS_MOST (1 << 21)		/* ARG_MAX */

int guest_open(struct guest *guest, const char *uri)
{
	*guest = (struct guest){ 0 };
	if (open_vm(uri, &guest->vm))
		return EXIT_FAILURE;
	if (scry_cap(guest->vm, SCRY_CAP_PAUSE, NULL) == 1) {
		if (scry_pause(guest->vm) < 0) {
			fail_lib();
			guest_close(guest);
			return EXIT_FAILURE;
		}
		guest->paused = true;
	}
	if (scry_linux_open(guest->vm, &guest->os) >= 0)
		return 0;
	fail_lib();
	guest_close(guest);
	return EXIT_FAILURE;
}

void guest_release(struct guest *guest)
{
	/* Where that fails, closing the VM lets it go on. */
	if (guest->paused)
		scry_resume(guest->vm);
	guest->paused = false;
}

void held_text_begin(struct held_text *text)
{
	*text = (struct held_text){ 0 };
	text->to = checked(open_memstream(&text->text, &text->len));
}

void held_text_end(struct held_text *text, struct guest *guest, bool print)
{
	guest_release(guest);
	if (fclose(text->to))
		die_nomem();
	if (print)
		fwrite(text->text, 1, text->len, stdout);
	free(text->text);
}

void guest_close(struct guest *guest)
{
	scry_linux_close(guest->os);
	guest_release(guest);
	scry_close(guest->vm);
}

int with_guest(struct args *args, int (*fn)(struct guest *guest, bool json))
{
	bool json;
	const char *uri = vm_word(args, &json);
	struct guest guest;
	int ret;

	if (guest_open(&guest, uri))
		return EXIT_FAILURE;
	ret = fn(&guest, json);
	guest_close(&guest);
	return ret;
}

void listing_begin(struct listing *list, bool json, const struct column *columns, size_t count)
{
	list->table = json ? NULL : table_new(columns, count, true);
	list->array = json ? checked(json_object_new_array()) : NULL;
}

static bool is_empty(const struct listing *list)
{
	return list->table ? !scols_table_get_nlines(list->table) :
			     !json_object_array_length(list->array);
}

int listing_end(struct listing *list, int ret, const char *none)
{
	if (ret < 0) {
		scols_unref_table(list->table);
		json_object_put(list->array);
		return fail_lib();
	}
	if (none && is_empty(list))
		note("%s", none);
	if (list->table)
		table_print(list->table);
	else
		json_print(list->array);
	return 0;
}

int guest_task(struct guest *guest, int32_t pid, struct scry_linux_task *task)
{
	return scry_linux_task(guest->os, pid, task) < 0 ? fail_lib() : 0;
}

char *clean(const char *text, size_t len)
{
	char *to, *at;

	len = strnlen(text, len);
	at = to = checked(malloc(4 * len + 1));
	for (size_t i = 0; i < len;) {
		size_t n = scry_text_character((const unsigned char *)text + i, len - i);

		if (n)
			at = mempcpy(at, text + i, n);
		else
			at += sprintf(at, "\\x%02x", (unsigned char)text[i]);
		i += n ? n : 1;
	}
	*at = 0;
	return to;
}

void json_add_text(struct json_object *object, const char *key, const char *text)
{
	char *cleaned = clean(text, strlen(text));

	json_add_string(object, key, cleaned);
	free(cleaned);
}

char *task_strings(struct guest *guest, const struct scry_linux_task *task, bool env, int64_t *len)
{
	int64_t (*get)(struct scry_linux *, const struct scry_linux_task *, char *, size_t) =
		env ? scry_linux_environ : scry_linux_cmdline;
	char *buf;

	*len = get(guest->os, task, NULL, 0);
	if (*len <= 0 || *len > STRINGS_MOST)
		return NULL;
	buf = checked(malloc((size_t)*len));
	if (get(guest->os, task, buf, (size_t)*len) >= 0)
		return buf;
	free(buf);
	return NULL;
}

/* Kernel threads, and what has no command line, by their name: as ps(1) does. */
char *task_command(struct guest *guest, const struct scry_linux_task *task)
{
	char name[sizeof(task->comm) + 2], *strings, *text;
	int64_t len;

	strings = task_strings(guest, task, false, &len);
	if (!strings || !strings[0]) {
		free(strings);
		snprintf(name, sizeof(name), "[%s]", task->comm);
		return clean(name, sizeof(name));
	}
	while (len && !strings[len - 1])
		len--;
	for (int64_t i = 0; i < len; i++)
		if (!strings[i])
			strings[i] = ' ';
	text = clean(strings, (size_t)len);
	free(strings);
	return text;
}

struct json_object *strings_json(const char *strings, int64_t len)
{
	struct json_object *array = checked(json_object_new_array());

	for (int64_t at = 0; strings && at < len;) {
		size_t n = strnlen(strings + at, (size_t)(len - at));
		char *text = clean(strings + at, n);

		json_object_array_add(array, checked(json_object_new_string(text)));
		free(text);
		at += (int64_t)n + 1;
	}
	return array;
}
