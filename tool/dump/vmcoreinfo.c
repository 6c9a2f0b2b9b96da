/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../lib/drivers/dump/format.h"
#include "../common/memmap.h"
#include "../common/message.h"
#include "dump.h"

#define PAGE       4096u
#define KERNEL_MAP UINT64_C(0xffffffff80000000)
#define BEGINNING  "OSRELEASE="

/*
 * Any page may hold such a text (a file's, say).  That of the running kernel leads to
 * its own name: init_uts_ns begins, after its counters, with "Linux", and has the same
 * release.
 */
static bool is_genuine(struct scry_vm *vm, const char *text)
{
	size_t len = strcspn(text + strlen(BEGINNING), "\n");
	uint64_t symbol, phys_base, gpa;
	char uts[512];

	if (!len || len >= 65 ||
	    !dump_vmcoreinfo_number(text, "SYMBOL(init_uts_ns)", 16, &symbol) ||
	    !dump_vmcoreinfo_number(text, "NUMBER(phys_base)", 10, &phys_base))
		return false;
	gpa = symbol - KERNEL_MAP + phys_base;
	if (scry_read_phys(vm, gpa, uts, sizeof(uts)) < 0)
		return false;
	for (size_t i = 0; i < 64; i++)
		if (!memcmp(uts + i, "Linux", 6))
			return !memcmp(uts + i + 2 * 65, text + strlen(BEGINNING), len) &&
			       !uts[i + 2 * 65 + len];
	return false;
}

/* The text that begins this page, or NULL. */
static char *text_of(struct scry_vm *vm, uint64_t gpa)
{
	char *text = checked(malloc(PAGE + 1));

	if (scry_read_phys(vm, gpa, text, PAGE) < 0) {
		free(text);
		return NULL;
	}
	text[PAGE] = 0;
	if (!strncmp(text, BEGINNING, strlen(BEGINNING)) && is_genuine(vm, text))
		return text;
	free(text);
	return NULL;
}

static char *search(struct scry_vm *vm, const struct scry_region *r)
{
	const uint64_t step = 1 << 20;
	unsigned char *buf = checked(malloc(step));
	char *found = NULL;

	for (uint64_t done = 0; !found && done < r->size; done += step) {
		uint64_t n = r->size - done < step ? r->size - done : step;
		const unsigned char *bytes = scry_phys_ptr(vm, r->gpa + done, n);

		if (!bytes && scry_read_phys(vm, r->gpa + done, buf, n) == 0)
			bytes = buf;
		for (uint64_t at = 0; bytes && !found && at < n; at += PAGE)
			if (!memcmp(bytes + at, BEGINNING, strlen(BEGINNING)))
				found = text_of(vm, r->gpa + done + at);
	}
	free(buf);
	return found;
}

char *dump_find_vmcoreinfo(struct scry_vm *vm)
{
	struct memmap map;
	char *found = NULL;

	if (memmap_get(vm, &map) < 0)
		return NULL;
	/* The kernel's own pages are RAM. */
	for (size_t i = 0; !found && i < map.count; i++)
		if (!(map.regions[i].flags & (SCRY_REGION_ROM | SCRY_REGION_DEVICE)))
			found = search(vm, &map.regions[i]);
	memmap_free(&map);
	return found;
}
