/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "agent/refuse.h"
#include "helpers.h"
#include "qemu.h"

#define EXPORT __attribute__((visibility("default")))

struct qemu qemu;

/* QEMU reads this before it calls anything of ours. */
extern EXPORT int qemu_plugin_version;
EXPORT int qemu_plugin_version = 1;

__attribute__((constructor)) static void choose_plugin_version(void)
{
	if (dlsym(RTLD_DEFAULT, "qemu_plugin_read_memory_vaddr"))
		qemu_plugin_version = 4;
	qemu.plugin_version = qemu_plugin_version;
}

/* Names that changed between versions; the newer one is used in the source. */
static const struct {
	const char *name, *old;
} aliases[] = {
	{ "bql_locked", "qemu_mutex_iothread_locked" },
	{ "bql_lock_impl", "qemu_mutex_lock_iothread_impl" },
	{ "bql_unlock", "qemu_mutex_unlock_iothread" },
};

struct wanted {
	const char *name;
	size_t at;	/* where the pointer goes in struct qemu */
	bool helper;
};

static const struct wanted wanted[] = {
#define FUNCTION(type, name, arguments) { #name, offsetof(struct qemu, name), false },
	QEMU_FUNCTIONS(FUNCTION)
#define HELPER(type, name, arguments) { #name, offsetof(struct qemu, helper.name), true },
	QEMU_HELPERS(HELPER)
#define VARIABLE(type, name) { #name, offsetof(struct qemu, name), false },
	QEMU_VARIABLES(VARIABLE)
};

static void *find_symbol(const char *name)
{
	void *p = dlsym(RTLD_DEFAULT, name);

	for (size_t i = 0; !p && i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (strcmp(aliases[i].name, name) == 0)
			p = dlsym(RTLD_DEFAULT, aliases[i].old);
	return p;
}

static void *find_helper(const char *name)
{
	void *p = helper_find(name);

	/* From QEMU 8 on only CR8 is read by a helper, which then takes no number. */
	return p || strcmp(name, "read_crN") != 0 ? p : helper_find("read_cr8");
}

int qemu_init(void)
{
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const struct wanted *w = &wanted[i];
		void *p = w->helper ? find_helper(w->name) : find_symbol(w->name);

		if (!p)
			return refuse("this QEMU has no %s%s: use a QEMU whose symbols are exported, "
				      "as the distributions' 7.2 and 10.0 are",
				      w->helper ? "TCG helper " : "", w->name);
		memcpy((char *)&qemu + w->at, &p, sizeof(p));
	}
	if (qemu.plugin_version < 3 && *qemu.tcg_allowed && helper_callbacks_use_registers() < 0)
		return refuse("this QEMU's table of TCG helpers is not as expected: use the "
			      "distributions' 7.2 or 10.0");
	return 0;
}

void qemu_insn_bytes(const struct qemu_insn *insn, void *bytes, size_t len)
{
	const void *own = qemu.qemu_plugin_insn_data(insn, bytes, len);

	if (qemu.plugin_version < 3)	/* gives a pointer, and ignores the rest */
		memcpy(bytes, own, len);
}
