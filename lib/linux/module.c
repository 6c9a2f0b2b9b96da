/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "os.h"

#define PARTS_MOST 16
#define SYMBOLS_MOST (1u << 21)	/* of all modules; the largest have some ten thousand each */
#define UNFORMED   3	/* enum module_state: nothing of it is right yet */

struct visit {
	scry_linux_module_fn fn;
	scry_linux_symbol_fn symbol_fn;		/* or this: for each symbol of each */
	void *opaque;
	uint32_t left;				/* symbols that may still come */
};

/* From 6.4: an array of struct module_memory, code first; of all of them the size. */
static int take_parts(struct scry_linux *os, uint64_t gva, struct scry_linux_module *module)
{
	const struct os_member *mem = &os->member[OS_MODULE_MEM];
	uint32_t step = os->member[OS_MODULE_MEM_BASE].type_size;
	int ret = os_need(os, OS_MODULE_MEM_BASE);

	if (!ret)
		ret = os_get(os, os_at(os, gva, OS_MODULE_MEM), OS_MODULE_MEM_BASE, &module->base);
	for (uint32_t at = 0; !ret && step && at < mem->size && at < PARTS_MOST * step; at += step) {
		uint64_t size;

		ret = os_get(os, os_at(os, gva, OS_MODULE_MEM) + at, OS_MODULE_MEM_SIZE, &size);
		module->size += size;
	}
	return ret;
}

/* Until 6.3: two of them. */
static int take_layouts(struct scry_linux *os, uint64_t gva, struct scry_linux_module *module)
{
	uint64_t init = 0;
	int ret = os_get(os, gva, OS_MODULE_CORE_BASE, &module->base);

	if (!ret)
		ret = os_get(os, gva, OS_MODULE_CORE_SIZE, &module->size);
	if (!ret)
		ret = os_get(os, gva, OS_MODULE_INIT_SIZE, &init);
	module->size += init;
	return ret;
}

static int on_module(struct scry_linux *os, uint64_t node, void *opaque)
{
	uint64_t gva = node - os->member[OS_MODULE_LIST].offset, state, users;
	struct scry_linux_module module = { 0 };
	struct visit *v = opaque;
	int ret = os_need(os, OS_MODULE_NAME);

	if (!ret)
		ret = os_string(os, os_at(os, gva, OS_MODULE_NAME), module.name, sizeof(module.name));
	if (!ret)
		ret = os_get(os, gva, OS_MODULE_STATE, &state);
	if (!ret)
		ret = os_get(os, gva, OS_MODULE_REFCNT, &users);
	if (!ret)
		ret = os_has(os, OS_MODULE_MEM) ? take_parts(os, gva, &module) :
						  take_layouts(os, gva, &module);
	if (ret < 0)
		return ret;
	if (v->symbol_fn)
		return (state & 3) == UNFORMED ? 0 : os_module_symbols(os, gva,
			&(struct os_visit_symbol){ v->symbol_fn, v->opaque, module.name, &v->left });
	module.state = "LCGU"[state & 3];
	module.users = (int32_t)users - 1;	/* MODULE_REF_BASE: its own */
	return v->fn(&module, v->opaque);
}

static int each_module(struct scry_linux *os, struct visit *v)
{
	int ret = os_need(os, OS_MODULE_LIST);
	uint64_t head;

	if (!ret)
		ret = os_symbol(os, "modules", &head);
	return ret < 0 ? ret : os_list(os, head, on_module, v);
}

int scry_linux_modules(struct scry_linux *os, scry_linux_module_fn fn, void *opaque)
{
	return each_module(os, &(struct visit){ .fn = fn, .opaque = opaque });
}

int os_modules_symbols(struct scry_linux *os, scry_linux_symbol_fn fn, void *opaque)
{
	/* A kernel that has no modules has no symbols of them. */
	if (!os_has(os, OS_MODULE_KALLSYMS))
		return 0;
	return each_module(os, &(struct visit){ .symbol_fn = fn, .opaque = opaque,
						.left = SYMBOLS_MOST });
}
