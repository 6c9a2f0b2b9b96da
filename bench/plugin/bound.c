/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * bound.so, a plugin for QEMU: what its own means cost with nothing in them.
 * In a guest that runs the probe,
 *	what=callback	an empty callback before each CPUID
 *	what=step	single-step from the first CPUID on, with an empty handler
 * To be loaded before the agent, which also looks for the handler's place.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "agent/qemu/image.h"
#include "agent/refuse.h"
#include "probe.h"

#define EXPORT __attribute__((visibility("default")))
#define PROBE_END 0x400000	/* of its code */

struct tb;
struct insn;
struct cpu;

/* QEMU's docs/devel/tcg-plugins, and what QEMU itself uses for debuggers. */
extern size_t qemu_plugin_tb_n_insns(const struct tb *tb);
extern struct insn *qemu_plugin_tb_get_insn(const struct tb *tb, size_t i);
extern const void *qemu_plugin_insn_data(const struct insn *insn);
extern size_t qemu_plugin_insn_size(const struct insn *insn);
extern uint64_t qemu_plugin_insn_vaddr(const struct insn *insn);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *insn,
						   void (*fn)(unsigned vcpu, void *data),
						   int flags, void *data);
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
						  void (*fn)(uint64_t id, struct tb *tb));
extern void breakpoint_handler(struct cpu *cpu);
extern void cpu_loop_exit_noexc(struct cpu *cpu);
extern void cpu_single_step(struct cpu *cpu, int how);
extern struct cpu *qemu_get_cpu(int index);

extern EXPORT int qemu_plugin_version;
EXPORT int qemu_plugin_version = 1;

static void *const *handler;
static void (*callback)(unsigned vcpu, void *data);

static void empty_callback(unsigned vcpu, void *data)
{
	(void)vcpu;
	(void)data;
}

static void empty_handler(struct cpu *cpu)
{
	cpu_loop_exit_noexc(cpu);
}

static void step_callback(unsigned vcpu, void *data)
{
	static bool steps;
	void *by = (void *)empty_handler;

	(void)data;
	if (steps)
		return;
	steps = true;
	if (image_patch((void *)handler, &by, sizeof(by)) == 0)
		cpu_single_step(qemu_get_cpu((int)vcpu), 1);
}

static bool is_cpuid(const struct insn *insn)
{
	uint64_t at = qemu_plugin_insn_vaddr(insn);

	return at >= PROBE_GPA && at < PROBE_END && qemu_plugin_insn_size(insn) == 2 &&
	       memcmp(qemu_plugin_insn_data(insn), "\x0f\xa2", 2) == 0;
}

static void translate(uint64_t id, struct tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (is_cpuid(insn))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, callback, 0, NULL);
	}
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc == 1 && !strcmp(argv[0], "what=callback"))
		callback = empty_callback;
	else if (argc == 1 && !strcmp(argv[0], "what=step"))
		callback = step_callback;
	else
		return refuse("bound.so needs what=callback or what=step");
	if (image_init() < 0)
		return -1;
	handler = image_slot((void *)breakpoint_handler, NULL);
	if (!handler)
		return refuse("QEMU's tables do not have breakpoint_handler");
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	return 0;
}
