/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <elf.h>

#include "../common/memmap.h"
#include "../common/message.h"
#include "dump.h"

#define PAGE UINT64_C(4096)

static int write_load(struct sink *sink, uint64_t gva, uint64_t gpa, uint64_t size, uint64_t offset)
{
	const Elf64_Phdr p = { .p_type = PT_LOAD, .p_flags = PF_R | PF_W | PF_X, .p_offset = offset,
			       .p_vaddr = gva, .p_paddr = gpa, .p_filesz = size, .p_memsz = size,
			       .p_align = PAGE };

	return sink_write(sink, &p, sizeof(p));
}

/* Offset of gpa's byte in the file, with how many follow in its region; 0 if not there. */
static uint64_t offset_of(const struct memmap *map, uint64_t first, uint64_t gpa, uint64_t *left)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct scry_region *r = &map->regions[i];

		if (gpa - r->gpa < r->size) {
			*left = r->size - (gpa - r->gpa);
			return first + (gpa - r->gpa);
		}
		first += r->size;
	}
	return 0;
}

/* The kernel's image; its bytes are those of the regions, too. */
static int write_runs(struct sink *sink, const struct memmap *map, const struct dump_linux *l,
		      uint64_t first)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < l->runs; i++) {
		const struct dump_run *run = &l->run[i];
		uint64_t left = 0, offset = offset_of(map, first, run->gpa, &left);

		/* A segment must be there, for their number is told: an empty one is harmless. */
		ret = write_load(sink, run->gva, run->gpa, run->size < left ? run->size : left,
				 offset);
	}
	return ret;
}

static int write_regions(struct sink *sink, const struct memmap *map, const struct dump_linux *l,
			 uint64_t offset)
{
	int ret = 0;

	/* Where virtual addresses are not known: as QEMU does, the physical ones. */
	for (size_t i = 0; !ret && i < map->count; i++) {
		const struct scry_region *r = &map->regions[i];

		ret = write_load(sink, l->direct_map + r->gpa, r->gpa, r->size, offset);
		offset += r->size;
	}
	return ret;
}

int dump_header(struct sink *sink, const struct memmap *map, const struct dump_linux *l,
		const struct dump_bytes *notes)
{
	const size_t segments = 1 + l->runs + map->count;
	const Elf64_Ehdr e = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_phoff = sizeof(e), .e_ehsize = sizeof(e), .e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)segments,
	};
	uint64_t offset = sizeof(e) + segments * sizeof(Elf64_Phdr), memory;
	const Elf64_Phdr p = { .p_type = PT_NOTE, .p_offset = offset, .p_filesz = notes->size,
			       .p_memsz = notes->size, .p_align = 4 };
	int ret;

	if (segments >= PN_XNUM)
		return fail("the memory map has too many regions for an ELF core");
	memory = (offset + notes->size + PAGE - 1) & ~(PAGE - 1);
	ret = sink_write(sink, &e, sizeof(e));
	if (!ret)
		ret = sink_write(sink, &p, sizeof(p));
	if (!ret)
		ret = write_runs(sink, map, l, memory);
	if (!ret)
		ret = write_regions(sink, map, l, memory);
	if (!ret && notes->size)
		ret = sink_write(sink, notes->data, notes->size);
	return ret ? ret : sink_zero(sink, memory - sink->at);
}
