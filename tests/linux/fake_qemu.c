/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * usage: fake-qemu AGENT
 *
 * Load the agent as a QEMU would that exports none of the symbols it needs.
 * Exit status 0 if the agent refuses.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct plugin_info {
	const char *target_name;
	struct {
		int min, cur;
	} version;
	bool system_emulation;
	int smp_vcpus, max_vcpus;
};

int main(int argc, char **argv)
{
	struct plugin_info info = { "x86_64", { 0, 1 }, true, 1, 1 };
	void *agent = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	int (*install)(uint64_t id, const struct plugin_info *info, int argc, char **argv);

	if (!agent) {
		fprintf(stderr, "fake-qemu: %s\n", argc == 2 ? dlerror() : "which agent?");
		return 2;
	}
	install = (int (*)(uint64_t, const struct plugin_info *, int, char **))
		dlsym(agent, "qemu_plugin_install");
	return install && install(1, &info, 0, NULL) ? 0 : 1;
}
