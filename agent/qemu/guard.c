/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>

#include "agent/refuse.h"
#include "detour.h"
#include "guard.h"

static __thread sigjmp_buf *guard;	/* where to go; NULL = not guarded */

static void (*raise_err_original)(struct qemu_env *env, int vector, int error,
				  uintptr_t host_pc);
static void (*raise_original)(struct qemu_env *env, int vector, uintptr_t host_pc);

static void raise_err_hook(struct qemu_env *env, int vector, int error, uintptr_t host_pc)
{
	if (guard)
		siglongjmp(*guard, 1);
	raise_err_original(env, vector, error, host_pc);
}

static void raise_hook(struct qemu_env *env, int vector, uintptr_t host_pc)
{
	if (guard)
		siglongjmp(*guard, 1);
	raise_original(env, vector, host_pc);
}

static int install(const char *name, void *function, void *hook, void **original)
{
	const char *why = detour_install(function, hook, original);

	return why ? refuse("cannot detour %s: %s: use the distributions' QEMU 7.2 or 10.0",
			    name, why) : 0;
}

int guard_init(void)
{
	if (install("raise_exception_err_ra", (void *)qemu.raise_exception_err_ra,
		    (void *)raise_err_hook, (void **)&raise_err_original) < 0)
		return -1;
	return install("raise_exception_ra", (void *)qemu.raise_exception_ra,
		       (void *)raise_hook, (void **)&raise_original);
}

int guard_call(void (*helper)(struct qemu_env *), struct qemu_env *env)
{
	sigjmp_buf here;
	volatile int raised = 0;

	if (sigsetjmp(here, 0) == 0) {
		guard = &here;
		helper(env);
	} else {
		raised = -1;
		if (qemu.bql_locked())
			qemu.bql_unlock();	/* we never call with it held */
	}
	guard = NULL;
	return raised;
}
