/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kernel's image in physical memory, its page tables, and whether it runs. */
#include <string.h>

#include "os.h"

#define ALIGNMENT   (UINT64_C(2) << 20)
#define IMAGE_MOST  (UINT64_C(128) << 20)

static const char version[] = "Linux version ";

static uint64_t gpa_of(const struct os_image *image, uint64_t gva)
{
	return image->gpa + (gva - image->gva);
}

/*
 * The tables' place is known, but no symbol tells their address.  The image begins at
 * a multiple of 2 MiB before them: at the one from which the banner is where it must be.
 */
static int find_base(struct scry_linux *os)
{
	struct os_image *image = &os->image;
	uint64_t banner, end;
	char text[sizeof(version) - 1];

	if (!os_kallsyms_find(&os->symbols, "_text", &image->gva) ||
	    !os_kallsyms_find(&os->symbols, "_end", &end) ||
	    !os_kallsyms_find(&os->symbols, "linux_banner", &banner))
		return scry_fail(SCRY_E_UNSUPPORTED, "layout unknown: the kernel's symbols lack "
				 "_text, _end or linux_banner (CONFIG_KALLSYMS_ALL)");
	image->size = end - image->gva;
	if (image->size > IMAGE_MOST || banner - image->gva >= image->size)
		return SCRY_E_NOTFOUND;
	image->gpa = os->symbols.gpa & ~(ALIGNMENT - 1);
	for (uint64_t back = 0; back < image->size; back += ALIGNMENT, image->gpa -= ALIGNMENT) {
		if (scry_read_phys(os->vm, gpa_of(image, banner), text, sizeof(text)) < 0)
			continue;
		if (!memcmp(text, version, sizeof(text)))
			return scry_read_phys(os->vm, gpa_of(image, banner), os->banner,
					      sizeof(os->banner) - 1);
		if (image->gpa < ALIGNMENT)
			break;
	}
	return SCRY_E_NOTFOUND;
}

/* Does this address space have the image where it lies?  Of user mode, its entry. */
static bool has_image(struct scry_linux *os, struct scry_as *as)
{
	static const char *const names[] = { "entry_SYSCALL_64", "linux_banner" };
	uint64_t gva, gpa;

	for (size_t i = 0; i < 2; i++)
		if (os_kallsyms_find(&os->symbols, names[i], &gva) &&
		    scry_translate(as, gva, &gpa) >= 0 && gpa == gpa_of(&os->image, gva))
			return true;
	return false;
}

/* The kernel's address space by one of its own roots, with four levels or five. */
static int try_root(struct scry_linux *os, const char *name)
{
	struct scry_as_opts opts = { .sz = sizeof(opts), .nxe = 1 };
	uint64_t gva;

	if (!os_kallsyms_find(&os->symbols, name, &gva))
		return SCRY_E_NOTFOUND;
	for (opts.mode = SCRY_PAGING_4LEVEL; opts.mode <= SCRY_PAGING_5LEVEL; opts.mode++) {
		int ret = scry_as_open(os->vm, gpa_of(&os->image, gva), &opts, &os->as);

		if (ret < 0)
			return ret;
		if (has_image(os, os->as))
			return 0;
		scry_as_free(os->as);
		os->as = NULL;
	}
	return SCRY_E_NOTFOUND;
}

static int find_root(struct scry_linux *os)
{
	int ret = try_root(os, "init_top_pgt");

	if (ret == SCRY_E_NOTFOUND)
		ret = try_root(os, "early_top_pgt");
	if (ret != SCRY_E_NOTFOUND)
		return ret;
	return scry_fail(SCRY_E_STATE, "the kernel at 0x%llx is not up yet: no page tables map it",
			 (unsigned long long)os->image.gpa);
}

/* A kernel that an earlier boot left in memory looks as whole as one that runs. */
static int check_runs(struct scry_linux *os)
{
	struct scry_as *as;
	bool runs = false;

	if (!os->vm->caps[SCRY_CAP_REGS_READ].supported)
		return 0;
	for (unsigned i = 0; i < os->vm->vcpus && !runs; i++) {
		if (scry_as_of_vcpu(os->vm, i, &as) < 0)
			continue;
		runs = scry_as_mode(as) >= SCRY_PAGING_4LEVEL && has_image(os, as);
		scry_as_free(as);
	}
	return runs ? 0 : scry_fail(SCRY_E_STATE, "no vCPU runs the kernel at 0x%llx: it is not up "
				    "yet, or not any more", (unsigned long long)os->image.gpa);
}

int os_image_check(struct scry_linux *os)
{
	int ret = find_base(os);

	if (!ret)
		ret = find_root(os);
	return ret < 0 ? ret : check_runs(os);
}
