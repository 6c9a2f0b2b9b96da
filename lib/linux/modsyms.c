/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The symbols of modules, from the tables that the kernel keeps with each of them. */
#include <elf.h>
#include <string.h>

#include "os.h"

#define BATCH 64u

struct table {
	uint64_t symbols, strings, types;
	uint64_t count;
};

static int find_table(struct scry_linux *os, uint64_t module, uint32_t *left, struct table *t)
{
	uint64_t at;
	int ret = os_get(os, module, OS_MODULE_KALLSYMS, &at);

	*t = (struct table){ 0 };
	/* One that is being loaded has none yet. */
	if (ret < 0 || !at)
		return ret;
	ret = os_get(os, at, OS_MODSYMS_SYMTAB, &t->symbols);
	if (!ret)
		ret = os_get(os, at, OS_MODSYMS_STRTAB, &t->strings);
	if (!ret)
		ret = os_get(os, at, OS_MODSYMS_TYPETAB, &t->types);
	if (!ret)
		ret = os_get(os, at, OS_MODSYMS_COUNT, &t->count);
	if (ret < 0)
		return ret;
	if (t->count > *left)
		return os_damaged("the symbol table of a module", t->symbols);
	*left -= (uint32_t)t->count;
	return 0;
}

static int tell(struct scry_linux *os, const struct table *t, const Elf64_Sym *symbol, char type,
		const struct os_visit_symbol *v)
{
	char name[OS_NAME_MOST];
	int ret;

	if (symbol->st_shndx == SHN_UNDEF)
		return 0;
	ret = os_string(os, t->strings + symbol->st_name, name, sizeof(name));
	/* As /proc/kallsyms: what debuggers alone use has no name. */
	if (ret < 0 || !name[0])
		return ret;
	return v->fn(&(struct scry_linux_symbol){ name, symbol->st_value, type, v->module }, v->opaque);
}

int os_module_symbols(struct scry_linux *os, uint64_t module, const struct os_visit_symbol *v)
{
	struct table t;
	int ret = find_table(os, module, v->left, &t);

	for (uint64_t done = 0; !ret && done < t.count; done += BATCH) {
		uint64_t n = t.count - done < BATCH ? t.count - done : BATCH;
		Elf64_Sym symbol[BATCH];
		char type[BATCH];

		ret = os_read(os, t.symbols + done * sizeof(symbol[0]), symbol, n * sizeof(symbol[0]));
		if (!ret)
			ret = os_read(os, t.types + done, type, n);
		for (uint64_t i = 0; !ret && i < n; i++)
			ret = tell(os, &t, &symbol[i], type[i], v);
	}
	return ret;
}
