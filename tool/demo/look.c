/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../common/memmap.h"
#include "../common/message.h"
#include "../common/parse.h"
#include "../common/stop.h"
#include "../common/term.h"
#include "demo.h"

#define BOOT_MS 90000
#define MSR_LSTAR 0xc0000082u
#define BANNER "Linux version "

static bool has_ticked(const struct demo *d)
{
	return d->console.ticks > 0;
}

int demo_boot(struct demo *d)
{
	int ret;

	show("kernel %s", d->kernel);
	show("QEMU   %s, unpatched, with scry's agent as a plugin; %d vCPUs", d->qemu, DEMO_VCPUS);
	ret = demo_start(d);
	if (ret)
		return ret;
	d->live = true;
	ret = demo_wait(d, has_ticked, BOOT_MS, "the guest did not come up: its init prints no "
			"'guest: tick' lines");
	d->live = false;
	show_live_end();
	if (ret)
		return ret;
	show_ok("booted to its init in %.1f s; the guest says:",
		(double)(now_ns() - d->step_began) / 1e9);
	show("%s", console_last(&d->console));
	return 0;
}

static int show_vcpu(struct demo *d, unsigned vcpu)
{
	struct scry_regs regs;

	if (scry_regs_get(d->vm, vcpu, &regs) < 0)
		return fail_lib();
	show("vCPU %u  rip %016" PRIx64 "  rsp %016" PRIx64 "  cr3 %016" PRIx64 "  %s", vcpu,
	     regs.rip, regs.gpr[SCRY_REG_RSP], regs.cr3,
	     scry_reg_value(&regs, SCRY_REG_CS) & 3 ? "user" : "kernel");
	return 0;
}

/* The kernel's entry for system calls, and where it lies in physical memory. */
static int show_walk(struct demo *d)
{
	struct scry_walk walk;
	struct scry_as *as;
	uint64_t entry;
	char size[32], why[96];
	int ret;

	if (scry_msr_get(d->vm, 0, MSR_LSTAR, &entry) < 0 || scry_as_of_vcpu(d->vm, 0, &as) < 0)
		return fail_lib();
	ret = scry_walk(as, entry, &walk);
	scry_as_free(as);
	if (ret < 0)
		return fail_lib();
	if (walk.fault != SCRY_WALK_OK)
		return fail("the kernel's system-call entry 0x%" PRIx64 " has no translation: %s",
			    entry, scry_walk_text(&walk, why, sizeof(why)));
	show("system-call entry (MSR LSTAR): gva 0x%" PRIx64 " = gpa 0x%" PRIx64 ", a page of %s",
	     entry, walk.gpa, format_size(size, sizeof(size), walk.page_size));
	return 0;
}

int demo_look(struct demo *d)
{
	struct scry_info info = { .sz = sizeof(info) };
	struct memmap map;

	if (demo_attach(d))
		return EXIT_FAILURE;
	if (scry_info(d->vm, &info) < 0)
		return fail_lib();
	if (info.vcpus != DEMO_VCPUS)
		return fail("the VM has %u vCPUs, not %d", info.vcpus, DEMO_VCPUS);
	show_ok("%s, %u vCPUs, RAM %s", info.hypervisor, info.vcpus,
		info.ram_access == SCRY_RAM_MAPPED ? "mapped: a read is a load" : "not shared");
	for (unsigned i = 0; i < info.vcpus; i++)
		if (show_vcpu(d, i))
			return EXIT_FAILURE;
	if (show_walk(d))
		return EXIT_FAILURE;
	if (memmap_get(d->vm, &map) < 0)
		return fail_lib();
	memmap_print(&map, DEMO_INDENT);
	memmap_free(&map);
	return 0;
}

/* Where in memory a kernel's banner is. */
struct banner {
	uint64_t gpa;
	char text[CONSOLE_LINE];
};

/* Is at p, of which len bytes follow, the banner?  The guest may write there: copy once. */
static bool take_banner(const char *p, size_t len, struct banner *b)
{
	const char *build;
	size_t n = 0;

	for (; n < len && n < sizeof(b->text) - 1; n++) {
		char c = ((const volatile char *)p)[n];

		if (!isprint((unsigned char)c))
			break;
		b->text[n] = c;
	}
	b->text[n] = 0;
	/* The template, which has no number of the build yet, is not it. */
	build = strstr(b->text, " #");
	return !strncmp(b->text, BANNER, strlen(BANNER)) && build &&
	       isdigit((unsigned char)build[2]);
}

static bool scan_region(const char *bytes, const struct scry_region *region, struct banner *b)
{
	const char *end = bytes + region->size, *p = bytes;

	while ((p = memmem(p, (size_t)(end - p), BANNER, strlen(BANNER)))) {
		if (take_banner(p, (size_t)(end - p), b)) {
			b->gpa = region->gpa + (uint64_t)(p - bytes);
			return true;
		}
		p++;
	}
	return false;
}

/* 1 if found, 0 if not, or the library's code; *scanned counts bytes. */
static int scan(struct demo *d, const struct memmap *map, struct banner *b, uint64_t *scanned)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct scry_region *r = &map->regions[i];
		const char *bytes;

		if (!(r->flags & SCRY_REGION_MAPPED))
			continue;
		bytes = scry_phys_ptr(d->vm, r->gpa, r->size);
		if (!bytes)
			return SCRY_E_GONE;
		if (scan_region(bytes, r, b)) {
			*scanned += b->gpa - r->gpa;
			return 1;
		}
		*scanned += r->size;
	}
	return 0;
}

int demo_banner(struct demo *d)
{
	uint64_t began, scanned = 0;
	struct banner banner;
	struct memmap map;
	double seconds;
	int found;

	if (memmap_get(d->vm, &map) < 0)
		return fail_lib();
	began = now_ns();
	found = scan(d, &map, &banner, &scanned);
	seconds = (double)(now_ns() - began) / 1e9;
	memmap_free(&map);
	if (found < 0)
		return fail_lib();
	if (!found)
		return fail("the kernel's banner is not in the guest's memory");
	d->scan_rate = (double)scanned / seconds;
	show("%.*s ... %s", (int)strcspn(banner.text, "(") - 1, banner.text,
	     strstr(banner.text, " #") + 1);
	if (!strstr(d->console.banner, "Linux") ||
	    strncmp(d->console.banner, banner.text, strlen(d->console.banner) - 1))
		return fail("that is not what the guest's console said: %s", d->console.banner);
	show_ok("found at gpa 0x%" PRIx64 " in %.0f ms, by reading guest RAM in place; the console "
		"said the same", banner.gpa, seconds * 1e3);
	return 0;
}
