/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <scry/scry.h>

#include "../common/agentpath.h"
#include "../common/child.h"
#include "../common/message.h"
#include "../common/qemuargs.h"
#include "../common/term.h"
#include "../common/words.h"
#include "doctor.h"

#define PATIENCE_NS UINT64_C(15000000000)
#define OUTPUT_SIZE 2048
#define RESET_VECTOR 0xfffffff0u

/* One QEMU that is tried out. */
struct trial {
	struct child child;
	char output[OUTPUT_SIZE];	/* what it has printed */
	char dir[64], uri[128];		/* of the agent's socket */
};

/* Gather what it prints, for at most ms. */
static bool take_output(struct trial *t, int ms)
{
	size_t used = strlen(t->output);
	char rest[512];
	ssize_t n = child_read(&t->child, rest, sizeof(rest) - 1, ms);

	if (n <= 0)
		return n == 0;
	rest[n] = 0;
	snprintf(t->output + used, sizeof(t->output) - used, "%s", rest);
	return true;
}

/* Its first line, or what it said on one line. */
static const char *first_line(struct trial *t)
{
	t->output[strcspn(t->output, "\n")] = 0;
	return t->output;
}

static const char *one_line(struct trial *t)
{
	size_t len = strlen(t->output);

	while (len && t->output[len - 1] == '\n')
		t->output[--len] = 0;
	for (char *c = t->output; *c; c++)
		if (*c == '\n')
			*c = ' ';
	return t->output[0] ? t->output : "it ended without a word";
}

static bool get_version(const char *binary, char *version, size_t size)
{
	char *argv[] = { (char *)binary, (char *)"--version", NULL };
	uint64_t end = now_ns() + PATIENCE_NS;
	struct trial t = { 0 };
	const char *text;

	if (child_start(&t.child, argv, CHILD_NO_INPUT) < 0)
		return false;
	/* Until the end of its output. */
	while (take_output(&t, 5000) && now_ns() < end)
		;
	child_end(&t.child);
	text = strstr(first_line(&t), "version ");
	snprintf(version, size, "%s", text ? text + strlen("version ") : "of unknown version");
	return true;
}

/* Do the user's own arguments say what is to execute the guest? */
static bool names_accelerator(char *const *args)
{
	struct qemu_args found;
	size_t count = 0;

	while (args && args[count])
		count++;
	qemu_args_parse(args, count, &found);
	return found.own_accel;
}

static void trial_words(const struct trial *t, struct words *w, const char *binary,
			const char *agent, char *const *args)
{
	words_add(w, binary);
	words_add(w, "-nodefaults");
	words_add(w, "-display");
	words_add(w, "none");
	words_add(w, "-m");
	words_add(w, "16");
	if (!names_accelerator(args)) {
		words_add(w, "-accel");
		words_add(w, "tcg");
	}
	words_add(w, "-object");
	words_add(w, "memory-backend-memfd,id=scry-ram,size=16M,share=on");
	words_add(w, "-machine");
	words_add(w, "pc,memory-backend=scry-ram");
	words_add(w, "-plugin");
	words_addf(w, "%s,name=doctor,socket=%s/agent.sock", agent, t->dir);
	for (; args && *args; args++)
		words_add(w, *args);
}

/* A client once the agent answers; NULL if the VM ends before, or takes too long. */
static struct scry_vm *attach(struct trial *t)
{
	uint64_t end = now_ns() + PATIENCE_NS;
	struct scry_vm *vm;

	while (now_ns() < end) {
		if (scry_open(&vm, t->uri, NULL) >= 0)
			return vm;
		take_output(t, 50);
		if (child_ended(&t->child))
			return NULL;
	}
	return NULL;
}

/* Look into it: the library's word on what fails, or NULL. */
static const char *look(struct scry_vm *vm, struct scry_info *info)
{
	struct scry_subscription sub = { .sz = sizeof(sub), .kind = SCRY_EVENT_CPUID };
	struct scry_regs regs;
	uint64_t code;

	if (scry_info(vm, info) < 0 || scry_regs_get(vm, 0, &regs) < 0 ||
	    (scry_cap(vm, SCRY_CAP_EVENT_CPUID, NULL) && scry_subscribe(vm, &sub) < 0) ||
	    scry_read_phys_u64(vm, RESET_VECTOR, &code) < 0)
		return scry_errmsg();
	return NULL;
}

static bool report(struct findings *f, struct trial *t, const char *what)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct scry_vm *vm = attach(t);
	bool works = false;

	if (vm) {
		const char *failure = look(vm, &info);

		works = !failure;
		if (works)
			finding(f, FINDING_OK, what, NULL, "its VMs can be looked into: %s",
				info.hypervisor);
		else
			finding(f, FINDING_BAD, what, NULL, "the agent runs in it, but: %s",
				failure);
		scry_close(vm);
	} else if (!child_ended(&t->child)) {
		finding(f, FINDING_BAD, what, NULL, "the agent did not answer: %s", scry_errmsg());
	} else {
		take_output(t, 0);
		/* QEMU's own words for an option it was built without. */
		finding(f, FINDING_BAD, what, strstr(t->output, "-plugin: invalid option") ?
			"apt install qemu-system-x86" : NULL, "%s", one_line(t));
	}
	return works;
}

static bool try_out(struct findings *f, const char *what, const char *binary, char *const *args)
{
	struct trial t = { .dir = "/tmp/scry-doctor.XXXXXX" };
	char *agent = agent_path(), socket[96];
	struct words words = { 0 };
	bool works = false;
	int ret;

	if (!mkdtemp(t.dir)) {
		finding(f, FINDING_BAD, what, NULL, "cannot make a folder in /tmp to try it out");
		free(agent);
		return false;
	}
	snprintf(socket, sizeof(socket), "%s/agent.sock", t.dir);
	snprintf(t.uri, sizeof(t.uri), "qemu:%s", socket);
	trial_words(&t, &words, binary, agent, args);
	ret = child_start(&t.child, words.v, CHILD_NO_INPUT);
	if (ret < 0)
		finding(f, FINDING_BAD, what, NULL, "cannot be run: %s", strerror(-ret));
	else
		works = report(f, &t, what);
	child_end(&t.child);
	unlink(socket);
	rmdir(t.dir);
	words_free(&words);
	free(agent);
	return works;
}

bool doctor_qemu(struct findings *f, const char *binary, char *const *args)
{
	char version[96], what[224];

	if (!get_version(binary, version, sizeof(version))) {
		finding(f, FINDING_BAD, "QEMU", strchr(binary, '/') ? NULL :
			"apt install qemu-system-x86", "there is no %s that can be run", binary);
		return false;
	}
	snprintf(what, sizeof(what), "QEMU %s", version);
	return try_out(f, what, binary, args);
}
