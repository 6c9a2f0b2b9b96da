/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/agentpath.h"
#include "common/command.h"
#include "common/parse.h"
#include "common/qemuargs.h"
#include "common/target.h"
#include "common/words.h"

#define DEFAULT_QEMU "qemu-system-x86_64"
#define LONGEST_NAME 63
#define MOST_VCPUS 64	/* that the agent takes */

enum { KEY_NAME = KEY_FIRST_OWN, KEY_QEMU, KEY_KERNEL, KEY_INITRD, KEY_APPEND, KEY_DISK, KEY_SMP,
       KEY_ACCEL, KEY_KVMI, KEY_DRY_RUN };

struct request {
	const char *name, *qemu, *kernel, *initrd, *append, *disk, *memory, *smp, *accel, *kvmi;
	bool dry_run;
	char **words;		/* the user's own, behind "--" */
	size_t word_count;
};

static void take_option(struct request *r, int key)
{
	const char **const where[] = {
		[KEY_NAME] = &r->name,	   [KEY_QEMU] = &r->qemu,     [KEY_KERNEL] = &r->kernel,
		[KEY_INITRD] = &r->initrd, [KEY_APPEND] = &r->append, [KEY_DISK] = &r->disk,
		[KEY_SMP] = &r->smp,	   [KEY_ACCEL] = &r->accel,   [KEY_KVMI] = &r->kvmi,
	};

	if (key == KEY_DRY_RUN)
		r->dry_run = true;
	else if (key == 'm')
		r->memory = optarg;
	else
		*where[key] = optarg;
}

/* The name becomes a file's name, and a word on command lines. */
static void check_name(struct args *args, const char *name)
{
	bool number = true;

	for (const char *c = name; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			usage_error(args, "'%s' is no name: use letters, digits, '.', '_' and '-'",
				    name);
		number = number && isdigit((unsigned char)*c);
	}
	if (!name[0] || name[0] == '.' || name[0] == '-' || strlen(name) > LONGEST_NAME)
		usage_error(args, "'%s' is no name: use 1 to %d characters, the first a letter or "
				  "a digit", name, LONGEST_NAME);
	if (number)
		usage_error(args, "'%s' is no name: a number would be taken for a PID", name);
}

/* QEMU would take an empty name for none, and start something else. */
static void check_file(struct args *args, const char *option, const char *path)
{
	struct stat st;

	if (!path)
		return;
	if (!path[0])
		usage_error(args, "--%s names no file", option);
	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		usage_error(args, "cannot read the file of --%s, '%s': %s", option, path,
			    strerror(errno));
	if (S_ISDIR(st.st_mode))
		usage_error(args, "--%s names a folder, '%s': a file is needed", option, path);
}

static void check_machine(struct args *args, const struct request *r)
{
	uint64_t ram = 1, vcpus;

	if (r->memory && (!r->memory[0] || !qemu_ram_parse(r->memory, &ram) || !ram))
		usage_error(args, "'%s' is no size of RAM: use forms like 256, 512M, 2G", r->memory);
	if (r->smp && (!parse_u64(r->smp, &vcpus) || !vcpus || vcpus > MOST_VCPUS))
		usage_error(args, "'%s' is no number of vCPUs: use 1 to %d", r->smp, MOST_VCPUS);
	if (r->accel && !qemu_accel_known(r->accel))
		usage_error(args, "'%s' is no accelerator that scry can look into: use tcg or kvm",
			    r->accel);
	if (r->kvmi && (!r->kvmi[0] || r->kvmi[0] == ','))
		usage_error(args, "--kvmi names no socket");
	if (r->qemu && !r->qemu[0])
		usage_error(args, "--qemu names no binary");
	check_file(args, "kernel", r->kernel);
	check_file(args, "initrd", r->initrd);
	check_file(args, "disk", r->disk);
}

