/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "vm.h"

static const struct {
	const char *name, *text;
} caps[] = {
#define SCRY_CAP_TEXT(NAME, name, text) { name, text },
	SCRY_CAPS(SCRY_CAP_TEXT)
#undef SCRY_CAP_TEXT
};

const char *scry_cap_name(enum scry_cap cap)
{
	return (unsigned)cap < SCRY_CAP_COUNT ? caps[cap].name : NULL;
}

const char *scry_cap_text(enum scry_cap cap)
{
	return (unsigned)cap < SCRY_CAP_COUNT ? caps[cap].text : NULL;
}

void scry_cap_set(struct scry_vm *vm, enum scry_cap cap, bool supported, const char *reason)
{
	vm->caps[cap].supported = supported;
	snprintf(vm->caps[cap].reason, sizeof(vm->caps[cap].reason), "%s", reason);
}

int scry_cap(struct scry_vm *vm, enum scry_cap cap, const char **reason)
{
	if ((unsigned)cap >= SCRY_CAP_COUNT)
		return scry_fail(SCRY_E_INVAL, "there is no capability number %d", (int)cap);
	if (reason)
		*reason = vm->caps[cap].reason;
	return vm->caps[cap].supported;
}

int scry_need(const struct scry_vm *vm, enum scry_cap cap)
{
	if (vm->caps[cap].supported)
		return 0;
	return scry_fail(SCRY_E_UNSUPPORTED, "this cannot be done on VM %s (%s): %s", vm->name,
			 caps[cap].text, vm->caps[cap].reason);
}
