/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/guest.h"
#include "common/parse.h"

struct syms {
	struct guest guest;
	const char *pattern;		/* NULL = all */
	bool json;
	size_t shown;
	struct held_text text;
	struct json_object *array;
};

/* As /proc/kallsyms has it. */
static void show_module(FILE *to, const char *name)
{
	char *module = clean(name, strlen(name));

	fprintf(to, "\t[%s]", module);
	free(module);
}

static void show_symbol(struct syms *syms, const struct scry_linux_symbol *symbol, uint64_t offset)
{
	char *name = clean(symbol->name, strlen(symbol->name));
	struct json_object *o;

	syms->shown++;
	if (!syms->json) {
		fprintf(syms->text.to, "%016" PRIx64 " %c %s", symbol->address + offset,
			symbol->type, name);
		if (offset)
			fprintf(syms->text.to, "+0x%" PRIx64, offset);
		if (symbol->module)
			show_module(syms->text.to, symbol->module);
		putc('\n', syms->text.to);
		free(name);
		return;
	}
	o = checked(json_object_new_object());
	json_add_hex(o, "address", symbol->address);
	json_add_string(o, "type", (char[]){ symbol->type, 0 });
	json_add_string(o, "name", name);
	if (offset)
		json_add_hex(o, "offset", offset);
	if (symbol->module)
		json_add_text(o, "module", symbol->module);
	json_object_array_add(syms->array, o);
	free(name);
}

static int on_symbol(const struct scry_linux_symbol *symbol, void *opaque)
{
	struct syms *syms = opaque;

	if (!syms->pattern || !fnmatch(syms->pattern, symbol->name, 0))
		show_symbol(syms, symbol, 0);
	return 0;
}

static int gather(struct syms *syms)
{
	struct scry_linux_symbol symbol;
	uint64_t address;

	if (syms->pattern && parse_u64(syms->pattern, &address)) {
		if (scry_linux_symbol_at(syms->guest.os, address, &symbol) < 0)
			return fail_lib();
		show_symbol(syms, &symbol, address - symbol.address);
		return 0;
	}
	if (scry_linux_symbols(syms->guest.os, on_symbol, syms) < 0)
		return fail_lib();
	return syms->shown ? 0 : fail("the guest's kernel and its modules have no symbol '%s'", syms->pattern);
}

/* Modules come and go: the guest is held while symbols are read, not while they are printed. */
static int show(struct syms *syms)
{
	int ret;

	held_text_begin(&syms->text);
	syms->array = checked(json_object_new_array());
	ret = gather(syms);
	held_text_end(&syms->text, &syms->guest, !ret);
	if (!ret && syms->json)
		json_print(json_object_get(syms->array));
	json_object_put(syms->array);
	return ret;
}

static int run(struct args *args)
{
	struct syms syms = { 0 };
	const char *uri;
	int ret;

	while (next_option(args) >= 0)
		syms.json = true;
	uri = next_word(args, "VM");
	syms.pattern = next_word_or_null(args);
	no_more_words(args);
	if (guest_open(&syms.guest, uri))
		return EXIT_FAILURE;
	ret = show(&syms);
	guest_close(&syms.guest);
	return ret;
}

const struct command cmd_syms = {
	.name = "syms",
	.summary = "kernel symbols of a Linux guest, and what lies at an address",
	.usage = "[--json] VM [NAME|PATTERN|ADDRESS]",
	.about = "Shows symbols of a Linux guest's kernel with their addresses in this boot (KASLR):\n"
		 "all, those of a name or of a shell pattern; or the symbol that an address belongs\n"
		 "to. They are read from the tables of the kernel and its modules in guest memory.",
	.opts = (const struct opt[]){ OPT_JSON, { 0 } },
	.example = "scry syms web entry_SYSCALL_64\n"
		   "scry syms web 'tcp_*'\n"
		   "scry syms web 0xffffffff81000123",
	.run = run,
};