static void parse(struct args *args, struct request *r)
{
	int key;

	while ((key = next_option(args)) >= 0)
		take_option(r, key);
	r->words = args->argv + args->next;
	r->word_count = (size_t)(args->argc - args->next);
	if (r->word_count && strcmp(args->argv[args->next - 1], "--"))
		usage_error(args, "'%s' is no option of scry: QEMU's own go behind --",
			    r->words[0]);
	if (r->word_count && r->words[0][0] != '-') {
		if (r->qemu)
			usage_error(args, "the QEMU binary is given twice: '%s' and '%s'", r->qemu,
				    r->words[0]);
		r->qemu = r->words[0];
		r->words++;
		r->word_count--;
	} else if (!r->kernel && !r->disk && !r->word_count) {
		usage_error(args, "nothing to run: give --kernel, --disk, or QEMU's own arguments "
				  "behind --");
	}
	if (!r->kernel && (r->initrd || r->append))
		usage_error(args, "--initrd and --append go with --kernel");
	if (r->name)
		check_name(args, r->name);
	check_machine(args, r);
}

/* In QEMU's options a comma ends a value unless it is doubled. */
static char *doubled_commas(const char *text)
{
	char *out = checked(malloc(2 * strlen(text) + 1)), *o = out;

	for (; *text; text++) {
		if (*text == ',')
			*o++ = ',';
		*o++ = *text;
	}
	*o = 0;
	return out;
}

static void add_disk(struct words *w, const char *disk)
{
	char *file = doubled_commas(disk);
	size_t len = strlen(disk);
	bool qcow2 = len > 6 && !strcmp(disk + len - 6, ".qcow2");

	/* By the name: the disk's contents are the guest's, and could pretend. */
	words_addf(w, "-drive");
	words_addf(w, "file=%s,format=%s,if=virtio", file, qcow2 ? "qcow2" : "raw");
	free(file);
}

static void add_pair(struct words *w, const char *option, const char *value)
{
	if (!value)
		return;
	words_add(w, option);
	words_add(w, value);
}

/* What the user asked for, in QEMU's words. */
static void add_machine(struct words *w, const struct request *r)
{
	words_add(w, r->qemu ? r->qemu : DEFAULT_QEMU);
	add_pair(w, "-m", r->memory);
	add_pair(w, "-smp", r->smp);
	add_pair(w, "-kernel", r->kernel);
	add_pair(w, "-initrd", r->initrd);
	add_pair(w, "-append", r->append);
	if (r->disk)
		add_disk(w, r->disk);
	for (size_t i = 0; i < r->word_count; i++)
		words_add(w, r->words[i]);
}

/* What lets scry look inside. */
static void add_agent(struct words *w, const struct request *r, const struct qemu_args *qemu,
		      const char *agent)
{
	char *path = doubled_commas(agent);

	words_add(w, "-plugin");
	words_addf(w, "%s%s%s%s%s", path, r->name ? ",name=" : "", r->name ? r->name : "",
		   r->kvmi ? ",kvmi=" : "", r->kvmi ? r->kvmi : "");
	free(path);
	if (!qemu->own_accel)
		add_pair(w, "-accel", r->accel ? r->accel : "tcg");
	if ((r->kernel || r->disk) && !qemu->own_display)
		words_add(w, "-nographic");
	if (qemu->own_backend)
		return;
	words_add(w, "-object");
	words_addf(w, "memory-backend-memfd,id=scry-ram,size=%" PRIu64 ",share=on", qemu->ram);
	add_pair(w, "-machine", "memory-backend=scry-ram");
}

/* Is there anything that makes it pointless to start?  Said, then. */
static int refuse(const struct request *r, const struct qemu_args *qemu)
{
	struct vm_found found;
	int ret;

	if (qemu->accel[0])
		return fail("accelerator '%s' cannot be looked into: use -accel tcg or -accel kvm",
			    qemu->accel);
	if (r->accel && qemu->own_accel)
		return fail("the accelerator is given twice: leave out --accel, or QEMU's own");
	if (qemu->own_agent)
		return fail("these arguments load scry's agent already: run QEMU as it is, or "
			    "leave its -plugin to scry");
	if (qemu->bad_m)
		return fail("'-m %s' is not a size that QEMU takes", qemu->bad_m);
	ret = r->name ? find_vm(r->name, &found) : 0;
	if (ret < 0)
		return fail_lib();
	if (ret)
		return fail("a VM %s runs already (PID %d): choose another --name", r->name,
			    found.pid);
	return 0;
}

