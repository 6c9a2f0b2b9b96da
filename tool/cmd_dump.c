/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/command.h"
#include "common/target.h"
#include "dump/dump.h"

enum { KEY_LIVE = KEY_FIRST_OWN, KEY_ZSTD, KEY_PARTIAL };

static int dump(struct args *args)
{
	struct dump_opts opts = { 0 };
	struct scry_vm *vm;
	const char *uri;
	bool partial = false;
	int key, ret;

	while ((key = next_option(args)) >= 0) {
		opts.live |= key == KEY_LIVE;
		opts.zstd |= key == KEY_ZSTD;
		partial |= key == KEY_PARTIAL;
		opts.json |= key == KEY_JSON;
	}
	uri = next_word(args, "VM");
	opts.file = next_word(args, "FILE");
	no_more_words(args);
	if (open_vm(uri, &vm))
		return EXIT_FAILURE;
	if (dump_cut_short(vm) && !partial)
		ret = fail("no dump is made of a part of one, unless --partial is given");
	else
		ret = dump_vm(vm, &opts);
	scry_close(vm);
	return ret;
}

const struct command cmd_dump = {
	.name = "dump",
	.summary = "write a VM's memory and registers to an ELF core",
	.usage = "[--live] [--zstd] [--partial] [--json] VM FILE",
	.about = "Writes the guest's memory and all vCPUs' registers to FILE, an ELF core that\n"
		 "crash, drgn and gdb open, and scry itself as file:FILE. Pages of zeros become\n"
		 "holes of the file, which appears only when it is complete. The VM is held\n"
		 "meanwhile, so that all is of one moment, unless --live is given.",
	.opts = (const struct opt[]){
		{ KEY_LIVE, "live", NULL, "do not hold the VM: what changes meanwhile may not fit" },
		{ KEY_ZSTD, "zstd", NULL, "compress it; 'zstd -d' makes the core of it, scry needs not" },
		{ KEY_PARTIAL, "partial", NULL, "of a dump that was cut short: what there is" },
		OPT_JSON,
		{ 0 },
	},
	.example = "scry dump web web.core\n"
		   "scry dump --zstd web web.core.zst\n"
		   "scry regs file:web.core.zst",
	.run = dump,
};
