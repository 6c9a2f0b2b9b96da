/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/refuse.h"
#include "cpu.h"
#include "vmstate.h"

struct cpu_layout cpu_layout;

/* size 0: whatever it is. */
static const struct {
	const char *name;
	size_t at, size;
} fields[] = {
	{ "env.regs", offsetof(struct cpu_layout, regs), 8 },
	{ "env.eip", offsetof(struct cpu_layout, eip), 8 },
	{ "env.eflags", offsetof(struct cpu_layout, eflags), 8 },
	{ "env.hflags", offsetof(struct cpu_layout, hflags), 4 },
	{ "env.hflags2", offsetof(struct cpu_layout, hflags2), 4 },
	{ "env.segs", offsetof(struct cpu_layout, segs), 0 },
	{ "env.ldt", offsetof(struct cpu_layout, ldt), 0 },
	{ "env.tr", offsetof(struct cpu_layout, tr), 0 },
	{ "env.gdt", offsetof(struct cpu_layout, gdt), 0 },
	{ "env.idt", offsetof(struct cpu_layout, idt), 0 },
	{ "env.cr[0]", offsetof(struct cpu_layout, cr0), 8 },
	{ "env.cr[2]", offsetof(struct cpu_layout, cr2), 8 },
	{ "env.cr[3]", offsetof(struct cpu_layout, cr3), 8 },
	{ "env.cr[4]", offsetof(struct cpu_layout, cr4), 8 },
	{ "env.dr", offsetof(struct cpu_layout, dr), 8 },
	{ "env.efer", offsetof(struct cpu_layout, efer), 8 },
	{ "env.xcr0", offsetof(struct cpu_layout, xcr0), 8 },
}, segment_fields[] = {
	{ "selector", offsetof(struct cpu_layout, seg.selector), 4 },
	{ "base", offsetof(struct cpu_layout, seg.base), 8 },
	{ "limit", offsetof(struct cpu_layout, seg.limit), 4 },
	{ "flags", offsetof(struct cpu_layout, seg.flags), 4 },
};

/*
 * The kind of the lazy arithmetic flags is not described, but lies between what is:
 * eflags, cc_dst, cc_src, cc_src2 (8 bytes each), cc_op, df (4 bytes each), hflags.
 */
static int find_cc_op(void)
{
	if (cpu_layout.hflags != cpu_layout.eflags + 40)
		return refuse("QEMU keeps a vCPU's flags in an unknown way: use the distributions' "
			      "7.2 or 10.0");
	cpu_layout.cc_op = cpu_layout.hflags - 8;
	return 0;
}

static int find(const struct vmstate *description, const char *name, size_t at, size_t size)
{
	struct vmstate_field field;

	if (vmstate_find(description, name, &field) < 0 || (size && field.size != size))
		return refuse("QEMU's description of a vCPU has no %s as expected: use the "
			      "distributions' 7.2 or 10.0", name);
	memcpy((char *)&cpu_layout + at, &field.offset, sizeof(field.offset));
	return 0;
}

int cpu_layout_init(void)
{
	const struct vmstate *cpu = qemu.vmstate_x86_cpu;
	struct vmstate_field segs;

	if (vmstate_init(cpu) < 0)
		return refuse("QEMU's description of a vCPU (vmstate_x86_cpu) is laid out in an "
			      "unknown way: use the distributions' 7.2 or 10.0");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (find(cpu, fields[i].name, fields[i].at, fields[i].size) < 0)
			return -1;
	if (vmstate_find(cpu, "env.segs", &segs) < 0 || !segs.nested)
		return refuse("QEMU does not describe its segment registers (env.segs): use the "
			      "distributions' 7.2 or 10.0");
	cpu_layout.seg_size = segs.size;
	for (size_t i = 0; i < sizeof(segment_fields) / sizeof(segment_fields[0]); i++)
		if (find(segs.nested, segment_fields[i].name, segment_fields[i].at,
			 segment_fields[i].size) < 0)
			return -1;
	if (find(qemu.vmstate_cpu_common, "halted", offsetof(struct cpu_layout, halted), 4) < 0 ||
	    find(qemu.vmstate_cpu_common, "interrupt_request",
		 offsetof(struct cpu_layout, interrupt_request), 4) < 0)
		return -1;
	return find_cc_op();
}

uint64_t cpu_rflags_in_block(struct qemu_cpu *cpu)
{
	return qemu.helper.read_eflags(cpu_env(cpu)) |
	       (cpu_get64(cpu, cpu_layout.eflags) & (EFLAGS_VM | EFLAGS_RF));
}
