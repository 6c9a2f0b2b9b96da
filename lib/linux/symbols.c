/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "os.h"

#define MODULE_PART (UINT64_C(1) << 20)

static struct scry_linux_symbol symbol_of(const struct os_kallsyms *symbols, uint32_t i)
{
	const char *text = symbols->text + symbols->at[i];

	return (struct scry_linux_symbol){ text + 1, os_kallsyms_address(symbols, i), text[0], NULL };
}

struct by_name {
	const char *name;
	uint64_t address;
};

static int is_named(const struct scry_linux_symbol *symbol, void *opaque)
{
	struct by_name *by = opaque;

	if (strcmp(symbol->name, by->name))
		return 0;
	by->address = symbol->address;
	return 1;
}

static const char *without_modules(const struct scry_linux *os)
{
	return os->btf ? "" : "; those of its modules cannot be found: it has no BTF";
}

int scry_linux_symbol(struct scry_linux *os, const char *name, uint64_t *address)
{
	struct by_name by = { .name = name };
	int ret;

	if (os_kallsyms_find(&os->symbols, name, address))
		return 0;
	ret = os_modules_symbols(os, is_named, &by);
	if (ret > 0)
		*address = by.address;
	if (ret)
		return ret < 0 ? ret : 0;
	return scry_fail(SCRY_E_NOTFOUND, "the guest's kernel %s no symbol '%s'%s",
			 os->btf ? "and its modules have" : "has", name, without_modules(os));
}

struct by_address {
	struct scry_linux *os;
	uint64_t address;
	bool found;
	struct scry_linux_symbol best;
};

static int is_nearer(const struct scry_linux_symbol *symbol, void *opaque)
{
	struct by_address *by = opaque;

	/* Parts of modules lie among each other: what is far away is another part's. */
	if (symbol->address > by->address || by->address - symbol->address > MODULE_PART ||
	    (by->found && symbol->address <= by->best.address))
		return 0;
	by->found = true;
	by->best = *symbol;
	snprintf(by->os->symbol_name, sizeof(by->os->symbol_name), "%s", symbol->name);
	snprintf(by->os->symbol_module, sizeof(by->os->symbol_module), "%s", symbol->module);
	return 0;
}

static int in_a_module(struct scry_linux *os, uint64_t address, struct scry_linux_symbol *symbol)
{
	struct by_address by = { .os = os, .address = address };
	int ret = os_modules_symbols(os, is_nearer, &by);

	if (ret < 0)
		return ret;
	if (!by.found)
		return scry_fail(SCRY_E_NOTFOUND, "0x%llx is not in the guest's kernel image%s%s",
				 (unsigned long long)address, os->btf ? ", nor in a module" : "",
				 without_modules(os));
	*symbol = by.best;
	symbol->name = os->symbol_name;
	symbol->module = os->symbol_module;
	return 0;
}

int scry_linux_symbol_at(struct scry_linux *os, uint64_t address,
			 struct scry_linux_symbol *symbol)
{
	int64_t i = os_kallsyms_at(&os->symbols, address);

	if (i < 0 || address - os->image.gva >= os->image.size)
		return in_a_module(os, address, symbol);
	/* Of several at one address the first. */
	address = os_kallsyms_address(&os->symbols, (uint32_t)i);
	while (i > 0 && os_kallsyms_address(&os->symbols, (uint32_t)i - 1) == address)
		i--;
	if (os_kallsyms_index(&os->symbols) < 0)
		return SCRY_E_NOMEM;
	*symbol = symbol_of(&os->symbols, (uint32_t)i);
	return 0;
}

int scry_linux_symbols(struct scry_linux *os, scry_linux_symbol_fn fn, void *opaque)
{
	int ret = os_kallsyms_index(&os->symbols);

	for (uint32_t i = 0; i < os->symbols.count && !ret; i++) {
		struct scry_linux_symbol symbol = symbol_of(&os->symbols, i);

		ret = fn(&symbol, opaque);
	}
	return ret ? ret : os_modules_symbols(os, fn, opaque);
}
