/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/guest.h"
#include "common/parse.h"

enum { KEY_THREADS = KEY_FIRST_OWN, KEY_ENV };

struct ps {
	struct guest guest;
	bool json, threads, env;
	int32_t pid;			/* 0 = all */
	size_t shown;
	struct listing list;
};

/* "1:02:03.04" since boot. */
static const char *format_time(char *buf, size_t size, uint64_t ns)
{
	uint64_t centi = ns / 10000000;

	snprintf(buf, size, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%02" PRIu64, centi / 360000,
		 centi / 6000 % 60, centi / 100 % 60, centi % 100);
	return buf;
}

static void add_row(struct ps *ps, const struct scry_linux_task *task)
{
	char pid[16], tgid[16], ppid[16], uid[16], threads[16], rss[24], start[32];
	char state[2] = { task->state, 0 }, *command = task_command(&ps->guest, task);

	snprintf(pid, sizeof(pid), "%d", task->pid);
	snprintf(tgid, sizeof(tgid), "%d", task->tgid);
	snprintf(ppid, sizeof(ppid), "%d", task->ppid);
	snprintf(uid, sizeof(uid), "%u", task->uid);
	snprintf(threads, sizeof(threads), "%u", task->threads);
	format_size(rss, sizeof(rss), task->rss);
	table_row(ps->list.table, tgid, ps->threads ? pid : ppid, uid, state, threads,
		  task->kernel ? "" : rss, format_time(start, sizeof(start), task->start_ns), command);
	free(command);
}

static void add_json(struct ps *ps, const struct scry_linux_task *task)
{
	struct json_object *o = checked(json_object_new_object());
	int64_t len;
	char *strings = task_strings(&ps->guest, task, false, &len);
	char state[2] = { task->state, 0 }, exe[SCRY_LINUX_PATH];

	json_add_number(o, "pid", (uint64_t)task->tgid);
	json_add_number(o, "tid", (uint64_t)task->pid);
	json_add_number(o, "ppid", (uint64_t)task->ppid);
	json_add_number(o, "uid", task->uid);
	json_add_number(o, "gid", task->gid);
	json_add_string(o, "state", state);
	json_add_text(o, "comm", task->comm);
	json_add(o, "kernel", json_object_new_boolean(task->kernel));
	json_add_number(o, "threads", task->threads);
	json_add_number(o, "vsize", task->vsize);
	json_add_number(o, "rss", task->rss);
	json_add_number(o, "start_ns", task->start_ns);
	json_add_hex(o, "task", task->address);
	json_add_hex(o, "mm", task->mm);
	json_add_hex(o, "cr3", task->cr3);
	json_add_text(o, "exe", scry_linux_exe(ps->guest.os, task, exe, sizeof(exe)) < 0 ? "" : exe);
	json_add(o, "args", strings_json(strings, len));
	free(strings);
	if (ps->env) {
		strings = task_strings(&ps->guest, task, true, &len);
		json_add(o, "env", strings_json(strings, len));
		free(strings);
	}
	json_object_array_add(ps->list.array, o);
}

static int on_task(const struct scry_linux_task *task, void *opaque)
{
	struct ps *ps = opaque;

	if (ps->pid && task->tgid != ps->pid && task->pid != ps->pid)
		return 0;
	ps->shown++;
	if (ps->json)
		add_json(ps, task);
	else
		add_row(ps, task);
	return 0;
}

static int show(struct ps *ps)
{
	const struct column columns[] = {
		{ "PID", true }, { ps->threads ? "TID" : "PPID", true }, { "UID", true },
		{ "S", false }, { "THREADS", true }, { "RSS", true }, { "START", true },
		{ "COMMAND", false },
	};
	int ret;

	listing_begin(&ps->list, ps->json, columns, 8);
	ret = scry_linux_tasks(ps->guest.os, ps->threads ? SCRY_LINUX_THREADS : 0, on_task, ps);
	guest_release(&ps->guest);
	ret = listing_end(&ps->list, ret, NULL);
	return ret || !ps->pid || ps->shown ? ret : fail("the guest has no process %d", ps->pid);
}

static int run(struct args *args)
{
	struct ps ps = { 0 };
	const char *uri, *word;
	int key, ret;

	while ((key = next_option(args)) >= 0) {
		ps.json |= key == KEY_JSON || key == KEY_ENV;
		ps.env |= key == KEY_ENV;
		ps.threads |= key == KEY_THREADS;
	}
	uri = next_word(args, "VM");
	word = next_word_or_null(args);
	if (word)
		ps.pid = pid_arg(args, word);
	no_more_words(args);
	if (guest_open(&ps.guest, uri))
		return EXIT_FAILURE;
	ret = show(&ps);
	guest_close(&ps.guest);
	return ret;
}

const struct command cmd_ps = {
	.name = "ps",
	.summary = "processes of a Linux guest, read from its memory",
	.usage = "[OPTIONS] VM [PID]",
	.about = "Lists the processes of a Linux guest: PID, parent, user, state, threads, memory,\n"
		 "when it began after boot, and its command line ([name] where it has none). All\n"
		 "is read from guest memory; the VM is held for the moment of the look.",
	.opts = (const struct opt[]){
		{ KEY_THREADS, "threads", NULL, "each thread" },
		{ KEY_ENV, "env", NULL, "JSON with the environment, too" },
		OPT_JSON, { 0 } },
	.example = "scry ps web\n"
		   "scry ps web --json | jq -r '.[] | select(.uid == 33) | .pid'",
	.run = run,
};
