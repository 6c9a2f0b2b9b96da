/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/attach.h"
#include "common/agentpath.h"
#include "common/command.h"
#include "common/output.h"
#include "common/target.h"
#include "protocol/rundir.h"

enum { KEY_NAME = KEY_FIRST_OWN };

struct request {
	pid_t pid;
	const char *name;
	bool json;
};

/* Is there an agent in it already?  Then that is said. */
static int check_free(const struct request *r)
{
	struct vm_found found;
	char word[16];

	snprintf(word, sizeof(word), "%d", (int)r->pid);
	if (find_vm(word, &found) == 1)
		return fail("process %s has the agent already: it is VM %s", word, found.name);
	if (r->name && find_vm(r->name, &found) == 1)
		return fail("a VM %s runs already (PID %d): choose another --name", r->name, found.pid);
	return 0;
}

/* Where this user's other VMs are, unless QEMU is another user's. */
static void write_options(const struct request *r, const struct process *p, char *text, size_t size)
{
	char folder[300];
	bool ours = process_uid(p) == geteuid() && scry_rundir(folder, sizeof(folder)) > 0;

	snprintf(text, size, "%s%s%s%s%s", r->name ? "name=" : "", r->name ? r->name : "",
		 r->name && ours ? "\n" : "", ours ? "folder=" : "", ours ? folder : "");
}

static void show(const struct request *r, const struct process *p,
		 const struct scry_attach_result *is)
{
	char folder[300] = "", path[400], uri[200];
	struct json_object *vm;

	scry_rundir(folder, sizeof(folder));
	snprintf(path, sizeof(path), "%s/%s.sock", folder, is->name);
	snprintf(uri, sizeof(uri), "qemu:%s", strcmp(path, is->socket) ? is->socket : is->name);
	if (!r->json) {
		printf("%s\n", uri);
		return;
	}
	vm = checked(json_object_new_object());
	json_add_string(vm, "uri", uri);
	json_add_string(vm, "name", is->name);
	json_add_number(vm, "pid", (uint64_t)p->pid);
	json_print(vm);
}

static int put_in(const struct request *r, const struct process *p, const char *agent)
{
	struct scry_attach_result result;
	uint64_t address = 0;
	char options[600];
	int ret;

	write_options(r, p, options, sizeof(options));
	ret = process_sees(p, agent);
	ret = ret ? ret : inject(p, agent, options, &address);
	ret = ret ? ret : attach_wait(p, address, &result);
	if (!ret)
		show(r, p, &result);
	return ret;
}

static int attach(struct args *args)
{
	struct request r = { 0 };
	struct process p;
	char *agent, *real;
	int key, ret;

	while ((key = next_option(args)) >= 0) {
		if (key == KEY_NAME)
			r.name = name_arg(args, "name", optarg);
		else
			r.json = true;
	}
	if (r.name && strchr(r.name, '\n'))
		usage_error(args, "a VM's name is one line");
	r.pid = pid_arg(args, next_word(args, "PID"));
	no_more_words(args);
	agent = agent_path_checked();
	if (!agent)
		return EXIT_FAILURE;
	real = checked(realpath(agent, NULL));
	ret = check_free(&r);
	if (!ret) {
		ret = process_open(&p, r.pid);
		ret = ret ? ret : put_in(&r, &p, real);
		process_close(&p);
	}
	free(agent);
	free(real);
	return ret;
}

const struct command cmd_attach = {
	.name = "attach",
	.summary = "put the agent into a QEMU that runs already under KVM",
	.usage = "[--name NAME] [--json] PID",
	.about = "Loads scry's agent into the QEMU with this PID, which was started without it,\n"
		 "and prints the VM's name for the other commands. The guest runs on meanwhile.\n"
		 "'scry detach' takes it out again. Into a QEMU that runs under TCG the agent\n"
		 "must be loaded when it starts: see 'scry run'.",
	.opts = (const struct opt[]){
		{ KEY_NAME, "name", "NAME", "the VM's name for scry (default: that of QEMU's -name, or PID)" },
		OPT_JSON, { 0 },
	},
	.example = "scry attach $(pgrep -n qemu-system)",
	.run = attach,
};
