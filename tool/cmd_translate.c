/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/command.h"
#include "common/output.h"
#include "common/parse.h"
#include "common/target.h"

static const char *mode_name(enum scry_paging_mode mode)
{
	static const char *const names[] = { "no", "32-bit", "PAE", "4-level", "5-level" };

	return (unsigned)mode < 5 ? names[mode] : "?";
}

static void add_word(char *buf, size_t len, const char *word)
{
	size_t used = strlen(buf);

	snprintf(buf + used, len - used, "%s%s", used ? " " : "", word);
}

/* The bits of one entry, by their names in the manuals. */
static const char *entry_flags(uint64_t entry, int level, char *buf, size_t len)
{
	static const struct {
		unsigned bit;
		const char *name;
	} bits[] = {
		{ 0, "P" }, { 1, "RW" }, { 2, "US" }, { 3, "PWT" }, { 4, "PCD" }, { 5, "A" },
		{ 6, "D" }, { 7, "PS" }, { 8, "G" }, { 63, "XD" },
	};

	buf[0] = 0;
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (entry >> bits[i].bit & 1)
			add_word(buf, len, bits[i].bit == 7 && level == 1 ? "PAT" : bits[i].name);
	return buf;
}

static void print_steps(const struct scry_walk *w)
{
	static const struct column columns[] = {
		{ "LEVEL", false }, { "ENTRY AT", false }, { "ENTRY", false }, { "BITS", false },
	};
	struct libscols_table *table = table_new(columns, 4, true);

	for (int i = 0; i < w->levels; i++) {
		char at[24], entry[24], flags[64];

		snprintf(at, sizeof(at), "%016" PRIx64, w->step[i].gpa);
		snprintf(entry, sizeof(entry), "%016" PRIx64, w->step[i].entry);
		table_row(table, scry_level_name(w->step[i].level), at, entry,
			  entry_flags(w->step[i].entry, w->step[i].level, flags, sizeof(flags)));
	}
	table_print(table);
}

static const char *page_flags(const struct scry_walk *w, char *buf, size_t len)
{
	snprintf(buf, len, "%s, %s, %s%s%s%s", w->flags & SCRY_PAGE_USER ? "user" : "supervisor",
		 w->flags & SCRY_PAGE_WRITE ? "writable" : "read-only",
		 w->flags & SCRY_PAGE_NX ? "no-execute" : "executable",
		 w->flags & SCRY_PAGE_GLOBAL ? ", global" : "",
		 w->flags & SCRY_PAGE_ACCESSED ? ", accessed" : "",
		 w->flags & SCRY_PAGE_DIRTY ? ", dirty" : "");
	return buf;
}

static int print_text(const struct scry_as *as, const struct scry_walk *w)
{
	char size[32], flags[128], why[96];

	printf("%s paging, root 0x%" PRIx64 "\n", mode_name(scry_as_mode(as)), scry_as_root(as));
	if (w->levels)
		print_steps(w);
	if (w->fault != SCRY_WALK_OK)
		return fail("0x%" PRIx64 " has no translation: %s", w->gva,
			    scry_walk_text(w, why, sizeof(why)));
	printf("%sgpa 0x%" PRIx64 "%s, page of %s: %s", colour(BOLD), w->gpa, colour(PLAIN),
	       format_size(size, sizeof(size), w->page_size),
	       page_flags(w, flags, sizeof(flags)));
	if (w->pkey)
		printf(", protection key %" PRIu32, w->pkey);
	printf("\n");
	return 0;
}

static struct json_object *steps_json(const struct scry_walk *w)
{
	struct json_object *array = checked(json_object_new_array());

	for (int i = 0; i < w->levels; i++) {
		struct json_object *step = checked(json_object_new_object());

		json_add_string(step, "level", scry_level_name(w->step[i].level));
		json_add_hex(step, "gpa", w->step[i].gpa);
		json_add_hex(step, "entry", w->step[i].entry);
		json_object_array_add(array, step);
	}
	return array;
}

static void json_page(struct json_object *o, const struct scry_walk *w)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} flags[] = {
		{ SCRY_PAGE_WRITE, "write" }, { SCRY_PAGE_USER, "user" }, { SCRY_PAGE_NX, "nx" },
		{ SCRY_PAGE_GLOBAL, "global" }, { SCRY_PAGE_ACCESSED, "accessed" },
		{ SCRY_PAGE_DIRTY, "dirty" },
	};

	json_add_hex(o, "gpa", w->gpa);
	json_add_number(o, "page_size", w->page_size);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		json_add(o, flags[i].name, json_object_new_boolean(!!(w->flags & flags[i].flag)));
	json_add_number(o, "pkey", w->pkey);
}

static int print_json(const struct scry_as *as, const struct scry_walk *w)
{
	struct json_object *o = checked(json_object_new_object());
	char why[96];

	json_add_hex(o, "gva", w->gva);
	json_add_string(o, "paging", mode_name(scry_as_mode(as)));
	json_add_hex(o, "root", scry_as_root(as));
	json_add(o, "steps", steps_json(w));
	if (w->fault == SCRY_WALK_OK)
		json_page(o, w);
	else
		json_add_string(o, "fault", scry_walk_text(w, why, sizeof(why)));
	json_print(o);
	return w->fault == SCRY_WALK_OK ? 0 : EXIT_FAILURE;
}

static int show(struct scry_vm *vm, const struct place_opts *opts, uint64_t gva, bool json)
{
	struct scry_walk walk;
	struct place place;
	int ret;

	if (place_open(vm, opts, &place))
		return EXIT_FAILURE;
	if (scry_walk(place.as, gva, &walk) < 0)
		ret = fail_lib();
	else
		ret = json ? print_json(place.as, &walk) : print_text(place.as, &walk);
	place_close(&place);
	return ret;
}

static int translate(struct args *args)
{
	struct place_opts opts = { .is_virtual = true };
	bool json = false;
	struct scry_vm *vm;
	const char *uri;
	uint64_t gva;
	int key, ret;

	while ((key = next_option(args)) >= 0)
		if (!place_option(args, &opts, key))
			json = true;
	uri = next_word(args, "VM");
	gva = number_arg(args, "address", next_word(args, "GVA"));
	no_more_words(args);
	if (open_vm(uri, &vm))
		return EXIT_FAILURE;
	ret = show(vm, &opts, gva, json);
	scry_close(vm);
	return ret;
}

const struct command cmd_translate = {
	.name = "translate",
	.summary = "walk the page tables for a virtual address, each level shown",
	.usage = "[--vcpu N | --cr3 ROOT] [--json] VM GVA",
	.about = "Shows each entry of the page walk for a guest-virtual address, the\n"
		 "guest-physical address it ends at, and the page's size and permissions; or,\n"
		 "with exit status 1, why it ends without a page.",
	.opts = (const struct opt[]){
		OPT_VCPU,
		{ KEY_CR3, "cr3", "ROOT", "another paging root than the vCPU's CR3" },
		OPT_JSON,
		{ 0 },
	},
	.example = "scry translate web 0xffffffffab600080",
	.run = translate,
};
