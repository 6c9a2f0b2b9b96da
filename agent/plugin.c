/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "agent/client/identity.h"
#include "agent/client/listener.h"
#include "agent/client/service.h"
#include "agent/event/arm.h"
#include "agent/event/interrupt.h"
#include "agent/event/power.h"
#include "agent/event/step.h"
#include "agent/memory/access.h"
#include "agent/memory/look.h"
#include "agent/qemu/cpu.h"
#include "agent/qemu/guard.h"
#include "agent/qemu/image.h"
#include "agent/qemu/restore.h"
#include "refuse.h"

/*
 * QEMU's plugin interface (its docs/devel/tcg-plugins): qemu_plugin_install()
 * is called once, before the vCPUs are made; anything but 0 makes QEMU exit.
 */
struct plugin_info {
	const char *target_name;
	struct {
		int min, cur;
	} version;
	bool system_emulation;
	int smp_vcpus, max_vcpus;
};

int qemu_plugin_install(uint64_t id, const struct plugin_info *info, int argc, char **argv)
	__attribute__((visibility("default")));

static int check_mode(const struct plugin_info *info)
{
	if (!*qemu.tcg_allowed)
		return refuse("it works under -accel tcg only, for now");
	if (*qemu.use_icount)
		return refuse("it does not work with -icount: leave that out");
	if (*qemu.replay_mode)
		return refuse("it does not work with record/replay: leave that out");
	if (info->smp_vcpus > (int)SCRY_AGENT_VCPUS)
		return refuse("it can watch %u vCPUs at most, this VM has %d", SCRY_AGENT_VCPUS,
			      info->smp_vcpus);
	if (!*qemu.mttcg_enabled && info->max_vcpus > 1)
		return refuse("all vCPUs would share one thread: use -accel tcg,thread=multi, or "
			      "-smp 1");
	return 0;
}

static void at_exit(uint64_t id, void *unused)
{
	(void)id;
	(void)unused;
	listener_unlink();
}

int qemu_plugin_install(uint64_t id, const struct plugin_info *info, int argc, char **argv)
{
	static bool installed;

	if (installed)
		return refuse("it is loaded already: name it in one -plugin option only");
	installed = true;
	if (!info->system_emulation || strcmp(info->target_name, "x86_64") != 0)
		return refuse("it needs qemu-system-x86_64, this QEMU emulates %s", info->target_name);
	if (image_init() < 0 || qemu_init() < 0 || cpu_layout_init() < 0 || check_mode(info) < 0 ||
	    identity_init(argc, argv) < 0 || guard_init() < 0 || interrupt_init() < 0 ||
	    step_init() < 0 || look_init() < 0 || access_init() < 0 || power_init() < 0)
		return -1;
	arm_init(id);
	restore_init(id);
	if (service_start((unsigned)info->smp_vcpus) < 0)
		return -1;
	qemu.qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
