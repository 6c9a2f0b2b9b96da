/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "os.h"

static struct scry_linux_symbol symbol_of(const struct os_kallsyms *symbols, uint32_t i)
{
	const char *text = symbols->text + symbols->at[i];

	return (struct scry_linux_symbol){ text + 1, os_kallsyms_address(symbols, i), text[0] };
}

int scry_linux_symbol(struct scry_linux *os, const char *name, uint64_t *address)
{
	if (os_kallsyms_find(&os->symbols, name, address))
		return 0;
	return scry_fail(SCRY_E_NOTFOUND, "the guest's kernel has no symbol '%s'", name);
}

int scry_linux_symbol_at(struct scry_linux *os, uint64_t address,
			 struct scry_linux_symbol *symbol)
{
	int64_t i = os_kallsyms_at(&os->symbols, address);

	if (i < 0 || address - os->image.gva >= os->image.size)
		return scry_fail(SCRY_E_NOTFOUND, "0x%llx is not in the guest's kernel image",
				 (unsigned long long)address);
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
	return ret;
}
