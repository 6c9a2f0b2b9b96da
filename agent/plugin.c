/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "accel.h"
#include "agent/client/identity.h"
#include "agent/client/listener.h"
#include "agent/client/service.h"
#include "agent/kvmi/link.h"
#include "agent/qemu/cpu.h"
#include "agent/qemu/image.h"
#include "attach.h"
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

static void at_exit(uint64_t id, void *unused)
{
	(void)id;
	(void)unused;
	listener_unlink();
}

int qemu_plugin_install(uint64_t id, const struct plugin_info *info, int argc, char **argv)
{
	if (!attach_is_plugin())
		return refuse("it is loaded already: name it in one -plugin option only");
	if (!info->system_emulation || strcmp(info->target_name, "x86_64") != 0)
		return refuse("it needs qemu-system-x86_64, this QEMU emulates %s", info->target_name);
	if (info->smp_vcpus > (int)SCRY_AGENT_VCPUS)
		return refuse("it can watch %u vCPUs at most, this VM has %d", SCRY_AGENT_VCPUS,
			      info->smp_vcpus);
	if (image_init() < 0 || qemu_init() < 0 || cpu_layout_init() < 0 || accel_init() < 0 ||
	    identity_init(argc, argv) < 0 ||
	    accel->init(id, (unsigned)info->max_vcpus) < 0)
		return -1;
	if (kvmi_link_init(id) < 0 || service_start((unsigned)info->smp_vcpus) < 0)
		return -1;
	qemu.qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
