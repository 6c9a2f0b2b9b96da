/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/refuse.h"
#include "image.h"

struct range {
	uintptr_t begin, end;
};

static struct {
	struct range constant[16];	/* segments that are neither code nor written to */
	int count;
	struct range relro, all;
	struct range written;		/* its variables */
	int mem;			/* /proc/self/mem: writes where the mapping is read-only */
} image = { .mem = -1 };

static void see_load(const ElfW(Phdr) *p, struct range r)
{
	r.end = r.begin + p->p_filesz;
	if (!image.all.begin || r.begin < image.all.begin)
		image.all.begin = r.begin;
	if (r.end > image.all.end)
		image.all.end = r.end;
	if (!(p->p_flags & (PF_X | PF_W)) &&
	    image.count < (int)(sizeof(image.constant) / sizeof(r)))
		image.constant[image.count++] = r;
	if (p->p_flags & PF_W)
		image.written = (struct range){ r.begin, r.begin + p->p_memsz };
}

static int see_program(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		struct range r = { .begin = info->dlpi_addr + p->p_vaddr };

		if (p->p_type == PT_GNU_RELRO) {
			r.end = r.begin + p->p_memsz;
			image.relro = r;
		} else if (p->p_type == PT_LOAD) {
			see_load(p, r);
		}
	}
	return 1;	/* the executable comes first: see no other */
}

int image_init(void)
{
	int old = 42, new = 43;

	if (!image.count)
		dl_iterate_phdr(see_program, NULL);
	if (!image.relro.begin || !image.count)
		return refuse("this QEMU's executable has no read-only data segments: use the "
			      "distribution's own QEMU package");
	image.mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (image.mem < 0 || image_patch(&old, &new, sizeof(new)) < 0)
		return refuse("cannot write to /proc/self/mem: allow it for QEMU (is /proc "
			      "mounted, does a security module forbid it?)");
	return 0;
}

static bool inside(const struct range *r, const void *p)
{
	return (uintptr_t)p >= r->begin && (uintptr_t)p < r->end;
}

void image_leave(void)
{
	close(image.mem);
	image.mem = -1;
}

const void *image_variables(size_t *size)
{
	*size = image.written.end - image.written.begin;
	return (const void *)image.written.begin;
}

bool image_contains(const void *p)
{
	return inside(&image.all, p);
}

bool image_constant(const void *p)
{
	for (int i = 0; i < image.count; i++)
		if (inside(&image.constant[i], p))
			return true;
	return inside(&image.relro, p);
}

const char *image_string(const char *text)
{
	size_t len = strlen(text) + 1;

	for (int i = 0; i < image.count; i++) {
		const struct range *r = &image.constant[i];
		const char *at = (const char *)r->begin;

		while ((at = memmem(at, (const char *)r->end - at, text, len))) {
			if (at == (const char *)r->begin || at[-1] == '\0')
				return at;
			at++;
		}
	}
	return NULL;
}

void *const *image_slot(const void *value, void *const *after)
{
	uintptr_t at = after ? (uintptr_t)(after + 1) : (image.relro.begin + 7) & ~(uintptr_t)7;

	for (; at + sizeof(void *) <= image.relro.end; at += sizeof(void *))
		if (*(void *const *)at == value)
			return (void *const *)at;
	return NULL;
}

int image_patch(void *at, const void *bytes, size_t len)
{
	return pwrite(image.mem, bytes, len, (off_t)(uintptr_t)at) == (ssize_t)len ? 0 : -1;
}

/* In one piece: other threads may be about to call through it. */
static int set_slot(void *const *slot, void *value)
{
	uintptr_t page = (uintptr_t)slot & ~(uintptr_t)(getpagesize() - 1);

	if (mprotect((void *)page, (size_t)getpagesize(), PROT_READ | PROT_WRITE) < 0)
		return -1;
	atomic_store((_Atomic(void *) *)slot, value);
	mprotect((void *)page, (size_t)getpagesize(), PROT_READ);
	return 0;
}

int image_replace(const char *name, void *function, void *by)
{
	void *const *slot = image_slot(function, NULL);

	if (!slot || image_slot(function, slot))
		return refuse("QEMU's tables do not have %s exactly once: use the distributions' "
			      "7.2 or 10.0", name);
	return set_slot(slot, by) < 0 ? refuse("QEMU's tables cannot be written") : 0;
}
