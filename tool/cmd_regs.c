/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/command.h"
#include "common/msrname.h"
#include "common/output.h"
#include "common/parse.h"
#include "common/regfield.h"
#include "common/regprint.h"
#include "common/target.h"

#define MAX_WANTED 64

enum { KEY_SET = KEY_FIRST_OWN, KEY_MSR };

struct msr_wanted {
	uint32_t index;
	bool set;
	uint64_t value;
};

/* What one call asks for. */
struct request {
	unsigned vcpu;
	bool all, json;
	struct {
		struct reg_field field;
		uint64_t value;
	} set[MAX_WANTED];
	size_t set_count;
	struct msr_wanted msr[MAX_WANTED];
	size_t msr_count;
	const char *names[MAX_WANTED];		/* of the registers to show */
	struct reg_field fields[MAX_WANTED];
	size_t field_count;
};

/* The text of "NAME=VALUE" cut at its '='; *value is set if there is one. */
static const char *split(struct args *args, const char *text, char name[32], uint64_t *value)
{
	const char *equals = strchr(text, '=');

	if (snprintf(name, 32, "%.*s", equals ? (int)(equals - text) : 32, text) > 31)
		usage_error(args, "'%s' is too long", text);
	if (equals)
		*value = number_arg(args, "value", equals + 1);
	return equals;
}

static struct reg_field field_arg(struct args *args, const char *name)
{
	struct reg_field field;

	if (!parse_reg_field(name, &field))
		usage_error(args, "there is no register '%s'", name);
	return field;
}

static void add_set(struct args *args, struct request *r, const char *text)
{
	struct scry_regs scratch;
	char name[32];
	uint64_t value;

	if (r->set_count == MAX_WANTED)
		usage_error(args, "at most %d registers can be set at once", MAX_WANTED);
	if (!split(args, text, name, &value))
		usage_error(args, "'%s' gives no value: use REG=VALUE", text);
	r->set[r->set_count].field = field_arg(args, name);
	r->set[r->set_count].value = value;
	if (!reg_field_set(&scratch, r->set[r->set_count++].field, value))
		usage_error(args, "0x%" PRIx64 " is too wide for %s", value, name);
}

static void add_msr(struct args *args, struct request *r, const char *text)
{
	struct msr_wanted *msr = &r->msr[r->msr_count];
	char name[32];

	if (!strcmp(text, "help")) {
		print_msr_names();
		exit(fflush(stdout) ? fail("cannot write the names") : EXIT_SUCCESS);
	}
	if (r->msr_count++ == MAX_WANTED)
		usage_error(args, "at most %d MSRs can be named at once", MAX_WANTED);
	msr->set = split(args, text, name, &msr->value);
	if (!parse_msr(name, &msr->index))
		usage_error(args, "there is no MSR '%s': give an index like 0xc0000080, or a name "
				  "that '--msr help' lists", name);
}

static void add_name(struct args *args, struct request *r, const char *name)
{
	if (r->field_count == MAX_WANTED)
		usage_error(args, "at most %d registers can be named at once", MAX_WANTED);
	r->names[r->field_count] = name;
	r->fields[r->field_count++] = field_arg(args, name);
}

/* Returns the VM's name. */
static const char *parse(struct args *args, struct request *r)
{
	const char *uri, *word;
	int key;

	while ((key = next_option(args)) >= 0) {
		if (key == KEY_VCPU)
			r->vcpu = vcpu_arg(args, optarg);
		else if (key == 'a')
			r->all = true;
		else if (key == KEY_JSON)
			r->json = true;
		else if (key == KEY_SET)
			add_set(args, r, optarg);
		else
			add_msr(args, r, optarg);
	}
	uri = next_word(args, "VM");
	while ((word = next_word_or_null(args))) {
		/* --set takes all that look like it: --set rax=1 rbx=2 */
		if (r->set_count && strchr(word, '='))
			add_set(args, r, word);
		else
			add_name(args, r, word);
	}
	if (r->all && r->field_count)
		usage_error(args, "--all shows every register: name none");
	if (r->set_count && (r->msr_count || r->all || r->json || r->field_count))
		usage_error(args, "--set only writes: show registers, and use --msr, in another "
				  "call");
	return uri;
}

/* Its vCPU, or where that cannot be alone, the VM: stopped or let go on. */
static int hold(struct scry_vm *vm, unsigned vcpu, bool on)
{
	if (scry_cap(vm, SCRY_CAP_VCPU_PAUSE, NULL) == 1)
		return on ? scry_vcpu_pause(vm, vcpu) : scry_vcpu_resume(vm, vcpu);
	return on ? scry_pause(vm) : scry_resume(vm);
}

