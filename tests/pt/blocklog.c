/* SPDX-License-Identifier: GPL-2.0-or-later */
/* blocklog.so,log=FILE: a plugin for QEMU that fills struct blocklog. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/qemu/cpu.h"
#include "agent/qemu/image.h"
#include "blocklog.h"

#define EXPORT __attribute__((visibility("default")))

struct tb;
struct insn;

/* QEMU's docs/devel/tcg-plugins. */
extern size_t qemu_plugin_tb_n_insns(const struct tb *tb);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct tb *tb, void (*fn)(unsigned, void *),
						 int flags, void *data);
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
						  void (*fn)(uint64_t id, struct tb *tb));

static struct blocklog *blocklog;

/* A block is wherever its page is mapped: only rip says where. */
static void begins(unsigned vcpu, void *insns)
{
	uint64_t n;

	if (vcpu >= LOG_VCPUS || !atomic_load_explicit(&blocklog->on, memory_order_relaxed))
		return;
	n = atomic_load_explicit(&blocklog->count[vcpu], memory_order_relaxed);
	if (n == LOG_MOST)
		return;
	blocklog->entry[vcpu][n].pc = code_address(qemu.qemu_get_cpu((int)vcpu));
	blocklog->entry[vcpu][n].insns = (uint64_t)insns;
	atomic_store_explicit(&blocklog->count[vcpu], n + 1, memory_order_release);
}

static void translate(uint64_t id, struct tb *tb)
{
	(void)id;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, begins, 0, (void *)qemu_plugin_tb_n_insns(tb));
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	int fd = argc == 1 && !strncmp(argv[0], "log=", 4) ?
		 open(argv[0] + 4, O_RDWR | O_CREAT, 0600) : -1;

	(void)info;
	if (image_init() < 0 || qemu_init() < 0 || cpu_layout_init() < 0 || fd < 0 ||
	    ftruncate(fd, sizeof(*blocklog)) < 0)
		return -1;
	blocklog = mmap(NULL, sizeof(*blocklog), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (blocklog == MAP_FAILED)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	return 0;
}