/*
 * From the background of a terminal nothing can be typed, and QEMU would be
 * stopped as it sets the terminal up: give it no input, then.
 */
static void leave_terminal(void)
{
	int null;

	if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) == getpgrp())
		return;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
}

static int exec_qemu(const struct words *w)
{
	fflush(stdout);
	leave_terminal();
	execvp(w->v[0], w->v);
	if (errno == ENOENT)
		return fail("there is no %s: 'apt install qemu-system-x86', or name another QEMU",
			    w->v[0]);
	return fail("cannot run %s: %s", w->v[0], strerror(errno));
}

static int start(const struct request *r, struct words *w, const char *agent)
{
	struct qemu_args qemu;

	add_machine(w, r);
	qemu_args_parse(w->v + 1, w->count - 1, &qemu);
	if (refuse(r, &qemu))
		return EXIT_FAILURE;
	add_agent(w, r, &qemu, agent);
	if (r->dry_run) {
		words_print(w);
		return 0;
	}
	if (qemu.own_backend)
		note("guest RAM is left as these arguments configure it; reading it is fastest "
		     "from a memory backend with share=on");
	return exec_qemu(w);
}

static int run(struct args *args)
{
	struct request r = { 0 };
	struct words words = { 0 };
	char *agent;
	int ret;

	parse(args, &r);
	agent = agent_path_checked();
	if (!agent)
		return EXIT_FAILURE;
	ret = start(&r, &words, agent);
	words_free(&words);
	free(agent);
	return ret;
}

const struct command cmd_run = {
	.name = "run",
	.summary = "start QEMU with the agent and with shared RAM",
	.usage = "[--name NAME] [OPTIONS] [-- QEMU-ARGS...]\n"
		 "[--name NAME] -- qemu-system-x86_64 QEMU-ARGS...",
	.about = "Starts QEMU so that scry can look inside, and becomes it: signals, console\n"
		 "and exit status are QEMU's. Around a QEMU command line of your own it adds\n"
		 "scry's agent, TCG and a shared memory backend of the size that -m says, each\n"
		 "unless you chose one. From --kernel or --disk it also adds -nographic,\n"
		 "unless you chose a display: Ctrl-A X then ends QEMU. Without --name the VM has\n"
		 "the name of QEMU's -name, else its PID.",
	.opts = (const struct opt[]){
		{ KEY_NAME, "name", "NAME", "the VM's name for scry" },
		{ KEY_QEMU, "qemu", "BINARY", "the QEMU to run (default: " DEFAULT_QEMU ")" },
		{ KEY_KERNEL, "kernel", "FILE", "boot this Linux kernel" },
		{ KEY_INITRD, "initrd", "FILE", "with this initial RAM disk" },
		{ KEY_APPEND, "append", "TEXT", "and this kernel command line" },
		{ KEY_DISK, "disk", "FILE", "a disk: qcow2 if it is named so, else raw" },
		{ 'm', "memory", "SIZE", "RAM as QEMU's -m (default: 128M)" },
		{ KEY_SMP, "smp", "N", "number of vCPUs" },
		{ KEY_ACCEL, "accel", "ACCEL", "tcg (default) or kvm; see scry-agent(7) on what KVM lacks" },
		{ KEY_KVMI, "kvmi", "PATH[,...]", "serve the KVMI tool that listens at PATH; see scry-agent(7)" },
		{ KEY_DRY_RUN, "dry-run", NULL, "only print the command line" },
		{ 0 },
	},
	.example = "scry run --name test -m 256 --kernel vmlinuz --append console=ttyS0\n"
		   "scry run --name web -- qemu-system-x86_64 -m 2G -smp 2 -drive file=web.qcow2",
	.options_first = true,
	.run = run,
};