static int set_regs(struct scry_vm *vm, const struct request *r)
{
	struct scry_regs regs;
	uint64_t mask = 0;
	int ret;

	/* Held, so that the parts of a segment that are not set stay as they are. */
	if (hold(vm, r->vcpu, true) < 0)
		return fail_lib();
	ret = scry_regs_get(vm, r->vcpu, &regs);
	for (size_t i = 0; i < r->set_count; i++) {
		reg_field_set(&regs, r->set[i].field, r->set[i].value);
		mask |= SCRY_REG_BIT(r->set[i].field.reg);
	}
	if (ret >= 0)
		ret = scry_regs_set(vm, r->vcpu, &regs, mask);
	if (ret < 0)
		fail_lib();
	if (hold(vm, r->vcpu, false) < 0 && ret >= 0)
		return fail_lib();
	return ret < 0 ? EXIT_FAILURE : 0;
}

/* Set those that are to be set, and print the others; into json if that is not NULL. */
static int do_msrs(struct scry_vm *vm, const struct request *r, struct json_object *json)
{
	for (size_t i = 0; i < r->msr_count; i++) {
		const struct msr_wanted *msr = &r->msr[i];
		char name[16];
		uint64_t value;
		int ret;

		ret = msr->set ? scry_msr_set(vm, r->vcpu, msr->index, msr->value) :
				 scry_msr_get(vm, r->vcpu, msr->index, &value);
		if (ret < 0)
			return fail_lib();
		if (msr->set)
			continue;
		snprintf(name, sizeof(name), "0x%" PRIx32, msr->index);
		if (json)
			json_add_hex(json, name, value);
		else
			printf("msr %-10s %016" PRIx64 "  %s\n", name, value,
			       msr_name(msr->index));
	}
	return 0;
}

/* Registers that are shown: those named, or a choice where nothing else is asked. */
static int show_regs(struct scry_vm *vm, const struct request *r, struct json_object *json)
{
	struct scry_regs regs;

	if (!r->field_count && !r->all && r->msr_count)
		return 0;
	if (scry_regs_get(vm, r->vcpu, &regs) < 0)
		return fail_lib();
	for (size_t i = 0; i < r->field_count; i++) {
		uint64_t value = reg_field_get(&regs, r->fields[i]);

		if (json)
			json_add_hex(json, r->names[i], value);
		else
			printf("%-10s %016" PRIx64 "\n", r->names[i], value);
	}
	if (r->field_count)
		return 0;
	if (json)
		regs_json(json, &regs);
	else
		regs_print(&regs, r->all);
	return 0;
}

static int show_json(struct scry_vm *vm, const struct request *r)
{
	struct json_object *o = checked(json_object_new_object()), *msrs;
	int ret;

	json_add_number(o, "vcpu", r->vcpu);
	ret = show_regs(vm, r, o);
	if (!ret && r->msr_count) {
		msrs = checked(json_object_new_object());
		json_add(o, "msr", msrs);
		ret = do_msrs(vm, r, msrs);
	}
	if (ret)
		json_object_put(o);
	else
		json_print(o);
	return ret;
}

static int regs(struct args *args)
{
	struct request r = { 0 };
	const char *uri = parse(args, &r);
	struct scry_vm *vm;
	int ret;

	if (open_vm(uri, &vm))
		return EXIT_FAILURE;
	if (r.set_count)
		ret = set_regs(vm, &r);
	else if (r.json)
		ret = show_json(vm, &r);
	else
		ret = show_regs(vm, &r, NULL) || do_msrs(vm, &r, NULL);
	scry_close(vm);
	return ret;
}

const struct command cmd_regs = {
	.name = "regs",
	.summary = "read and write a vCPU's registers and MSRs",
	.usage = "[--vcpu N] [--all] [--json] VM [REG...]\n"
		 "[--vcpu N] VM --set REG=VALUE...\n"
		 "[--vcpu N] VM --msr MSR[=VALUE]...",
	.about = "Shows the registers of one vCPU, or those named. REG is a register (rax,\n"
		 "rip, cr3, dr7, efer, ...) or a part of one: fs.base, cs.limit, ss.attr,\n"
		 "gdtr.limit. MSR is an index or a common name (lstar): '--msr help' lists\n"
		 "them. The vCPU may be running: it is stopped for a moment.",
	.opts = (const struct opt[]){
		OPT_VCPU,
		{ 'a', "all", NULL, "segments, tables and debug registers, too" },
		{ KEY_SET, "set", "REG=VALUE", "write a register; more may follow" },
		{ KEY_MSR, "msr", "MSR[=VALUE]", "read, or write, an MSR; repeatable" },
		OPT_JSON,
		{ 0 },
	},
	.example = "scry regs web --vcpu 1 rip rsp cr3\n"
		   "scry regs web --set rax=0x1 rbx=2\n"
		   "scry regs web --msr 0xc0000082 --msr efer",
	.run = regs,
};
