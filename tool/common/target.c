/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "memmap.h"
#include "parse.h"
#include "target.h"

#define CR4_PSE  (1u << 4)
#define EFER_NXE (1u << 11)

int open_vm(const char *uri, struct scry_vm **vm)
{
	if (scry_open(vm, uri, NULL) < 0)
		return fail_lib();
	if (dump_cut_short(*vm))
		note("%s", dump_cut_short(*vm));
	return 0;
}

const char *dump_cut_short(struct scry_vm *vm)
{
	struct scry_info info = { .sz = sizeof(info) };
	const char *text;

	/* The note of its memory map has the words. */
	return scry_info(vm, &info) == 0 && info.missing_bytes &&
	       scry_cap(vm, SCRY_CAP_MEMORY_MAP, &text) == 1 ? text : NULL;
}

const char *vm_word(struct args *args, bool *json)
{
	const char *uri;

	*json = false;
	while (next_option(args) >= 0)
		*json = true;
	uri = next_word(args, "VM");
	no_more_words(args);
	return uri;
}

int with_vm(struct args *args, int (*fn)(struct scry_vm *vm, bool json))
{
	bool json;
	const char *uri = vm_word(args, &json);
	struct scry_vm *vm;
	int ret;

	if (open_vm(uri, &vm))
		return EXIT_FAILURE;
	ret = fn(vm, json);
	scry_close(vm);
	return ret;
}

struct search {
	const char *word;
	struct vm_found *found;
};

static int match(const struct scry_vm_entry *entry, void *opaque)
{
	const struct search *search = opaque;
	struct vm_found *found = search->found;
	const char *word = search->word;
	size_t scheme = (size_t)(strchrnul(entry->uri, ':') - entry->uri) + 1;
	char pid[16];

	if (!strncmp(word, entry->uri, scheme))
		word += scheme;
	snprintf(pid, sizeof(pid), "%d", entry->pid);
	if (strcmp(word, entry->name) && strcmp(word, pid) && strcmp(search->word, entry->uri))
		return 0;
	*found = (struct vm_found){ .pid = entry->pid, .client_pid = entry->client_pid };
	snprintf(found->name, sizeof(found->name), "%s", entry->name);
	return 1;
}

int find_vm(const char *word, struct vm_found *found)
{
	return scry_list(match, &(struct search){ word, found });
}

bool place_option(struct args *args, struct place_opts *opts, int key)
{
	switch (key) {
	case 'V':
		opts->is_virtual = true;
		return true;
	case KEY_VCPU:
		opts->vcpu = vcpu_arg(args, optarg);
		opts->has_vcpu = true;
		return true;
	case KEY_PAUSE:
		opts->pause = true;
		return true;
	case KEY_CR3:
		opts->root = number_arg(args, "paging root", optarg);
		opts->has_root = true;
		return true;
	default:
		return false;
	}
}

void place_check(struct args *args, const struct place_opts *opts)
{
	if (!opts->is_virtual && (opts->has_vcpu || opts->has_root))
		usage_error(args, "--%s is for virtual addresses: add -V",
			    opts->has_root ? "cr3" : "vcpu");
}

/* The vCPU's paging mode over another root. */
static int open_other_root(const struct place_opts *opts, struct place *place)
{
	struct scry_as_opts as_opts = { .sz = sizeof(as_opts) };
	struct scry_regs regs;
	struct scry_as *as;
	int ret;

	ret = scry_as_of_vcpu(place->vm, opts->vcpu, &as);
	if (ret < 0)
		return ret;
	as_opts.mode = scry_as_mode(as);
	scry_as_free(as);
	ret = scry_regs_get(place->vm, opts->vcpu, &regs);
	if (ret < 0)
		return ret;
	as_opts.pse = !!(regs.cr4 & CR4_PSE);
	as_opts.nxe = !!(regs.efer & EFER_NXE);
	return scry_as_open(place->vm, opts->root, &as_opts, &place->as);
}

int place_open(struct scry_vm *vm, const struct place_opts *opts, struct place *place)
{
	int ret = 0;

	*place = (struct place){ .vm = vm };
	if (opts->pause) {
		ret = scry_pause(vm);
		place->paused = ret >= 0;
	}
	if (ret >= 0 && opts->has_root)
		ret = open_other_root(opts, place);
	else if (ret >= 0 && opts->is_virtual)
		ret = scry_as_of_vcpu(vm, opts->vcpu, &place->as);
	if (ret >= 0)
		return 0;
	fail_lib();
	place_close(place);
	return EXIT_FAILURE;
}

void place_close(struct place *place)
{
	scry_as_free(place->as);
	/* Where that fails, closing the VM lets it go on. */
	if (place->paused)
		scry_resume(place->vm);
}

static int check_physical(const struct memmap *map, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; len && i < map->count && gpa >= map->regions[i].gpa; i++) {
		uint64_t offset = gpa - map->regions[i].gpa, size = map->regions[i].size, n;

		if (offset >= size)
			continue;
		n = len < size - offset ? len : size - offset;
		gpa += n;
		len -= n;
	}
	return len ? fail("no guest memory at 0x%" PRIx64, gpa) : 0;
}

static int check_virtual(struct scry_as *as, const struct memmap *map, uint64_t gva, uint64_t len)
{
	while (len) {
		struct scry_walk w;
		uint64_t gpa, n;

		if (scry_walk(as, gva, &w) < 0)
			return fail_lib();
		if (w.fault != SCRY_WALK_OK) {
			if (scry_translate(as, gva, &gpa) < 0)
				return fail_lib();
			continue;	/* it has come meanwhile */
		}
		n = w.page_size - (gva & (w.page_size - 1));
		n = len < n ? len : n;
		if (check_physical(map, w.gpa, n))
			return EXIT_FAILURE;
		gva += n;
		len -= n;
	}
	return 0;
}

int place_check_range(const struct place *place, uint64_t address, uint64_t len)
{
	struct memmap map;
	int ret;

	if (memmap_get(place->vm, &map) < 0)
		return fail_lib();
	ret = place->as ? check_virtual(place->as, &map, address, len) :
			  check_physical(&map, address, len);
	memmap_free(&map);
	return ret;
}

int place_read(const struct place *place, uint64_t address, void *buf, size_t len)
{
	return place->as ? scry_read_virt(place->as, address, buf, len) :
			   scry_read_phys(place->vm, address, buf, len);
}

int place_write(const struct place *place, uint64_t address, const void *buf, size_t len)
{
	return place->as ? scry_write_virt(place->as, address, buf, len) :
			   scry_write_phys(place->vm, address, buf, len);
}
