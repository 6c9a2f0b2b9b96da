/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gelf.h>
#include <string.h>

#include "attach.h"

#define MOST (UINT64_C(64) << 20)	/* bytes of a table; the file may be anything */

static void take(Elf *elf, const GElf_Shdr *table, const GElf_Sym *symbol, uint64_t base,
		 struct wanted_symbol *wanted, size_t count)
{
	const char *name = elf_strptr(elf, table->sh_link, symbol->st_name);

	if (!name || symbol->st_shndx == SHN_UNDEF || GELF_ST_TYPE(symbol->st_info) != STT_FUNC)
		return;
	for (size_t i = 0; i < count; i++)
		if (!strcmp(wanted[i].name, name)) {
			wanted[i].address = base + symbol->st_value;
			wanted[i].size = symbol->st_size;
		}
}

static bool has_names(Elf *elf, size_t section)
{
	GElf_Shdr names;

	return gelf_getshdr(elf_getscn(elf, section), &names) && names.sh_size <= MOST;
}

static void look(Elf *elf, Elf_Scn *section, uint64_t base, struct wanted_symbol *wanted,
		 size_t count)
{
	Elf_Data *data;
	GElf_Shdr table;
	GElf_Sym symbol;

	if (!gelf_getshdr(section, &table) || table.sh_type != SHT_DYNSYM || table.sh_size > MOST)
		return;
	data = elf_getdata(section, NULL);
	if (!data || !has_names(elf, table.sh_link))
		return;
	for (int i = 0; gelf_getsym(data, i, &symbol); i++)
		take(elf, &table, &symbol, base, wanted, count);
}

bool symbols_find(int fd, uint64_t base, struct wanted_symbol *wanted, size_t count)
{
	Elf_Scn *section = NULL;
	GElf_Ehdr head;
	Elf *elf;
	bool is_elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	is_elf = elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &head) &&
		 head.e_machine == EM_X86_64;
	while (is_elf && !wanted[0].address && (section = elf_nextscn(elf, section)))
		look(elf, section, head.e_type == ET_DYN ? base : 0, wanted, count);
	elf_end(elf);
	return is_elf;
}
