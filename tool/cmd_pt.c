/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <string.h>

#include "common/command.h"
#include "common/parse.h"
#include "common/target.h"
#include "pt/pt.h"

enum { KEY_FOR = KEY_FIRST_OWN, KEY_KERNEL, KEY_USER, KEY_RANGE, KEY_RING, KEY_INSNS };

struct pt_args {
	struct pt_record record;
	struct pt_decode decode;
};

/* An option was given that only one of the two takes. */
static void only_for(struct args *args, const char *word, const char *mine)
{
	if (strcmp(word, mine))
		usage_error(args, "that option goes with scry pt %s", mine);
}

static void range_arg(struct args *args, const char *text, struct scry_pt_opts *opts)
{
	if (!parse_range(text, &opts->first, &opts->last))
		usage_error(args, "'%s' is no range: use FIRST-LAST", text);
	opts->flags |= SCRY_PT_RANGE;
}

static void ring_arg(struct args *args, const char *text, struct scry_pt_opts *opts)
{
	uint64_t size;

	if (!parse_size(text, &size) || size < SCRY_PT_RING_LEAST || size > SCRY_PT_RING_MOST ||
	    size & (size - 1))
		usage_error(args, "'%s' is no size of a ring: use a power of two from 64k to 1G", text);
	opts->ring = size;
}

static void record_option(struct args *args, int key, struct pt_record *r)
{
	switch (key) {
	case KEY_VCPU:
		r->opts.vcpus |= vcpu_bit(args, optarg);
		break;
	case KEY_CR3:
		r->opts.cr3 = number_arg(args, "CR3", optarg);
		r->opts.flags |= SCRY_PT_CR3;
		break;
	case KEY_KERNEL:
		r->opts.flags |= SCRY_PT_KERNEL;
		break;
	case KEY_USER:
		r->opts.flags |= SCRY_PT_USER;
		break;
	case KEY_RANGE:
		range_arg(args, optarg, &r->opts);
		break;
	case KEY_RING:
		ring_arg(args, optarg, &r->opts);
		break;
	case KEY_FOR:
		r->ms = seconds_arg(args, optarg);
		break;
	default:
		r->file = optarg;
	}
}

static void parse_options(struct args *args, struct pt_args *p, bool *records, bool *decodes)
{
	int key;

	while ((key = next_option(args)) >= 0) {
		if (key == KEY_INSNS || key == KEY_JSON) {
			*decodes = true;
			p->decode.insns |= key == KEY_INSNS;
			p->decode.json |= key == KEY_JSON;
		} else {
			*records = true;
			record_option(args, key, &p->record);
		}
	}
}

static int record(struct args *args, struct pt_args *p)
{
	const char *uri = next_word(args, "VM");
	struct scry_vm *vm;
	int ret;

	no_more_words(args);
	if (!p->record.file)
		usage_error(args, "nowhere to record to: name a file with -o");
	if (!strcmp(p->record.file, "-"))
		usage_error(args, "it writes a file for each vCPU: give -o a name that they begin with");
	if (open_vm(uri, &vm))
		return EXIT_FAILURE;
	ret = pt_record(vm, &p->record);
	scry_close(vm);
	return ret;
}

static int decode(struct args *args, struct pt_args *p)
{
	const char *uri = next_word(args, "VM");
	struct scry_vm *vm;
	int ret;

	p->decode.file = next_word(args, "FILE");
	no_more_words(args);
	if (open_vm(uri, &vm))
		return EXIT_FAILURE;
	ret = pt_decode(vm, &p->decode);
	scry_close(vm);
	return ret;
}

static int pt(struct args *args)
{
	struct pt_args p = { .record.opts.sz = sizeof(p.record.opts) };
	bool records = false, decodes = false;
	const char *word;

	parse_options(args, &p, &records, &decodes);
	word = next_word(args, "'record' or 'decode'");
	if (records)
		only_for(args, word, "record");
	if (decodes)
		only_for(args, word, "decode");
	if (!strcmp(word, "record"))
		return record(args, &p);
	if (!strcmp(word, "decode"))
		return decode(args, &p);
	usage_error(args, "'%s' is neither record nor decode", word);
}

const struct command cmd_pt = {
	.name = "pt",
	.summary = "Intel PT packets of what the vCPUs execute: record, decode",
	.usage = "record [OPTIONS] -o FILE VM\n"
		 "decode [--insns] [--json] VM FILE",
	.about = "record writes the packets of each vCPU to FILE.cpuN, until Ctrl-C, for SECONDS\n"
		 "or to the VM's end; the guest never waits, and packets that came too fast are\n"
		 "lost, which the trace tells. decode shows the path that they describe, in runs\n"
		 "of instructions, with the guest's memory as it is now.",
	.opts = (const struct opt[]){
		{ 'o', "output", "FILE", "record: the files are FILE.cpu0 and so on" },
		{ KEY_FOR, "for", "SECONDS", "record: end after that time" },
		{ KEY_VCPU, "vcpu", "N", "record: only this vCPU; more than once for several" },
		{ KEY_CR3, "cr3", "ROOT", "record: only this address space" },
		{ KEY_USER, "user", NULL, "record: only CPL 3" },
		{ KEY_KERNEL, "kernel", NULL, "record: only CPL 0 to 2" },
		{ KEY_RANGE, "range", "FIRST-LAST", "record: only code here, by the translator's blocks" },
		{ KEY_RING, "ring", "SIZE", "record: of the buffer for each vCPU (default: 4M)" },
		{ KEY_INSNS, "insns", NULL, "decode: each instruction, disassembled" },
		{ KEY_JSON, "json", NULL, "decode: one line of JSON each" },
		{ 0 },
	},
	.example = "scry pt record --for 1 -o boot web\n"
		   "scry pt record --user --cr3 0x6c10000 -o app web\n"
		   "scry pt decode web boot.cpu0",
	.run = pt,
};
