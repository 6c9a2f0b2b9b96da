/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include "trace.h"

const char *systrace_name(const struct systrace *t, bool i386, uint32_t number, char buf[32])
{
	const char *name = i386 ? syscall_i386_name(number) :
			   number < SYSCALLS_KNOWN ? t->name_of[number] : NULL;

	if (name)
		return name;
	snprintf(buf, 32, "syscall_%" PRIu32, number);
	return buf;
}

static void show_json(struct systrace *t, const struct syscall *call, const char *name)
{
	double seconds = (double)(call->time_ns - t->began) / 1e9;
	struct json_object *o = checked(json_object_new_object());
	char result[64];

	snprintf(result, sizeof(result), "%.9f", seconds);
	json_add(o, "time", checked(json_object_new_double_s(seconds, result)));
	json_add_number(o, "pid", (uint64_t)call->who.tgid);
	json_add_number(o, "tid", (uint64_t)call->who.pid);
	json_add_text(o, "comm", call->who.comm);
	json_add_number(o, "number", call->number);
	if (call->i386)
		json_add_string(o, "abi", "i386");
	json_add_string(o, "name", name);
	json_add_string(o, "args", call->text);
	if (call->returned) {
		json_add(o, "result", checked(json_object_new_int64(call->result)));
		syscall_result(call, result, sizeof(result));
		if (syscall_failed(call))
			json_add_string(o, "error", result);
		if (syscall_restart(call))
			json_add_string(o, "restart", syscall_restart(call));
	}
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void show_text(struct systrace *t, const struct syscall *call, const char *name)
{
	char *comm = clean(call->who.comm, sizeof(call->who.comm)), result[64];
	uint64_t ns = call->time_ns - t->began;

	syscall_result(call, result, sizeof(result));
	printf("%5" PRIu64 ".%06" PRIu64 " %6d %-15s  %s%s%s(%s) = %s%s%s\n", ns / 1000000000,
	       ns / 1000 % 1000000, call->who.tgid, comm, colour(CYAN), name, colour(PLAIN),
	       call->text, syscall_failed(call) ? colour(RED) : "", result, colour(PLAIN));
	free(comm);
}

void systrace_show(struct systrace *t, const struct syscall *call)
{
	uint32_t i = call->number < SYSCALLS_KNOWN ? call->number : SYSCALLS_KNOWN;
	char buf[32];

	if (t->failed && !syscall_failed(call))
		return;
	t->shown++;
	t->calls[call->i386][i]++;
	t->errors[call->i386][i] += syscall_failed(call);
	if (t->stat)
		return;
	if (t->json)
		show_json(t, call, systrace_name_of(t, call, buf));
	else
		show_text(t, call, systrace_name_of(t, call, buf));
}

/* One number's; a name is met twice where 32-bit programs make the call, too. */
static void sum_row(const struct systrace *t, struct listing *list, bool i386, uint32_t number)
{
	uint64_t calls = t->calls[i386][number], errors = t->errors[i386][number];
	char buf[32], cells[3][48];
	const char *name = number == SYSCALLS_KNOWN ? "others" : systrace_name(t, i386, number, buf);
	struct json_object *o;

	if (list->table) {
		snprintf(cells[0], sizeof(cells[0]), "%s%s", name, i386 ? " (i386)" : "");
		snprintf(cells[1], sizeof(cells[1]), "%" PRIu64, calls);
		snprintf(cells[2], sizeof(cells[2]), "%" PRIu64, errors);
		table_row(list->table, cells[0], cells[1], errors ? cells[2] : "");
		return;
	}
	o = checked(json_object_new_object());
	if (i386)
		json_add_string(o, "abi", "i386");
	json_add_string(o, "name", name);
	json_add_number(o, "calls", calls);
	json_add_number(o, "errors", errors);
	json_object_array_add(list->array, o);
}

static void sum_table(const struct systrace *t)
{
	static const struct column columns[] = {
		{ "CALL", false }, { "COUNT", true }, { "ERRORS", true },
	};
	struct listing list;

	listing_begin(&list, t->json, columns, 3);
	for (int i386 = 0; i386 < 2; i386++)
		for (uint32_t i = 0; i <= SYSCALLS_KNOWN; i++)
			if (t->calls[i386][i])
				sum_row(t, &list, i386, i);
	listing_end(&list, 0, NULL);
}

/* What was not shown is told, so that nobody takes it for what did not happen. */
void systrace_sum(struct systrace *t)
{
	if (t->stat)
		sum_table(t);
	if (t->pending_count)
		note("calls that had not returned yet, and are not shown: %zu", t->pending_count);
	if (t->lost)
		note("calls that are lost, as the caller or its registers could not be read: %" PRIu64,
		     t->lost);
}
