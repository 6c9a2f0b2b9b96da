/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

#define SEGMENTS_MOST (4u << 20)	/* QEMU's "paging" makes many */
#define BATCH         1024

/* What of an ELF header counts, in either class. */
struct header {
	bool is_64;
	uint16_t type, machine;
	uint64_t phoff, shoff;
	uint32_t phentsize, phnum;
};

static int malformed(const struct dump_vm *d, const char *what)
{
	return scry_fail(SCRY_E_INVAL, "%s is malformed: %s", d->file.path, what);
}

static void take_header(const unsigned char *bytes, struct header *h)
{
	if (bytes[EI_CLASS] == ELFCLASS64) {
		Elf64_Ehdr e;

		memcpy(&e, bytes, sizeof(e));
		*h = (struct header){ true, e.e_type, e.e_machine, e.e_phoff, e.e_shoff,
				      e.e_phentsize, e.e_phnum };
	} else {
		Elf32_Ehdr e;

		memcpy(&e, bytes, sizeof(e));
		*h = (struct header){ false, e.e_type, e.e_machine, e.e_phoff, e.e_shoff,
				      e.e_phentsize, e.e_phnum };
	}
}

/* With 65535 segments and more their number is in the first section's header. */
static int real_count(struct dump_vm *d, struct header *h)
{
	Elf64_Shdr s64;
	Elf32_Shdr s32;
	int ret;

	if (h->phnum != PN_XNUM)
		return 0;
	if (h->is_64)
		ret = dump_file_read(&d->file, h->shoff, &s64, sizeof(s64));
	else
		ret = dump_file_read(&d->file, h->shoff, &s32, sizeof(s32));
	if (!ret)
		h->phnum = h->is_64 ? s64.sh_info : s32.sh_info;
	return ret;
}

static int read_header(struct dump_vm *d, struct header *h)
{
	unsigned char bytes[sizeof(Elf64_Ehdr)] = { 0 };
	size_t len = d->file.size < sizeof(bytes) ? (size_t)d->file.size : sizeof(bytes);
	int ret = dump_file_read(&d->file, 0, bytes, len);

	if (ret < 0)
		return ret;
	if (d->file.size < sizeof(Elf32_Ehdr))
		return scry_fail(SCRY_E_INVAL, "the file %s is cut short: it ends within its ELF header",
				 d->file.path);
	if (bytes[EI_DATA] != ELFDATA2LSB ||
	    (bytes[EI_CLASS] != ELFCLASS64 && bytes[EI_CLASS] != ELFCLASS32))
		return scry_fail(SCRY_E_INVAL, "%s is an ELF file of another processor than x86",
				 d->file.path);
	take_header(bytes, h);
	if (h->machine != EM_X86_64 && h->machine != EM_386)
		return scry_fail(SCRY_E_INVAL, "%s is an ELF file of another processor than x86",
				 d->file.path);
	if (h->type != ET_CORE)
		return scry_fail(SCRY_E_INVAL, "%s is an ELF file, but not a core (a program or a "
				 "library, say)", d->file.path);
	if (h->phentsize != (h->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return malformed(d, "its program headers have an odd size");
	ret = real_count(d, h);
	if (ret < 0)
		return ret;
	return h->phnum <= SEGMENTS_MOST ? 0 : malformed(d, "it has too many segments");
}

static int take_segment(struct dump_vm *d, const struct header *h, const Elf64_Phdr *p)
{
	/* What is not in the file (p_memsz beyond p_filesz) is not known: no memory. */
	if (p->p_type == PT_LOAD && p->p_filesz)
		return dump_add_piece(d, p->p_paddr, p->p_filesz, p->p_offset);
	if (p->p_type == PT_NOTE && p->p_filesz)
		return dump_parse_notes(d, p->p_offset, p->p_filesz, h->is_64);
	return 0;
}

static Elf64_Phdr widen(const Elf32_Phdr *p)
{
	return (Elf64_Phdr){ .p_type = p->p_type, .p_offset = p->p_offset, .p_paddr = p->p_paddr,
			     .p_filesz = p->p_filesz };
}

static int take_segments(struct dump_vm *d, const struct header *h, unsigned char *batch)
{
	for (uint32_t done = 0; done < h->phnum; done += BATCH) {
		uint32_t n = h->phnum - done < BATCH ? h->phnum - done : BATCH;
		int ret = dump_file_read(&d->file, h->phoff + (uint64_t)done * h->phentsize, batch,
					 (size_t)n * h->phentsize);

		for (uint32_t i = 0; !ret && i < n; i++) {
			Elf64_Phdr p64;
			Elf32_Phdr p32;

			if (h->is_64) {
				memcpy(&p64, batch + i * sizeof(p64), sizeof(p64));
			} else {
				memcpy(&p32, batch + i * sizeof(p32), sizeof(p32));
				p64 = widen(&p32);
			}
			ret = take_segment(d, h, &p64);
		}
		if (ret < 0)
			return ret;
	}
	return 0;
}

int dump_parse_elf(struct dump_vm *d)
{
	unsigned char *batch;
	struct header h = { 0 };
	int ret;

	d->format = "ELF core";
	ret = read_header(d, &h);
	if (ret < 0)
		return ret;
	batch = malloc(BATCH * sizeof(Elf64_Phdr));
	if (!batch)
		return scry_fail(SCRY_E_NOMEM, "out of memory for the dump %s", d->file.path);
	ret = take_segments(d, &h, batch);
	free(batch);
	if (!ret)
		dump_use_vmcoreinfo(d);
	return ret;
}
